"""From what the scheduler knows to a plan, and from the plan to decisions and reasons."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from math import inf

from zoe.model.change import Cause, Defer
from zoe.model.execution import (
    Execution,
    ExecutionStatus,
    InstanceStatus,
    Reason,
    ServiceInstance,
    instance_id,
)
from zoe.scheduler import lifecycle, words
from zoe.scheduler.blockers import why_clearing, why_no_room
from zoe.scheduler.contender import Contender
from zoe.scheduler.gang import fits, lacks
from zoe.scheduler.lifecycle import Rules
from zoe.scheduler.plan import Plan
from zoe.scheduler.quota import is_over
from zoe.scheduler.reasons import why_never
from zoe.scheduler.record import Record
from zoe.scheduler.state import State

REPORTED = 100
"""Places of the queue whose position and reasons are always exact."""
DRIFT = 10
"""Further back, a position is corrected once it is off by more than one part in this many."""
IMAGINED = sys.maxsize
"""The id of an execution that nobody has submitted yet: behind all others."""
ROUNDS = 100
"""Plans that one event may lead to; each carries out what the one before has made possible."""


class Allocator:
    """Carries out the planner's plans, and tells those who wait why they do."""

    def __init__(self, state: State, rules: Rules) -> None:
        self._state = state
        self._planner = state.planner
        self._planner.why_not = partial(why_no_room, state)
        self._rules = rules
        self._never: dict[int, Reason | None] = {}
        self._reasons: dict[int, Reason] = {}
        self._untold: set[int] = set()
        """Those in the queue that are new, or have another reason than they were told."""
        self._moves = 0
        """Arrivals and departures in front of others."""
        self._looked = 0
        """How many of the moves there were when places were looked at last."""
        self._moved_from = sys.maxsize
        """The first place that has changed since places were told."""

    def nodes_changed(self) -> None:
        """Forget which executions could never start."""
        self._never.clear()
        self._moved_from = 1

    def shares_set(self) -> None:
        """Look at everybody anew: other quotas hold other executions back."""
        self._moved_from = 1

    def join(self, record: Record) -> None:
        """Let an execution wait, or find its place anew."""
        execution_id = record.base.id
        self.leave(execution_id)
        contender = self._planner.contenders[execution_id]
        for number, name in enumerate(record.services):
            contender.elastic_missing[number] = record.base.elastic_count(name)
        contender.asked = record.demand.instances
        self._planner.wait(contender, self._state.now)
        self._untold.add(execution_id)
        self._note_move(execution_id)

    def leave(self, execution_id: int) -> None:
        """Forget an execution that does not wait any more."""
        if execution_id in self._planner.waiting:
            self._note_move(execution_id)
            self._planner.leave(self._planner.contenders[execution_id])
            self._never.pop(execution_id, None)
            self._untold.discard(execution_id)

    def is_out_of_reach(self, execution_id: int) -> bool:
        """Whether no plan could start a waiting execution, so that its arrival needs none.

        It asks for what no node has, is over a quota, or stands behind one that is blocked and does
        not fit beside.
        """
        planner, contender = self._planner, self._planner.contenders[execution_id]
        if planner.reach.excludes(contender):
            return True
        if self._is_over_quota(contender):  # elastic instances may have filled the quota
            return not (planner.sharing.reclaim and planner.lent)
        blocked = planner.contenders.get(planner.blocked_at(self._state.now) or 0)
        if blocked is None or blocked is contender or blocked.id not in planner.waiting:
            return False
        may_overtake = planner.sharing.backfill != "none" and fits(planner.room, contender)
        is_behind = planner.fairness is None and blocked.key < contender.key
        return is_behind and not may_overtake

    def settle(self) -> None:
        """Plan and carry out until there is nothing more to place; then say why the rest waits."""
        planner = self._planner
        for _ in range(ROUNDS):
            plan = self._plan()
            if not self._carry_out(plan):
                break
        waiting = [] if plan.blocked is None else [plan.blocked]
        waiting += planner.ledger.passed_over[:1]
        if waiting and plan.retry_at < inf:
            self._state.wake_at(plan.retry_at, waiting[0])
        reasons = dict(plan.reasons)
        if plan.blocked in self._reasons:
            reasons.setdefault(plan.blocked, self._reasons[plan.blocked])
        reasons.update((each, why_clearing(self._state, each)) for each in planner.claims)
        reasons.update(self._quota_reasons())
        self._untold.update(
            each
            for each in self._reasons.keys() | reasons.keys()
            if each in planner.waiting and self._reasons.get(each) != reasons.get(each)
        )
        self._reasons = reasons

    @contextmanager
    def imagined(self, execution: Execution) -> Iterator[Contender]:
        """Have ``execution`` in the queue for a moment, behind those submitted before."""
        planner, state = self._planner, self._state
        attempts, with_images = self._rules.elastic_attempts, state.with_images
        record = Record(execution, attempts, with_images=with_images)
        contender = planner.add(
            replace(record.demand, execution_id=IMAGINED),
            state.now,
            state.history.typical_seconds(record.demand),
        )
        planner.wait(contender, state.now)
        held = dict(planner.claims)
        try:
            yield contender
        finally:
            planner.forget(contender.id, state.now)
            planner.hold_claims(held)

    def would_admit(self, execution: Execution) -> tuple[list[ServiceInstance], Reason | None]:
        """Plan as if ``execution`` were in the queue: its instances, or why there are none."""
        planner, state = self._planner, self._state
        services = dict(execution.zapp.services())
        with self.imagined(execution) as contender:
            if planner.reach.excludes(contender):
                return [], why_never(state.nodes.values(), planner.reach.least(contender))
            if self._is_over_quota(contender):
                return [], self._why_over_quota(contender)
            plan = self._plan()
            planner.undo(plan)
            if contender.id in planner.claims:
                return [], why_clearing(self._state, contender.id, plan)
            placed = [one for one in plan.grants if one.contender is contender]
            if not placed and lacks(contender):
                position = planner.waiting.position(contender.id)
                return [], plan.reasons.get(contender.id) or self._behind(position - 1)
            planned: list[ServiceInstance] = []
            for grant in placed:
                name = contender.demand.needs[grant.need].service
                essential = services[name].essential
                ordinals = iter(range(essential if grant.elastic else 0, sys.maxsize))
                planned += (
                    ServiceInstance(
                        execution.id, name, next(ordinals), not grant.elastic,
                        node=planner.room.nodes[node].name, placed_at=state.now,
                    )
                    for node, count in grant.places
                    for _ in range(count)
                )  # fmt: skip
            return planned, None

    def other_node(self, record: Record, instance: ServiceInstance) -> str:
        """Return a node with room for an instance that its own node refused; empty: none."""
        room = self._planner.room
        contender = self._planner.contenders[record.base.id]
        need = record.numbers[instance.service]
        fitting = contender.fittings[need]
        avoid = {room.number(instance.node)}
        if fitting.shape.spread:
            avoid |= contender.nodes_of(need)
        places = room.place(fitting, 1, avoid)
        room.release(fitting, places)
        return room.nodes[places[0][0]].name if places else ""

    def report(self) -> None:
        """Tell waiting executions their places and reasons, where these have changed.

        Far from the head a place is told when it is new or off by much: exact ones for everybody
        would mean that each departure writes a line for each of ten thousand others. It cannot be
        off by a tenth before so many have moved, so that it is looked at the less often, the
        farther back it is.
        """
        waiting = self._planner.waiting
        first, last, step = min(self._moved_from, REPORTED + 1), REPORTED, REPORTED // DRIFT
        while last < len(waiting) and self._moves // step > self._looked // step:
            first, last, step = 1, last * 2, step * 2
        self._looked = self._moves
        untold = list(self._untold)
        moved = dict(zip(waiting.positions(untold), untold, strict=True))
        part = waiting.part(first, last)
        moved.update((place, each.id) for place, each in enumerate(part, first))
        for position, execution_id in sorted(moved.items()):
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
        first = self._planner.waiting.moved_from(execution_id)
        self._moved_from = min(self._moved_from, first)
        self._moves += first < len(self._planner.waiting)

    def _reason(self, execution_id: int, position: int) -> Reason:
        reason = self._reasons.get(execution_id)
        if reason is None:
            reason = self._why_never(self._state.records[execution_id])
        if reason is None:
            reason = self._why_over_quota(self._planner.contenders[execution_id])
        return reason or self._behind(position - 1)

    @staticmethod
    def _behind(count: int) -> Reason:
        if not count:
            return Reason("behind", "executions that run get their elastic instances first")
        return Reason("behind", f"behind {words.counted(count, 'execution')} in the queue")

    def renew_wishes(self) -> None:
        """Tell the planner what those want now of which something has changed."""
        for record in self._state.touched.values():
            self._renew_wishes(record)
        self._state.touched.clear()

    def _plan(self) -> Plan:
        state, planner = self._state, self._planner
        self.renew_wishes()
        return planner.plan(state.now)

    def _renew_wishes(self, record: Record) -> None:
        """Tell the planner what an execution still wants."""
        contender = self._planner.contenders[record.base.id]
        if contender.minimum != (minimum := record.minimum):
            self._planner.set_minimum(contender, minimum)
        for number, name in enumerate(record.services):
            contender.essential_missing[number] = len(record.missing_essential(name))
            missing = record.missing_elastic(name, self._state.now)
            contender.elastic_missing[number] = len(missing)
        self._planner.refresh(contender)

    def _why_never(self, record: Record) -> Reason | None:
        """Say why it could not start on empty nodes: found out once for each state of the nodes."""
        execution_id = record.base.id
        contender = self._planner.contenders[execution_id]
        if not self._planner.reach.excludes(contender):
            return None
        if execution_id not in self._never:
            nodes = self._state.nodes.values()
            self._never[execution_id] = why_never(nodes, self._planner.reach.least(contender))
        return self._never[execution_id]

    def _is_over_quota(self, contender: Contender) -> bool:
        if not contender.allowances:
            return False
        self._planner.ledger.settle()
        return is_over(contender)

    def _quota_reasons(self) -> Iterator[tuple[int, Reason]]:
        """Word why the last plan passed executions over, as it is now that it is carried out."""
        ledger, contenders = self._planner.ledger, self._planner.contenders
        ledger.settle()
        for execution_id in ledger.passed_over:
            if (reason := self._why_over_quota(contenders[execution_id])) is not None:
                yield execution_id, reason

    def _why_over_quota(self, contender: Contender) -> Reason | None:
        if not contender.allowances:
            return None
        records = self._state.records
        return self._planner.ledger.why_over(
            contender, lambda execution_id: words.title(records[execution_id].base)
        )

    def _carry_out(self, plan: Plan) -> bool:
        """Turn a plan into decisions; whether it may have made another one possible."""
        state, planner = self._state, self._planner
        planner.undo(plan)  # what is done to the instances tells the planner, one by one
        touched: dict[int, Record] = {}
        again = False
        for grant in plan.grants:
            execution_id = grant.contender.id
            record = touched[execution_id] = state.records[execution_id]
            if record.base.status is ExecutionStatus.QUEUED:
                self.leave(execution_id)
                state.set_status(
                    record,
                    ExecutionStatus.STARTING,
                    "room for all its essential instances",
                    time_limit_seconds=planner.ledger.time_limit(grant.contender),
                )
                if (limit := record.base.limit_seconds) is not None:
                    state.wake_at(state.now + limit, execution_id)
        for grant in plan.grants:
            record = touched[grant.contender.id]
            name = grant.contender.demand.needs[grant.need].service
            missing = record.missing_elastic(name, state.now)
            ordinals = iter(missing if grant.elastic else record.missing_essential(name))
            for node, count in grant.places:
                for _ in range(count):
                    self._place(record, name, next(ordinals), planner.room.nodes[node].name)
        for lending, count, execution_id in plan.take_back:
            taken = state.records[lending.contender.id]
            lending.contender.note_shrunk(state.now)
            where = planner.room.nodes[lending.node].name
            why = f"its room is needed for {words.title(state.records[execution_id].base)}"
            name = lending.contender.demand.needs[lending.need].service
            for instance in _newest(taken, name, where)[:count]:
                again |= instance.status is InstanceStatus.WAITING
                cause = Cause("reclaim", execution_id)
                lifecycle.take_back(state, taken, instance, why, cause)
        for record in touched.values():
            lifecycle.advance(state, self._rules, record)
        return again or bool(plan.grants)

    def _place(self, record: Record, service: str, ordinal: int, node: str) -> None:
        state = self._state
        key = instance_id(record.base.id, service, ordinal)
        gpus = state.gpus_for(record, service, node)
        assert gpus is not None, f"{node} has room for {key} and no GPU"
        if (former := record.instances.get(key)) is not None:
            instance = lifecycle.next_attempt(former, node, gpus, state.now)
        else:
            instance = ServiceInstance(
                record.base.id,
                service,
                ordinal,
                essential=ordinal < record.services[service].essential,
                node=node,
                placed_at=state.now,
                gpus=gpus,
            )
        why = lifecycle.waits_for(record, service) or f"has room on {node}"
        state.set_instance(record, instance, why)


def _newest(record: Record, service: str, node: str) -> list[ServiceInstance]:
    """Return the elastic instances of a service on a node that may be taken back, newest first."""
    found = [
        one
        for one in record.placed()
        if one.service == service
        and one.node == node
        and not one.essential
        and one.status is not InstanceStatus.STOPPING
    ]
    return sorted(found, key=lambda one: (one.placed_at, one.ordinal), reverse=True)
