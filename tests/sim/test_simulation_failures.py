"""Nodes that fail in a simulation, by arithmetic made by hand; and drawn at random."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoe.model.cluster import Node
from zoe.model.resources import Resources
from zoe.scheduler.planner import Planner, Sharing
from zoe.sim.failures import (
    Change,
    Failure,
    FailuresInvalid,
    RandomFailures,
    changes,
    draw_failures,
)
from zoe.sim.outcome import Ending, Outcome
from zoe.sim.simulation import Physics, simulate
from zoe.sim.workload import Job, uniform_job

UNIT = Resources(1000, 1024**3)
TWO = (Node("a", UNIT * 4), Node("b", UNIT * 4))
ON_BOTH = uniform_job(1, 0.0, 10.0, 4, 4, UNIT)
"""Its essential instances are on a, the elastic ones on b."""


def run(
    jobs: list[Job], *failures: Failure, nodes: tuple[Node, ...] = TWO, **physics: float
) -> dict[int, Outcome]:
    planner = Planner(Sharing(policy="fifo"))
    laws = Physics(**physics)  # type: ignore[arg-type]  # the one count among them is an int
    result = simulate(jobs, nodes, planner, physics=laws, failures=failures)
    assert len(result.outcomes) == len(jobs)
    assert not planner.contenders
    assert not planner.lent
    assert not planner.room.delta
    return {one.job.id: one for one in result.outcomes}


def test_overlapping_failures_of_a_node_are_one() -> None:
    failures = [
        Failure("a", 5.0, 9.0), Failure("a", 1.0, 6.0), Failure("a", 9.0, 10.0),
        Failure("a", 20.0, 21.0), Failure("b", 2.0), Failure("b", 3.0, 4.0),
    ]  # fmt: skip
    assert changes(failures) == [
        Change(1.0, False, "a"), Change(2.0, False, "b"), Change(10.0, True, "a"),
        Change(20.0, False, "a"), Change(21.0, True, "a"),
    ]  # fmt: skip


def test_elastic_instances_go_with_their_node_and_come_back_with_it() -> None:
    assert run([ON_BOTH])[1].ended == 10.0
    for_good = run([ON_BOTH], Failure("b", 5.0))[1]
    assert for_good.ended == 5.0 + 5.0 * 2, "from then on with half of its instances"
    assert (for_good.ending, for_good.lost_seconds) == (Ending.COMPLETED, 0.0)
    assert run([ON_BOTH], Failure("b", 5.0, 9.0))[1].ended == 9.0 + (5.0 - 2.0)


def test_work_is_lost_with_elastic_instances() -> None:
    """Each of the 4 loses 2 seconds of an application of 8: that is 1 second of it all."""
    lost = run([ON_BOTH], Failure("b", 5.0), lost_seconds=2.0)[1]
    assert lost.ended == 5.0 + (5.0 + 1.0) * 2
    assert lost.lost_seconds == 4 * 2.0


def test_without_an_essential_instance_it_begins_anew_where_there_is_room() -> None:
    """Its own elastic instances give their room; it runs with 4 of 8 until the repair."""
    one = run([ON_BOTH], Failure("a", 5.0, 8.0))[1]
    assert one.ended == 8.0 + (10.0 - 1.5)
    assert (one.ending, one.lost_seconds) == (Ending.COMPLETED, 5.0 * 8)


def test_it_stands_still_until_its_essential_set_is_whole() -> None:
    rigid = uniform_job(1, 0.0, 10.0, 8, 0, UNIT)
    assert run([rigid], Failure("b", 5.0, 65.0))[1].ended == 65.0 + 10.0
    saved = run([rigid], Failure("b", 5.0, 65.0), saved_seconds=2.0)[1]
    assert saved.ended == 65.0 + (10.0 - 4.0)
    assert saved.lost_seconds == 1.0 * 8
    assert run([rigid], Failure("b", 5.0, 65.0), saved_seconds=0.0)[1].ended == 65.0 + 5.0


def test_what_loses_too_much_too_often_is_lost() -> None:
    rigid = uniform_job(1, 0.0, 10.0, 8, 0, UNIT)
    often = [Failure("a", at, at + 1.0) for at in (5.0, 10.0)]
    assert run([rigid], *often, restarts=2)[1].ended == 11.0 + 10.0
    lost = run([rigid], *often, restarts=1)[1]
    assert (lost.ending, lost.ended) == (Ending.LOST, 10.0)
    waiting = uniform_job(2, 1.0, 10.0, 8, 0, UNIT)
    both = run([rigid, waiting], *often, restarts=1)
    assert both[2].started == 11.0, "its room is given to the next one after the repair"


def test_what_lost_its_node_for_good_is_lost() -> None:
    rigid = uniform_job(1, 0.0, 10.0, 8, 0, UNIT)
    assert run([rigid], Failure("a", 5.0))[1].ending is Ending.LOST


def test_what_waits_starts_when_its_node_is_repaired() -> None:
    rigid = uniform_job(1, 1.0, 10.0, 8, 0, UNIT)
    small = uniform_job(2, 2.0, 5.0, 1, 0, UNIT)
    both = run([rigid, small], Failure("a", 0.5, 100.0))
    assert (both[1].started, both[1].ending) == (100.0, Ending.COMPLETED)
    assert both[2].started == 2.0, "one that has no room on any node holds nobody up"
    never = run([rigid], Failure("a", 0.5))[1]
    assert (never.started, never.ending) == (None, Ending.NEVER)


def test_an_end_comes_before_a_failure_of_the_same_time() -> None:
    assert run([ON_BOTH], Failure("a", 10.0))[1].ending is Ending.COMPLETED


def test_what_drains_on_a_node_goes_with_it() -> None:
    """The second takes the elastic instances on b back, and waits for their drain of 20 seconds."""
    second = uniform_job(2, 2.0, 10.0, 4, 0, UNIT)
    assert run([ON_BOTH, second], drain_seconds=3.0)[2].started == 5.0
    failed = run([ON_BOTH, second], Failure("b", 3.0, 4.0), drain_seconds=20.0)
    assert failed[2].started == 4.0
    assert failed[1].taken_back == 4


def test_what_is_used_is_of_the_nodes_that_work() -> None:
    result = simulate(
        [uniform_job(1, 0.0, 10.0, 2, 0, UNIT)], TWO, Planner(Sharing()),
        failures=[Failure("b", 5.0, 6.0)],
    )  # fmt: skip
    assert result.capacity == UNIT * 8
    used = [(moment.at, moment.used) for moment in result.moments]
    assert used == [(0.0, UNIT * 2), (5.0, UNIT * 2), (6.0, UNIT * 2), (10.0, Resources())]


@given(
    seed=st.integers(0, 2**32),
    generation=st.sampled_from(["flexible", "published", "malleable", "rigid"]),
    drain=st.sampled_from([0.0, 3.0]),
)
@settings(max_examples=settings.default.max_examples // 2)
def test_whatever_fails_all_end_and_all_room_comes_back(
    seed: int, generation: str, drain: float
) -> None:
    chance = random.Random(seed)
    nodes = [Node(f"n{number}", UNIT * 4) for number in range(4)]
    jobs = [
        uniform_job(
            n, chance.uniform(0, 60), chance.uniform(1, 30),
            chance.randint(1, 5), chance.randint(0, 6), UNIT,
        )
        for n in range(1, 16)
    ]  # fmt: skip
    failures = draw_failures(nodes, RandomFailures(40.0, 10.0), 150.0, chance)
    traces = []
    for _ in range(2):
        planner = Planner(Sharing(generation=generation))
        result = simulate(
            jobs, nodes, planner, failures=failures, keep_spans=True,
            physics=Physics(drain_seconds=drain, lost_seconds=5.0, saved_seconds=7.0, restarts=4),
        )  # fmt: skip
        assert len(result.outcomes) == len(jobs)
        assert {one.ending for one in result.outcomes} <= {Ending.COMPLETED, Ending.LOST}
        ready = len(planner.room.ready)  # a repair may come after the last end
        assert planner.room.free == [ready * 4000, ready * 4 * 1024**3, 0]
        assert not planner.room.delta
        capacity = result.capacity.cores_milli
        assert all(0 <= moment.used.cores_milli <= capacity for moment in result.moments)
        for one in result.outcomes:
            assert one.lost_seconds >= 0
            if one.ending is Ending.COMPLETED:
                assert one.started is not None
                assert one.ended - one.started >= one.job.seconds * (1 - 1e-9)
        traces.append(result)
    assert traces[0] == traces[1]


def test_no_failures_are_drawn_past_their_limit() -> None:
    assert math.isinf(Physics().saved_seconds)
    nodes = [Node("a", UNIT)]
    drawn = draw_failures(nodes, RandomFailures(1.0, 1.0), 50.0, random.Random(1))
    assert drawn
    assert max(failure.at for failure in drawn) < 50.0


def test_more_failures_than_their_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else they would all be of the first nodes, and nobody would know."""
    monkeypatch.setattr("zoe.sim.failures.MAX_FAILURES", 40)
    with pytest.raises(FailuresInvalid, match="more than 40 failures") as refused:
        draw_failures(TWO, RandomFailures(1.0, 1.0), 50.0, random.Random(1))
    assert "mean_up" in refused.value.hint


@pytest.mark.parametrize("policy", ["srpt", "hrrn"])
def test_policies_that_change_go_on_through_failures(policy: str) -> None:
    planner = Planner(Sharing(policy=policy))
    jobs = [uniform_job(n, float(n), 10.0, 2, 2, UNIT) for n in range(1, 9)]
    result = simulate(jobs, TWO, planner, failures=[Failure("a", 7.0, 9.0)])
    assert {one.ending for one in result.outcomes} == {Ending.COMPLETED}
