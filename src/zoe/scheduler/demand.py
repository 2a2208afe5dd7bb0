"""What an execution asks for, in the terms in which room is given: shapes and counts.

The scheduler plans with counts of equal instances, never with single ones: an execution of five
hundred equal workers is one line here.
"""

from dataclasses import dataclass

from zoe.model.resources import Resources
from zoe.model.zapp import Kind, Speedup


@dataclass(frozen=True, slots=True)
class Shape:
    """What one instance needs of a node: an amount of each resource, labels, being alone, an image.

    ``spread``: no two instances of one service of one execution share a node. ``image`` is said
    only where some node tells which images it has: elsewhere it would make equal shapes differ.
    """

    each: Resources
    labels: frozenset[str] = frozenset()
    spread: bool = False
    image: str = ""


@dataclass(frozen=True, slots=True)
class Need:
    """How many instances of one service (``framework.service``) an execution asks for."""

    service: str
    shape: Shape
    essential: int
    elastic: int = 0
    speedup: Speedup | None = None
    grace_seconds: float = 0.0
    """How long an instance that is taken back may take to stop."""
    hands_over: bool = False
    """Whether it hands its work over in that time, so that none is lost (a ``shrink`` hook)."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Everything about one execution that decides when it gets room, and how much.

    ``run_seconds`` is how long its user says it runs with all it asks for (the time limit), None
    when nothing was said; ``limit_seconds`` is that limit itself. ``application`` names what its
    past runs are looked up by.
    """

    execution_id: int
    submitted_at: float
    needs: tuple[Need, ...]
    owner: str = ""
    team: str = ""
    kind: Kind = Kind.BATCH
    application: str = ""
    run_seconds: float | None = None
    limit_seconds: float | None = None

    @property
    def instances(self) -> int:
        """How many instances it has when all it asks for is granted."""
        return sum(need.essential + need.elastic for need in self.needs)
