"""What the scheduler knows: executions, nodes, and who holds which room; changed only in here.

Every change is checked against the state machines, keeps the sums of used room exact, and becomes
a decision of the present call.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from zoe.model.change import SetInstance, SetStatus
from zoe.model.cluster import Node
from zoe.model.execution import (
    ENDED,
    Execution,
    ExecutionEnd,
    ExecutionStatus,
    ExitReason,
    InstanceStatus,
    ServiceInstance,
    check_execution_transition,
    check_instance_transition,
    instance_id,
)
from zoe.model.resources import NOTHING, Resources
from zoe.model.tree import requirements
from zoe.scheduler.decisions import Decision
from zoe.scheduler.placement import Held, Need, Snapshot

ACTIVE = frozenset({ExecutionStatus.STARTING, ExecutionStatus.RUNNING})
"""The statuses in which an execution holds room and may get more."""

_ADMITTED = ACTIVE | {ExecutionStatus.STOPPING}

REMEMBERED = 10_000
"""How many ended executions are known by id."""


class Record:
    """One execution as the scheduler follows it; :attr:`value` is its present value."""

    def __init__(self, execution: Execution, elastic_attempts: int) -> None:
        self.services = dict(execution.zapp.services())
        self.requires = requirements(execution.zapp)
        self.has_spread = any(service.spread for service in self.services.values())
        self.instances = {instance.id: instance for instance in execution.instances}
        self._execution = execution
        self._elastic_attempts = elastic_attempts
        self._is_current = True

    @property
    def value(self) -> Execution:
        """The execution with its present instances."""
        if not self._is_current:
            self._execution = replace(self._execution, instances=tuple(self.instances.values()))
            self._is_current = True
        return self._execution

    @property
    def base(self) -> Execution:
        """The execution; its ``instances`` may be out of date."""
        return self._execution

    @base.setter
    def base(self, execution: Execution) -> None:
        self._execution = execution

    @property
    def is_active(self) -> bool:
        """Whether it has been admitted and its end is not decided."""
        return self._execution.status in ACTIVE

    def put(self, instance: ServiceInstance) -> None:
        """Replace, or add, an instance."""
        self.instances[instance.id] = instance
        self._is_current = False

    def essential(self, service: str) -> Iterator[ServiceInstance | None]:
        """Yield the essential instances of ``service``; None for one that was never placed."""
        for ordinal in range(self.services[service].essential):
            yield self.instances.get(instance_id(self._execution.id, service, ordinal))

    def placed(self, *statuses: InstanceStatus) -> list[ServiceInstance]:
        """Return the instances that hold room; with ``statuses`` only those in one of them."""
        return [
            instance
            for instance in self.instances.values()
            if instance.is_placed and (not statuses or instance.status in statuses)
        ]

    def essential_needs(self) -> list[Need]:
        """Return what has to be placed all together: essential instances without room.

        All of them while it is queued; later those whose node has gone away.
        """
        needs = []
        for name in self.services:
            ordinals = tuple(
                ordinal
                for ordinal, instance in enumerate(self.essential(name))
                if instance is None or is_homeless(instance)
            )
            if ordinals:
                needs.append(self._need(name, ordinals))
        return needs

    def elastic_needs(self, now: float) -> list[Need]:
        """Return the elastic instances that are missing and may be placed at ``now``."""
        needs = []
        for name, service in self.services.items():
            wanted = self._execution.elastic_count(name)
            if not wanted:
                continue
            first = service.essential
            existing = [
                instance
                for instance in self.instances.values()
                if instance.service == name and not instance.essential
            ]
            counted = sum(one.is_placed or self.is_done(one) for one in existing)
            taken = {
                one.ordinal
                for one in existing
                if one.is_placed or self.is_done(one) or one.not_before > now
            }
            free = [n for n in range(first, first + wanted) if n not in taken]
            if missing := free[: max(0, wanted - counted)]:
                needs.append(self._need(name, tuple(missing), is_elastic=True))
        return needs

    def is_done(self, instance: ServiceInstance) -> bool:
        """Whether an elastic instance has stopped and is not to be replaced."""
        return instance.status is InstanceStatus.STOPPED and (
            (instance.exit is not None and instance.exit.reason is ExitReason.COMPLETED)
            or instance.failures > self._elastic_attempts
        )

    def held(self, instance: ServiceInstance) -> Held:
        """Return the room that an instance holds."""
        service = self.services[instance.service]
        return Held(
            instance.id, instance.execution_id, instance.service, instance.node,
            service.resources, service.spread,
        )  # fmt: skip

    def _need(self, name: str, ordinals: tuple[int, ...], *, is_elastic: bool = False) -> Need:
        service = self.services[name]
        return Need(
            self._execution.id,
            name,
            ordinals,
            service.resources,
            frozenset(service.labels),
            service.spread,
            is_elastic,
        )


def is_completed(instance: ServiceInstance) -> bool:
    """Whether it exited by itself with 0."""
    return (
        instance.status is InstanceStatus.STOPPED
        and instance.exit is not None
        and instance.exit.reason is ExitReason.COMPLETED
    )


def is_homeless(instance: ServiceInstance) -> bool:
    """Whether an essential instance has lost its room and needs another one."""
    return instance.status is InstanceStatus.STOPPED and not is_completed(instance)


class State:
    """Everything the scheduler knows, with the decisions of the call that is under way."""

    def __init__(self, elastic_attempts: int) -> None:
        self.records: dict[int, Record] = {}
        self.admitted: dict[int, Record] = {}
        """Those of ``records`` that have, or had, room: starting, running or stopping."""
        self.nodes: dict[str, Node] = {}
        self.decisions: list[Decision] = []
        self.now = 0.0
        self.room_version = 0
        """Grows whenever any room is taken, given back, or changes in size."""
        self.ended: dict[int, None] = {}
        """The ids that ended last, so that a late message does not revive one."""
        self._elastic_attempts = elastic_attempts
        self._used: dict[str, Resources] = {}
        self._stopping: dict[str, Resources] = {}
        self._due: list[tuple[float, int]] = []

    def add(self, execution: Execution) -> Record:
        """Follow an execution from now on, with the room that its instances hold."""
        record = Record(execution, self._elastic_attempts)
        self.records[execution.id] = record
        if execution.status in _ADMITTED:
            self.admitted[execution.id] = record
        for instance in record.instances.values():
            self._account(record, instance, 1)
        return record

    def forget(self, execution_id: int) -> None:
        """Follow an ended execution no longer."""
        del self.records[execution_id]
        self.ended[execution_id] = None
        if len(self.ended) > REMEMBERED:
            del self.ended[next(iter(self.ended))]

    def find(self, instance_id: str, attempt: int) -> tuple[Record, ServiceInstance] | None:
        """Return the instance and its execution; None for another attempt or an unknown one."""
        record = self.records.get(_execution_of(instance_id))
        instance = record.instances.get(instance_id) if record else None
        if record is None or instance is None or instance.attempt != attempt:
            return None
        return record, instance

    def set_status(
        self,
        record: Record,
        status: ExecutionStatus,
        reason: str,
        end: ExecutionEnd | None = None,
    ) -> None:
        """Decide that an execution goes to ``status``."""
        check_execution_transition(record.base.status, status)
        changed = replace(record.base, status=status, reasons=(), queue_position=None)
        if status is ExecutionStatus.STARTING:
            changed = replace(changed, started_at=self.now)
        if end is not None:
            changed = replace(changed, end=end)
        if status in ENDED:
            changed = replace(changed, ended_at=self.now)
        record.base = changed
        if status in _ADMITTED:
            self.admitted[changed.id] = record
        else:
            self.admitted.pop(changed.id, None)
        self.decisions.append(SetStatus(changed.id, status, self.now, reason, end))

    def set_instance(self, record: Record, instance: ServiceInstance, reason: str) -> None:
        """Decide that an instance's record becomes ``instance``."""
        old = record.instances.get(instance.id)
        if old is not None and old.status is not instance.status:
            check_instance_transition(old.status, instance.status)
        record.put(instance)
        if old is None or _room_of(old) != _room_of(instance):
            if old is not None:
                self._account(record, old, -1)
            self._account(record, instance, 1)
        self.decisions.append(SetInstance(instance, self.now, reason))

    def set_nodes(self, nodes: Iterable[Node]) -> None:
        """Take over what the nodes are."""
        self.nodes = {node.name: node for node in sorted(nodes, key=lambda node: node.name)}
        self.room_version += 1

    def wake_at(self, time: float, execution_id: int) -> None:
        """Have the execution looked at again at ``time``."""
        heapq.heappush(self._due, (time, execution_id))

    def due(self) -> Iterator[Record]:
        """Yield the executions that have to be looked at now, each time once."""
        seen = set()
        while self._due and self._due[0][0] <= self.now:
            execution_id = heapq.heappop(self._due)[1]
            if execution_id in self.records and execution_id not in seen:
                seen.add(execution_id)
                yield self.records[execution_id]

    @property
    def next_due(self) -> float | None:
        """When :meth:`due` will have something next."""
        while self._due and self._due[0][1] not in self.records:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def snapshot(self) -> Snapshot:
        """Return a private copy of the cluster to plan on."""
        free = {}
        coming = {}
        for name, node in self.nodes.items():
            free[name] = node.capacity - node.foreign - self._used.get(name, NOTHING)
            coming[name] = free[name] + self._stopping.get(name, NOTHING)
        spread = (
            record.held(instance)
            for record in self.admitted.values()
            if record.has_spread
            for instance in record.placed()
        )
        return Snapshot(self.nodes.values(), free, coming, spread)

    def _account(self, record: Record, instance: ServiceInstance, sign: int) -> None:
        if not instance.is_placed:
            return
        change = record.services[instance.service].resources * sign
        self._used[instance.node] = self._used.get(instance.node, NOTHING) + change
        if instance.status is InstanceStatus.STOPPING:
            self._stopping[instance.node] = self._stopping.get(instance.node, NOTHING) + change
        self.room_version += 1


class Executions(Mapping[int, Execution]):
    """A read-only view of the present values of all executions that have not ended."""

    def __init__(self, records: Mapping[int, Record]) -> None:
        self._records = records

    def __getitem__(self, execution_id: int) -> Execution:
        return self._records[execution_id].value

    def __iter__(self) -> Iterator[int]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)


def _room_of(instance: ServiceInstance) -> tuple[bool, str, bool]:
    """Return what decides which room an instance holds, and whether that comes free."""
    return (instance.is_placed, instance.node, instance.status is InstanceStatus.STOPPING)


def _execution_of(instance_id: str) -> int:
    head = instance_id.partition("/")[0]
    return int(head) if head.isdecimal() else -1
