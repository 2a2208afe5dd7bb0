"""What the samples of a node mean for the scheduler: coarse, so that it seldom changes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class NodeLoad:
    """How loaded a node really is, and whether it is short of something."""

    name: str
    level: int = 0
    """How much of it is used, in steps of :mod:`zoe.scheduler.strain`; ties are broken by it."""
    outside_bytes: int = 0
    """Memory that is used by what is not Zoe's, beyond what Zoe leaves to others."""
    pressure: str = ""
    """What it is short of, for people: nothing elastic is placed there. Empty: nothing."""
    hungriest: tuple[tuple[str, int], ...] = ()
    """While memory has to be given back: who uses how much of it, most first."""
