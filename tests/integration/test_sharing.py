"""Real processes share a machine: room is taken back with a drain; who delays nobody overtakes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import Deployment, deployment_in, until
from zoe.client import Zoe
from zoe.model.rest_executions import ExecutionDetail

ELASTIC = """\
zoe: 4
name: elastic
kind: batch
time_limit: 10m
frameworks:
  f:
    services:
      main:
        image: unused
        command: [sleep, "600"]
        resources: {cores: 1, memory: 32MiB}
        monitor: true
      worker:
        image: unused
        command: [sleep, "600"]
        resources: {cores: 1, memory: 32MiB}
        count: {essential: 0, elastic: 3}
        shrink: {command: [touch, DRAINED], grace: 5s}
"""

RIGID = """\
zoe: 4
name: rigid
kind: batch
time_limit: LIMIT
frameworks:
  f:
    services:
      main:
        image: unused
        command: [sleep, "SECONDS"]
        resources: {cores: CORES, memory: 32MiB}
        monitor: true
"""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    settings = {"ZOE_PROCESS_CORES": "4", "ZOE_POLICY": "fifo", "ZOE_GRANT_SECONDS": "0"}
    with deployment_in(tmp_path, **settings) as found:
        yield found


def rigid(cores: int, seconds: int, limit: str) -> str:
    text = RIGID.replace("CORES", str(cores)).replace("SECONDS", str(seconds))
    return text.replace("LIMIT", limit)


def running(zoe: Zoe, name: str, count: int) -> ExecutionDetail | None:
    """Return an execution once so many of its instances run, no more and no fewer."""
    found = zoe.show(name)
    alive = [one for one in found.instances if one.status == "running"]
    return found if len(alive) == count else None


def test_room_is_taken_back_with_a_drain_and_grows_back(deployment: Deployment) -> None:
    drained = deployment.folder / "drained"
    deployment.zoe("up", "--detach")
    with deployment.client() as zoe:
        zoe.submit(ELASTIC.replace("DRAINED", str(drained)), name="wide")
        until(lambda: running(zoe, "wide", 4))
        zoe.submit(rigid(2, 3, "1m"), name="small")
        until(lambda: zoe.show("small").started_at)
        assert drained.exists(), "the hook has run before the room was given away"
        assert running(zoe, "wide", 2)
        losses = zoe.why("wide").losses
        assert sum(loss.instances for loss in losses) == 2
        assert {loss.for_execution for loss in losses} == {zoe.show("small").id}
        assert zoe.wait("small", timeout=60).status == "terminated"
        until(lambda: running(zoe, "wide", 4))


def test_who_delays_nobody_overtakes(deployment: Deployment) -> None:
    deployment.zoe("up", "--detach")
    with deployment.client() as zoe:
        zoe.submit(rigid(3, 20, "1m"), name="first")
        until(lambda: running(zoe, "first", 1))
        zoe.submit(rigid(4, 1, "1m"), name="blocked")
        zoe.submit(rigid(1, 1, "10m"), name="long")
        zoe.submit(rigid(1, 1, "5s"), name="quick")
        until(lambda: zoe.show("quick").started_at)
        waiting = zoe.why("blocked")
        assert "first" in str(waiting.reasons), "it is said who holds the room"
        assert zoe.show("blocked").started_at is None
        assert zoe.show("long").started_at is None, "it could run until after the first has ended"
        assert zoe.wait("long", timeout=120).status == "terminated"
        begun = [zoe.show(name).started_at for name in ("first", "quick", "blocked", "long")]
        assert begun == sorted(begun, key=str)
