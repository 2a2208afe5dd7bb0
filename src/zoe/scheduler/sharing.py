"""How room is given: what an administrator can choose."""

from dataclasses import dataclass
from math import inf

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Sharing:
    """How room is given: the names are those of the settings."""

    generation: str = "flexible"
    policy: str = "fifo"
    half_life_seconds: float = 3 * DAY
    """What somebody held so long ago counts half of what is held now (``fair``)."""
    reclaim: bool = True
    """Whether elastic instances are taken back for essential ones (flexible only)."""
    grant_seconds: float = 0.0
    """How long an elastic instance is left alone at least."""
    reclaim_per_plan: int = 1000
    """How many elastic instances are taken back at once at most."""
    reclaim_per_hour: int = 60
    """How many times in an hour one execution is shrunk at most."""
    lost_seconds: float = inf
    """How much work an instance that is taken back loses at most, unless it hands it over."""
    growth_gain: float = 0.0
    """What one more elastic instance adds at least, in parts of the first, while others wait."""
    backfill: str = "easy"
    """Who may overtake: with ``easy``, who does not delay the first that is blocked; with
    ``conservative``, who delays none of those before it; with ``none``, nobody."""
    backfill_depth: int = 200
    """How many waiting executions are looked at behind the first that is blocked."""
    patience_seconds: float = 7 * DAY
    """Who has waited for longer goes first, whatever the policy says."""
    rank: str = "pack"
    """Of several nodes with room: the fullest (``pack``), the emptiest (``spread``), ``random``."""
    seed: int = 0
    """Of the random rank."""

    def is_overdue(self, submitted_at: float, now: float) -> bool:
        """Whether an execution has waited for longer than anybody is to wait for others."""
        return now - submitted_at > self.patience_seconds
