"""The generator of the published experiment, and what it draws from."""

import random
from collections import Counter
from itertools import pairwise

import pytest

from zoe.sim.workloads.paper import (
    ARRIVAL_SECONDS,
    MACHINE,
    Tables,
    generate,
    quantiles,
    tables_of,
    task_shapes,
)
from zoe.sim.workloads.problems import WorkloadInvalid

TABLES = Tables((1.0, 3.0), (100.0, 200.0), (1.0, 2.0), (1.0, 2.0), (1.0, 2.0))
FEW = {"batch": 8, "mpi": 2}


class Half:
    """Chance that is always in the middle."""

    def random(self) -> float:
        return 0.5

    def randint(self, a: int, b: int) -> int:
        return a


def test_the_interpolation_is_right_unless_the_published_one_is_asked_for() -> None:
    right = generate(TABLES, Half(), 1, repeats={"batch": 1})[0]
    assert (right.arrival_seconds, right.seconds) == (2.0, 30 * 150.0)
    assert right.demand.needs[0].shape.each.cores_milli == round(0.7 * 1500)
    published = generate(TABLES, Half(), 1, paper_exact=True, repeats={"batch": 1})[0]
    assert published.arrival_seconds == 1 + 0.5 * (1 + 3)
    assert published.seconds == 30 * (100 + 0.5 * (100 + 200))


def test_batch_is_elastic_and_mpi_is_rigid() -> None:
    jobs = generate(TABLES, random.Random(1), 5, repeats=FEW)
    assert Counter(job.demand.application for job in jobs) == {"batch": 40, "mpi": 10}
    for job in jobs:
        (need,) = job.demand.needs
        if job.demand.application == "mpi":
            assert (need.essential in {1, 2}, need.elastic) == (True, 0)
        else:
            assert need.essential in {1, 2, 3, 4}
            assert need.elastic in {10, 20}
        assert 0 < need.shape.each.cores_milli < MACHINE.cores_milli / 5
        assert 0 < need.shape.each.memory_bytes < MACHINE.memory_bytes / 5


def test_s_executions_arrive_together_and_ids_follow_arrivals() -> None:
    jobs = generate(TABLES, random.Random(1), 5, repeats=FEW)
    assert [job.id for job in jobs] == list(range(1, 51))
    assert all(a.arrival_seconds <= b.arrival_seconds for a, b in pairwise(jobs))
    assert set(Counter(job.arrival_seconds for job in jobs).values()) == {5}


def test_the_same_seed_gives_the_same_jobs() -> None:
    assert generate(TABLES, random.Random(3), 2, repeats=FEW) == generate(
        TABLES, random.Random(3), 2, repeats=FEW
    )


def test_arrivals_begin_again_after_half_of_the_window() -> None:
    slow = Tables((1e5, 1e5), *(getattr(TABLES, name) for name in Tables.__slots__[1:]))
    jobs = generate(slow, random.Random(1), 1, repeats={"batch": 10})
    assert all(0 < job.arrival_seconds <= ARRIVAL_SECONDS for job in jobs)
    assert jobs[0].arrival_seconds == jobs[1].arrival_seconds == 1e5


def test_tables_that_give_nothing_are_refused() -> None:
    hopeless = Tables((1.0, 2.0), (1e9, 1e9), (1, 1), (1, 1), (1, 1))
    with pytest.raises(WorkloadInvalid, match="no run time between 0 and 777600"):
        generate(hopeless, Half(), 1)
    with pytest.raises(WorkloadInvalid, match="s is 0"):
        generate(TABLES, Half(), 0)


def test_quantiles_go_from_the_smallest_to_the_largest() -> None:
    assert quantiles([3, 1, 2], 3) == (1, 2, 3)
    assert quantiles([5.0], 4) == (5.0,) * 4
    with pytest.raises(ValueError, match="no values"):
        quantiles([])


def test_task_shapes_are_per_task_of_batch_jobs() -> None:
    lines = [
        "11 0 1 0 3 2 4.0 2147483648",  # not of production
        "11 0 2 1 1 1 1.0 1073741824",  # of production, of a low class
        "11 0 3 1 2 1 9.0 9",  # a service
        "12 5 1 0 3 2",  # the end of the first
    ]
    cores, memory = task_shapes(lines)
    assert (cores[0], cores[-1], memory[0], memory[-1]) == (1.0, 2.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("11 0 1 0 3 2 4.0", "7 fields"),
        ("11 0 1 2 3 2 4.0 1", "production"),
        ("11 0 1 0 7 2 4.0 1", "scheduling class"),
        ("11 0 1 0 3 0 4.0 1", "tasks '0' is less than 1"),
        ("11 0 1 0 3 1 nan 1", "not a finite"),
        ("11 0 1 0 3 1 1 -1", "negative"),
        ("11 0 3 1 2 1 9.0 9", "no batch job"),
    ],
)
def test_a_bad_snapshot_is_refused(line: str, message: str) -> None:
    with pytest.raises(WorkloadInvalid, match=message):
        task_shapes([line])


@pytest.mark.parametrize("table", [None, [1], [1, "x"], [2, 1], [1, float("nan")], [-1, 1]])
def test_bad_tables_are_refused(table: object) -> None:
    good = [1.0, 2.0]
    google: dict[str, object] = {"interarrival_all_s": good, "csizes_batch_first_parts": good}
    with pytest.raises(WorkloadInvalid, match="runtime_all_s"):
        tables_of({**google, "runtime_all_s": table}, (good, good))
