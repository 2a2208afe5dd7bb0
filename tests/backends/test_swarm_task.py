"""What the swarm says of a task, as what an engine says of a container, and as an end."""

from typing import Any

import pytest

from zoe.backends.docker.exits import exit_of
from zoe.backends.docker.notes import Note
from zoe.backends.swarm.service import NAME_MAX, service_name
from zoe.backends.swarm.task import container_of
from zoe.model.execution import Exit, ExitReason


def service(replicas: int = 1) -> dict[str, Any]:
    spec = {"Labels": {}, "TaskTemplate": {}, "Mode": {"Replicated": {"Replicas": replicas}}}
    return {"ID": "s1", "Spec": spec}


def task(state: str, code: int | None = None, said: str = "") -> dict[str, Any]:
    status: dict[str, Any] = {"State": state, "Err": said}
    if code is not None:
        status["ContainerStatus"] = {"ContainerID": "c1", "ExitCode": code}
    return {"Status": status}


def state_of(found: dict[str, Any] | None, *, down: bool = False, **of: int) -> dict[str, Any]:
    state: dict[str, Any] = container_of(service(**of), found, node_is_down=down)["State"]
    return state


@pytest.mark.parametrize("state", ["new", "pending", "assigned", "preparing", "starting"])
def test_what_does_not_run_yet_is_being_prepared(state: str) -> None:
    found = state_of(task(state))
    assert (found["Status"], found["Running"]) == ("preparing", True)
    assert bool(found["Waits"]) == (state in {"new", "pending", "assigned"})
    assert state_of(None)["Status"] == "preparing", "the swarm has not made it yet"


@pytest.mark.parametrize(
    ("found", "down", "exit"),
    [
        (task("complete", 0), False, Exit(ExitReason.COMPLETED, 0)),
        (task("complete", 0), True, Exit(ExitReason.COMPLETED, 0)),
        (task("failed", 3, "task: non-zero exit (3)"), False, Exit(ExitReason.FAILED, 3)),
        (task("failed", 137), False, Exit(ExitReason.FAILED, None, 9, "SIGKILL")),
        (
            task("failed", 127, "no such file"),
            False,
            Exit(ExitReason.FAILED, 127, None, "no such file"),
        ),
        (
            task("rejected", None, "No such image: x"),
            False,
            Exit(ExitReason.NOT_STARTED, message="No such image: x"),
        ),
        (task("running", 0), True, Exit(ExitReason.LOST, message="the swarm lost its node")),
        (None, True, Exit(ExitReason.LOST, message="the swarm lost its node")),
    ],
)
def test_every_end_is_told(found: dict[str, Any] | None, down: bool, exit: Exit) -> None:
    container = container_of(service(), found, node_is_down=down)
    assert not container["State"]["Running"]
    assert exit_of(container, Note("1/f.s/0", 1), engine_was_away=False) == exit


def test_what_the_swarm_ended_was_stopped_or_is_lost() -> None:
    for found in (task("shutdown", 143), None):
        container = container_of(service(replicas=0), found, node_is_down=False)
        exit = exit_of(container, Note("1/f.s/0", 1), engine_was_away=False)
        assert exit.reason is ExitReason.LOST
        exit = exit_of(container, Note("1/f.s/0", 1, kill_at=1.0), engine_was_away=False)
        assert exit.reason is ExitReason.STOPPED


def test_names_of_services_are_short_and_of_one_attempt_each() -> None:
    assert service_name("lab", ("17/spark.worker/3", 1)) == "zoe-lab-17_spark_worker_3_1"
    long = [service_name("lab", (f"17/{'f' * 63}.{'s' * 63}/{n}", 1)) for n in range(20)]
    assert len(set(long)) == len(long)
    assert {len(name) for name in long} == {NAME_MAX}
