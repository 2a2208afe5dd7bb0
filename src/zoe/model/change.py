"""What the master writes: each value is one state change, committed before it is acted upon."""

from dataclasses import dataclass, field

from zoe.model.balance import Balance
from zoe.model.cluster import Node
from zoe.model.execution import ExecutionEnd, ExecutionStatus, Forecast, Reason, ServiceInstance


@dataclass(frozen=True, slots=True)
class SetStatus:
    """An execution goes to ``status`` at ``at`` (seconds since 1970), because of ``reason``."""

    execution_id: int
    status: ExecutionStatus
    at: float
    reason: str
    end: ExecutionEnd | None = None
    """Set when ``status`` is terminated or failed, and from ``stopping`` on."""
    time_limit_seconds: float | None = None
    """Set with ``starting``, where a quota gives the execution its time limit."""


@dataclass(frozen=True, slots=True)
class Cause:
    """The rule under which something was taken from an execution, and who gets it."""

    rule: str
    """``reclaim``: essential instances of others come first; ``scale``: its user said so;
    ``drain``: its node is to be emptied; ``pressure``: its node has too little memory left."""
    for_execution: int | None = None


@dataclass(frozen=True, slots=True)
class SetInstance:
    """An instance's record becomes ``instance``, because of ``reason``."""

    instance: ServiceInstance
    at: float
    reason: str
    cause: Cause | None = None
    """Set when the instance has to go for the sake of others, or because its user wants less."""


@dataclass(frozen=True, slots=True)
class Defer:
    """An execution keeps waiting at ``queue_position`` (from 1), because of ``reasons``."""

    execution_id: int
    queue_position: int
    at: float
    reasons: tuple[Reason, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Foretell:
    """Executions, by id, are expected to start then; those that wait no more are skipped."""

    forecasts: tuple[tuple[int, Forecast], ...]


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The master has taken over the user's intent number ``generation``."""

    execution_id: int
    generation: int


@dataclass(frozen=True, slots=True)
class SetNodes:
    """The nodes are now these."""

    nodes: tuple[Node, ...]
    at: float


@dataclass(frozen=True, slots=True)
class SetBalances:
    """What these users hold, and have used, is now this; those of others stay as they are."""

    balances: tuple[Balance, ...]


@dataclass(frozen=True, slots=True)
class Forget:
    """An ended execution that its user deleted is removed with all that hangs on it."""

    execution_id: int


Change = SetStatus | SetInstance | Defer | Foretell | Acknowledge | SetNodes | SetBalances | Forget
