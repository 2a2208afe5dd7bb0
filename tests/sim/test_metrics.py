"""The metrics of a simulation, against arithmetic by hand."""

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe.model.resources import Resources
from zoe.sim.interval import Interval, interval, student
from zoe.sim.metrics import (
    Churn,
    Shares,
    Summary,
    bounded_slowdown,
    jain,
    measure,
    percentile,
    summary,
    time_means,
)
from zoe.sim.outcome import Ending, Moment, Outcome, Result
from zoe.sim.workload import uniform_job

CORE = Resources(1000, 100)
CAPACITY = Resources(10_000, 2_000)
amounts = st.floats(0.001, 1e9)


def outcome(
    number: int,
    arrival: float,
    started: float | None,
    ended: float,
    seconds: float = 10.0,
    elastic: int = 0,
    owner: str = "ada",
    ending: Ending = Ending.COMPLETED,
    **more: float,
) -> Outcome:
    job = uniform_job(number, arrival, seconds, 2, elastic, CORE, owner=owner)
    return Outcome(job, started, ended, ending, **more)  # type: ignore[arg-type]


def test_a_small_schedule() -> None:
    """Three complete (one of them elastic and of bob), one is cut off, one never starts."""
    outcomes = (
        outcome(1, 0.0, 0.0, 10.0),
        outcome(2, 0.0, 10.0, 30.0),
        outcome(3, 0.0, 30.0, 40.0, 20.0, 3, "bob", overtaken=2, taken_back=4, lost_seconds=14.0),
        outcome(4, 20.0, 40.0, 100.0, 90.0, ending=Ending.TIME_LIMIT),
        outcome(5, 0.0, None, 80.0, owner="eve", ending=Ending.NEVER, overtaken=3),
    )
    metrics = measure(Result(outcomes, CAPACITY), wall_seconds=0.5)
    whole = metrics.overall
    assert (whole.jobs, whole.never_admitted) == (5, 1)
    assert whole.wait == Summary(15.0, 15.0, pytest.approx(28.5), pytest.approx(29.7), 30.0)
    assert whole.turnaround == Summary(80 / 3, 30.0, 39.0, pytest.approx(39.8), 40.0)
    assert whole.bounded_slowdown.mean == pytest.approx((1 + 3 + 2) / 3)
    assert whole.stretch.mean == pytest.approx((1 + 2 + 0.5) / 3)
    assert sorted(metrics.classes) == ["batch", "elastic", "rigid"]
    assert metrics.classes["elastic"].turnaround == Summary(40.0, 40.0, 40.0, 40.0, 40.0)
    assert metrics.classes["rigid"].jobs == 4
    assert metrics.classes["batch"] == whole
    assert metrics.endings == {
        Ending.COMPLETED: 3,
        Ending.TIME_LIMIT: 1,
        Ending.LOST: 0,
        Ending.NEVER: 1,
    }
    assert metrics.makespan == 100.0
    assert metrics.maximum_wait == 80.0, "of the one that was never admitted"
    assert metrics.most_overtaken == 3
    # Two instances for 10 seconds, twice, and five for 20.
    assert metrics.churn == Churn(4, 14.0 / 140.0)
    # Ada's mean is 2 and so is bob's; nothing of eve's completed.
    assert metrics.jain == 1.0
    assert (metrics.owners, metrics.owners_without) == (3, 1)
    assert metrics.jobs_per_second == 10.0
    assert metrics.allocation == Shares(), "nothing was recorded"


def test_nothing_has_no_values() -> None:
    metrics = measure(Result((), CAPACITY))
    assert metrics.overall.wait == Summary()
    assert (metrics.makespan, metrics.jain, metrics.maximum_wait) == (None, None, None)
    assert metrics.churn == Churn(0, None)
    assert metrics.allocation == metrics.offered_load == Shares()
    assert metrics.jobs_per_second is None


def test_those_never_admitted_do_not_vanish() -> None:
    metrics = measure(Result((outcome(1, 5.0, None, 25.0, ending=Ending.NEVER),), CAPACITY))
    assert metrics.overall.never_admitted == metrics.endings[Ending.NEVER] == 1
    assert metrics.maximum_wait == 20.0
    assert metrics.overall.wait == metrics.overall.turnaround == Summary()
    assert metrics.makespan is None


def test_allocation_leaves_both_ends_out() -> None:
    moments = (
        Moment(0.0, 0, 1, Resources(10_000, 2_000)),  # counts from 105 on only
        Moment(130.0, 0, 1, Resources(4_000, 500)),
        Moment(160.0, 0, 1, Resources(6_000, 0)),
        Moment(195.0, 0, 1, Resources(10_000, 2_000)),  # in the last twentieth
    )
    metrics = measure(Result((outcome(1, 100.0, 100.0, 200.0),), CAPACITY, moments))
    cores = (25 * 10 + 30 * 4 + 35 * 6) / (90 * 10)
    memory = (25 * 2_000 + 30 * 500) / (90 * 2_000)
    assert metrics.allocation == Shares(pytest.approx(cores), pytest.approx(memory), None)


def test_the_last_moment_lasts_and_before_the_first_nothing_is_used() -> None:
    moments = (Moment(50.0, 0, 1, Resources(10_000)),)
    metrics = measure(Result((outcome(1, 0.0, 0.0, 100.0),), CAPACITY, moments))
    assert metrics.allocation.cores == pytest.approx(0.5)


def test_all_at_one_time_has_no_allocation() -> None:
    result = Result((outcome(1, 3.0, 3.0, 3.0, 0.0),), CAPACITY, (Moment(3.0, 0, 0, Resources()),))
    metrics = measure(result)
    assert metrics.allocation == Shares()
    assert metrics.makespan == 0.0
    assert metrics.overall.stretch == Summary(), "no run time to compare with"
    assert metrics.churn.lost_work is None


def test_a_slowdown_is_bounded() -> None:
    assert bounded_slowdown(outcome(1, 0.0, 19.0, 20.0, 1.0)) == 2.0, "as if it ran 10 seconds"
    assert bounded_slowdown(outcome(1, 0.0, 0.0, 1.0, 1.0)) == 1.0, "never below 1"
    assert bounded_slowdown(outcome(1, 0.0, 60.0, 90.0, 30.0)) == 3.0


@pytest.mark.parametrize(
    ("fraction", "expected"), [(0, 1.0), (0.5, 2.5), (0.95, 3.85), (0.99, 3.97), (1, 4.0)]
)
def test_a_percentile_is_linear_between_ranks(fraction: float, expected: float) -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], fraction) == pytest.approx(expected)


@given(st.lists(amounts, min_size=1), st.floats(0, 1))
def test_a_percentile_is_within_and_grows(values: list[float], fraction: float) -> None:
    ordered = sorted(values)
    assert ordered[0] <= percentile(ordered, fraction) <= ordered[-1]
    assert percentile(ordered, fraction / 2) <= percentile(ordered, fraction)


@given(st.lists(amounts, min_size=1))
def test_a_summary_is_ordered(values: list[float]) -> None:
    found = summary(values)
    assert None not in (found.mean, found.p50, found.p95, found.p99, found.max)
    assert found.p50 <= found.p95 <= found.p99 <= found.max  # type: ignore[operator]
    assert min(values) * 0.999 <= found.mean <= found.max * 1.001  # type: ignore[operator]


@given(st.lists(amounts, min_size=1))
def test_jain_is_between_one_in_n_and_one(values: list[float]) -> None:
    index = jain(values)
    assert index is not None
    assert 1 / len(values) - 1e-9 <= index <= 1 + 1e-9


def test_jain_by_hand() -> None:
    assert jain([]) is None
    assert jain([5.0, 5.0, 5.0]) == pytest.approx(1.0)
    assert jain([1.0, 3.0]) == pytest.approx(16 / 20)


def ramps() -> Iterator[tuple[float, float]]:
    yield from [(0.0, 4.0), (1.0, 8.0), (2.5, 0.0), (2.5, 2.0), (6.0, 100.0)]


def test_means_over_time_by_hand() -> None:
    assert time_means(ramps(), 0.0, 4.0, 2) == [6.0, (0.5 * 8 + 1.5 * 2) / 2]
    assert time_means(ramps(), 6.0, 8.0, 4) == [100.0] * 4
    assert time_means([], 0.0, 1.0, 2) == [0.0, 0.0]
    assert time_means(ramps(), -2.0, 1.0, 3) == [0.0, 0.0, 4.0]


@given(
    st.lists(st.tuples(st.floats(-10, 110), st.floats(0, 100)), max_size=30).map(sorted),
    st.integers(1, 7),
)
def test_the_mean_of_the_parts_is_the_mean(steps: list[tuple[float, float]], parts: int) -> None:
    means = time_means(steps, 0.0, 100.0, parts)
    assert sum(means) / parts == pytest.approx(time_means(steps, 0.0, 100.0)[0], abs=1e-6)
    assert all(-1e-6 <= mean <= 100 + 1e-6 for mean in means)


def test_an_interval_by_hand() -> None:
    found = interval([1.0, 2.0, None, 3.0])
    assert found is not None
    assert (found.mean, found.count) == (2.0, 3)
    assert found.half == pytest.approx(4.303 / math.sqrt(3))
    assert interval([7.0]) == Interval(7.0, None, 1)
    assert interval([None]) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_an_interval_holds_its_mean(values: list[float]) -> None:
    found = interval(values)
    assert found is not None
    assert found.low <= found.mean <= found.high
    assert min(values) - 1e-6 <= found.mean <= max(values) + 1e-6


def test_students_quantiles_fall_towards_the_normal_one() -> None:
    quantiles = [student(freedom) for freedom in range(1, 200)]
    assert quantiles == sorted(quantiles, reverse=True)
    # Published values of the distribution.
    assert student(4) == 2.776
    assert student(40) == pytest.approx(2.021, abs=0.003)
    assert student(120) == pytest.approx(1.980, abs=0.001)
    assert student(10**9) == pytest.approx(1.960)
