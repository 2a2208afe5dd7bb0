"""What becomes of instances when memory runs short: on their node, or within their own limit."""

from collections.abc import Iterable
from dataclasses import replace

from zoe.model.change import Cause
from zoe.model.execution import InstanceStatus, ServiceInstance
from zoe.model.load import NodeLoad
from zoe.scheduler import lifecycle, words
from zoe.scheduler.record import Record
from zoe.scheduler.state import State

_ALIVE = (InstanceStatus.STARTING, InstanceStatus.RUNNING)


def relieve(state: State, loads: Iterable[NodeLoad]) -> bool:
    """Take one elastic instance back on each node where memory has to be given back.

    The one that uses most, of equal ones the newest; what its user wants to keep goes last, an
    essential instance never. One at a time: only the next samples tell whether that was enough.
    Returns whether any is taken back.
    """
    taken = False
    for load in loads:
        if not load.hungriest or _somebody_leaves(state, load.name):
            continue
        if (found := _first_to_go(state, load)) is not None:
            record, instance, used = found
            why = (
                f"{load.name} is short of memory ({load.pressure}); "
                f"this elastic instance uses {words.memory(used)} of it"
            )
            lifecycle.take_back(state, record, instance, why, Cause("pressure"))
            taken = True
    return taken


def report_memory_kills(
    state: State, record: Record, instance: ServiceInstance, kills: int
) -> None:
    """Take over that the kernel has killed processes of an instance that lives on."""
    if kills <= instance.memory_kills or instance.status not in _ALIVE:
        return
    service = record.services[instance.service]
    limit = (service.limits and service.limits.memory_bytes) or service.resources.memory_bytes
    said = (
        f"the kernel killed a process of it that needed more than the {words.memory(limit)} of "
        f"memory of the instance; raise `memory` of {instance.service}"
    )
    state.set_instance(record, replace(instance, memory_kills=kills), said)


def _somebody_leaves(state: State, node: str) -> bool:
    """Whether room is about to come free on a node already."""
    planner = state.planner
    number = planner.room.number(node)
    there = planner.holders.get(number, set()) & planner.stopping
    return any(number in counts for one in there for counts in planner.contenders[one].going)


def _first_to_go(state: State, load: NodeLoad) -> tuple[Record, ServiceInstance, int] | None:
    candidates = []
    for instance_id, used in load.hungriest:
        execution_id = int(instance_id.partition("/")[0])
        record = state.records.get(execution_id)
        instance = record.instances.get(instance_id) if record else None
        if (
            record is not None
            and instance is not None
            and record.is_active
            and not instance.essential
            and instance.node == load.name
            and instance.status in _ALIVE
        ):
            contender = state.planner.contenders[execution_id]
            is_kept = not contender.spare(record.numbers[instance.service])
            order = (is_kept, -used, -instance.placed_at, -instance.ordinal)
            candidates.append((order, record, instance, used))
    return min(candidates, key=lambda one: one[0])[1:] if candidates else None
