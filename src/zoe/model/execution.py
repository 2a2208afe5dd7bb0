"""An execution and its instances, and the two state machines as data.

The tables :data:`EXECUTION_TRANSITIONS` and :data:`INSTANCE_TRANSITIONS` are the only definition of
what may follow what; the diagrams of the documentation are drawn from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from zoe.model.errors import IllegalTransition
from zoe.model.zapp import ZApp


class ExecutionStatus(StrEnum):
    """Where an execution is in its life."""

    SUBMITTED = "submitted"
    """Durable in the store; the master has not looked at it yet."""
    QUEUED = "queued"
    STARTING = "starting"
    """Admitted: every essential instance has its room; not all have started."""
    RUNNING = "running"
    """Every essential instance has started (or has completed already)."""
    STOPPING = "stopping"
    """Its end is decided; its instances are being stopped."""
    TERMINATED = "terminated"
    """Ended as it should: the monitor exited with 0, or a user stopped it."""
    FAILED = "failed"


class InstanceStatus(StrEnum):
    """Where an instance is in its life."""

    WAITING = "waiting"
    """Placed, its room is reserved; it waits for its dependencies or for its back-off."""
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"


EXECUTION_TRANSITIONS: Mapping[ExecutionStatus, frozenset[ExecutionStatus]] = {
    ExecutionStatus.SUBMITTED: frozenset(
        {ExecutionStatus.QUEUED, ExecutionStatus.TERMINATED, ExecutionStatus.FAILED}
    ),
    ExecutionStatus.QUEUED: frozenset(
        {ExecutionStatus.STARTING, ExecutionStatus.TERMINATED, ExecutionStatus.FAILED}
    ),
    ExecutionStatus.STARTING: frozenset({ExecutionStatus.RUNNING, ExecutionStatus.STOPPING}),
    ExecutionStatus.RUNNING: frozenset({ExecutionStatus.STOPPING}),
    ExecutionStatus.STOPPING: frozenset({ExecutionStatus.TERMINATED, ExecutionStatus.FAILED}),
    ExecutionStatus.TERMINATED: frozenset(),
    ExecutionStatus.FAILED: frozenset(),
}

INSTANCE_TRANSITIONS: Mapping[InstanceStatus, frozenset[InstanceStatus]] = {
    InstanceStatus.WAITING: frozenset({InstanceStatus.STARTING, InstanceStatus.STOPPED}),
    InstanceStatus.STARTING: frozenset(
        {InstanceStatus.RUNNING, InstanceStatus.STOPPING, InstanceStatus.STOPPED}
    ),
    InstanceStatus.RUNNING: frozenset({InstanceStatus.STOPPING, InstanceStatus.STOPPED}),
    InstanceStatus.STOPPING: frozenset({InstanceStatus.STOPPED}),
    InstanceStatus.STOPPED: frozenset({InstanceStatus.WAITING}),
    # A stopped instance that is tried again is placed anew, with the next attempt number.
}

ENDED = frozenset({ExecutionStatus.TERMINATED, ExecutionStatus.FAILED})
"""The statuses that nothing follows."""


def check_execution_transition(old: ExecutionStatus, new: ExecutionStatus) -> None:
    """Raise IllegalTransition unless ``new`` may follow ``old``."""
    if new not in EXECUTION_TRANSITIONS[old]:
        raise IllegalTransition(f"an execution cannot go from {old} to {new}")


def check_instance_transition(old: InstanceStatus, new: InstanceStatus) -> None:
    """Raise IllegalTransition unless ``new`` may follow ``old``."""
    if new not in INSTANCE_TRANSITIONS[old]:
        raise IllegalTransition(f"an instance cannot go from {old} to {new}")


class Desired(StrEnum):
    """What the user wants of an execution; never overwritten by what is observed."""

    RUN = "run"
    STOP = "stop"
    DELETE = "delete"
    """Stop if it still runs, then forget it."""


class ExitReason(StrEnum):
    """Why an instance is no longer alive."""

    COMPLETED = "completed"
    """It exited by itself with 0."""
    FAILED = "failed"
    """It exited by itself with another code, or died from a signal that Zoe did not send."""
    OUT_OF_MEMORY = "out-of-memory"
    STOPPED = "stopped"
    """Zoe stopped it."""
    LOST = "lost"
    """Its node, or what watched over it, is gone; nobody knows how it ended."""
    NOT_STARTED = "not-started"
    """The back-end could not start it, or it did not get ready in time."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How an instance ended; ``code`` and ``signal`` are None when unknown or not applicable."""

    reason: ExitReason
    code: int | None = None
    signal: int | None = None
    message: str = ""
    """What the reason, the code and the signal do not say."""

    @property
    def sentence(self) -> str:
        """How it ended, as the rest of a sentence about it: ``exited with 3``."""
        if self.reason is ExitReason.FAILED and self.signal is not None:
            said = f"died from signal {self.signal}"
        elif self.reason is ExitReason.FAILED and self.code is not None:
            said = f"exited with {self.code}"
        else:
            said = _ENDINGS[self.reason]
        return f"{said}: {self.message}" if self.message else said


_ENDINGS = {
    ExitReason.COMPLETED: "has completed",
    ExitReason.FAILED: "failed",
    ExitReason.OUT_OF_MEMORY: "ran out of memory",
    ExitReason.STOPPED: "was stopped",
    ExitReason.LOST: "was lost",
    ExitReason.NOT_STARTED: "could not be started",
}


class Outcome(StrEnum):
    """Why an execution ended."""

    COMPLETED = "completed"
    """The monitor exited with 0 (or everything essential did, where there is no monitor)."""
    FAILED = "failed"
    """An essential instance failed for good."""
    STOPPED = "stopped"
    """A user asked."""
    TIME_LIMIT = "time-limit"
    LOST = "lost"
    NOT_STARTED = "not-started"


@dataclass(frozen=True, slots=True)
class ExecutionEnd:
    """How an execution ended: ``exit_code`` is the monitor's (128 + n for signal n), if any."""

    outcome: Outcome
    message: str
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an execution waits: a stable ``code`` for programs, a sentence for people."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Forecast:
    """When an execution that waits is expected to start, as it was told at ``at``.

    It starts by ``p50`` with even chances, by ``p90`` with nine in ten (seconds since 1970). None:
    there is no ground for an estimate, or for its late end, ``because`` of what that says.
    """

    at: float
    p50: float | None
    p90: float | None
    because: str = ""
    uncorrected: tuple[float, float] | None = None
    """Both as they were before they were corrected by what became of earlier forecasts."""

    @property
    def is_whole(self) -> bool:
        """Whether both times are told, so that it can be judged by what becomes of it."""
        return self.p50 is not None and self.p90 is not None


def instance_id(execution_id: int, service: str, ordinal: int) -> str:
    """Return the id of an instance: ``17/spark.worker/3``."""
    return f"{execution_id}/{service}/{ordinal}"


@dataclass(frozen=True, slots=True)
class ServiceInstance:
    """One container, planned or alive.

    ``service`` is ``framework.service``; ordinals count from 0, the essential ones first.
    ``attempt`` grows each time the same instance is placed again: a back-end tells two attempts
    apart by it, and what it reports about an old attempt is ignored. Times are seconds since 1970.
    """

    execution_id: int
    service: str
    ordinal: int
    essential: bool
    status: InstanceStatus = InstanceStatus.WAITING
    node: str = ""
    attempt: int = 1
    ready: bool = False
    address: str = ""
    """Where users and peers reach it; known once it has started."""
    placed_at: float = 0.0
    started_at: float | None = None
    stopped_at: float | None = None
    not_before: float = 0.0
    """Back-off: it must not be started before this time."""
    failures: int = 0
    """How many of its attempts failed; being taken back is none."""
    exit: Exit | None = None
    gpus: tuple[str, ...] = ()
    """The ids of the GPUs of its node that are its own for as long as it holds room there."""
    published: tuple[tuple[int, int], ...] = ()
    """Its ports that have another number at ``address``, each with that number."""
    message: str = ""
    """What is done for it while it starts, as the rest of a sentence about it, for people."""
    memory_kills: int = 0
    """How many processes of this attempt the kernel has killed for want of memory."""

    @property
    def id(self) -> str:
        """The id, unique in the deployment: ``17/spark.worker/3``."""
        return instance_id(self.execution_id, self.service, self.ordinal)

    def port_at_address(self, port: int) -> int:
        """Return the number under which a port of it is reached at ``address``."""
        return dict(self.published).get(port, port)

    @property
    def is_placed(self) -> bool:
        """Whether it holds room on its node."""
        return self.status is not InstanceStatus.STOPPED


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of an application. Times are seconds since 1970, in UTC.

    ``generation`` counts the user's intents (submit, stop, scale, delete); the store keeps beside
    it the last one that the master has carried out.
    """

    id: int
    name: str
    owner: str
    zapp: ZApp
    submitted_at: float
    status: ExecutionStatus = ExecutionStatus.SUBMITTED
    desired: Desired = Desired.RUN
    desired_by: str = ""
    """Who asked for the present ``desired``; empty for the submitter's own wish to run."""
    generation: int = 1
    elastic: Mapping[str, int] = field(default_factory=dict)
    """Elastic counts set at run time by scale, by ``framework.service``; others as in the ZApp."""
    elastic_min: Mapping[str, int] = field(default_factory=dict)
    """How many of them are not taken back for others, set with them; of other services, none."""
    instances: tuple[ServiceInstance, ...] = ()
    started_at: float | None = None
    """When its essential instances got their room (admission)."""
    ended_at: float | None = None
    end: ExecutionEnd | None = None
    reasons: tuple[Reason, ...] = ()
    """Why it waits, as of the last decision; empty when it does not wait."""
    queue_position: int | None = None
    """Place in the queue, from 1; None when it does not wait."""
    team: str = ""
    """The team of the owner for which it runs; empty: none."""
    time_limit_seconds: float | None = None
    """Set at admission by a quota, where the application declares no time limit."""
    forecast: Forecast | None = None
    """When it is expected to start; None when it does not wait, or nobody has looked yet."""
    first_forecast: Forecast | None = None
    """The first one with both times; it is kept, and forecasts are judged by it."""

    @property
    def limit_seconds(self) -> float | None:
        """How long it may run from admission on; None: as long as it likes."""
        declared = self.zapp.time_limit_seconds
        return self.time_limit_seconds if declared is None else declared

    def elastic_count(self, service: str) -> int:
        """How many elastic instances of ``framework.service`` are wanted now."""
        return self.elastic.get(service, self.zapp.service(service).elastic)

    def has_scale(self, service: str, elastic: int, elastic_min: int) -> bool:
        """Whether so many elastic instances of ``framework.service`` are wanted, and kept, now."""
        known = self.elastic_min.get(service, 0)
        return self.elastic_count(service) == elastic and known == elastic_min
