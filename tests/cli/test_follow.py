"""What somebody who follows an execution is told of it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from zoe.cli.follow import Story
from zoe.model.execution import ExitReason
from zoe.model.rest_executions import HistoryView


class Told:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self._story = Story(lambda line: self.lines.append(line.partition(" ")[2]))

    def hear(self, kind: str, message: str, **detail: Any) -> None:
        at = datetime(2026, 11, 22, tzinfo=UTC)
        self._story.add(
            HistoryView(id=1, execution_id=1, at=at, kind=kind, message=message, detail=detail)
        )

    def status(self, status: str, message: str) -> None:
        self.hear("status", message, status=status)

    def instance(
        self, name: str, status: str, message: str = "", *, elastic: bool = False, end: str = ""
    ) -> None:
        _, service, _ = name.split("/")
        self.hear(
            "instance",
            message,
            id=name,
            service=service,
            essential=not elastic,
            status=status,
            exit={"reason": end} if end else None,
        )


@pytest.fixture
def told() -> Told:
    return Told()


def test_an_ordinary_life_is_a_few_lines(told: Told) -> None:
    told.hear("submitted", "submitted by admin")
    told.status("queued", "in the queue")
    for _ in range(2):
        told.hear("deferred", "it needs 1 core", queue_position=2)
    told.status("starting", "room for all its essential instances")
    for status in ("waiting", "starting", "running", "running"):
        told.instance("1/driver.job/0", status)
    told.status("running", "all essential instances have started")
    told.instance("1/driver.job/0", "stopped", "driver.job exited with 3", end=ExitReason.FAILED)
    told.status("stopping", "driver.job exited with 3")
    told.instance("1/dask.worker/0", "stopping", "driver.job exited with 3")
    told.status("failed", "driver.job exited with 3")
    assert told.lines == [
        "waits at place 2: it needs 1 core",
        "starting: room for all its essential instances",
        "driver.job has started",
        "running: all essential instances have started",
        "driver.job exited with 3",
        "stopping",
    ]


def test_only_elastic_services_grow_and_shrink(told: Told) -> None:
    told.instance("1/dask.worker/0", "running")
    told.instance("1/dask.worker/1", "running", elastic=True)
    told.instance("1/dask.worker/1", "stopping", "2 (night) needs its room", elastic=True)
    told.instance("1/dask.worker/1", "stopped", "stopped", elastic=True, end=ExitReason.STOPPED)
    assert told.lines == [
        "dask.worker has started",
        "dask.worker grows to 2 instances",
        "dask.worker shrinks to 1 instance: 2 (night) needs its room",
    ]


def test_what_never_ran_is_told(told: Told) -> None:
    message = "a.b could not be started on vm: no such command"
    told.instance("1/a.b/0", "starting")
    told.instance("1/a.b/0", "stopped", message, end=ExitReason.NOT_STARTED)
    assert told.lines == [message]
