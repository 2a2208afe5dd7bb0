"""What an execution is charged for under a quota, as far as what is recorded of it tells."""

from collections import Counter

from zoe.model.execution import Execution, ExecutionStatus, ExitReason, InstanceStatus
from zoe.model.zapp import Kind

_WITH_ROOM = (ExecutionStatus.STARTING, ExecutionStatus.RUNNING, ExecutionStatus.STOPPING)


def charged_for(execution: Execution) -> Counter[str]:
    """Return the amounts by the names of a quota's limits; empty for one that has no room.

    Instances count until they have stopped; essential ones that lost their node count on, because
    they come back.
    """
    charged: Counter[str] = Counter()
    if execution.status not in _WITH_ROOM:
        return charged
    charged.update(executions=1, sessions=int(execution.zapp.kind is Kind.INTERACTIVE))
    services = dict(execution.zapp.services())
    for instance in execution.instances:
        comes_back = (
            instance.essential
            and instance.status is InstanceStatus.STOPPED
            and not (instance.exit and instance.exit.reason is ExitReason.COMPLETED)
            and execution.status is not ExecutionStatus.STOPPING
        )
        if instance.is_placed or comes_back:
            each = services[instance.service].resources
            charged.update(
                cores_milli=each.cores_milli, memory_bytes=each.memory_bytes, gpus=each.gpus
            )
    return charged
