"""Elastic instances make way for those of an execution that comes before, where it gains more."""

from typing import Any

import pytest

from zoe.model.cluster import Node
from zoe.model.quota import Accounts, Quota, User
from zoe.model.resources import Resources
from zoe.model.zapp import Kind, Speedup
from zoe.scheduler.demand import Demand, Need, Shape
from zoe.scheduler.planner import Planner
from zoe.scheduler.sharing import Sharing

UNIT = Resources(1000, 1024**3)


def planner_of(*units: int, **rules: Any) -> Planner:
    """Return a planner for nodes of so many units; the first has the label ssd."""
    planner = Planner(Sharing(**({"policy": "sjf", "lost_seconds": 0.0} | rules)))
    planner.set_nodes(
        Node(f"n{number}", UNIT * each, labels=frozenset({"ssd"} if number == 1 else ()))
        for number, each in enumerate(units, 1)
    )
    return planner


def workers(essential: int, elastic: int, units: int = 1, **fields: Any) -> Need:
    return Need("f.s", Shape(UNIT * units, **fields), essential, elastic)


def submit(
    planner: Planner,
    number: int,
    *needs: Need,
    runs: float | None,
    now: float = 0.0,
    kind: Kind = Kind.BATCH,
) -> dict[int, int]:
    """Submit it and let everything happen at once; return how many all have then."""
    demand = Demand(number, now, needs, "u", kind=kind, run_seconds=runs)
    planner.wait(planner.add(demand, now), now)
    for _ in range(20):
        plan = planner.plan(now)
        planner.commit(plan, now)
        for lending, count, _ in plan.take_back:
            planner.gone(lending.contender, lending.need, (lending.node, count), now)
        if not plan.grants and not plan.take_back:
            return {each: contender.has for each, contender in planner.contenders.items()}
    raise AssertionError("it comes to no end")


def test_a_short_one_has_all_it_asks_for() -> None:
    planner = planner_of(6)
    submit(planner, 1, workers(1, 5), runs=10_000.0)
    assert submit(planner, 2, workers(1, 3), runs=60.0, now=5.0) == {1: 2, 2: 4}


def test_a_long_one_takes_nothing_from_those_before_it() -> None:
    planner = planner_of(6)
    submit(planner, 1, workers(1, 4), runs=60.0)
    assert submit(planner, 2, workers(1, 3), runs=10_000.0, now=5.0) == {1: 5, 2: 1}


@pytest.mark.parametrize("rules", [{"policy": "fifo"}, {"reclaim": False}, {"policy": "fair"}])
def test_not_where_nobody_comes_before_who_was_there(rules: dict[str, object]) -> None:
    planner = planner_of(6, **rules)
    submit(planner, 1, workers(1, 4), runs=10_000.0)
    assert submit(planner, 2, workers(1, 3), runs=60.0, now=5.0) == {1: 5, 2: 1}


def test_not_where_nobody_knows_how_long_it_runs() -> None:
    planner = planner_of(6, policy="size2d")
    submit(planner, 1, workers(1, 4), runs=100_000.0)
    assert submit(planner, 2, workers(1, 3), runs=None, now=5.0) == {1: 5, 2: 1}


def test_it_takes_nothing_that_costs_more_than_it_gives() -> None:
    """After 5,000 s each instance of the long one has so much to do again."""
    planner = planner_of(6, lost_seconds=1e9)
    submit(planner, 1, workers(1, 4), runs=10_000.0)
    assert submit(planner, 2, workers(1, 3), runs=60.0, now=5000.0) == {1: 5, 2: 1}


def test_a_second_of_who_waits_for_it_counts_ten_times() -> None:
    def left(kind: Kind) -> dict[int, int]:
        planner = planner_of(6, lost_seconds=1e9)
        submit(planner, 1, workers(1, 4), runs=10_000.0)
        return submit(planner, 2, workers(1, 1), runs=60.0, now=500.0, kind=kind)

    assert left(Kind.BATCH) == {1: 5, 2: 1}
    assert left(Kind.INTERACTIVE) == {1: 4, 2: 2}


def test_only_as_many_as_make_room() -> None:
    planner = planner_of(8)
    submit(planner, 1, workers(1, 6), runs=10_000.0)
    assert submit(planner, 2, workers(1, 5, units=2), runs=60.0, now=5.0) == {1: 2, 2: 3}


def test_only_on_nodes_that_it_may_use() -> None:
    planner = planner_of(4, 4)
    submit(planner, 1, workers(1, 6), runs=10_000.0)
    after = submit(planner, 2, workers(1, 9, labels=frozenset({"ssd"})), runs=60.0, now=5.0)
    assert after in ({1: 4, 2: 4}, {1: 5, 2: 3}), "the essential instance of the other stays"


def test_one_on_each_node_where_it_is_to_be_spread() -> None:
    planner = planner_of(4, 4)
    submit(planner, 1, workers(1, 6), runs=10_000.0)
    assert submit(planner, 2, workers(1, 3, spread=True), runs=60.0, now=5.0) == {1: 6, 2: 2}


def test_nor_two_where_several_others_have_room_on_one_node() -> None:
    planner = planner_of(5, 1)
    submit(planner, 1, workers(1, 2), runs=10_000.0)
    submit(planner, 2, workers(1, 2), runs=20_000.0)
    short = Demand(3, 5.0, (workers(0, 3, spread=True),), "u", run_seconds=60.0)
    planner.wait(planner.add(short, 5.0), 5.0)
    assert [one.instances for one in planner.plan(5.0).take_back] == [1]


def test_one_that_has_nothing_yet_gets_some() -> None:
    planner = planner_of(4)
    submit(planner, 1, workers(1, 3), runs=10_000.0)
    assert submit(planner, 2, workers(0, 2), runs=60.0, now=5.0) == {1: 2, 2: 2}


def test_a_quota_is_not_passed() -> None:
    planner = planner_of(12)
    planner.set_shares(Accounts({"u": User("u", quota=Quota(cores_milli=9000))}))
    submit(planner, 1, workers(1, 6), runs=10_000.0)
    after = submit(planner, 2, workers(1, 5), runs=60.0, now=5.0)
    assert sum(after.values()) <= 9


def test_a_minimum_stays() -> None:
    planner = planner_of(6)
    submit(planner, 1, workers(1, 4), runs=10_000.0)
    planner.set_minimum(planner.contenders[1], (3,))
    assert submit(planner, 2, workers(1, 3), runs=60.0, now=5.0) == {1: 4, 2: 2}


def test_no_more_go_at_once_than_may() -> None:
    planner = planner_of(6, reclaim_per_plan=1)
    submit(planner, 1, workers(1, 4), runs=10_000.0)
    assert submit(planner, 2, workers(1, 3), runs=60.0, now=5.0) == {1: 4, 2: 2}


@pytest.mark.parametrize(("least_gain", "has"), [(0.0, 2), (0.1, 1)])
def test_while_somebody_waits_only_for_those_that_add_enough(least_gain: float, has: int) -> None:
    planner = planner_of(101, growth_gain=least_gain)
    submit(planner, 1, workers(1, 99), runs=10_000.0)
    submit(planner, 2, workers(101, 0), runs=90_000.0)
    little = Need("f.s", Shape(UNIT), 1, 1, speedup=Speedup(points=((2, 1.05),)))
    after = submit(planner, 3, little, runs=60.0, now=5.0)
    assert (after[2], after[3]) == (0, has)


def test_a_curve_that_gains_nothing_takes_nothing() -> None:
    flat = Need("f.s", Shape(UNIT), 1, 3, speedup=Speedup(points=((2, 1.01), (4, 1.02))))
    planner = planner_of(6, lost_seconds=60.0)
    submit(planner, 1, workers(1, 4), runs=10_000.0)
    assert submit(planner, 2, flat, runs=60.0, now=60.0) == {1: 5, 2: 1}
