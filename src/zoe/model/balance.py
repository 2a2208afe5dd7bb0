"""What somebody has used of the machines: kept, so that a new master knows whose turn it is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Balance:
    """What a user held for a team from ``at`` (seconds since 1970) on, and on average until then.

    Both are of thousandths of a core, bytes of memory and GPUs. The average is exponential: what
    was held a half-life before ``at`` counts half. An empty team is none. Until there is another
    balance, ``held`` is what the user still holds.
    """

    team: str
    user: str
    at: float
    held: tuple[int, int, int]
    average: tuple[float, float, float]
