"""Jobs from the history that Zoe keeps."""

from itertools import count
from typing import Any

import pytest

from zoe.model.change import SetInstance
from zoe.model.execution import InstanceStatus, ServiceInstance
from zoe.model.resources import Resources
from zoe.model.rest import as_time
from zoe.model.rest_executions import HistoryView
from zoe.model.zapp import Framework, Kind, Service, Speedup, ZApp
from zoe.sim.workloads.history import read_history
from zoe.sim.workloads.problems import WorkloadInvalid

T0 = 1_700_000_000.0
NUMBERS = count(100)


def execution(**changes: Any) -> dict[str, Any]:
    service = {
        "name": "work.worker",
        "resources": {"cores_milli": 500, "memory_bytes": 1 << 20, "gpus": 0},
        "essential": 1,
        "elastic": 9,
        "elastic_declared": 3,
    }
    return {
        "id": 17,
        "owner": "ann",
        "team": "blue",
        "application": "wordcount",
        "kind": "batch",
        "status": "terminated",
        "submitted_at": as_time(T0).isoformat(),
        "started_at": as_time(T0 + 5).isoformat(),
        "ended_at": as_time(T0 + 105).isoformat(),
        "time_limit_seconds": 600.0,
        "frameworks": [{"name": "work", "services": [service]}],
        **changes,
    }


def event(at: float, ordinal: int, status: str, number: int | None = None) -> dict[str, Any]:
    """As the api sends what the store wrote."""
    instance = ServiceInstance(
        17, "work.worker", ordinal, ordinal == 0, InstanceStatus(status), placed_at=T0
    )
    change = SetInstance(instance, T0 + at, "because")
    detail = {"id": change.instance.id, "status": change.instance.status.value}
    view = HistoryView(
        id=next(NUMBERS) if number is None else number,
        execution_id=17,
        at=as_time(change.at),
        kind="instance",
        message=change.reason,
        detail=detail,
    )
    return view.model_dump(mode="json")


EVENTS = [
    {"kind": "submitted", "execution_id": 17, "at": T0, "detail": {"by": "ann"}},
    event(5, 0, "waiting"),
    event(5, 0, "starting"),
    event(5, 0, "running"),
    event(25, 1, "running"),
    event(65, 1, "stopping"),
    event(70, 1, "stopped"),
    event(105, 0, "stopped"),
]


def test_the_run_time_is_what_it_would_take_with_all_it_asks_for() -> None:
    (job,) = read_history([execution()], EVENTS).jobs
    assert job.seconds == pytest.approx((100 + 40) / 4)
    assert (job.id, job.arrival_seconds) == (17, 0.0)
    demand = job.demand
    assert (demand.owner, demand.team) == ("ann", "blue"), "fair sharing needs both"
    assert (demand.application, demand.kind) == ("wordcount", Kind.BATCH)
    assert demand.run_seconds == 600.0
    (need,) = demand.needs
    assert (need.service, need.essential, need.elastic) == ("work.worker", 1, 3)
    assert need.shape.each == Resources(500, 1 << 20)


def test_an_execution_that_had_everything_takes_what_it_took() -> None:
    events = [event(5, ordinal, "running") for ordinal in range(4)]
    (job,) = read_history([execution()], events).jobs
    assert job.seconds == pytest.approx(100.0)


def test_the_order_of_events_does_not_matter_and_equal_times_follow_their_ids() -> None:
    assert (
        read_history([execution()], EVENTS[::-1]).jobs == read_history([execution()], EVENTS).jobs
    )
    again = [event(5, 0, "running", 1), event(5, 0, "stopped", 2), event(5, 0, "running", 3)]
    (job,) = read_history([execution()], again[::-1]).jobs
    assert job.seconds == pytest.approx(25.0)


def test_rows_of_the_store_have_seconds() -> None:
    row = execution(submitted_at=T0, started_at=T0 + 5, ended_at=T0 + 105)
    events = [{**EVENTS[3], "at": T0 + 5}]
    (job,) = read_history([row], events).jobs
    assert job.seconds == pytest.approx(25.0)


def test_arrivals_are_counted_from_the_first() -> None:
    other = execution(id=3, submitted_at=T0 - 50)
    loaded = read_history([execution(), other], [*EVENTS, {**EVENTS[3], "execution_id": 3}])
    assert [(job.id, job.arrival_seconds) for job in loaded.jobs] == [(3, 0.0), (17, 50.0)]


def test_a_known_application_says_what_the_history_does_not() -> None:
    service = Service(
        "worker", resources=Resources(700), elastic=1, labels=("ssd",), speedup=Speedup(0.9)
    )
    zapp = ZApp("wordcount", Kind.BATCH, (Framework("work", (service,)),))
    (job,) = read_history([execution()], EVENTS, zapps={17: zapp}).jobs
    (need,) = job.demand.needs
    assert (need.service, need.shape.labels, need.speedup) == ("work.worker", {"ssd"}, Speedup(0.9))
    assert job.seconds == pytest.approx(140 / 2)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"status": "running", "ended_at": None}, "it has not ended"),
        ({"started_at": None}, "it never ran"),
        ({"id": 18}, "no instance of it ever ran"),
    ],
)
def test_what_did_not_run_to_its_end_is_left_out(changes: dict[str, Any], why: str) -> None:
    loaded = read_history([execution(**changes)], EVENTS)
    assert (loaded.jobs, loaded.left_out) == ((), {why: 1})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": "x"}, "id 'x' is not a number"),
        ({"submitted_at": "2023-99-99"}, "not a time in ISO 8601"),
        ({"submitted_at": None}, "submitted_at None is not a number"),
        ({"submitted_at": float("nan")}, "finite"),
        ({"ended_at": T0 - 1}, "ended_at is before submitted_at"),
        ({"kind": "daemon"}, "not a kind"),
        ({"owner": 1.5}, "not a text"),
        ({"team": 1.5}, "not a text"),
        ({"time_limit_seconds": -1}, "negative"),
        ({"frameworks": None}, "has no services"),
        ({"frameworks": [{"services": [5]}]}, "not a service"),
        ({"frameworks": [{"services": 5}]}, "no list of services"),
        ({"frameworks": [{"services": [{"name": "a"}]}]}, "has no resources"),
    ],
)
def test_a_bad_execution_is_named(changes: dict[str, Any], message: str) -> None:
    both = [execution(), execution(**{"id": 18, **changes})]
    events = [*EVENTS, {**EVENTS[3], "execution_id": 18}]
    with pytest.raises(WorkloadInvalid) as refused:
        read_history(both, events)
    assert str(refused.value).startswith("history: executions[1]: ")
    assert message in str(refused.value)
    loaded = read_history(both, events, on_error="skip")
    assert (len(loaded.jobs), loaded.skipped) == (1, 1)


@pytest.mark.parametrize(
    "bad",
    [
        5,
        {"kind": "instance"},
        {"kind": "instance", "detail": {"id": "a", "status": "running"}, "execution_id": "x"},
        {**EVENTS[3], "at": "yesterday"},
    ],
)
def test_a_bad_event_is_named(bad: Any) -> None:
    with pytest.raises(WorkloadInvalid, match=r"events\[8\]"):
        read_history([execution()], [*EVENTS, bad])
    assert read_history([execution()], [*EVENTS, bad], on_error="skip").skipped == 1


def test_an_execution_twice_and_no_executions() -> None:
    with pytest.raises(WorkloadInvalid, match="job 17 was already in"):
        read_history([execution(), execution()], EVENTS)
    assert read_history([], []).jobs == ()
