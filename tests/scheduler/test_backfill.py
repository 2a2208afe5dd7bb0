"""Who may overtake, and when those that wait are booked."""

from math import inf

from zoe.model.cluster import Node
from zoe.model.resources import Resources
from zoe.scheduler.backfill import reserve
from zoe.scheduler.conservative import timetable
from zoe.scheduler.contender import Contender
from zoe.scheduler.demand import Demand, Need, Shape
from zoe.scheduler.planner import Planner
from zoe.scheduler.sharing import Sharing
from zoe.sim.simulation import simulate
from zoe.sim.workload import uniform_job

UNIT = Resources(1000, 1024**3)


def planner_of(nodes: dict[str, int], backfill: str = "easy") -> Planner:
    planner = Planner(Sharing(backfill=backfill))
    planner.set_nodes([Node(name, UNIT * units) for name, units in nodes.items()])
    return planner


def submit(
    planner: Planner, number: int, units: int, runs: float | None, *, each: int = 1
) -> Contender:
    needs = (Need("f.s", Shape(UNIT * each), units // each),)
    contender = planner.add(Demand(number, 0.0, needs, run_seconds=runs), 0.0)
    planner.wait(contender, 0.0)
    return contender


def starts(planner: Planner, now: float = 0.0) -> list[int]:
    plan = planner.plan(now)
    planner.commit(plan, now)
    return [grant.contender.id for grant in plan.grants]


def test_a_reservation_is_where_and_when_it_will_fit() -> None:
    planner = planner_of({"a": 4, "b": 4})
    submit(planner, 1, 3, 50.0, each=3)
    submit(planner, 2, 3, 80.0, each=3)
    assert starts(planner) == [1, 2]
    blocked = submit(planner, 3, 4, 10.0, each=4)
    reservation = reserve(planner, blocked, 0.0, {})
    assert reservation is not None
    assert reservation.at == 50.0
    with reservation.kept():
        assert [planner.room.available(node).cores_milli for node in (0, 1)] == [0, 1000]
    assert [planner.room.available(node).cores_milli for node in (0, 1)] == [1000, 1000]


def test_nobody_can_tell_when_those_without_a_time_limit_end() -> None:
    planner = planner_of({"a": 4})
    submit(planner, 1, 3, None)
    starts(planner)
    blocked = submit(planner, 2, 2, 10.0)
    submit(planner, 3, 1, 1.0)
    assert reserve(planner, blocked, 0.0, {}) is None
    assert starts(planner) == []


def test_a_reservation_holds_until_somebody_gets_room() -> None:
    planner = planner_of({"a": 4})
    submit(planner, 1, 3, 50.0)
    starts(planner)
    submit(planner, 2, 4, 10.0)
    submit(planner, 3, 1, 60.0)
    assert starts(planner, 1.0) == []
    first = planner.reservation
    assert first is not None
    assert first.rejected == {3}
    submit(planner, 4, 1, 70.0)
    assert starts(planner, 2.0) == []
    assert planner.reservation is first, "an arrival does not change it"
    submit(planner, 5, 1, 40.0)
    assert starts(planner, 3.0) == [5]


def test_with_easy_only_the_first_is_protected_with_conservative_everybody() -> None:
    """The third starts at once; it delays the second that waits, not the first."""
    jobs = [
        uniform_job(1, 0.0, 10.0, 6, 0, UNIT, run_seconds=10.0),
        uniform_job(2, 1.0, 10.0, 8, 0, UNIT, run_seconds=10.0),
        uniform_job(3, 2.0, 10.0, 10, 0, UNIT, run_seconds=10.0),
        uniform_job(4, 3.0, 27.0, 2, 0, UNIT, run_seconds=27.0),
    ]
    begun = {}
    for backfill in ("none", "easy", "conservative"):
        planner = Planner(Sharing(backfill=backfill))
        result = simulate(jobs, [Node("n", UNIT * 10)], planner)
        begun[backfill] = [one.started for one in sorted(result.outcomes, key=lambda o: o.job.id)]
    assert begun == {
        "none": [0.0, 10.0, 20.0, 30.0],
        "easy": [0.0, 10.0, 30.0, 3.0],
        "conservative": [0.0, 10.0, 20.0, 30.0],
    }


def test_bookings_split_the_time() -> None:
    planner = planner_of({"a": 4}, "conservative")
    submit(planner, 1, 3, 50.0)
    starts(planner)
    table = timetable(planner, 0.0, {})
    assert table.times == [0.0, 50.0]
    waits = [submit(planner, number, units, None) for number, units in ((2, 4), (3, 1), (4, 1))]
    booked = [
        table.book(one, seconds) for one, seconds in zip(waits, (20.0, 60.0, 30.0), strict=True)
    ]
    assert [one[0] if one else None for one in booked] == [50.0, 70.0, 0.0]
    assert table.times == [0.0, 30.0, 50.0, 70.0, 130.0]
    assert table.book(submit(planner, 5, 4, None), inf) == (130.0, [(0, [(0, 4)])])
    assert table.book(submit(planner, 6, 1, None), 1000.0) is None


def test_conservative_waits_for_one_of_which_nobody_can_tell() -> None:
    planner = planner_of({"a": 4}, "conservative")
    submit(planner, 1, 3, None)
    starts(planner)
    submit(planner, 2, 2, 10.0)
    submit(planner, 3, 1, 1.0)
    assert starts(planner) == []


def test_run_times_are_learnt_where_none_is_declared() -> None:
    """The last one may overtake if five like it have ended before, not if four have."""
    crowd = [uniform_job(n, n * 20.0, 10.0, 2, 0, UNIT) for n in range(5)]
    long = uniform_job(10, 100.0, 100.0, 6, 0, UNIT, run_seconds=100.0)
    blocked = uniform_job(11, 101.0, 10.0, 10, 0, UNIT, run_seconds=10.0)
    late = uniform_job(12, 102.0, 10.0, 2, 0, UNIT)
    for known, starts_at in ((crowd, 102.0), (crowd[:4], 210.0)):
        planner = Planner(Sharing())
        result = simulate([*known, long, blocked, late], [Node("n", UNIT * 10)], planner)
        begun = {one.job.id: one.started for one in result.outcomes}
        assert (begun[11], begun[12]) == (200.0, starts_at)
