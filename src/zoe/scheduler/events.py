"""Everything that can happen to the scheduler."""

from dataclasses import dataclass

from zoe.model.balance import Balance
from zoe.model.cluster import Node, NodeMark
from zoe.model.execution import Execution, Exit
from zoe.model.load import NodeLoad
from zoe.model.quota import Accounts


@dataclass(frozen=True, slots=True)
class ExecutionSubmitted:
    """A user's execution, as the store has it: status ``submitted``, no instances yet."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class ExecutionRestored:
    """After a restart: an execution as it was last committed, with its instances."""

    execution: Execution


@dataclass(frozen=True, slots=True)
class TerminationRequested:
    """A user wants it to end; ``delete`` also wants it forgotten afterwards."""

    execution_id: int
    by: str
    delete: bool = False


@dataclass(frozen=True, slots=True)
class ScaleRequested:
    """A user wants at most ``elastic`` elastic instances of ``framework.service``.

    Of these, others do not take back the last ``elastic_min``.
    """

    execution_id: int
    service: str
    elastic: int
    elastic_min: int = 0


@dataclass(frozen=True, slots=True)
class InstancePrepared:
    """The back-end is still about to start it: ``message`` says what it does for it."""

    instance_id: str
    attempt: int
    message: str


@dataclass(frozen=True, slots=True)
class InstanceStarted:
    """The back-end has it running, at ``address``; ``published`` as in the instance."""

    instance_id: str
    attempt: int
    address: str = ""
    published: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class InstanceReady:
    """Its ready check has passed (or it has none and runs)."""

    instance_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class InstanceStopped:
    """It is not alive any more, whoever caused it."""

    instance_id: str
    attempt: int
    exit: Exit


@dataclass(frozen=True, slots=True)
class StartFailed:
    """The back-end could not start it; ``retryable`` says whether trying again may help."""

    instance_id: str
    attempt: int
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class StopFailed:
    """The back-end could not be asked to stop it; it will be asked again."""

    instance_id: str
    attempt: int
    message: str


@dataclass(frozen=True, slots=True)
class InstanceMissing:
    """The store says it lives, its node answers, and the back-end does not know it."""

    instance_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class OrphanObserved:
    """The back-end runs an attempt that nobody wants; it has to go."""

    instance_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class NodesObserved:
    """The machines are now these."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class LoadsObserved:
    """How loaded the nodes really are is now this; of others nobody knows it."""

    loads: tuple[NodeLoad, ...]


@dataclass(frozen=True, slots=True)
class MemoryKilled:
    """The kernel has killed so many processes of it in all, for want of memory."""

    instance_id: str
    attempt: int
    kills: int


@dataclass(frozen=True, slots=True)
class NodesMarked:
    """The nodes that administrators have taken out of service are now these."""

    marks: tuple[NodeMark, ...]


@dataclass(frozen=True, slots=True)
class SharesSet:
    """What users and teams may have is now this."""

    shares: Accounts


@dataclass(frozen=True, slots=True)
class BalancesRestored:
    """After a restart, before any execution: what everybody has used, as it was last committed."""

    balances: tuple[Balance, ...]


@dataclass(frozen=True, slots=True)
class WokeUp:
    """A time that the scheduler asked for with ``WakeAt`` has come."""


Event = (
    ExecutionSubmitted
    | ExecutionRestored
    | TerminationRequested
    | ScaleRequested
    | InstancePrepared
    | InstanceStarted
    | InstanceReady
    | InstanceStopped
    | StartFailed
    | StopFailed
    | InstanceMissing
    | OrphanObserved
    | NodesObserved
    | LoadsObserved
    | MemoryKilled
    | NodesMarked
    | SharesSet
    | BalancesRestored
    | WokeUp
)
