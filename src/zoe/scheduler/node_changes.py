"""What becomes of instances when their nodes change: go, lose GPUs, or are to be emptied."""

from zoe.model.change import Cause
from zoe.model.cluster import NodeStatus
from zoe.model.execution import InstanceStatus
from zoe.scheduler import lifecycle
from zoe.scheduler.lifecycle import Rules
from zoe.scheduler.record import Record
from zoe.scheduler.state import State


def follow_nodes(state: State, rules: Rules, record: Record) -> None:
    """Lose what was on nodes that have gone, and take back what may leave draining ones."""
    nodes = state.nodes
    for instance in record.placed():
        current = record.instances[instance.id]
        if current.is_placed and current.node not in nodes:
            lifecycle.lose(state, rules, record, current)
        elif (
            current.gpus
            and current.status is InstanceStatus.WAITING
            and not set(current.gpus) <= set(nodes[current.node].gpu_ids)
        ):
            lifecycle.lose_gpus(state, record, current)
    _leave_draining(state, record)


def _leave_draining(state: State, record: Record) -> None:
    """Have elastic instances leave; where there is room elsewhere, others take their places."""
    if not record.is_active:
        return
    for instance in record.placed():
        node = state.nodes[instance.node]
        if (
            node.status is NodeStatus.DRAINING
            and not instance.essential
            and instance.status is not InstanceStatus.STOPPING
        ):
            why = f"{node.name} is {node.status} ({node.message})"
            lifecycle.take_back(state, record, instance, why, Cause("drain"))
