"""What must always hold between two events, checked with arithmetic of its own.

Nothing here uses the scheduler's sums, queue or placement code: it looks only at the executions and
nodes that the scheduler shows, and counts again.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set

from zoe.model.cluster import Node, NodeStatus
from zoe.model.errors import ZoeError
from zoe.model.execution import (
    ENDED,
    Execution,
    ExecutionStatus,
    ExitReason,
    InstanceStatus,
    ServiceInstance,
)
from zoe.model.quota import UNLIMITED, Accounts, Quota
from zoe.model.zapp import Kind, Service
from zoe.scheduler.scheduler import Scheduler

_DIMENSIONS = ("cores_milli", "memory_bytes", "gpus")
_HOLDING = (
    InstanceStatus.WAITING,
    InstanceStatus.STARTING,
    InstanceStatus.RUNNING,
    InstanceStatus.STOPPING,
)
_WITH_ROOM = (ExecutionStatus.STARTING, ExecutionStatus.RUNNING, ExecutionStatus.STOPPING)


class InvariantBroken(ZoeError):
    """The scheduler is in a state that it must never be in: a programming error."""


def check_invariants(
    scheduler: Scheduler,
    now: float | None = None,
    *,
    shrunk: frozenset[str] = frozenset(),
    lowered: frozenset[tuple[str, str, str]] = frozenset(),
) -> None:
    """Raise InvariantBroken, saying everything that is wrong.

    ``shrunk`` names nodes whose capacity has fallen below what had been placed on them; they may be
    overdrawn. ``lowered`` names quotas, as :func:`over_quota` does, that have fallen below what had
    been given. With ``now``, room left unused is looked for too (without take-back it may be).
    """
    executions = list(scheduler.executions.values())
    broken = [
        *_overdrawn(executions, scheduler.nodes, shrunk),
        *_wrong_gpus(executions, scheduler.nodes),
        *_incomplete_gangs(executions),
        *_wrong_records(executions),
        *(
            f"{used} {name} are used of the quota of the {kind} {who}"
            for (kind, who, name), used in over_quota(executions, scheduler.shares).items()
            if (kind, who, name) not in lowered
        ),
    ]
    if now is not None:
        limited = {each.id for each in executions if _is_limited(each, scheduler.shares)}
        broken.extend(_unused_room(executions, scheduler.nodes, now, limited))
    if broken:
        raise InvariantBroken("; ".join(broken))


def over_quota(
    executions: Iterable[Execution], shares: Accounts
) -> dict[tuple[str, str, str], int]:
    """Return what is used of each quota that is exceeded, by kind of holder, holder and limit."""
    quotas: dict[tuple[str, str], Quota] = {}
    used: Counter[tuple[str, str, str]] = Counter()
    for execution in executions:
        user, team = ("user", execution.owner), ("team", execution.team)
        quotas[user] = shares.quota_of_user(execution.owner)
        quotas[team] = shares.quota_of_team(execution.team)
        holders = [holder for holder in (user, team) if quotas[holder] != UNLIMITED]
        held = _held(execution) if holders else {}
        for holder in holders:
            for name, amount in held.items():
                used[(*holder, name)] += amount
    return {
        (kind, who, name): amount
        for (kind, who, name), amount in used.items()
        if (most := getattr(quotas[kind, who], name)) is not None and amount > most
    }


def _held(execution: Execution) -> Counter[str]:
    """What it has, and what of its essential part it has lost and gets again."""
    held: Counter[str] = Counter()
    if execution.status not in _WITH_ROOM:
        return held
    held["executions"] = 1
    held["sessions"] = int(execution.zapp.kind is Kind.INTERACTIVE)
    for instance in execution.instances:
        is_lost = (
            instance.essential
            and instance.status is InstanceStatus.STOPPED
            and not _has_completed(instance)
            and execution.status is not ExecutionStatus.STOPPING
        )
        if instance.status in _HOLDING or is_lost:
            each = execution.zapp.service(instance.service).resources
            for name in _DIMENSIONS:
                held[name] += getattr(each, name)
    return held


def _is_limited(execution: Execution, shares: Accounts) -> bool:
    quotas = shares.quota_of_user(execution.owner), shares.quota_of_team(execution.team)
    return any(quota != UNLIMITED for quota in quotas)


def _overdrawn(
    executions: Sequence[Execution], nodes: Sequence[Node], shrunk: frozenset[str]
) -> Iterator[str]:
    used = _used(executions)
    for node in nodes:
        for name in _DIMENSIONS:
            room = getattr(node.capacity, name) - getattr(node.foreign, name)
            taken = used[node.name, name]
            if taken and taken > room and node.name not in shrunk:
                yield f"{node.name} gives away {taken} of {room} {name}"


def _wrong_gpus(executions: Sequence[Execution], nodes: Sequence[Node]) -> Iterator[str]:
    """Each instance holds as many GPUs as it asks for, and no two hold the same one.

    What has not started holds none that its node has lost.
    """
    there = {node.name: set(node.gpu_ids) for node in nodes}
    holders: dict[tuple[str, str], list[str]] = {}
    for execution in executions:
        for instance in execution.instances:
            if instance.status.value not in _HOLDING:
                continue
            wanted = execution.zapp.service(instance.service).resources.gpus
            if len(instance.gpus) != wanted:
                yield f"{instance.id} holds {len(instance.gpus)} of {wanted} GPUs"
            for gpu in instance.gpus:
                holders.setdefault((instance.node, gpu), []).append(instance.id)
            lost = set(instance.gpus) - there.get(instance.node, set())
            if lost and instance.status is InstanceStatus.WAITING:
                yield f"{instance.id} was given {lost}, which {instance.node} has not"
    for (node, gpu), held_by in holders.items():
        if len(held_by) > 1:
            yield f"GPU {gpu} of {node} is held by {' and '.join(held_by)}"


def _used(executions: Sequence[Execution]) -> Counter[tuple[str, str]]:
    used: Counter[tuple[str, str]] = Counter()
    for execution in executions:
        for instance in execution.instances:
            if instance.status in _HOLDING:
                each = execution.zapp.service(instance.service).resources
                for name in _DIMENSIONS:
                    used[instance.node, name] += getattr(each, name)
    return used


def _incomplete_gangs(executions: Sequence[Execution]) -> Iterator[str]:
    """All essential instances have room, or had it and lost it with a node; or none ever had."""
    for execution in executions:
        there = Counter(each.service for each in execution.instances if each.essential)
        if execution.status in (ExecutionStatus.SUBMITTED, ExecutionStatus.QUEUED):
            if execution.instances:
                yield f"{execution.id} waits and has instances"
        elif execution.status in (ExecutionStatus.STARTING, ExecutionStatus.RUNNING):
            for name, service in execution.zapp.services():
                if there[name] != service.essential:
                    yield f"{execution.id} has {there[name]} of {service.essential} {name}"


def _wrong_records(executions: Sequence[Execution]) -> Iterator[str]:
    for execution in executions:
        if execution.status in ENDED:
            yield f"{execution.id} has ended and is still followed"
        alive = [each for each in execution.instances if each.status in _HOLDING]
        if execution.status is ExecutionStatus.STOPPING:
            if not alive:
                yield f"{execution.id} is stopping with nothing alive"
            if execution.end is None:
                yield f"{execution.id} is stopping without an end"
        seen = Counter((each.service, each.ordinal) for each in execution.instances)
        yield from (f"{execution.id} has {key} twice" for key, count in seen.items() if count > 1)
        spread = Counter(
            (each.service, each.node)
            for each in alive
            if execution.zapp.service(each.service).spread
        )
        yield from (f"{key} is not spread" for key, count in spread.items() if count > 1)
        for instance in alive:
            if not instance.node:
                yield f"{instance.id} is placed nowhere"
            essential = execution.zapp.service(instance.service).essential
            if instance.essential != (instance.ordinal < essential):
                yield f"{instance.id} has the wrong kind"


def _unused_room(
    executions: Sequence[Execution],
    nodes: Sequence[Node],
    now: float,
    limited: Set[int],
) -> Iterator[str]:
    """Work conservation, where it can be told without knowing what is held for whom.

    Those that are ``limited`` by a quota may have to leave room unused.
    """
    if any(each.status is InstanceStatus.STOPPING for e in executions for each in e.instances):
        return  # room is being cleared, and may be held
    used = _used(executions)
    for execution in executions:
        for name, service in execution.zapp.services():
            if (
                execution.status in (ExecutionStatus.STARTING, ExecutionStatus.RUNNING)
                and execution.id not in limited
                and service.speedup is None  # it may leave room unused while others wait
                and _missing(execution, name, now)
                and any(
                    _is_usable(node, service)
                    and not node.pressure
                    and _fits(service, node, used)
                    and not (service.spread and _is_on(execution, name, node))
                    for node in nodes
                )
            ):
                yield f"an elastic {name} of {execution.id} waits while there is room"
    yield from _idle_head(executions, nodes, used, limited)


def _idle_head(
    executions: Sequence[Execution],
    nodes: Sequence[Node],
    used: Counter[tuple[str, str]],
    limited: Set[int],
) -> Iterator[str]:
    """An execution of one essential instance never waits, at the head, for room that is there."""
    first = min(
        (each for each in executions if each.queue_position == 1), key=lambda e: e.id, default=None
    )
    if first is None or first.id in limited:
        return
    essential = [service for _, service in first.zapp.services() if service.essential]
    if sum(service.essential for service in essential) == 1 and any(
        _is_usable(node, essential[0]) and _fits(essential[0], node, used) for node in nodes
    ):
        yield f"{first.id} waits at the head of the queue while it fits"


def _is_usable(node: Node, service: Service) -> bool:
    return (
        node.status is NodeStatus.READY
        and set(service.labels) <= node.labels
        and (node.images is None or node.pulls or service.image in {"", *node.images})
    )


def _fits(service: Service, node: Node, used: Counter[tuple[str, str]]) -> bool:
    for name in _DIMENSIONS:
        free = getattr(node.capacity, name) - getattr(node.foreign, name) - used[node.name, name]
        wanted = getattr(service.resources, name)
        if wanted and wanted > free:
            return False
    return True


def _is_on(execution: Execution, service: str, node: Node) -> bool:
    return any(
        each.service == service and each.node == node.name and each.status in _HOLDING
        for each in execution.instances
    )


def _missing(execution: Execution, name: str, now: float) -> bool:
    """Whether an elastic instance is wanted that never failed and has not completed."""
    elastic = [e for e in execution.instances if e.service == name and not e.essential]
    if any(_is_troubled(each, now) for each in elastic):
        return False
    counted = sum(each.status in _HOLDING or _has_completed(each) for each in elastic)
    return counted < execution.elastic_count(name)


def _is_troubled(instance: ServiceInstance, now: float) -> bool:
    return instance.status is InstanceStatus.STOPPED and (
        instance.failures > 0 or instance.not_before > now
    )


def _has_completed(instance: ServiceInstance) -> bool:
    return instance.exit is not None and instance.exit.reason is ExitReason.COMPLETED
