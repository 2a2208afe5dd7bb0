"""Predicted starts: by hand where that can be done, else equal to what the simulator does."""

import random
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoe.model.cluster import Node
from zoe.model.quota import Accounts, Quota, User
from zoe.model.resources import Resources
from zoe.scheduler.contender import Contender
from zoe.scheduler.history import History
from zoe.scheduler.plan import Plan
from zoe.scheduler.planner import Planner, Sharing
from zoe.scheduler.snapshot import Snapshot, freeze, thaw
from zoe.sim.forecast import LEAST_SAMPLES, Bounds, Estimate, Unknown, forecast
from zoe.sim.simulation import simulate
from zoe.sim.workload import Job, uniform_job

UNIT = Resources(1000, 1024**3)


def planner_with(jobs: Iterable[Job], units: int, now: float = 0.0, **rules: object) -> Planner:
    """Return a planner that knows these jobs, all of them submitted, at ``now``."""
    planner = Planner(Sharing(**rules))  # type: ignore[arg-type]
    planner.set_nodes([Node("n1", UNIT * units)])
    for job in jobs:
        planner.wait(planner.add(job.demand, now), now)
    while (plan := planner.plan(now)).grants:
        planner.commit(plan, now)
    planner.commit(plan, now)
    return planner


def job(number: int, essential: int, limit: float | None, owner: str = "", elastic: int = 0) -> Job:
    made = uniform_job(number, 0.0, 1.0, essential, elastic, UNIT, owner=owner, run_seconds=limit)
    return replace(made, demand=replace(made.demand, application="sort"))


def predict(
    planner: Planner,
    *wanted: int,
    now: float = 0.0,
    history: History | None = None,
    bounds: Bounds | None = None,
    seed: int = 0,
    deadlines: dict[int, float] | None = None,
    time_spent: Callable[[], float] = lambda: 0.0,
) -> dict[int, Estimate]:
    snapshot = Snapshot(freeze(planner), now, history or History(), deadlines)
    chance = random.Random(seed)
    return forecast(snapshot, wanted, chance, bounds, time_spent=time_spent)


def of(owner: str, *seconds: float) -> History:
    known = History()
    for each in seconds:
        known.add("sort", owner, None, each)
    return known


def test_with_nothing_but_time_limits_all_futures_are_one() -> None:
    planner = planner_with([job(1, 4, 10.0), job(2, 4, 7.0), job(3, 3, 5.0)], 4)
    found = predict(planner, 2, 3)
    assert found[2] == Estimate(10.0, 10.0, samples=100)
    assert found[3] == Estimate(17.0, 17.0, samples=100)


def test_who_runs_has_only_the_rest_of_its_time_left() -> None:
    planner = planner_with([job(1, 4, 10.0), job(2, 4, 7.0)], 4)
    assert predict(planner, 2, now=6.0)[2].p50 == 10.0
    assert predict(planner, 2, now=12.0)[2].p50 == 12.0  # past its limit: it ends now


def test_quantiles_are_those_of_past_runs_that_took_as_long_as_this_one_already() -> None:
    planner = planner_with([job(1, 4, None, "ann"), job(2, 4, 7.0, "bob")], 4)
    known = of("ann", *(float(n) for n in range(1, 21)))
    found = predict(planner, 2, now=10.0, history=known, bounds=Bounds(samples=2000))[2]
    assert found.p50 is not None
    assert found.p90 is not None
    assert found.p50 == pytest.approx(15.0, abs=1.0)  # 11 to 20 are left, each as likely
    assert found.p90 == pytest.approx(19.0, abs=1.0)


def test_nobody_can_tell_when_the_end_of_another_is_open() -> None:
    planner = planner_with([job(1, 2, None), job(2, 2, 5.0), job(3, 3, 5.0)], 4)
    assert predict(planner, 3)[3] == Estimate(None, None, Unknown.OPEN_END, (1,), 100)


def test_a_waiting_one_without_an_end_stands_before_those_behind_it() -> None:
    planner = planner_with([job(1, 4, 5.0), job(2, 4, None), job(3, 4, 5.0)], 4)
    found = predict(planner, 2, 3)
    assert found[2].p90 == 5.0
    assert found[3] == Estimate(None, None, Unknown.OPEN_END, (2,), 100)


def test_the_median_is_told_when_only_the_rest_is_open() -> None:
    """Of 10 samples in 8 the room comes free; in two the other one outlives the horizon."""
    planner = planner_with([job(1, 4, None, "ann"), job(2, 4, 7.0)], 4)
    known = of("ann", 10.0, 10.0, 10.0, 10.0, 1e9)
    found = predict(planner, 2, history=known, bounds=Bounds(samples=400))[2]
    assert (found.p50, found.p90, found.because) == (10.0, None, Unknown.BEYOND)


def test_who_waits_for_a_quota_starts_when_its_own_have_ended() -> None:
    jobs = [job(1, 2, 10.0, "ann"), job(2, 2, 7.0, "ann"), job(3, 2, 5.0, "ann")]
    planner = planner_with(jobs, 4)
    planner.set_shares(Accounts({"ann": User("ann", quota=Quota(cores_milli=5000))}))
    assert predict(planner, 3)[3].p50 == 7.0
    planner.set_shares(Accounts({"ann": User("ann", quota=Quota(executions=1))}))
    assert predict(planner, 3)[3].p50 == 10.0, "when both have ended"


def test_a_time_limit_of_a_quota_ends_what_starts_under_it() -> None:
    planner = planner_with([job(1, 4, 10.0), job(2, 4, None, "ann"), job(3, 4, 5.0)], 4)
    planner.set_shares(Accounts({"ann": User("ann", quota=Quota(run_seconds=30.0))}))
    assert predict(planner, 3)[3].because is Unknown.OPEN_END, "nobody is stopped here"
    assert predict(planner, 3, deadlines={1: 10.0})[3].p50 == 40.0


def test_what_a_quota_forbids_can_never_start() -> None:
    planner = planner_with([job(1, 4, 5.0), job(2, 3, 5.0, "ann")], 4)
    planner.set_shares(Accounts({"ann": User("ann", quota=Quota(executions=0))}))
    assert predict(planner, 2)[2] == Estimate(None, None, Unknown.FORBIDDEN)


def test_what_no_node_has_can_never_start() -> None:
    planner = planner_with([job(1, 5, 5.0)], 4)
    assert predict(planner, 1)[1] == Estimate(None, None, Unknown.NEVER)


def test_a_bound_on_ends_is_told_as_such() -> None:
    planner = planner_with([job(n, 4, 5.0) for n in range(1, 9)], 4)
    found = predict(planner, 4, 8, bounds=Bounds(samples=3, ends=4))
    assert found[4].p90 == 15.0
    assert found[8] == Estimate(None, None, Unknown.BEYOND, (), 3)


def test_when_time_is_short_the_head_of_the_queue_gets_a_distribution() -> None:
    planner = planner_with([job(n, 4, 5.0) for n in range(1, 9)], 4)
    # Each look costs a thirtieth of the time: three for each of the first ten samples.
    looks = iter(range(1000))
    found = predict(planner, 2, 3, 8, time_spent=lambda: next(looks) / 30)
    assert found[2] == Estimate(5.0, 5.0, samples=LEAST_SAMPLES)
    assert found[3] == Estimate(10.0, 10.0, samples=LEAST_SAMPLES)
    assert found[8] == Estimate(None, None, Unknown.BEYOND, (), LEAST_SAMPLES)


def test_no_time_at_all_gives_no_estimate_and_no_error() -> None:
    planner = planner_with([job(n, 4, 5.0) for n in range(1, 4)], 4)
    found = predict(planner, 2, time_spent=lambda: 1.0)
    assert found[2] == Estimate(None, None, Unknown.BEYOND, (), LEAST_SAMPLES)


def test_a_further_sample_counts_only_if_it_comes_to_its_end() -> None:
    planner = planner_with([job(n, 4, 5.0) for n in range(1, 9)], 4)
    looks = iter(range(1000))
    # A sample that reaches the last one takes seven looks; the fifteenth has no time for that.
    found = predict(planner, 8, time_spent=lambda: next(looks) / 100)
    assert found[8] == Estimate(35.0, 35.0, samples=14)


def test_a_time_limit_ends_what_runs_slowly() -> None:
    """With 4 of the 8 that it asks for it takes twice as long, but is stopped at its limit."""
    planner = planner_with([job(1, 4, 10.0, elastic=4), job(2, 4, 7.0)], 4)
    assert predict(planner, 2)[2].p50 == 20.0
    assert predict(planner, 2, deadlines={1: 10.0})[2].p50 == 10.0


def test_instances_that_are_being_stopped_hold_their_room_for_a_while() -> None:
    planner = planner_with([job(1, 2, 100.0, elastic=2)], 4)
    planner.wait(planner.add(job(2, 2, 7.0).demand, 0.0), 0.0)
    taken = planner.plan(0.0)
    assert taken.take_back
    planner.commit(taken, 0.0)
    snapshot = Snapshot(freeze(planner), 0.0, History(), drain_seconds=3.0)
    assert forecast(snapshot, [2], random.Random(0))[2].p90 == 3.0


def test_the_original_is_left_alone() -> None:
    planner = planner_with([job(1, 4, 10.0), job(2, 4, 7.0)], 4)
    before = freeze(planner)
    predict(planner, 2)
    assert freeze(planner) == before


def test_a_shortened_copy_knows_the_first_of_the_queue_and_all_that_run() -> None:
    planner = planner_with([job(n, 2, 5.0) for n in range(1, 9)], 4)
    short = thaw(freeze(planner, depth=3))
    assert [each.id for each in short.waiting] == [3, 4, 5]
    assert sorted(short.contenders) == [1, 2, 3, 4, 5]
    assert short.plan(0.0).grants == []
    assert len(planner.waiting) == 6


@pytest.mark.parametrize("rank", ["pack", "spread", "random"])
@pytest.mark.parametrize("policy", ["fifo", "fair"])
def test_every_rule_can_be_copied(rank: str, policy: str) -> None:
    jobs = [job(n, 2, 5.0, f"u{n % 3}") for n in range(1, 12)]
    planner = planner_with(jobs, 4, policy=policy, rank=rank)
    order = [each.id for each in planner.waiting]
    assert [each.id for each in thaw(freeze(planner)).waiting] == order
    assert [each.id for each in thaw(freeze(planner, depth=3)).waiting] == order[:3]
    found = predict(planner, *order)
    assert [found[each].p90 for each in order[:4]] == [5.0, 5.0, 10.0, 10.0]


class _Known(History):
    """Knows exactly how long everything takes."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        super().__init__()
        self.seconds = {each.id: each.seconds for each in jobs}

    def possible_seconds(self, demand: object, done_seconds: float = 0.0) -> tuple[float, ...]:
        return (self.seconds[demand.execution_id],)  # type: ignore[attr-defined]


class _Watched(Planner):
    """Predicts the starts of all that wait, each time that nothing more can be placed."""

    def __init__(self, sharing: Sharing, jobs: list[Job]) -> None:
        super().__init__(sharing)
        self.plain = set(vars(self)) - {"plain"}
        self.known = _Known(jobs)
        self.said: list[tuple[float, dict[int, Estimate]]] = []
        self.left = len(jobs)

    def wait(self, contender: Contender, now: float) -> None:
        super().wait(contender, now)
        self.left -= 1

    def plan(self, now: float) -> Plan:
        plan = super().plan(now)
        if not plan.grants and not plan.take_back and not self.left:
            copy = Planner(self.sharing)
            vars(copy).update((name, vars(self)[name]) for name in self.plain)
            snapshot = Snapshot(freeze(copy), now, self.known)
            wanted = [each.id for each in self.waiting]
            self.said.append((now, forecast(snapshot, wanted, random.Random(0), Bounds(samples=1))))
        return plan


JOBS = st.lists(
    st.tuples(
        st.integers(0, 40),  # arrival
        st.integers(1, 60),  # seconds
        st.integers(1, 6),  # essential
        st.integers(0, 6),  # elastic
        st.one_of(st.none(), st.integers(1, 80)),  # declared
    ),
    min_size=2,
    max_size=9,
)


@given(
    JOBS,
    st.sampled_from(["flexible", "published", "malleable", "rigid"]),
    st.sampled_from(["fifo", "sjf", "srpt", "hrrn", "size3d", "fair"]),
)
def test_with_the_true_run_times_predictions_come_true_exactly(
    drawn: list[tuple[int, int, int, int, int | None]], generation: str, policy: str
) -> None:
    jobs = [
        uniform_job(n, float(a), float(s), essential, elastic, UNIT, run_seconds=declared)
        for n, (a, s, essential, elastic, declared) in enumerate(drawn, 1)
    ]
    planner = _Watched(Sharing(generation, policy), jobs)
    result = simulate(jobs, [Node("n1", UNIT * 4), Node("n2", UNIT * 5)], planner)
    started = {one.job.id: one.started for one in result.outcomes}
    for now, said in planner.said:
        for execution_id, estimate in said.items():
            true = started[execution_id]
            if true is None:
                assert estimate.p50 is None
            else:
                assert estimate.p50 is not None
                assert estimate.p50 >= now
                assert estimate.p50 == pytest.approx(true, abs=1e-6)


@settings(max_examples=settings.default.max_examples // 2)
@given(JOBS, st.integers(0, 2**32), st.integers(0, 30))
def test_estimates_are_in_order_never_before_now_and_repeatable(
    drawn: list[tuple[int, int, int, int, int | None]], seed: int, age: int
) -> None:
    jobs = [
        job(n, essential, declared, f"u{n % 3}", elastic)
        for n, (_, _, essential, elastic, declared) in enumerate(drawn, 1)
    ]
    known = History()
    for n, (_, seconds, _, _, declared) in enumerate(drawn * 4):
        known.add("sort", f"u{n % 3}", declared, float(seconds))
    planner = planner_with(jobs, 7)
    asked = {"now": float(age), "history": known, "bounds": Bounds(samples=20), "seed": seed}
    found = predict(planner, *range(1, 10), **asked)  # type: ignore[arg-type]
    assert found == predict(planner, *range(1, 10), **asked)  # type: ignore[arg-type]
    assert set(found) == {each.id for each in planner.waiting}
    for estimate in found.values():
        assert (estimate.p90 is None) == (estimate.because is not None)
        if estimate.p50 is not None:
            assert estimate.p50 >= age
            assert estimate.p90 is None or estimate.p90 >= estimate.p50
