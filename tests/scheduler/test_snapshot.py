"""What the scheduler gives away for a forecast, and that it is left as it was."""

from dataclasses import replace

import pytest

from zoe.model.change import Cause, SetInstance
from zoe.model.cluster import Node
from zoe.model.execution import Execution, Exit, ExitReason, InstanceStatus
from zoe.model.quota import Accounts, Quota, Team, User
from zoe.model.resources import Resources
from zoe.model.zapp import Framework, Kind, Service, ZApp
from zoe.scheduler.allocator import IMAGINED
from zoe.scheduler.events import (
    Event,
    ExecutionSubmitted,
    InstanceStarted,
    InstanceStopped,
    NodesObserved,
    ScaleRequested,
    SharesSet,
    TerminationRequested,
)
from zoe.scheduler.history import Run
from zoe.scheduler.scheduler import Scheduler
from zoe.scheduler.sharing import Sharing
from zoe.scheduler.snapshot import thaw


def app(essential: int, elastic: int = 0, limit: float | None = None) -> ZApp:
    service = Service(
        "s", resources=Resources(1000), essential=essential, elastic=elastic, monitor=True
    )
    return ZApp("app", Kind.BATCH, (Framework("f", (service,)),), limit)


def execution(number: int, zapp: ZApp) -> Execution:
    return Execution(number, f"e{number}", "ann", zapp, float(number))


def scheduler_with(*zapps: ZApp) -> Scheduler:
    scheduler = Scheduler()
    scheduler.handle(NodesObserved((Node("n1", Resources(4000)),)), 0.0)
    for number, zapp in enumerate(zapps, 1):
        scheduler.handle(ExecutionSubmitted(execution(number, zapp)), float(number))
    return scheduler


def test_it_has_the_time_limits_of_what_runs() -> None:
    scheduler = scheduler_with(app(2, limit=60.0), app(2), app(4, limit=60.0))
    snapshot = scheduler.snapshot(10.0, 100)
    assert snapshot.deadlines == {1: 61.0}
    copy = thaw(snapshot.planner)
    assert [each.id for each in copy.waiting] == [3]
    assert not copy.plan(10.0).grants


def test_quotas_weights_and_guaranteed_shares_go_along() -> None:
    scheduler = Scheduler(Sharing(policy="fair"))
    scheduler.handle(NodesObserved((Node("n1", Resources(4000)),)), 0.0)
    quota = Quota(cores_milli=2000, run_seconds=50.0)
    team = Team("t", 2.0, Resources(1000))
    shares = Accounts({"ann": User("ann", weight=3.0, quota=quota)}, {"t": team}, 7)
    scheduler.handle(SharesSet(shares), 0.0)
    for number in range(1, 4):
        one = replace(execution(number, app(1)), team="t")
        scheduler.handle(ExecutionSubmitted(one), float(number))
    snapshot = scheduler.snapshot(10.0, 1)
    assert snapshot.deadlines == {1: 51.0, 2: 52.0}, "the quota limits how long they run"
    copy = thaw(snapshot.planner)
    assert copy.ledger.shares == shares
    assert copy.fairness is not None
    account = copy.fairness.team("t")
    assert (account.weight, account.guaranteed) == (2.0, (1000, 0, 0))
    assert not copy.plan(10.0).grants
    copy.forget(1, 20.0)
    plan = copy.plan(20.0)
    copy.commit(plan, 20.0)
    assert [grant.contender.id for grant in plan.grants] == [3]
    assert not copy.plan(20.0).grants, "the quota is full again"
    assert scheduler.queue() == (3,)


def test_a_wish_waits_in_the_copy_and_nowhere_else() -> None:
    scheduler = scheduler_with(app(4), app(2))
    wish = replace(execution(0, app(1)), submitted_at=50.0)
    before = thaw(scheduler.snapshot(50.0, 100).planner)
    copy = thaw(scheduler.snapshot(50.0, 100, wish).planner)
    assert [each.id for each in copy.waiting] == [2, IMAGINED]
    assert scheduler.queue() == (2,)
    after = thaw(scheduler.snapshot(50.0, 100).planner)
    assert sorted(after.contenders) == sorted(before.contenders) == [1, 2]
    assert (after.room.free, after.room.delta) == (before.room.free, before.room.delta)
    assert scheduler.would_admit(wish, 50.0).queue_position == 2


def test_room_that_is_being_cleared_stays_held_when_a_wish_is_imagined() -> None:
    scheduler = scheduler_with(app(1, elastic=3))
    scheduler.handle(InstanceStarted("1/f.s/3", 1, ""), 2.0)
    scheduler.handle(InstanceStarted("1/f.s/2", 1, ""), 2.0)
    scheduler.handle(ExecutionSubmitted(execution(2, app(2))), 2.0)
    before = thaw(scheduler.snapshot(3.0, 100).planner)
    assert list(before.claims) == [2]
    scheduler.snapshot(3.0, 100, replace(execution(0, app(1)), submitted_at=3.0))
    after = thaw(scheduler.snapshot(3.0, 100).planner)
    assert list(after.claims) == [2]
    assert (after.room.free, after.room.delta) == (before.room.free, before.room.delta)


def test_what_could_never_start_has_no_place() -> None:
    scheduler = scheduler_with()
    admission = scheduler.would_admit(execution(0, app(5)), 1.0)
    assert (admission.can_ever_fit, admission.queue_position) == (False, None)


def test_how_long_it_held_its_room_is_remembered_when_it_has_ended() -> None:
    scheduler = scheduler_with(app(1, limit=100.0), app(4))
    scheduler.handle(TerminationRequested(2, "ann"), 10.0)
    assert scheduler.history.runs("app", "ann") == ()  # it had no room
    scheduler.handle(InstanceStopped("1/f.s/0", 1, Exit(ExitReason.COMPLETED, 0)), 31.0)
    assert 1 not in scheduler.executions
    assert scheduler.history.runs("app", "ann") == (Run(100.0, pytest.approx(30.0)),)


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (ExecutionSubmitted(execution(2, app(1))), Cause("reclaim", 2)),
        (ScaleRequested(1, "f.s", 2), Cause("scale")),
    ],
)
def test_what_is_taken_back_says_under_which_rule(event: Event, cause: Cause) -> None:
    scheduler = scheduler_with(app(1, elastic=3))
    decisions = scheduler.handle(event, 5.0)
    lost = [
        each
        for each in decisions
        if isinstance(each, SetInstance)
        and each.instance.execution_id == 1
        and each.instance.status in (InstanceStatus.STOPPING, InstanceStatus.STOPPED)
    ]
    assert lost
    assert {each.cause for each in lost} == {cause}
