"""What a simulation tells: what became of every execution, and how full the cluster was."""

from dataclasses import dataclass
from enum import StrEnum

from zoe.model.resources import NOTHING, Resources
from zoe.sim.workload import Job


class Ending(StrEnum):
    """How an execution of a simulation ended."""

    COMPLETED = "completed"
    TIME_LIMIT = "time-limit"
    LOST = "lost"
    """Nodes took essential instances with them, too often or for good."""
    NEVER = "never"
    """It asked for what no node has, or was still waiting when nothing could happen any more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """When an execution got its room and ended (virtual seconds), and how it ended."""

    job: Job
    started: float | None
    ended: float
    ending: Ending = Ending.COMPLETED
    overtaken: int = 0
    """How many that were submitted later got their room while this one waited."""
    taken_back: int = 0
    """How many of its elastic instances were taken back."""
    lost_seconds: float = 0.0
    """Instance-seconds of its work that had to be done again."""

    @property
    def wait_seconds(self) -> float:
        """From arrival to admission; to the end, if it was never admitted."""
        return (self.ended if self.started is None else self.started) - self.job.arrival_seconds

    @property
    def turnaround_seconds(self) -> float:
        """From arrival to the end."""
        return self.ended - self.job.arrival_seconds


@dataclass(frozen=True, slots=True)
class Moment:
    """The cluster from ``at`` on, until the next moment."""

    at: float
    waiting: int
    running: int
    used: Resources


@dataclass(frozen=True, slots=True)
class Span:
    """From ``begin`` to ``end`` an execution had so many instances: a bar of a Gantt plot."""

    execution_id: int
    begin: float
    end: float
    instances: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a simulation tells.

    ``moments`` are in the order of time, one for each change; ``spans`` are kept on request only.
    """

    outcomes: tuple[Outcome, ...]
    capacity: Resources = NOTHING
    """Of all nodes together, at the beginning."""
    moments: tuple[Moment, ...] = ()
    spans: tuple[Span, ...] = ()
