"""What the scheduler knows: executions, nodes, and who holds which room; changed only in here.

Every change is checked against the state machines, keeps the sums of used room exact, and becomes
a decision of the present call.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from zoe.model.change import Cause, SetInstance, SetStatus
from zoe.model.cluster import Node
from zoe.model.execution import (
    ENDED,
    Execution,
    ExecutionEnd,
    ExecutionStatus,
    InstanceStatus,
    ServiceInstance,
    check_execution_transition,
    check_instance_transition,
)
from zoe.scheduler.decisions import Decision
from zoe.scheduler.devices import Devices
from zoe.scheduler.history import History
from zoe.scheduler.planner import Planner
from zoe.scheduler.record import ACTIVE, Record

_ADMITTED = ACTIVE | {ExecutionStatus.STOPPING}

REMEMBERED = 10_000
"""How many ended executions are known by id."""


class State:
    """Everything the scheduler knows, with the decisions of the call that is under way."""

    def __init__(self, elastic_attempts: int, planner: Planner) -> None:
        self.planner = planner
        """Told of every change of the room."""
        self.records: dict[int, Record] = {}
        self.admitted: dict[int, Record] = {}
        """Those of ``records`` that have, or had, room: starting, running or stopping."""
        self.nodes: dict[str, Node] = {}
        self.with_images = False
        """Whether some node tells which images it has, so that it matters who needs which."""
        self._devices = Devices()
        self.decisions: list[Decision] = []
        self.now = 0.0
        self.room_version = 0
        """Grows whenever any room is taken, given back, or changes in size."""
        self.history = History()
        """How long those that ended held their room."""
        self.ended: dict[int, None] = {}
        """The ids that ended last, so that a late message does not revive one."""
        self.touched: dict[int, Record] = {}
        """Those of which the wishes may have changed since the last plan."""
        self._elastic_attempts = elastic_attempts
        self._due: list[tuple[float, int]] = []

    def add(self, execution: Execution) -> Record:
        """Follow an execution from now on, with the room that its instances hold."""
        record = Record(execution, self._elastic_attempts, with_images=self.with_images)
        self.records[execution.id] = record
        contender = self.planner.add(
            record.demand, self.now, self.history.typical_seconds(record.demand)
        )
        if execution.status in _ADMITTED:
            self.admitted[execution.id] = record
            self.planner.admit(contender, self.now)
        for instance in record.instances.values():
            self._account(record, None, instance)
        if execution.status is ExecutionStatus.STOPPING:
            self.planner.end(contender)
        if execution.started_at is not None:  # as if it had run with what it has all the time
            contender.done_seconds = contender.rate * max(0.0, self.now - execution.started_at)
        self.touched[execution.id] = record
        return record

    def forget(self, execution_id: int) -> None:
        """Follow an ended execution no longer."""
        contender = self.planner.contenders[execution_id]
        if contender.is_admitted:
            demand = contender.demand
            seconds = contender.done_seconds
            self.history.add(demand.application, demand.owner, demand.run_seconds, seconds)
        del self.records[execution_id]
        self.touched.pop(execution_id, None)
        self.planner.forget(execution_id, self.now)
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
        time_limit_seconds: float | None = None,
    ) -> None:
        """Decide that an execution goes to ``status``; the time limit is one that a quota sets."""
        check_execution_transition(record.base.status, status)
        changed = replace(record.base, status=status, reasons=(), queue_position=None)
        if status is ExecutionStatus.STARTING:
            changed = replace(changed, started_at=self.now, time_limit_seconds=time_limit_seconds)
        if end is not None:
            changed = replace(changed, end=end)
        if status in ENDED:
            changed = replace(changed, ended_at=self.now)
        record.base = changed
        if status is ExecutionStatus.STARTING:
            self.planner.admit(self.planner.contenders[changed.id], self.now)
        elif status is ExecutionStatus.STOPPING:
            self.planner.end(self.planner.contenders[changed.id])
        if status in _ADMITTED:
            self.admitted[changed.id] = record
        else:
            self.admitted.pop(changed.id, None)
        self.decisions.append(
            SetStatus(changed.id, status, self.now, reason, end, time_limit_seconds)
        )

    def set_instance(
        self, record: Record, instance: ServiceInstance, reason: str, cause: Cause | None = None
    ) -> None:
        """Decide that an instance's record becomes ``instance``."""
        old = record.instances.get(instance.id)
        if old is not None and old.status is not instance.status:
            check_instance_transition(old.status, instance.status)
        record.put(instance)
        self._account(record, old, instance)
        self.touched[record.base.id] = record
        self.decisions.append(SetInstance(instance, self.now, reason, cause))

    def set_nodes(self, nodes: Iterable[Node]) -> bool:
        """Take over what the nodes are; whether that changes :attr:`with_images`."""
        self.nodes = {node.name: node for node in sorted(nodes, key=lambda node: node.name)}
        self.planner.set_nodes(self.nodes.values())
        self.room_version += 1
        before = self.with_images
        self.with_images = any(node.images is not None for node in self.nodes.values())
        return before != self.with_images

    def renew(self, record: Record) -> Record:
        """Follow an execution anew, as after a restart, as what it asks for reads otherwise now."""
        former = self.planner.contenders[record.base.id]
        former.advance(self.now, 0)
        self.planner.forget(record.base.id, self.now)
        renewed = self.add(record.value)
        self.planner.contenders[record.base.id].done_seconds = former.done_seconds
        return renewed

    def gpus_for(self, record: Record, service: str, node: str) -> tuple[str, ...] | None:
        """Return GPUs for one more instance of ``service`` on a known node; None: it lacks them."""
        count = record.services[service].resources.gpus
        return self._devices.free(self.nodes[node], count) if count else ()

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

    def _account(self, record: Record, old: ServiceInstance | None, new: ServiceInstance) -> None:
        """Tell the planner what has changed of the room that an instance holds."""
        if new.gpus or (old is not None and old.gpus):
            self._devices.note(old, new)
        before, after = _room_of(old), _room_of(new)
        if before == after:
            return
        self.room_version += 1
        planner, now = self.planner, self.now
        contender = planner.contenders[record.base.id]
        need = record.numbers[new.service]
        elastic = not new.essential
        if before is not None:
            place = (planner.room.number(before.node), 1)
            if before.is_going:
                planner.gone(contender, need, place, now)
            elif after is not None and after.is_going and after.node == before.node:
                planner.retire(contender, need, place, now, elastic=elastic)
                return
            else:
                planner.drop(contender, need, place, now, elastic=elastic)
        if after is not None:
            place = (planner.room.number(after.node), 1)
            planner.hold(contender, need, [place], now, elastic=elastic, since=new.placed_at)
            if after.is_going:
                planner.retire(contender, need, place, now, elastic=elastic)


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


class _Held(NamedTuple):
    """On which node an instance holds room, and whether that is about to come free."""

    node: str
    is_going: bool


def _room_of(instance: ServiceInstance | None) -> _Held | None:
    if instance is None or not instance.is_placed:
        return None
    return _Held(instance.node, instance.status is InstanceStatus.STOPPING)


def _execution_of(instance_id: str) -> int:
    head = instance_id.partition("/")[0]
    return int(head) if head.isdecimal() else -1


@dataclass(frozen=True, slots=True)
class StopRetry:
    """Failed attempts to have an instance stopped, and when it is asked again, if that is due."""

    failures: int
    at: float | None
