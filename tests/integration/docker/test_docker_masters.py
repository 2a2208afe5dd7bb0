"""Masters that die or fall asleep between two steps with an engine, and the one that follows."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from docker_engine import IMAGE, TestEngine
from stack import Deployment, deployment_in, until
from two_masters import Masters, two_masters
from zoe.client import Zoe
from zoe.failpoints import POINTS

NAME = "test-masters"
INSTANCES = 3
ZAPP = f"""\
zoe: 4
name: three
kind: service
frameworks:
  f:
    services:
      main:
        image: {IMAGE}
        command: [sh, -c, 'trap "echo ends; exit" TERM; echo begins; while :; do sleep 0.1; done']
        resources: {{cores: 0.05, memory: 16MiB}}
        count: {{essential: {INSTANCES}, elastic: 0}}
"""
KILLED = ("cp07", "cp08", "cp11", "cp17")
ASLEEP = ("cp06", "cp09", "cp16")

pytestmark = [pytest.mark.component("docker"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def deployment(
    tmp_path_factory: pytest.TempPathFactory, engine: TestEngine
) -> Iterator[Deployment]:
    armed = [f"{point}:kill" for point in KILLED] + [f"{point}:stop" for point in ASLEEP]
    settings = {
        "ZOE_DEPLOYMENT": NAME,
        "ZOE_DOCKER_ENGINES": f"lab {engine.url} memory=1GiB",
        "ZOE_FAILPOINT": ",".join(armed),
        "ZOE_SAMPLE_SECONDS": "0",
        "ZOE_FORECAST_DEPTH": "0",
    }
    with deployment_in(tmp_path_factory.mktemp("masters"), **settings) as found:
        found.zoe("up", "--detach", "--backend", "docker")
        marks(found).mkdir(exist_ok=True)
        for point in POINTS:
            (marks(found) / point).touch()
        yield found
    engine.empty()


@pytest.fixture(scope="module")
def zoe(deployment: Deployment) -> Iterator[Zoe]:
    with deployment.client() as found:
        yield found


@pytest.fixture(scope="module")
def masters(deployment: Deployment, zoe: Zoe) -> Iterator[Masters]:
    with two_masters(deployment, zoe) as found:
        yield found


def marks(deployment: Deployment) -> Path:
    return deployment.data_dir / "run/failpoints"


def containers(engine: TestEngine) -> dict[str, str]:
    """Return the states of the deployment's containers, by name."""
    wanted = ("--filter", f"label=zoe.deployment={NAME}")
    listed = engine.docker("ps", "-a", "--format", "{{.Names}} {{.State}}", *wanted)
    return dict(line.split() for line in listed.splitlines())


def is_whole(engine: TestEngine, zoe: Zoe, id: int) -> bool:
    whole = {f"zoe-{NAME}-{id}.f.main.{n}.1": "running" for n in range(INSTANCES)}
    return zoe.show(id).status == "running" and containers(engine) == whole


@pytest.mark.parametrize("point", [*KILLED, *ASLEEP])
def test_every_container_runs_once_and_none_is_left(
    deployment: Deployment,
    engine: TestEngine,
    zoe: Zoe,
    masters: Masters,
    point: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    leader, standby = masters.both()
    mark = marks(deployment) / point
    is_late = point in ("cp16", "cp17")
    if not is_late:
        mark.unlink()
    id = zoe.submit(ZAPP).id
    until(lambda: is_whole(engine, zoe, id), what=lambda: (containers(engine), zoe.show(id)))
    if is_late:
        mark.unlink()
    else:
        took = time.time() - mark.stat().st_mtime
    zoe.stop(id)
    zoe.wait(id, timeout=60)
    until(lambda: not containers(engine), what=lambda: containers(engine))
    if is_late:
        took = time.time() - mark.stat().st_mtime
    for n in range(INSTANCES):
        output = deployment.data_dir / f"logs/{id}/f.main.{n}.1.stdout"
        assert output.read_text() == "begins\nends\n", "each line once, also of who slept"
    with capsys.disabled():
        print(f"\n{point}: as it must be {took:.1f} s after", end="")  # noqa: T201 - for people
    until(lambda: masters.leads(standby), what=deployment.logs)
    if point in ASLEEP:
        before = masters.contents()
        masters.wake(leader)
        assert masters.contents() == before
    assert containers(engine) == {}
    masters.both()
