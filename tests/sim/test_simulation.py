"""The published numbers, exactly, and the traits of the simulator itself."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from zoe.model.execution import Outcome
from zoe.model.resources import Resources
from zoe.model.zapp import Framework, Kind, Service, ZApp
from zoe.scheduler.decisions import StopInstance
from zoe.scheduler.invariants import check_invariants
from zoe.scheduler.scheduler import Scheduler
from zoe.sim.simulation import Result, Step, simulate
from zoe.sim.workload import Job, uniform_nodes, uniform_zapp

UNIT = Resources(1000, 1024**3)


def golden_jobs() -> list[Job]:
    return [
        Job(number, 0.0, uniform_zapp(3, elastic, UNIT), 10.0)
        for number, elastic in enumerate((4, 3, 5, 2), 1)
    ]


def reclaim_jobs() -> list[Job]:
    shapes = [(0.0, 6, 4, 20.0), (0.0, 6, 2, 25.0), (0.0, 8, 8, 12.5), (5.0, 19, 1, 7.5)]
    return [
        Job(number, arrival, uniform_zapp(essential, elastic, UNIT), seconds)
        for number, (arrival, essential, elastic, seconds) in enumerate(shapes, 1)
    ]


def ends(result: Result) -> list[float]:
    return [one.ended for one in sorted(result.outcomes, key=lambda one: one.job.id)]


def run(
    jobs: Iterable[Job],
    units: int,
    scheduler: Scheduler,
    watch: Callable[[Step], None] | None = None,
    drain_seconds: float = 0.0,
) -> Result:
    nodes = uniform_nodes(1, UNIT * units)
    return simulate(jobs, nodes, scheduler, watch=watch, drain_seconds=drain_seconds)


@pytest.mark.parametrize(
    ("generation", "expected", "mean"),
    [
        ("rigid", [10, 20, 30, 40], 25),
        ("malleable", [10, 15, 22.5, 32.5], 20),
        ("flexible", [10, 15, 165 / 7, 199 / 7], 19.25),
    ],
)
def test_the_published_example_ends_exactly_when_it_was_published_to(
    generation: str, expected: list[float], mean: float
) -> None:
    result = run(golden_jobs(), 10, Scheduler(generation=generation, reclaim=False))
    assert ends(result) == pytest.approx(expected, abs=1e-9, rel=0)
    assert result.mean_turnaround_seconds == pytest.approx(mean, abs=1e-9, rel=0)
    assert result.taken_back == 0


def test_take_back_lets_the_essential_sets_in_earlier() -> None:
    kept = run(reclaim_jobs(), 20, Scheduler(reclaim=False))
    taken = run(reclaim_jobs(), 20, Scheduler())
    assert kept.taken_back == 0
    assert taken.taken_back > 0
    waits = {one.job.id: one.wait_seconds for one in taken.outcomes}
    assert waits[3] == 0.0  # 8 essential units beside 6 + 6: all start at once
    assert {one.job.id: one.wait_seconds for one in kept.outcomes}[3] > 0.0


def test_all_work_is_done_and_none_is_done_twice() -> None:
    """Unit-seconds of running instances, counted from the trace, equal the work of the jobs."""
    scheduler = Scheduler()
    done: dict[int, float] = {}
    last = 0.0

    def watch(step: Step) -> None:
        nonlocal last
        for execution_id, running in before.items():
            done[execution_id] = done.get(execution_id, 0.0) + running * (step.at - last)
        last = step.at
        before.clear()
        before.update(
            (each.id, sum(one.status.value == "running" for one in each.instances))
            for each in scheduler.executions.values()
            if each.status.value == "running"
        )
        check_invariants(scheduler, step.at)

    before: dict[int, int] = {}
    jobs = reclaim_jobs()
    result = run(jobs, 20, scheduler, watch)
    assert len(result.outcomes) == len(jobs)
    for job in jobs:
        assert done[job.id] == pytest.approx(job.seconds * job.asked)


def test_draining_holds_the_room_for_the_one_that_waits_for_it() -> None:
    at_once = run(reclaim_jobs(), 20, Scheduler())
    drained = run(reclaim_jobs(), 20, Scheduler(), drain_seconds=3.0)
    wait = {one.job.id: one.wait_seconds for one in drained.outcomes}
    assert drained.taken_back > 0
    assert wait[4] >= {one.job.id: one.wait_seconds for one in at_once.outcomes}[4] + 3.0


def test_the_same_input_gives_the_same_trace() -> None:
    traces: list[list[Step]] = [[], []]
    for trace in traces:
        run(golden_jobs(), 10, Scheduler(), trace.append)
    assert traces[0] == traces[1]
    assert any(
        isinstance(decision, StopInstance) for step in traces[0] for decision in step.decisions
    )


def test_smaller_executions_overtake_with_the_size_policy() -> None:
    jobs = [
        Job(1, 0.0, uniform_zapp(10, 0, UNIT), 10.0),
        Job(2, 1.0, uniform_zapp(10, 0, UNIT), 100.0),
        Job(3, 2.0, uniform_zapp(1, 0, UNIT), 1.0),
    ]
    assert ends(run(jobs, 10, Scheduler())) == [10.0, 110.0, 111.0]
    assert ends(run(jobs, 10, Scheduler(policy="size"))) == [10.0, 111.0, 11.0]


def test_a_time_limit_ends_what_takes_longer() -> None:
    jobs = [Job(1, 0.0, uniform_zapp(2, 0, UNIT, time_limit_seconds=4.0), 10.0)]
    (outcome,) = run(jobs, 2, Scheduler()).outcomes
    assert (outcome.ended, outcome.end.outcome) == (4.0, Outcome.TIME_LIMIT)


def test_what_never_fits_is_left_waiting_and_the_simulation_ends() -> None:
    jobs = [*golden_jobs(), Job(9, 0.0, uniform_zapp(11, 0, UNIT), 1.0)]
    scheduler = Scheduler()
    result = run(jobs, 10, scheduler)
    assert len(result.outcomes) == 4
    assert scheduler.queue() == (9,)
    assert scheduler.executions[9].reasons[0].code == "can-never-start"


def test_without_a_monitor_everything_essential_decides() -> None:
    pair = Service("pair", resources=UNIT, essential=2)
    zapp = ZApp("pair", Kind.BATCH, (Framework("f", (pair,)),))
    (outcome,) = run([Job(1, 2.0, zapp, 5.0)], 2, Scheduler()).outcomes
    assert (outcome.wait_seconds, outcome.turnaround_seconds) == (0.0, 5.0)
    assert outcome.end.exit_code is None


def test_one_that_is_never_admitted_waited_until_its_end() -> None:
    outcome = run(golden_jobs(), 10, Scheduler()).outcomes[0]
    assert replace(outcome, started=None, ended=7.0).wait_seconds == 7.0
