"""Chance comes in from outside: whoever draws is handed what draws."""

from typing import Protocol


class Chance(Protocol):
    """What draws: :class:`random.Random` with a seed, from outside of the core."""

    def random(self) -> float:
        """Return a number from 0 up to, but not including, 1."""
        ...

    def randint(self, a: int, b: int) -> int:
        """Return an integer from ``a`` to ``b``, both included."""
        ...
