"""The store as the properties of the scheduler see it: it records each change, and judges it.

The oracles here and in ``check_invariants`` use none of the scheduler's own arithmetic.
"""

import math
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from rehearsal import scheduler_of
from zoe.model.balance import Balance
from zoe.model.change import Defer, Forget, SetBalances, SetInstance, SetStatus
from zoe.model.cluster import Node
from zoe.model.execution import (
    ENDED,
    EXECUTION_TRANSITIONS,
    INSTANCE_TRANSITIONS,
    Execution,
    ExecutionStatus,
    ExitReason,
    InstanceStatus,
    ServiceInstance,
)
from zoe.model.quota import Accounts
from zoe.model.resources import NOTHING
from zoe.model.tree import requirements
from zoe.model.zapp import Condition
from zoe.scheduler.decisions import Decision, StartInstance, StopInstance
from zoe.scheduler.events import Event, SharesSet
from zoe.scheduler.invariants import check_invariants, over_quota
from zoe.scheduler.sharing import Sharing
from zoe.scheduler.snapshot import thaw
from zoe.sim.forecast import Bounds, forecast

KEPT = (InstanceStatus.WAITING, InstanceStatus.STARTING, InstanceStatus.RUNNING)
"""Statuses of an instance that holds its room, and is not about to give it back."""


MAY_BE_PASSED = {
    "making-room", "can-never-start", "nodes-not-ready", "no-nodes", "used-by-others",
}  # fmt: skip
"""Why somebody waits whom others do not delay when they start."""


def holdings(executions: Mapping[int, Execution]) -> dict[int, object]:
    """What has to be the same in the scheduler and in the store."""
    return {
        key: (value.status, {one.id: one for one in value.instances})
        for key, value in executions.items()
    }


def elastic_kept(execution: Execution, service: str) -> int:
    """Return how many elastic instances of a service have room that they do not give back."""
    return sum(
        one.service == service and not one.essential and one.status in KEPT
        for one in execution.instances
    )


class JudgingStore:
    """Stands between a scheduler and its world: what is told, what is decided, what is kept."""

    def __init__(self, seed: int, options: dict[str, object]) -> None:
        self.whim = random.Random(seed)
        """Says when somebody asks for a forecast."""
        self.options = options
        self.scheduler = scheduler_of(**options)
        self.now = 1000.0
        self.take_backs: list[tuple[int, int]] = []
        """From whom, for whom, since this was last looked at."""
        self.balances: dict[tuple[str, str], Balance] = {}
        self.used: Counter[tuple[str, str]] = Counter()
        """By team and user: the average of the cores they held, counted on its own."""
        self.used_at = self.now
        self.overdue = 0
        """How often somebody started while another one had waited for too long."""
        self.kept = 0
        """How often a minimum was all that was left."""
        self.store: dict[int, Execution] = {}
        self.ever: dict[int, Execution] = {}
        self.stopped_by_user: set[int] = set()
        self.pending: list[Decision] = []
        """Effects that nobody has carried out yet."""
        self.nodes: tuple[Node, ...] = ()
        self.shrunk: set[str] = set()
        self.shares = Accounts()
        self.excess: dict[tuple[str, str, str], int] = {}
        """What is used of quotas that were lowered: it only gets less."""
        self.story: list[str] = []

    def check_image(self, instance: ServiceInstance) -> None:
        """Whoever comes to a node finds its image there; who stays may have lost it since."""
        execution = self.store[instance.execution_id]
        known = {one.id: one.node for one in execution.instances}
        if instance.is_placed and known.get(instance.id) != instance.node:
            (node,) = [each for each in self.scheduler.nodes if each.name == instance.node]
            image = execution.zapp.service(instance.service).image
            assert not image or node.images is None or node.pulls or image in node.images

    def tell(self, event: Event, *, judged: bool = True) -> None:
        """Hand an event to the scheduler; record its decisions, and keep its effects for later."""
        self.story.append(f"{self.now:g} {event}")
        before = dict(self.store)
        self.use_up()
        taken: list[tuple[int, str]] = []
        for decision in self.scheduler.handle(event, self.now):
            self.story.append(f"        {decision}")
            match decision:
                case SetStatus():
                    self.record_status(decision)
                case SetInstance(instance):
                    self.check_image(instance)
                    self.record_instance(instance)
                    cause = decision.cause
                    if cause is not None and cause.for_execution is not None:
                        self.take_backs.append((instance.execution_id, cause.for_execution))
                        taken.append((instance.execution_id, instance.service))
                case Defer(execution_id):
                    assert self.store[execution_id].status is ExecutionStatus.QUEUED
                    assert decision.reasons
                    assert decision.queue_position >= 1
                case SetBalances(balances):
                    self.balances |= {(each.team, each.user): each for each in balances}
                case Forget(execution_id):
                    assert self.store.get(execution_id) is None
                case StartInstance() | StopInstance():
                    self.pending.append(decision)
                case _:
                    pass
        if judged:
            self.judge(event, before, taken)

    def judge(
        self, event: Event, before: dict[int, Execution], taken: list[tuple[int, str]]
    ) -> None:
        """Compare what is kept now with what was promised."""
        self.check_overdraft(before)
        self.check_patience(before)
        self.check_counts(taken)
        generation = self.options.get("generation", "flexible")
        works = generation == "flexible" and self.options.get("reclaim", True)
        works = works and not (self.options.get("backfill") == "none" and self.waiting_too_long())
        now = self.now if works else None  # the others may leave room unused
        excess = over_quota(self.store.values(), self.shares)
        if not isinstance(event, SharesSet):
            assert all(self.excess.get(key, 0) >= used for key, used in excess.items())
        self.excess = excess
        check_invariants(
            self.scheduler, now, shrunk=frozenset(self.shrunk), lowered=frozenset(excess)
        )
        assert holdings(self.scheduler.executions) == holdings(self.store)
        if self.options.get("policy") == "fair":
            self.check_guarantee()
            self.check_balances()
        if self.whim.random() < 0.03:
            self.check_forecast()

    def waiting_too_long(self) -> list[Execution]:
        """Return who has waited for longer than the patience."""
        patience = self.options.get("patience_seconds", Sharing().patience_seconds)
        assert isinstance(patience, float)
        waiting = [each for each in self.store.values() if each.status is ExecutionStatus.QUEUED]
        return [each for each in waiting if self.now - each.submitted_at > patience]

    def check_patience(self, before: dict[int, Execution]) -> None:
        """Nobody starts before an older one that has waited for longer than the patience.

        Unless that one has its room held already, or could not start on the nodes that there are.
        Where overtaking is allowed, who does not delay it may pass: that is not judged here.
        """
        if self.options.get("backfill") != "none":
            return
        overdue = self.waiting_too_long()
        for execution in self.store.values():
            known = before.get(execution.id)
            if execution.status is not ExecutionStatus.STARTING or (
                known is not None and known.status is not ExecutionStatus.QUEUED
            ):
                continue
            for other in overdue:
                is_older = (other.submitted_at, other.id) < (execution.submitted_at, execution.id)
                codes = {reason.code for reason in self.scheduler.executions[other.id].reasons}
                if is_older:
                    assert codes & MAY_BE_PASSED, f"{execution.id} passed {other.id}: {codes}"
                self.overdue += not is_older

    def check_counts(self, taken: list[tuple[int, str]]) -> None:
        """Nobody has more elastic instances than wanted; others took none below a minimum.

        What an administrator has set, a quota or a guaranteed amount, goes before a minimum.
        """
        for execution in self.store.values():
            if execution.status in (ExecutionStatus.STARTING, ExecutionStatus.RUNNING):
                for name, _ in execution.zapp.services():
                    assert elastic_kept(execution, name) <= execution.elastic_count(name)
        if self.shares == Accounts():
            for execution_id, service in taken:
                execution = self.store[execution_id]
                least = execution.elastic_min.get(service, 0)
                assert elastic_kept(execution, service) >= least, "the minimum is broken"
                self.kept += elastic_kept(execution, service) == least > 0

    def cores_held(self) -> Counter[tuple[str, str]]:
        """Return how much each user holds for each team."""
        held: Counter[tuple[str, str]] = Counter()
        for execution in self.store.values():
            for one in execution.instances:
                if one.is_placed:
                    each = execution.zapp.service(one.service).resources.cores_milli
                    held[execution.team, execution.owner] += each
        return held

    def use_up(self) -> None:
        """Bring the averages up to date before anything changes."""
        half_life = self.options.get("half_life_seconds", 3 * 86400.0)
        assert isinstance(half_life, float)
        rest = math.exp(-math.log(2) * (self.now - self.used_at) / half_life)
        self.used_at = self.now
        held = self.cores_held()
        for who in held.keys() | self.used.keys():
            self.used[who] = held[who] * (1 - rest) + self.used[who] * rest

    def check_balances(self) -> None:
        """What is kept says what everybody holds, and has used, also after a crash."""
        held = self.cores_held()
        assert held.keys() <= self.balances.keys()
        for who, balance in self.balances.items():
            assert balance.held[0] == held[who]
            if balance.at == self.now:
                assert math.isclose(balance.average[0], self.used[who], rel_tol=1e-6, abs_tol=1e-6)

    def check_guarantee(self) -> None:
        """Others took back nothing of what the team is guaranteed."""
        taken, self.take_backs = self.take_backs, []
        team = self.shares.team("t")
        by_others = any(
            self.store[loser].team == "t" and self.store[winner].team != "t"
            for loser, winner in taken
        )
        if team is None or team.guaranteed == NOTHING or not by_others:
            return
        guaranteed = team.guaranteed
        kept = [
            execution.zapp.service(each.service).resources
            for execution in self.store.values()
            if execution.team == "t"
            for each in execution.instances
            if each.status in KEPT
        ]
        total = sum(kept, NOTHING)
        assert (
            total.cores_milli >= guaranteed.cores_milli > 0
            or total.memory_bytes >= guaranteed.memory_bytes > 0
        )

    def check_forecast(self) -> None:
        """What a forecast is made of knows all that the scheduler does, and changes nothing."""
        snapshot = self.scheduler.snapshot(self.now, 100)
        if self.options.get("policy", "fifo") == "fifo":  # the order of others changes with time
            assert not thaw(snapshot.planner).plan(self.now).grants
        found = forecast(snapshot, None, random.Random(0), Bounds(samples=2, ends=20))
        assert all((each.p50 or self.now) >= self.now for each in found.values())
        assert holdings(self.scheduler.executions) == holdings(self.store)

    def record_status(self, change: SetStatus) -> None:
        execution = self.store[change.execution_id]
        assert change.status in EXECUTION_TRANSITIONS[execution.status]
        if change.status is ExecutionStatus.STARTING:
            assert execution.id not in self.stopped_by_user, "stop always wins"
        started = execution.started_at
        if change.status is ExecutionStatus.STARTING:
            started = self.now
            limit = execution.zapp.time_limit_seconds or change.time_limit_seconds
            quotas = self.shares.quotas_of(execution.owner, execution.team)
            assert all((limit or 1e9) <= (quota.run_seconds or 1e9) for _, quota in quotas)
            execution = replace(execution, time_limit_seconds=change.time_limit_seconds)
        changed = replace(
            execution, status=change.status, started_at=started, end=change.end or execution.end
        )
        if change.status in ENDED:
            assert changed.end is not None
            assert not any(one.is_placed for one in changed.instances)
            del self.store[execution.id]
        else:
            self.store[execution.id] = changed
        self.ever[execution.id] = changed

    def record_instance(self, instance: ServiceInstance) -> None:
        execution = self.store[instance.execution_id]
        instances = {one.id: one for one in execution.instances}
        old = instances.get(instance.id)
        if old is not None:
            assert (
                old.status is instance.status or instance.status in INSTANCE_TRANSITIONS[old.status]
            )
            assert instance.attempt >= old.attempt
            if instance.status is InstanceStatus.WAITING:
                assert instance.attempt == old.attempt + 1
        else:
            assert instance.status is InstanceStatus.WAITING
        if instance.status is InstanceStatus.STARTING:
            assert old is not None
            assert old.status is InstanceStatus.WAITING
            assert instance.not_before <= self.now
            assert execution.status in (ExecutionStatus.STARTING, ExecutionStatus.RUNNING)
            self.check_requirements(execution, instance)
        instances[instance.id] = instance
        self.store[execution.id] = replace(execution, instances=tuple(instances.values()))

    def check_requirements(self, execution: Execution, instance: ServiceInstance) -> None:
        for needed, condition in requirements(execution.zapp)[instance.service]:
            for one in execution.instances:
                if one.service == needed and one.essential:
                    done = one.exit is not None and one.exit.reason is ExitReason.COMPLETED
                    assert done or one.status is InstanceStatus.RUNNING
                    assert done or condition is not Condition.READY or one.ready

    def check_overdraft(self, before: dict[int, Execution]) -> None:
        """A node that is overdrawn because it shrank gets nothing more."""
        had = {
            (one.id, one.attempt)
            for execution in before.values()
            for one in execution.instances
            if one.is_placed
        }
        self.shrunk = {n.name for n in self.nodes if n.name in self.shrunk and self.is_overdrawn(n)}
        for execution in self.store.values():
            for one in execution.instances:
                if one.is_placed and (one.id, one.attempt) not in had and one.node in self.shrunk:
                    (node,) = (each for each in self.nodes if each.name == one.node)
                    takes = execution.zapp.service(one.service).resources
                    if not any(getattr(takes, name) for name in self.overdrawn(node)):
                        continue
                    keeps_its_room = (one.id, one.attempt - 1) in had
                    assert keeps_its_room, f"{one.id} was placed on {one.node}, which is overdrawn"

    def is_overdrawn(self, node: Node) -> bool:
        return bool(self.overdrawn(node))

    def overdrawn(self, node: Node) -> set[str]:
        """Return the resources of which more is held on a node than it has."""
        held = [
            execution.zapp.service(one.service).resources
            for execution in self.store.values()
            for one in execution.instances
            if one.is_placed and one.node == node.name
        ]
        return {
            name
            for name in ("cores_milli", "memory_bytes")
            if sum(getattr(each, name) for each in held) > getattr(node.capacity, name)
        }
