"""The published numbers, exactly, and the traits of the simulator itself."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rehearsal import rehearse, scheduler_of
from zoe.model.cluster import Node
from zoe.model.resources import Resources
from zoe.model.zapp import Speedup
from zoe.scheduler.invariants import check_invariants
from zoe.scheduler.plan import Plan
from zoe.scheduler.planner import Planner
from zoe.scheduler.sharing import Sharing
from zoe.sim.metrics import measure
from zoe.sim.outcome import Ending, Result
from zoe.sim.simulation import Physics, simulate
from zoe.sim.workload import Job, uniform_job

UNIT = Resources(1000, 1024**3)


def golden_jobs() -> list[Job]:
    return [
        uniform_job(number, 0.0, 10.0, 3, elastic, UNIT)
        for number, elastic in enumerate((4, 3, 5, 2), 1)
    ]


def reclaim_jobs() -> list[Job]:
    shapes = [(0.0, 6, 4, 20.0), (1.0, 6, 2, 25.0), (2.0, 8, 8, 12.5), (5.0, 19, 1, 7.5)]
    return [
        uniform_job(number, arrival, seconds, essential, elastic, UNIT)
        for number, (arrival, essential, elastic, seconds) in enumerate(shapes, 1)
    ]


def run(
    jobs: Iterable[Job], units: int, *, physics: Physics | None = None, **rules: object
) -> Result:
    nodes = [Node("n1", UNIT * units)]
    return simulate(jobs, nodes, Planner(Sharing(**rules)), physics=physics)  # type: ignore[arg-type]


def ends(result: Result) -> list[float]:
    return [one.ended for one in sorted(result.outcomes, key=lambda one: one.job.id)]


def taken_back(result: Result) -> int:
    return sum(one.taken_back for one in result.outcomes)


@pytest.mark.parametrize(
    ("generation", "expected", "mean"),
    [
        ("rigid", [10, 20, 30, 40], 25),
        ("malleable", [10, 15, 22.5, 32.5], 20),
        ("published", [10, 15, 165 / 7, 199 / 7], 19.25),
    ],
)
def test_the_published_example_ends_exactly_when_it_was_published_to(
    generation: str, expected: list[float], mean: float
) -> None:
    result = run(golden_jobs(), 10, generation=generation)
    assert ends(result) == pytest.approx(expected, abs=1e-9, rel=0)
    assert measure(result).overall.turnaround.mean == pytest.approx(mean, abs=1e-9, rel=0)
    assert taken_back(result) == 0
    rehearsed = rehearse(
        golden_jobs(), [Node("n1", UNIT * 10)], scheduler_of(generation=generation, reclaim=False)
    )
    assert [rehearsed[n][1] for n in range(1, 5)] == pytest.approx(expected, abs=1e-9, rel=0)


def test_take_back_lets_the_essential_sets_in_earlier() -> None:
    kept, taken = run(reclaim_jobs(), 20, generation="published"), run(reclaim_jobs(), 20)
    assert taken_back(kept) == 0
    assert taken_back(taken) > 0
    waits = {one.job.id: one.wait_seconds for one in taken.outcomes}
    assert waits[3] == 0.0  # 8 essential units beside 6 + 6: all start at once
    assert {one.job.id: one.wait_seconds for one in kept.outcomes}[3] > 0.0


def test_draining_holds_the_room_for_the_one_that_waits_for_it() -> None:
    at_once = run(reclaim_jobs(), 20)
    drained = run(reclaim_jobs(), 20, physics=Physics(drain_seconds=3.0))
    wait = {one.job.id: one.wait_seconds for one in drained.outcomes}
    assert taken_back(drained) > 0
    assert wait[3] == {one.job.id: one.wait_seconds for one in at_once.outcomes}[3] + 3.0


def test_lost_work_is_done_again() -> None:
    kept = run(reclaim_jobs(), 20)
    lost = run(reclaim_jobs(), 20, physics=Physics(lost_seconds=100.0))
    assert sum(one.lost_seconds for one in kept.outcomes) == 0.0
    assert sum(one.lost_seconds for one in lost.outcomes) > 0.0
    assert sum(ends(lost)) > sum(ends(kept))


def test_the_same_input_gives_the_same_trace() -> None:
    traces: list[list[str]] = [[], []]
    for trace in traces:

        def watch(now: float, plan: Plan, trace: list[str] = trace) -> None:
            granted = [(one.contender.id, one.need, one.places, one.elastic) for one in plan.grants]
            trace.append(f"{now} {granted} {[one.instances for one in plan.take_back]}")

        simulate(reclaim_jobs(), [Node("n1", UNIT * 20)], Planner(Sharing()), watch=watch)
    assert traces[0] == traces[1]
    assert traces[0]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("fifo", [10, 110, 111]), ("sjf", [10, 111, 11]), ("size2d", [10, 111, 11]),
     ("size3d", [10, 111, 11]), ("srpt", [10, 111, 11]), ("hrrn", [10, 111, 11])],
)  # fmt: skip
def test_smaller_executions_go_first_by_the_policies_of_size(
    policy: str, expected: list[float]
) -> None:
    jobs = [
        uniform_job(1, 0.0, 10.0, 10, 0, UNIT, run_seconds=10.0),
        uniform_job(2, 1.0, 100.0, 10, 0, UNIT, run_seconds=100.0),
        uniform_job(3, 2.0, 1.0, 1, 0, UNIT, run_seconds=1.0),
    ]
    assert ends(run(jobs, 10, policy=policy, backfill="none")) == expected


def test_one_that_does_not_delay_the_blocked_may_overtake_it() -> None:
    jobs = [
        uniform_job(1, 0.0, 10.0, 6, 0, UNIT, run_seconds=10.0),
        uniform_job(2, 1.0, 10.0, 8, 0, UNIT, run_seconds=10.0),
        uniform_job(3, 2.0, 8.0, 4, 0, UNIT, run_seconds=8.0),  # ends when 2 can start
        uniform_job(4, 2.5, 50.0, 2, 0, UNIT, run_seconds=50.0),  # no room beside 3
    ]
    backfilled, strict = run(jobs, 10), run(jobs, 10, backfill="none")
    assert ends(strict) == [10.0, 20.0, 28.0, 70.0]
    assert ends(backfilled) == [10.0, 20.0, 10.0, 60.0]
    assert {one.job.id: one.overtaken for one in backfilled.outcomes}[2] == 1


def test_what_is_left_over_at_the_shadow_time_may_be_used_for_long() -> None:
    jobs = [
        uniform_job(1, 0.0, 10.0, 6, 0, UNIT, run_seconds=10.0),
        uniform_job(2, 1.0, 10.0, 8, 0, UNIT, run_seconds=10.0),
        uniform_job(3, 2.0, 50.0, 3, 0, UNIT, run_seconds=50.0),  # 2 are left over, not 3
        uniform_job(4, 2.0, 50.0, 2, 0, UNIT, run_seconds=50.0),
    ]
    assert ends(run(jobs, 10)) == [10.0, 20.0, 70.0, 52.0]


def test_nobody_overtakes_where_the_ends_are_not_known() -> None:
    jobs = [
        uniform_job(1, 0.0, 10.0, 6, 0, UNIT),
        uniform_job(2, 1.0, 10.0, 8, 0, UNIT, run_seconds=10.0),
        uniform_job(3, 2.0, 1.0, 1, 0, UNIT, run_seconds=1.0),
    ]
    assert ends(run(jobs, 10)) == [10.0, 20.0, 11.0]


def test_who_has_waited_too_long_goes_first() -> None:
    """A stream of small executions would keep the large one waiting for ever."""
    small = [uniform_job(10 + n, n * 4.0, 9.0, 5, 0, UNIT, run_seconds=9.0) for n in range(100)]
    large = uniform_job(1, 1.0, 10.0, 10, 0, UNIT, run_seconds=10.0)
    waits = {}
    for patience in (50.0, 1e9):
        result = run([large, *small], 10, policy="sjf", backfill="none", patience_seconds=patience)
        waits[patience] = {one.job.id: one for one in result.outcomes}[1].wait_seconds
    assert waits[50.0] <= 50.0 + 10.0
    assert waits[1e9] > 300.0


def test_what_never_fits_is_left_waiting_and_blocks_nobody() -> None:
    jobs = [uniform_job(9, 0.0, 1.0, 11, 0, UNIT), *golden_jobs()]
    result = run(jobs, 10)
    never = [one for one in result.outcomes if one.ending is Ending.NEVER]
    assert [one.job.id for one in never] == [9]
    assert len(result.outcomes) == 5


def test_spans_and_moments_tell_what_happened() -> None:
    nodes = [Node("n1", UNIT * 10)]
    result = simulate(golden_jobs(), nodes, Planner(Sharing()), keep_spans=True)
    for job in golden_jobs():
        work = sum(
            (span.end - span.begin) * span.instances
            for span in result.spans
            if span.execution_id == job.id
        )
        assert work == pytest.approx(job.seconds * job.demand.instances)
    assert all(moment.used.cores_milli <= 10_000 for moment in result.moments)
    assert (result.moments[-1].running, result.moments[-1].waiting) == (0, 0)


jobs_of_a_cluster = st.lists(
    st.tuples(
        st.integers(0, 40),  # arrival
        st.integers(1, 30),  # seconds
        st.integers(1, 5),  # essential
        st.integers(0, 6),  # elastic
        st.integers(1, 4),  # cores
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize(
    "rules",
    [
        {"generation": "flexible", "backfill": "none"},
        {"generation": "flexible", "reclaim": False},
        {"generation": "flexible", "policy": "size3d"},
        {"generation": "published", "reclaim": False},
        {"generation": "malleable", "reclaim": False},
        {"generation": "rigid", "reclaim": False},
    ],
    ids=lambda rules: "-".join(map(str, rules.values())),
)
@given(shapes=jobs_of_a_cluster)
@settings(max_examples=settings.default.max_examples // 4)
def test_the_simulator_ends_all_that_can_start_and_so_does_the_scheduler(
    rules: dict[str, object], shapes: list[tuple[int, int, int, int, int]]
) -> None:
    nodes = [Node(f"n{number}", Resources(6000)) for number in range(3)]
    jobs = [
        uniform_job(n, float(at), float(seconds), essential, elastic, Resources(1000 * cores))
        for n, (at, seconds, essential, elastic, cores) in enumerate(shapes, 1)
    ]
    planner = Planner(Sharing(**rules))  # type: ignore[arg-type]
    result = simulate(jobs, nodes, planner)
    assert len(result.outcomes) == len(jobs)
    ended = {one.job.id for one in result.outcomes if one.ending is Ending.COMPLETED}
    assert not planner.claims
    assert not planner.lent
    assert planner.room.free == [18000, 0, 0]
    scheduler = scheduler_of(**rules)
    rehearsed = rehearse(jobs, nodes, scheduler, watch=lambda _, __: check_invariants(scheduler))
    assert set(rehearsed) == ended


def test_one_at_a_time_the_simulator_and_the_scheduler_do_the_same() -> None:
    """With arrivals and ends at times of their own, both plan after each of them."""
    jobs = [
        uniform_job(n, n * 3.1, 7.3 + n % 5, 1 + n % 3, (n * 7) % 6, UNIT) for n in range(1, 60)
    ]
    nodes = [Node("n1", UNIT * 12)]
    for rules in ({"reclaim": False, "backfill": "none"}, {"generation": "malleable"}):
        result = simulate(jobs, nodes, Planner(Sharing(**rules)))  # type: ignore[arg-type]
        rehearsed = rehearse(jobs, nodes, scheduler_of(**rules))
        for one in result.outcomes:
            assert rehearsed[one.job.id] == pytest.approx((one.started, one.ended))


@pytest.mark.parametrize(("growth_gain", "ended"), [(0.0, 4 / (1.5 / 1.6)), (0.6, 4 * 1.6)])
def test_a_curve_says_how_fast_it_is_and_how_far_it_grows(growth_gain: float, ended: float) -> None:
    """One of three runs at 1 / 1.6 of the speed of all; a second one would add 0.5, and wait."""
    curved = uniform_job(2, 0.0, 4.0, 1, 2, UNIT)
    points = Speedup(points=((2, 1.5), (3, 1.6)))
    needs = tuple(replace(need, speedup=points) for need in curved.demand.needs)
    curved = replace(curved, demand=replace(curved.demand, needs=needs))
    holds, waits = (uniform_job(n, 0.0, 8.0, units, 0, UNIT) for n, units in ((1, 2), (3, 4)))
    result = run([holds, curved, waits], 4, reclaim=False, growth_gain=growth_gain)
    assert ends(result) == pytest.approx([8, ended, 16])
