"""The scheduler: one event in, decisions out; the only way to change what it knows."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain

from zoe.model.change import Cause, Forget, SetBalances, SetNodes
from zoe.model.cluster import Node, NodeMark, with_loads, with_marks
from zoe.model.execution import (
    Desired,
    Execution,
    ExecutionEnd,
    ExecutionStatus,
    Exit,
    ExitReason,
    InstanceStatus,
    Outcome,
)
from zoe.model.load import NodeLoad
from zoe.model.quota import EXCEEDS_QUOTA, Accounts
from zoe.scheduler import lifecycle, words
from zoe.scheduler.account import closed
from zoe.scheduler.admission import Admission
from zoe.scheduler.allocator import Allocator
from zoe.scheduler.decisions import Decision, StartInstance, StopInstance, WakeAt
from zoe.scheduler.events import (
    BalancesRestored,
    Event,
    ExecutionRestored,
    ExecutionSubmitted,
    InstanceMissing,
    InstancePrepared,
    InstanceReady,
    InstanceStarted,
    InstanceStopped,
    LoadsObserved,
    MemoryKilled,
    NodesMarked,
    NodesObserved,
    OrphanObserved,
    ScaleRequested,
    SharesSet,
    StartFailed,
    StopFailed,
    TerminationRequested,
    WokeUp,
)
from zoe.scheduler.history import History
from zoe.scheduler.lifecycle import Rules
from zoe.scheduler.node_changes import follow_nodes
from zoe.scheduler.planner import Planner
from zoe.scheduler.reasons import NEVER
from zoe.scheduler.record import Record
from zoe.scheduler.relief import relieve, report_memory_kills
from zoe.scheduler.sharing import Sharing
from zoe.scheduler.snapshot import Snapshot, freeze
from zoe.scheduler.state import Executions, State, StopRetry


class Scheduler:
    """Decides for all executions of one deployment.

    What the names mean, :class:`zoe.scheduler.planner.Sharing` and
    :class:`zoe.scheduler.lifecycle.Rules` say.
    """

    def __init__(
        self,
        sharing: Sharing | None = None,
        *,
        start_attempts: int = 3,
        elastic_attempts: int = 5,
        backoff_seconds: float = 1.0,
        stop_grace_seconds: float = 10.0,
    ) -> None:
        self._rules = Rules(start_attempts, elastic_attempts, backoff_seconds, stop_grace_seconds)
        self._planner = Planner(sharing or Sharing())
        self._state = State(elastic_attempts, self._planner)
        self._allocator = Allocator(self._state, self._rules)
        self._observed: tuple[Node, ...] = ()
        self._marks: dict[str, NodeMark] = {}
        self._loads: dict[str, NodeLoad] = {}
        self._stop_retries: dict[str, StopRetry] = {}
        self._unsettled = False
        self._settled_version = 0
        self._wake: float | None = None
        self.executions: Mapping[int, Execution] = Executions(self._state.records)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes as last observed, by name, with the marks of administrators."""
        return tuple(self._state.nodes.values())

    @property
    def marks(self) -> tuple[NodeMark, ...]:
        """The marks of administrators, by name, as they were last told."""
        return tuple(self._marks.values())

    @property
    def shares(self) -> Accounts:
        """What users and teams may have, as it was last set."""
        return self._planner.ledger.shares

    @property
    def next_wake(self) -> float | None:
        """The time of the last ``WakeAt`` that has not come yet."""
        return self._wake

    def queue(self) -> tuple[int, ...]:
        """Return the ids of the waiting executions in their order."""
        return tuple(contender.id for contender in self._planner.waiting)

    def handle(self, event: Event, now: float) -> list[Decision]:
        """Take one event in at ``now`` (seconds since 1970) and return what to do, in order."""
        self._state.now = now
        self._state.decisions = []
        self._take_in(event)
        for record in list(self._state.due()):
            self._look_at(record)
            if record.base.id in self._state.records:
                self._state.touched[record.base.id] = record
            self._unsettled = True
        restoring = isinstance(event, ExecutionRestored)  # others may not be known yet: no plans
        if restoring:
            pass
        elif self._unsettled or self._state.room_version != self._settled_version:
            self._allocator.settle()
            self._allocator.report()
            self._unsettled = False
            self._settled_version = self._state.room_version
        elif isinstance(event, ExecutionSubmitted):
            self._allocator.report()
        fairness = self._planner.fairness
        changed = () if fairness is None or restoring else fairness.changed_balances(now)
        if changed:
            self._state.decisions.append(SetBalances(changed))
        if (due := self._state.next_due) is not None and due != self._wake:
            self._wake = due
            self._state.decisions.append(WakeAt(due))
        return self._state.decisions

    def would_admit(self, execution: Execution, now: float) -> Admission:
        """Say whether ``execution`` would start if it were submitted now; changes nothing."""
        self._state.now = now
        planned, reason = self._allocator.would_admit(execution)
        if reason is None:
            return Admission(True, True, tuple(planned), ())
        can_ever_fit = reason.code not in (NEVER, EXCEEDS_QUOTA)
        with self._allocator.imagined(execution) as contender:
            position = self._planner.waiting.position(contender.id) if can_ever_fit else None
        return Admission(False, can_ever_fit, (), (reason,), position)

    @property
    def history(self) -> History:
        """How long executions that have ended held their room; who starts may fill it."""
        return self._state.history

    def snapshot(self, now: float, depth: int, wish: Execution | None = None) -> Snapshot:
        """Return what a forecast needs for the first ``depth`` of those that wait.

        With ``wish``, as if that execution waited, too, under the id :data:`IMAGINED`.
        """
        self._state.now = now
        self._allocator.renew_wishes()
        if wish is not None:
            with self._allocator.imagined(wish):
                return self._snapshot(now, depth)
        return self._snapshot(now, depth)

    def _snapshot(self, now: float, depth: int) -> Snapshot:
        planner = self._planner
        demands = (each.demand for each in planner.contenders.values() if each.is_admitted)
        first = (each.demand for each in planner.waiting.part(1, depth))
        deadlines = {
            execution_id: record.base.started_at + limit
            for execution_id, record in self._state.admitted.items()
            if record.base.started_at is not None
            if (limit := record.base.limit_seconds) is not None
        }
        history = self._state.history.about(chain(demands, first))
        return Snapshot(freeze(planner, depth), now, history, deadlines)

    def _take_in(self, event: Event) -> None:  # noqa: C901 - one case for each event, no nesting
        match event:
            case ExecutionSubmitted(execution):
                self._submit(execution)
            case ExecutionRestored(execution):
                self._restore(execution)
            case TerminationRequested(execution_id, by, delete):
                self._terminate(execution_id, by, delete)
            case ScaleRequested(execution_id, service, elastic, elastic_min):
                self._scale(execution_id, service, elastic, elastic_min)
            case InstancePrepared() | InstanceStarted() | InstanceReady():
                self._instance_started(event)
            case InstanceStopped(instance_id, attempt, exit):
                self._instance_stopped(instance_id, attempt, exit)
            case StartFailed():
                self._start_failed(event)
            case StopFailed(instance_id, attempt, _):
                self._stop_failed(instance_id, attempt)
            case InstanceMissing(instance_id, attempt):
                self._instance_missing(instance_id, attempt)
            case OrphanObserved(instance_id, attempt):
                self._orphan_observed(instance_id, attempt)
            case NodesObserved(nodes):
                self._observed = nodes
                self._nodes_changed()
            case LoadsObserved(loads):
                self._loads = {load.name: load for load in loads}
                self._planner.room.set_levels({load.name: load.level for load in loads})
                self._nodes_changed()
                self._unsettled |= relieve(self._state, loads)
            case MemoryKilled(instance_id, attempt, kills):
                if found := self._state.find(instance_id, attempt):
                    report_memory_kills(self._state, *found, kills)
            case NodesMarked(marks):
                self._marks = {mark.name: mark for mark in marks}
                self._nodes_changed()
            case SharesSet(shares):
                self._planner.set_shares(shares)
                self._allocator.shares_set()
                self._unsettled = True
            case BalancesRestored(balances) if self._planner.fairness is not None:
                self._planner.fairness.restore(balances, self._state.now)
            case BalancesRestored(balances):
                half_life = self._planner.sharing.half_life_seconds
                if ended := closed(balances, self._state.now, half_life):
                    self._state.decisions.append(SetBalances(ended))
            case WokeUp():
                self._wake = None  # an alarm that rang early is set again

    def _submit(self, execution: Execution) -> None:
        if (
            execution.status is not ExecutionStatus.SUBMITTED
            or execution.id in self._state.records
            or execution.id in self._state.ended
        ):
            return
        record = self._state.add(execution)
        if execution.desired is not Desired.RUN:
            delete = execution.desired is Desired.DELETE
            self._terminate(execution.id, execution.desired_by, delete)
            return
        self._state.set_status(record, ExecutionStatus.QUEUED, "in the queue")
        self._allocator.join(record)
        self._unsettled |= not self._allocator.is_out_of_reach(execution.id)

    def _restore(self, execution: Execution) -> None:
        if execution.id in self._state.records:
            return
        record = self._state.add(execution)
        self._unsettled = True
        if execution.status is ExecutionStatus.QUEUED:
            self._allocator.join(record)
            return
        follow_nodes(self._state, self._rules, record)
        limit = execution.limit_seconds
        if limit is not None and execution.started_at is not None:
            self._state.wake_at(execution.started_at + limit, execution.id)
        for instance in record.instances.values():
            if instance.not_before > self._state.now:
                self._state.wake_at(instance.not_before, execution.id)
        for instance in record.placed(InstanceStatus.STOPPING):
            lifecycle.stop_again(self._state, self._rules, record, instance)
        for service in execution.elastic:  # it may have been scaled while nobody was here
            if service in record.services:
                self._take_back_surplus(record, service)
        lifecycle.finish_if_stopped(self._state, record)
        self._look_at(record)

    def _terminate(self, execution_id: int, by: str, delete: bool) -> None:
        record = self._state.records.get(execution_id)
        if record is None:
            if delete:
                self._state.decisions.append(Forget(execution_id))
            return
        desired = Desired.DELETE if delete else Desired.STOP
        if record.base.desired is not Desired.DELETE:
            record.base = replace(record.base, desired=desired, desired_by=by)
        said = f"stopped by {by}" if by else "stopped by its user"
        self._allocator.leave(execution_id)
        lifecycle.end(self._state, self._rules, record, ExecutionEnd(Outcome.STOPPED, said))
        self._unsettled = True

    def _scale(self, execution_id: int, service: str, elastic: int, elastic_min: int) -> None:
        record = self._state.records.get(execution_id)
        if record is None or service not in record.services:
            return
        wanted = max(elastic, 0)
        record.base = replace(
            record.base,
            elastic={**record.base.elastic, service: wanted},
            elastic_min={**record.base.elastic_min, service: min(elastic_min, wanted)},
        )
        if record.base.status is ExecutionStatus.QUEUED:
            self._allocator.join(record)
        self._take_back_surplus(record, service)
        self._state.touched[execution_id] = record
        self._unsettled = True

    def _take_back_surplus(self, record: Record, service: str) -> None:
        """Have the newest elastic instances of a service go that are more than are wanted."""
        if not record.is_active:
            return
        wanted = record.base.elastic_count(service)
        live = [
            one
            for one in record.placed()
            if one.service == service
            and not one.essential
            and one.status is not InstanceStatus.STOPPING
        ]
        live.sort(key=lambda one: (one.placed_at, one.ordinal))
        for instance in reversed(live[wanted:]):
            lifecycle.take_back(
                self._state,
                record,
                instance,
                f"scaled to {words.counted(wanted, 'elastic instance')}",
                Cause("scale"),
            )

    def _instance_started(self, event: InstancePrepared | InstanceStarted | InstanceReady) -> None:
        if found := self._state.find(event.instance_id, event.attempt):
            record, instance = found
            lifecycle.report_started(self._state, record, instance, event)
            self._look_at(record)

    def _instance_stopped(self, instance_id: str, attempt: int, exit: Exit) -> None:
        if found := self._state.find(instance_id, attempt):
            record, instance = found
            self._stop_retries.pop(instance_id, None)
            lifecycle.report_stopped(self._state, self._rules, record, instance, exit)
            self._look_at(record)

    def _start_failed(self, event: StartFailed) -> None:
        if found := self._state.find(event.instance_id, event.attempt):
            record, instance = found
            lifecycle.report_start_failure(
                self._state,
                self._rules,
                record,
                instance,
                event.message,
                self._allocator.other_node(record, instance),
                retryable=event.retryable,
            )
            self._look_at(record)

    def _stop_failed(self, instance_id: str, attempt: int) -> None:
        found = self._state.find(instance_id, attempt)
        if found and found[1].status is InstanceStatus.STOPPING:
            earlier = self._stop_retries.get(instance_id, StopRetry(0, None))
            pause = lifecycle.backoff(self._rules.backoff_seconds, earlier.failures)
            at = self._state.now + pause
            self._stop_retries[instance_id] = StopRetry(earlier.failures + 1, at)
            self._state.wake_at(at, found[0].base.id)

    def _instance_missing(self, instance_id: str, attempt: int) -> None:
        found = self._state.find(instance_id, attempt)
        if found is None:
            return
        _, instance = found
        if instance.status is InstanceStatus.STARTING:
            self._state.decisions.append(StartInstance(instance))
        else:
            lost = Exit(ExitReason.LOST, message=f"{instance.node} does not know it any more")
            self._instance_stopped(instance_id, attempt, lost)

    def _orphan_observed(self, instance_id: str, attempt: int) -> None:
        found = self._state.find(instance_id, attempt)
        if found and found[1].is_placed:
            return
        grace = self._rules.stop_grace_seconds
        said = "nobody wants it"
        self._state.decisions.append(StopInstance(instance_id, attempt, grace, False, said))

    def _nodes_changed(self) -> None:
        ordered = with_loads(with_marks(self._observed, self._marks), self._loads)
        if ordered == self.nodes:
            return
        if self._state.set_nodes(ordered):
            for record in list(self._state.records.values()):
                renewed = self._state.renew(record)
                if renewed.base.status is ExecutionStatus.QUEUED:
                    self._allocator.join(renewed)
        self._state.decisions.append(SetNodes(ordered, self._state.now))
        self._allocator.nodes_changed()
        for record in list(self._state.admitted.values()):
            follow_nodes(self._state, self._rules, record)
            self._look_at(record)

    def _look_at(self, record: Record) -> None:
        """Do what is due for one execution."""
        lifecycle.advance(self._state, self._rules, record)
        for instance in record.placed(InstanceStatus.STOPPING):
            retry = self._stop_retries.get(instance.id)
            if retry is not None and retry.at is not None and retry.at <= self._state.now:
                self._stop_retries[instance.id] = StopRetry(retry.failures, None)
                lifecycle.stop_again(self._state, self._rules, record, instance)
