"""What past runs tell, with arithmetic by hand."""

from dataclasses import replace

import pytest

from zoe.model.resources import Resources
from zoe.scheduler.demand import Demand, Need, Shape
from zoe.scheduler.history import LEAST_RUNS, History, Run, quantile

DEMAND = Demand(
    1, 0.0, (Need("work.worker", Shape(Resources(1000)), 1),), "alice", application="sort"
)


def history(*runs: tuple[str, str, float | None, float]) -> History:
    known = History()
    for application, owner, declared, seconds in runs:
        known.add(application, owner, declared, seconds)
    return known


def test_nobody_can_tell_without_a_time_limit_and_without_past_runs() -> None:
    assert History().possible_seconds(DEMAND) == ()
    assert History().typical_seconds(DEMAND) is None


def test_the_time_limit_is_all_that_is_known_of_a_first_run() -> None:
    assert History().possible_seconds(replace(DEMAND, run_seconds=60.0), 10.0) == (60.0,)


def test_what_runs_past_its_time_limit_counts_as_ending_now() -> None:
    known = history(*[("sort", "alice", None, 1000.0)] * 9)
    assert known.possible_seconds(replace(DEMAND, run_seconds=60.0), 61.0) == (61.0,)


def test_the_share_of_the_time_limit_counts_where_there_was_one() -> None:
    known = history(
        ("sort", "alice", 100.0, 10.0),
        ("sort", "alice", 100.0, 30.0),
        ("sort", "alice", 10.0, 5.0),
        ("sort", "alice", 100.0, 250.0),  # it was let run on: no longer than declared
        ("sort", "alice", None, 70.0),  # no limit: its seconds, no longer than declared
    )
    asked = replace(DEMAND, run_seconds=60.0)
    assert known.possible_seconds(asked) == pytest.approx((6.0, 18.0, 30.0, 60.0, 60.0))
    assert quantile(known.possible_seconds(asked), 0.5) == pytest.approx(30.0)


def test_seconds_count_where_no_time_limit_is_declared() -> None:
    known = history(*(("sort", "alice", 100.0, float(n)) for n in range(1, 11)))
    assert known.possible_seconds(DEMAND) == tuple(map(float, range(1, 11)))
    assert known.typical_seconds(DEMAND) == 5.0
    assert known.typical_seconds(replace(DEMAND, run_seconds=60.0)) is None, "it was declared"
    assert known.possible_seconds(DEMAND, 4.0) == (5.0, 6.0, 7.0, 8.0, 9.0, 10.0)


def test_others_are_asked_when_the_owner_has_too_few_runs_that_took_longer() -> None:
    own = [("sort", "alice", None, float(n)) for n in range(1, 11)]
    known = history(*own, *[("sort", "bob", None, 50.0)] * LEAST_RUNS)
    assert known.possible_seconds(DEMAND, 5.0) == (6.0, 7.0, 8.0, 9.0, 10.0)
    assert known.possible_seconds(DEMAND, 6.0) == (7.0, 8.0, 9.0, 10.0) + (50.0,) * LEAST_RUNS
    assert known.possible_seconds(DEMAND, 50.0) == ()  # longer than anybody's ever


def test_other_applications_tell_nothing() -> None:
    known = history(*[("search", "alice", None, 5.0)] * 20)
    assert known.possible_seconds(DEMAND) == ()


def test_only_the_newest_runs_and_the_latest_keys_are_remembered() -> None:
    known = History(runs_kept=3, keys_kept=4)
    for seconds in range(10):
        known.add("sort", "alice", None, float(seconds))
    assert known.runs("sort", "alice") == (Run(None, 7.0), Run(None, 8.0), Run(None, 9.0))
    for owner in ("bob", "carol", "dave"):
        known.add("sort", owner, None, 1.0)
    assert known.runs("sort", "alice") == ()
    assert known.runs("sort", "dave") == (Run(None, 1.0),)
    assert len(known.runs("sort")) == 3


def test_a_part_tells_the_same_about_its_demands_and_nothing_of_others() -> None:
    known = history(*[("sort", "alice", None, 5.0)] * 6, *[("search", "bob", None, 7.0)] * 6)
    part = known.about([DEMAND])
    assert part.possible_seconds(DEMAND) == known.possible_seconds(DEMAND)
    assert part.runs("search") == ()
    part.add("sort", "alice", None, 99.0)
    assert len(known.runs("sort", "alice")) == 6


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.25, 1), (0.26, 2), (0.5, 2), (0.9, 4), (1.0, 4)]
)
def test_a_quantile_is_the_smallest_value_that_enough_do_not_exceed(
    share: float, expected: int
) -> None:
    assert quantile([1, 2, 3, 4], share) == expected
