"""Which crash points a commit of the master is: see :mod:`zoe.failpoints`.

What an instance goes through is committed by one function, so the changes tell where it is.
"""

from collections.abc import Mapping, Sequence

from zoe import failpoints
from zoe.model.change import Change, SetInstance, SetStatus
from zoe.model.execution import ENDED, Execution, ExecutionStatus, InstanceStatus

_BEFORE = {
    InstanceStatus.WAITING: "cp05",
    InstanceStatus.RUNNING: "cp12",
    InstanceStatus.STOPPED: "cp15",
}


async def before_commit(changes: Sequence[Change]) -> None:
    """Reach the points of what is about to be committed."""
    for change in changes:
        if isinstance(change, SetInstance) and change.instance.status in _BEFORE:
            await failpoints.reach(_BEFORE[change.instance.status])


async def after_commit(changes: Sequence[Change], executions: Mapping[int, Execution]) -> None:
    """Reach the points of what is committed and not acted upon; ``executions`` as they are now."""
    for change in changes:
        if isinstance(change, SetInstance) and change.instance.status is InstanceStatus.RUNNING:
            if _is_half_started(executions.get(change.instance.execution_id)):
                await failpoints.reach("cp13")
        elif isinstance(change, SetStatus):
            if change.status is ExecutionStatus.RUNNING:
                await failpoints.reach("cp14")
            elif change.status in ENDED:
                await failpoints.reach("cp19")


def _is_half_started(execution: Execution | None) -> bool:
    return execution is not None and execution.status is ExecutionStatus.STARTING
