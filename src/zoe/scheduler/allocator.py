"""From what the scheduler knows to a plan, and from the plan to decisions and reasons."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from zoe.model.change import Defer
from zoe.model.cluster import NodeStatus
from zoe.model.execution import (
    Execution,
    ExecutionStatus,
    InstanceStatus,
    Reason,
    ServiceInstance,
    instance_id,
)
from zoe.scheduler import lifecycle, words
from zoe.scheduler.lifecycle import Rules
from zoe.scheduler.placement import Held, Need, Placement
from zoe.scheduler.plan import Demand, Generation, Plan, Surroundings
from zoe.scheduler.queue import Queue
from zoe.scheduler.reasons import Usage, why_never
from zoe.scheduler.state import Record, State

REPORTED = 100
"""Places of the queue whose position and reasons are always exact."""
DRIFT = 10
"""Further back, a position is corrected once it is off by more than one part in this many."""


class Allocator:
    """Gives room to whom the generation chooses, and tells the others why they wait."""

    def __init__(self, state: State, queue: Queue, rules: Rules, generation: Generation) -> None:
        self._state = state
        self._queue = queue
        self._rules = rules
        self._generation = generation
        self._never: dict[int, Reason | None] = {}
        self._blocked: tuple[int, int] | None = None
        """The execution found blocked, and the version of the room at that time."""
        self._reasons: dict[int, Reason] = {}
        self._held: list[Placement] = []
        """Room that is being cleared for executions that wait for it."""
        self._untold: set[int] = set()
        """Those in the queue that are new, or have another reason than they were told."""
        self._moves = 0
        """Arrivals and departures in front of others since all places were looked at."""
        self._moved_from = sys.maxsize
        """The first place that has changed since places were told."""

    def nodes_changed(self) -> None:
        """Forget which executions could never start."""
        self._never.clear()
        self._moved_from = 1

    def join(self, execution: Execution) -> None:
        """Let an execution wait, or find its place anew."""
        self.leave(execution.id)
        self._queue.add(execution)
        self._untold.add(execution.id)
        self._note_move(execution.id)

    def leave(self, execution_id: int) -> None:
        """Forget an execution that does not wait any more."""
        if execution_id in self._queue:
            self._note_move(execution_id)
            self._queue.discard(execution_id)
            self._never.pop(execution_id, None)
            self._untold.discard(execution_id)

    def is_out_of_reach(self, execution_id: int) -> bool:
        """Whether no plan could start a waiting execution, so that its arrival needs none.

        It asks for what no node has, or stands behind one that is blocked, where plans end.
        """
        if self._why_never(self._state.records[execution_id]) is not None:
            return True
        if self._blocked is None or self._blocked[1] != self._state.room_version:
            return False
        blocked = self._blocked[0]
        ahead = blocked in self._queue and blocked != execution_id
        return ahead and self._queue.key_of(blocked) < self._queue.key_of(execution_id)

    def settle(self) -> None:
        """Plan and carry out until there is nothing more to place; then say why the rest waits."""
        while True:
            plan = self._plan(self._waiting())
            if plan.blocked is not None:
                self._blocked = (plan.blocked, self._state.room_version)
            if not self._carry_out(plan):
                break
        reasons = dict(plan.reasons)
        if plan.blocked in self._reasons:
            reasons.setdefault(plan.blocked, self._reasons[plan.blocked])
        reasons.update((each, self._clearing(plan, each)) for each in plan.claims)
        self._untold.update(
            each
            for each in self._reasons.keys() | reasons.keys()
            if each in self._queue and self._reasons.get(each) != reasons.get(each)
        )
        self._reasons = reasons
        self._held = [held for placements in plan.claims.values() for held in placements]

    def would_admit(self, execution: Execution) -> tuple[list[Placement], Reason | None]:
        """Plan as if ``execution`` were in the queue: its placements, or why there are none."""
        record = Record(execution, self._rules.elastic_attempts)
        key = (*self._queue.key(execution)[:2], sys.maxsize)  # behind all that are there already
        own = replace(self._demand(record), key=key)

        def joined() -> Iterator[Demand]:
            ahead = True
            for demand in self._waiting():
                if ahead and own.key < demand.key:
                    ahead = False
                    yield own
                yield demand
            if ahead:
                yield own

        plan = self._plan(joined())
        placements = [one for one in plan.placements if one.need.execution_id == execution.id]
        if own.never is not None:
            return [], own.never
        if execution.id in plan.claims:
            return [], self._clearing(plan, execution.id)
        if placements or not own.essential:
            return placements, None
        behind = sum(self._queue.key_of(other) < own.key for other in self._queue)
        return [], plan.reasons.get(execution.id) or self._behind(behind)

    def other_node(self, record: Record, instance: ServiceInstance) -> str:
        """Return a node with room for an instance that its own node refused; empty: none."""
        service = record.services[instance.service]
        snapshot = self._state.snapshot()
        snapshot.take(self._held, now=False)
        snapshot.ready = [node for node in snapshot.ready if node.name != instance.node]
        labels = frozenset(service.labels)
        need = Need(
            record.base.id,
            instance.service,
            (instance.ordinal,),
            service.resources,
            labels,
            service.spread,
        )
        placed = snapshot.place_some(need)
        return placed[0].node if placed else ""

    def report(self) -> None:
        """Tell waiting executions their places and reasons, where these have changed.

        Far from the head a place is told when it is new or off by much: exact ones for everybody
        would mean that each departure writes a line for each of ten thousand others.
        """
        if self._moves * DRIFT >= REPORTED:
            self._moves = 0
            looked_at = list(enumerate(self._queue, 1))
        else:
            moved = {self._queue.position(each): each for each in self._untold}
            first = min(self._moved_from, REPORTED + 1)
            moved.update(enumerate(self._queue.part(first, REPORTED), first))
            looked_at = sorted(moved.items())
        for position, execution_id in looked_at:
            record = self._state.records[execution_id]
            told = record.base.queue_position
            is_exact = position <= REPORTED or execution_id in self._untold
            if not is_exact and told is not None and abs(told - position) * DRIFT < told:
                continue
            reasons = (self._reason(execution_id, position),)
            if told != position or record.base.reasons != reasons:
                record.base = replace(record.base, queue_position=position, reasons=reasons)
                self._state.decisions.append(
                    Defer(execution_id, position, self._state.now, reasons)
                )
        self._untold.clear()
        self._moved_from = sys.maxsize

    def _note_move(self, execution_id: int) -> None:
        """Take note that all places from this one's on have another holder."""
        position = self._queue.position(execution_id)
        self._moved_from = min(self._moved_from, position)
        self._moves += position < len(self._queue)

    def _reason(self, execution_id: int, position: int) -> Reason:
        reason = self._reasons.get(execution_id)
        if reason is None:
            reason = self._why_never(self._state.records[execution_id])
        return reason or self._behind(position - 1)

    @staticmethod
    def _behind(count: int) -> Reason:
        if not count:
            return Reason("behind", "executions that run get their elastic instances first")
        return Reason("behind", f"behind {words.counted(count, 'execution')} in the queue")

    def _plan(self, waiting: Iterator[Demand]) -> Plan:
        state = self._state
        growing = []
        for record in state.admitted.values():
            if record.is_active:
                essential, elastic = record.essential_needs(), record.elastic_needs(state.now)
                if essential or elastic:
                    key = self._queue.key(record.base)
                    growing.append(Demand(record.base.id, key, essential, elastic, True))
        growing.sort(key=lambda demand: demand.key)
        still_blocked = None
        if self._blocked is not None and self._blocked[1] == state.room_version:
            still_blocked = self._blocked[0]
        around = Surroundings(self._usage, cache(self._victims), still_blocked)
        return self._generation(state.snapshot(), waiting, growing, around)

    def _waiting(self) -> Iterator[Demand]:
        return (self._demand(self._state.records[execution_id]) for execution_id in self._queue)

    def _demand(self, record: Record) -> Demand:
        """Return what a waiting execution wants."""
        return Demand(
            record.base.id,
            self._queue.key(record.base),
            record.essential_needs(),
            record.elastic_needs(self._state.now),
            never=self._why_never(record),
        )

    def _why_never(self, record: Record) -> Reason | None:
        """Say why it could not start on empty nodes: found out once for each state of the nodes."""
        execution_id = record.base.id
        if execution_id not in self._queue:
            return why_never(self._state.nodes.values(), record.essential_needs())
        if execution_id not in self._never:
            needs = record.essential_needs()
            self._never[execution_id] = why_never(self._state.nodes.values(), needs)
        return self._never[execution_id]

    def _usage(self, node: str) -> Iterator[Usage]:
        for record in self._state.admitted.values():
            held = [
                record.services[one.service].resources
                for one in record.placed()
                if not node or one.node == node
            ]
            if held:
                yield words.title(record.base), sum(held[1:], held[0])

    def _victims(self) -> list[Held]:
        """Elastic instances on nodes that take instances, the newest first."""
        nodes = self._state.nodes
        found = [
            (instance.placed_at, instance.ordinal, instance.id, record)
            for record in self._state.admitted.values()
            if record.is_active
            for instance in record.placed()
            if not instance.essential
            and instance.status is not InstanceStatus.STOPPING
            and instance.node in nodes
            and nodes[instance.node].status is NodeStatus.READY
        ]
        found.sort(key=lambda one: one[:3], reverse=True)
        return [record.held(record.instances[key]) for _, _, key, record in found]

    def _carry_out(self, plan: Plan) -> bool:
        """Turn a plan into decisions; whether it may have made another one possible."""
        state = self._state
        touched: dict[int, Record] = {}
        again = False
        for execution_id in dict.fromkeys(one.need.execution_id for one in plan.placements):
            record = touched[execution_id] = state.records[execution_id]
            if record.base.status is ExecutionStatus.QUEUED:
                self.leave(execution_id)
                state.set_status(
                    record, ExecutionStatus.STARTING, "room for all its essential instances"
                )
                if (limit := record.base.zapp.time_limit_seconds) is not None:
                    state.wake_at(state.now + limit, execution_id)
        for placement in plan.placements:
            self._place(touched[placement.need.execution_id], placement)
        for victim_id, execution_id in plan.take_back.items():
            taken = state.records[int(victim_id.partition("/")[0])]
            instance = taken.instances[victim_id]
            again |= instance.status is InstanceStatus.WAITING
            why = f"its room is needed for {words.title(state.records[execution_id].base)}"
            lifecycle.take_back(state, taken, instance, why)
        for record in touched.values():
            lifecycle.advance(state, self._rules, record)
        return again or bool(plan.placements)

    def _place(self, record: Record, placement: Placement) -> None:
        need, state = placement.need, self._state
        key = instance_id(need.execution_id, need.service, placement.ordinal)
        if (former := record.instances.get(key)) is not None:
            instance = lifecycle.next_attempt(former, placement.node, state.now)
        else:
            instance = ServiceInstance(
                need.execution_id,
                need.service,
                placement.ordinal,
                essential=placement.ordinal < record.services[need.service].essential,
                node=placement.node,
                placed_at=state.now,
            )
        why = lifecycle.waits_for(record, need.service) or f"has room on {placement.node}"
        state.set_instance(record, instance, why)

    def _clearing(self, plan: Plan, execution_id: int) -> Reason:
        """Say whose instances have to go before an execution gets the room that is held for it."""
        nodes = {placement.node for placement in plan.claims[execution_id]}
        said = []
        for record in self._state.admitted.values():
            going = sum(
                plan.take_back.get(one.id) == execution_id
                or (one.status is InstanceStatus.STOPPING and one.node in nodes)
                for one in record.placed()
            )
            title = words.title(record.base)
            if going and record.is_active:
                counted = words.counted(going, "elastic instance")
                said.append(f"{counted} of {title} to be taken back")
            elif going:
                said.append(f"{title} to stop")
        return Reason("making-room", f"waiting for {words.listed(said or ['room to be cleared'])}")
