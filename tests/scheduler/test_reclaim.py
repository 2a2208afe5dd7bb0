"""Elastic instances are taken back where it is allowed, and where it gives more than it costs."""

from math import inf

import pytest

from zoe.model.cluster import Node
from zoe.model.quota import Accounts, Team
from zoe.model.resources import Resources
from zoe.model.zapp import Kind, Speedup
from zoe.scheduler.contender import Contender
from zoe.scheduler.demand import Demand, Need, Shape
from zoe.scheduler.plan import Plan
from zoe.scheduler.planner import Planner
from zoe.scheduler.request import Request
from zoe.scheduler.room import Room
from zoe.scheduler.sharing import Sharing

UNIT = Resources(1000, 1024**3)


def planner_of(units: int, **rules: object) -> Planner:
    planner = Planner(Sharing(**rules))  # type: ignore[arg-type] # any rule
    planner.set_nodes([Node("n1", UNIT * units)])
    return planner


def submit(
    planner: Planner,
    number: int,
    essential: int,
    elastic: int = 0,
    *,
    now: float = 0.0,
    runs: float | None = None,
    kind: Kind = Kind.BATCH,
    owner: str = "u",
    hands_over: bool = False,
) -> Plan:
    need = Need("f.s", Shape(UNIT), essential, elastic, hands_over=hands_over)
    demand = Demand(number, now, (need,), owner, kind=kind, run_seconds=runs)
    planner.wait(planner.add(demand, now), now)
    return replan(planner, now)


def replan(planner: Planner, now: float) -> Plan:
    plan = planner.plan(now)
    planner.commit(plan, now)
    return plan


def taken(plan: Plan) -> dict[int, int]:
    counts: dict[int, int] = {}
    for lending, count, _ in plan.take_back:
        counts[lending.contender.id] = counts.get(lending.contender.id, 0) + count
    return counts


def test_only_as_many_as_needed_and_the_newest_first() -> None:
    planner = planner_of(10)
    submit(planner, 1, 1, 4)
    submit(planner, 2, 1, 4, now=5.0)
    assert taken(submit(planner, 3, 3, now=9.0)) == {2: 3}


def test_those_that_hand_their_work_over_go_first() -> None:
    planner = planner_of(10)
    submit(planner, 1, 1, 4, hands_over=True)
    submit(planner, 2, 1, 4, now=5.0)
    assert taken(submit(planner, 3, 3, now=9.0)) == {1: 3}


def test_an_instance_is_left_alone_for_a_while() -> None:
    planner = planner_of(10, grant_seconds=60.0)
    submit(planner, 1, 1, 9)
    plan = submit(planner, 2, 2, now=20.0)
    assert (taken(plan), plan.retry_at, plan.blocked) == ({}, 60.0, 2)
    assert taken(replan(planner, 59.0)) == {}
    assert taken(replan(planner, 60.0)) == {1: 2}


def test_one_plan_takes_so_many_back() -> None:
    planner = planner_of(10, reclaim_per_plan=3)
    submit(planner, 1, 1, 9)
    assert taken(submit(planner, 2, 4)) == {}, "not even all that may go would be enough"
    planner = planner_of(10, reclaim_per_plan=3)
    submit(planner, 1, 1, 9)
    assert taken(submit(planner, 2, 3)) == {1: 3}


def test_one_execution_is_shrunk_so_often_in_an_hour() -> None:
    planner = planner_of(10, reclaim_per_hour=2)
    submit(planner, 1, 1, 9)
    for number, now in ((2, 100.0), (3, 200.0)):
        assert taken(submit(planner, number, 1, now=now)) == {1: 1}
        planner.gone(planner.contenders[1], 0, (0, 1), now)
        replan(planner, now)
        assert planner.contenders[number].is_admitted
    plan = submit(planner, 4, 1, now=300.0)
    assert (taken(plan), plan.retry_at) == ({}, 3700.0)
    assert taken(replan(planner, 3700.0)) == {1: 1}


@pytest.mark.parametrize(
    ("runs", "at", "kind", "is_worth"),
    [
        # It would wait for 100 - 10 = 90 s. Five of ten go: the other loses half of its speed for
        # 90 s and does the work of 10 s again, by five of ten: 45 + 5 = 50 s.
        (None, 10.0, Kind.BATCH, True),
        # After 60 s it gains 40 s; the other loses 20 s and 30 s of work.
        (None, 60.0, Kind.BATCH, False),
        # Somebody who sits and waits counts ten times.
        (None, 60.0, Kind.INTERACTIVE, True),
        # If it needs the room for 10 s only, the other loses 5 s and 30 s.
        (10.0, 60.0, Kind.BATCH, True),
        # After 80 s it gains 20 s, and the other loses 5 s and 40 s.
        (10.0, 80.0, Kind.BATCH, False),
    ],
)
def test_it_never_costs_more_than_it_gives(
    runs: float | None, at: float, kind: Kind, is_worth: bool
) -> None:
    planner = planner_of(10)
    submit(planner, 1, 5, 5, runs=100.0)
    plan = submit(planner, 2, 5, now=at, runs=runs, kind=kind)
    assert taken(plan) == ({1: 5} if is_worth else {})


def test_who_would_gain_too_little_is_judged_again_later() -> None:
    planner = planner_of(13)
    submit(planner, 1, 5, 5, runs=100.0)
    submit(planner, 2, 3, runs=1000.0)
    assert taken(submit(planner, 3, 5, now=60.0)) == {}, "it gains 40 s, the other loses 50 s"
    planner.forget(2, 61.0)
    plan = replan(planner, 61.0)
    assert (taken(plan), plan.blocked, plan.retry_at) == ({}, 3, 64.0), "a tenth of the 40 s"
    assert taken(replan(planner, 64.0)) == {1: 2}, "it gains 36 s, the other loses 20 s"


def test_who_has_waited_for_too_long_takes_whatever_it_costs() -> None:
    for patience, expected in ((1000.0, {}), (5.0, {1: 4})):
        planner = planner_of(11, patience_seconds=patience)
        submit(planner, 1, 5, 5, runs=100.0)
        submit(planner, 2, 1, runs=1000.0)
        submit(planner, 3, 5, now=60.0)
        planner.forget(2, 66.0)
        assert taken(replan(planner, 66.0)) == expected


def test_nothing_is_lost_that_is_handed_over() -> None:
    planner = planner_of(10)
    submit(planner, 1, 5, 5, runs=100.0, hands_over=True)
    assert taken(submit(planner, 2, 5, now=60.0)) == {1: 5}, "it gains 40 s, the other loses 20 s"


def test_the_lost_work_is_bounded() -> None:
    planner = planner_of(10, lost_seconds=10.0)
    submit(planner, 1, 5, 5, runs=100.0)
    assert taken(submit(planner, 2, 5, now=60.0)) == {1: 5}, "20 s and 5 s for 40 s"


def test_it_is_worth_it_if_nobody_can_tell_how_long_it_would_wait() -> None:
    planner = planner_of(10)
    submit(planner, 1, 5, 5)
    plan = submit(planner, 2, 5, now=1000.0)
    assert (taken(plan), plan.retry_at) == ({1: 5}, inf)


def test_whoever_has_more_takes_nothing_of_who_has_less() -> None:
    planner = planner_of(10, policy="fair")
    submit(planner, 1, 6, owner="ann")
    submit(planner, 2, 1, 3, owner="bob")
    assert taken(submit(planner, 3, 2, owner="ann")) == {}
    assert taken(submit(planner, 4, 2, owner="cat")) == {2: 2}


def test_what_a_minimum_keeps_is_not_taken_back() -> None:
    planner = planner_of(10)
    submit(planner, 1, 1, 4)
    submit(planner, 2, 1, 4)
    planner.set_minimum(planner.contenders[2], (3,))
    assert taken(submit(planner, 3, 3, now=9.0)) == {2: 1, 1: 2}
    assert taken(submit(planner, 4, 3, now=9.0)) == {}


def test_a_minimum_counts_what_the_same_plan_takes_for_another() -> None:
    planner = planner_of(10)
    submit(planner, 1, 1, 8)
    planner.set_minimum(planner.contenders[1], (5,))
    for number in (2, 3):
        demand = Demand(number, 1.0, (Need("f.s", Shape(UNIT), 3),), "u")
        planner.wait(planner.add(demand, 1.0), 1.0)
    assert taken(replan(planner, 1.0)) == {1: 2}
    assert planner.contenders[1].spare(0) == 1


def test_a_lower_minimum_lets_others_in_at_once() -> None:
    planner = planner_of(4)
    submit(planner, 1, 1, 3)
    planner.set_minimum(planner.contenders[1], (3,))
    assert taken(submit(planner, 2, 2, now=1.0)) == {}
    planner.set_minimum(planner.contenders[1], (2,))
    assert taken(replan(planner, 2.0)) == {}
    planner.set_minimum(planner.contenders[1], None)
    assert taken(replan(planner, 3.0)) == {1: 2}
    assert not planner.keeping


def test_what_a_team_is_guaranteed_goes_before_a_minimum() -> None:
    planner = planner_of(4, policy="fair")
    planner.set_shares(Accounts(teams={"t": Team("t", guaranteed=UNIT * 2)}))
    submit(planner, 1, 1, 3)
    planner.set_minimum(planner.contenders[1], (3,))
    demand = Demand(2, 1.0, (Need("f.s", Shape(UNIT), 2),), "v", "t")
    planner.wait(planner.add(demand, 1.0), 1.0)
    assert taken(replan(planner, 1.0)) == {1: 2}


def test_only_instances_of_the_service_with_the_curve_count() -> None:
    curve = Speedup(points=((4, 4.0),))
    needs = (Need("f.lead", Shape(UNIT), 2), Need("f.worker", Shape(UNIT), 1, 3, curve))
    contender = Contender(Demand(1, 0.0, needs), Request(needs, Room()), 60.0)
    contender.begin_to_hold()
    contender.essential[0][0] = 2
    contender.advance(0.0, 2)
    assert contender.rate == 2 / 6, "a curve says nothing of none"
    contender.essential[1][0] = 1
    contender.advance(0.0, 1)
    assert contender.rate == 0.25
    contender.elastic[1][0] = 1
    contender.advance(0.0, 1)
    assert contender.rate == 0.5
    assert contender.rate_without(1, 1) == 0.25
    assert contender.rate_without(1, 0) == 0.5
