from dataclasses import replace

import pytest

from zoe.master.intents import events_of, settled
from zoe.model.change import Acknowledge, Forget
from zoe.model.execution import Desired, Execution, ExecutionStatus
from zoe.model.resources import Resources
from zoe.model.zapp import Framework, Kind, Service, ZApp
from zoe.scheduler.events import ExecutionSubmitted, ScaleRequested, TerminationRequested

ZAPP = ZApp(
    "app",
    Kind.SERVICE,
    (Framework("f", (Service("s", command=("x",), resources=Resources(1000), elastic=2),)),),
)
STORED = Execution(7, "app", "admin", ZAPP, submitted_at=1.0, generation=3)


def test_an_unknown_execution_is_submitted() -> None:
    assert events_of(STORED, {}) == [ExecutionSubmitted(STORED)]


def test_a_known_one_that_wants_nothing_new_causes_nothing() -> None:
    assert events_of(STORED, {7: STORED}) == []


def test_one_stopped_before_the_master_saw_it_is_submitted_and_stopped() -> None:
    stored = replace(STORED, desired=Desired.STOP, desired_by="ann")
    assert events_of(stored, {}) == [
        ExecutionSubmitted(stored),
        TerminationRequested(7, "ann", delete=False),
    ]


def test_delete_is_a_termination_that_forgets() -> None:
    stored = replace(STORED, desired=Desired.DELETE, desired_by="ann")
    assert events_of(stored, {7: STORED}) == [TerminationRequested(7, "ann", delete=True)]


def test_scale_is_compared_with_what_is_known() -> None:
    stored = replace(STORED, elastic={"f.s": 5})
    assert events_of(stored, {7: STORED}) == [ScaleRequested(7, "f.s", 5)]
    assert events_of(stored, {7: stored}) == []
    assert events_of(replace(STORED, elastic={"f.s": 2}), {7: STORED}) == []
    kept = replace(stored, elastic_min={"f.s": 1})
    assert events_of(kept, {7: stored}) == [ScaleRequested(7, "f.s", 5, 1)]
    assert events_of(stored, {7: kept}) == [ScaleRequested(7, "f.s", 5, 0)]
    assert events_of(kept, {7: kept}) == []


@pytest.mark.parametrize("status", [ExecutionStatus.TERMINATED, ExecutionStatus.FAILED])
def test_an_ended_one_causes_nothing_and_is_forgotten_if_deleted(status: ExecutionStatus) -> None:
    ended = replace(STORED, status=status)
    assert events_of(ended, {}) == []
    assert settled(ended) == Acknowledge(7, 3)
    assert settled(replace(ended, desired=Desired.DELETE)) == Forget(7)


def test_a_wish_to_delete_stays_one_until_it_is_carried_out() -> None:
    assert settled(STORED) == Acknowledge(7, 3)
    assert settled(replace(STORED, desired=Desired.STOP)) == Acknowledge(7, 3)
    assert settled(replace(STORED, desired=Desired.DELETE)) is None
