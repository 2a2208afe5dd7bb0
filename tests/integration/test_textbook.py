"""The textbook schedules on cases worked out by hand, and the simulator judged by them."""

from math import inf

import pytest

import numbered
import textbook
import traces
from zoe.model.resources import Resources
from zoe.scheduler.planner import Planner
from zoe.scheduler.sharing import Sharing
from zoe.sim.cluster import read_nodes
from zoe.sim.simulation import simulate
from zoe.sim.workload import Job, uniform_job
from zoe.sim.workloads.batsim import read_batsim, read_schedule
from zoe.sim.workloads.swf import read_swf

FCFS = Sharing(backfill="none", patience_seconds=inf)
EASY = Sharing(backfill="easy", backfill_depth=1_000_000, patience_seconds=inf)
CORE = Resources(1000)


def jobs_of(*wanted: tuple[float, float, int, float | None]) -> list[Job]:
    """Jobs by arrival, run time, processors, and the run time that their users believe in."""
    return [
        uniform_job(number, arrival, seconds, processors, 0, CORE, run_seconds=said)
        for number, (arrival, seconds, processors, said) in enumerate(wanted, 1)
    ]


def ours(jobs: list[Job] | tuple[Job, ...], nodes: str, sharing: Sharing) -> dict[int, float]:
    result = simulate(jobs, read_nodes(nodes), Planner(sharing))
    return {one.job.id: one.started for one in result.outcomes if one.started is not None}


BLOCKED = jobs_of(
    (0, 10, 3, 10),  # 1 runs at once; one processor is left over
    (1, 10, 3, 10),  # 2 waits until 10, and then leaves one over
    (2, 20, 1, 20),  # 3 is not over by 10, but uses only the one left over
    (3, 6, 1, 6),  # 4 would be over by 10, but 3 has the room
    (3, 1, 4, 1),  # 5 needs all
)


@pytest.mark.parametrize(
    ("rule", "sharing", "expected"),
    [
        (textbook.fcfs, FCFS, [0, 10, 10, 20, 30]),
        (textbook.easy, EASY, [0, 10, 2, 20, 26]),
    ],
)
def test_who_overtakes_whom(rule: textbook.Rule, sharing: Sharing, expected: list[float]) -> None:
    assert [*textbook.starts(BLOCKED, 4, rule).values()] == sorted(expected)
    assert ours(BLOCKED, "4x1c", sharing) == dict(enumerate(expected, 1))
    assert textbook.starts(BLOCKED, 4, rule) == dict(enumerate(expected, 1))


def test_conservative_delays_nobody_in_the_queue() -> None:
    # Under EASY 4 starts at 1: it does not delay 2. But it delays 3, which has a reservation, too.
    jobs = jobs_of((0, 10, 2, 10), (1, 10, 4, 10), (1, 10, 3, 10), (1, 40, 1, 40), (1, 8, 1, 8))
    assert textbook.starts(jobs, 4, textbook.conservative) == {1: 0, 5: 1, 2: 10, 3: 20, 4: 20}
    jobs = jobs_of((0, 10, 3, 10), (1, 10, 3, 10), (1, 10, 4, 10), (1, 40, 1, 40))
    assert textbook.starts(jobs, 4, textbook.easy) == {1: 0, 4: 1, 2: 10, 3: 41}
    assert textbook.starts(jobs, 4, textbook.conservative) == {1: 0, 2: 10, 3: 20, 4: 30}


def test_a_wrong_belief_corrects_itself() -> None:
    # 1 runs longer than was said: from 5 on it counts as ending now, and 3 must not delay 2.
    jobs = jobs_of((0, 10, 3, 5), (1, 5, 4, 5), (6, 1, 1, 1))
    for rule in (textbook.easy, textbook.conservative):
        assert textbook.starts(jobs, 4, rule) == {1: 0, 2: 10, 3: 15}
    assert ours(jobs, "4x1c", EASY) == {1: 0, 2: 10, 3: 15}


def test_nobody_overtakes_where_no_end_is_known() -> None:
    jobs = jobs_of((0, 10, 3, None), (1, 5, 4, 5), (1, 1, 1, 1))
    assert textbook.starts(jobs, 4, textbook.easy) == {1: 0, 2: 10, 3: 15}
    assert ours(jobs, "4x1c", EASY) == {1: 0, 2: 10, 3: 15}


@pytest.mark.component("shared")
@pytest.mark.parametrize(
    ("rule", "sharing", "mean_wait"),
    [(textbook.fcfs, FCFS, 389_838.48), (textbook.easy, EASY, 6_847.26)],
)
def test_on_a_real_log_every_job_starts_when_the_textbook_says(
    rule: textbook.Rule, sharing: Sharing, mean_wait: float
) -> None:
    jobs = read_swf(traces.KTH.read_bytes()).jobs
    by_the_book = textbook.starts(jobs, 100, rule)
    waits = (by_the_book[job.id] - job.arrival_seconds for job in jobs)
    assert sum(waits) / len(jobs) == pytest.approx(mean_wait, abs=0.005)
    assert ours(jobs, "100x1c", sharing) == by_the_book


@pytest.mark.component("shared")
@pytest.mark.parametrize(
    ("name", "rule", "at_least"),
    [("easy", textbook.easy, 733), ("conservative", textbook.conservative, 737)],
)
def test_most_jobs_start_when_batsim_starts_them(
    name: str, rule: textbook.Rule, at_least: int
) -> None:
    jobs = read_batsim((traces.BATSIM / "evalys_medium_late.json").read_bytes()).jobs
    path = traces.BATSIM / f"evalys_medium_late_{name}_out_jobs.csv"
    slots = read_schedule(path.read_bytes(), path.name).slots
    started = textbook.starts(jobs, 32, rule)
    assert sum(abs(slots[each].start_seconds - at) <= 2 for each, at in started.items()) >= at_least
    if name == "easy":
        assert ours(jobs, "32x1c", EASY) == started


@pytest.mark.component("shared")
@pytest.mark.parametrize("name", ["easy", "conservative"])
def test_batsim_differs_because_it_reserves_processors_by_number(name: str) -> None:
    jobs = read_batsim((traces.BATSIM / "evalys_medium_late.json").read_bytes()).jobs
    path = traces.BATSIM / f"evalys_medium_late_{name}_out_jobs.csv"
    slots = read_schedule(path.read_bytes(), path.name).slots
    started = numbered.starts(jobs, 32, name)
    assert len(started) == 801
    assert max(abs(slots[each].start_seconds - at) for each, at in started.items()) < 0.01


def test_a_processor_that_is_reserved_by_number_is_not_one_that_is_left_over() -> None:
    # 2 gets the processors 0 to 2, of which 1 has 1 to 3 meanwhile: 0 is free, and reserved.
    jobs = jobs_of((0, 1, 1, 1), (0, 10, 3, 10), (2, 10, 3, 10), (3, 30, 1, 30))
    assert textbook.starts(jobs, 4, textbook.easy) == {1: 0, 2: 0, 4: 3, 3: 10}
    assert numbered.starts(jobs, 4, "easy") == {1: 0, 2: 0, 3: 10, 4: 10}
