"""`zoe node add` and `zoe node rm`: a second real engine comes and goes, by ssh, while Zoe runs."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from docker_engine import IMAGE, TestEngine, engine_of_its_own
from ssh_server import TestSshServer, path_with, ssh_server
from stack import Deployment, deployment_in, until

ZAPP = f"""\
zoe: 4
name: extra
kind: batch
parameters:
  file: {{type: string, default: end}}
frameworks:
  f:
    services:
      main:
        image: {IMAGE}
        command: [sh, -c, "echo begins; until [ -e $ZOE_WORKSPACE/${{parameters.file}} ];
                           do sleep 0.05; done"]
        resources: {{cores: 0.1, memory: 32MiB}}
        labels: [extra]
        monitor: true
"""
DRAIN, LAB2 = "`zoe node drain lab2`", "zoe-test-add-"

pytestmark = [
    pytest.mark.component("docker"),
    pytest.mark.component("ssh"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def second() -> Iterator[TestEngine]:
    with engine_of_its_own() as found:
        yield found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TestSshServer]:
    with ssh_server(tmp_path / "ssh") as found:
        yield found


@pytest.fixture
def deployment(
    tmp_path: Path, engine: TestEngine, second: TestEngine, server: TestSshServer
) -> Iterator[Deployment]:
    (tmp_path / "extra.yaml").write_text(ZAPP)
    settings = {
        "PATH": path_with(server),
        "ZOE_BACKEND": "docker",
        "ZOE_DEPLOYMENT": "test-add",
        "ZOE_DOCKER_ENGINES": f"lab {engine.url} memory=1GiB",
        "ZOE_OBSERVE_SECONDS": "0.5",
    }
    with deployment_in(tmp_path, **settings) as found:
        found.zoe("up", "--detach")
        yield found
    assert not running(second), "`zoe down` ends what runs on added engines, too"
    engine.empty()
    second.empty()


def running(engine: TestEngine) -> list[str]:
    return engine.docker("ps", "--format", "{{.Names}}").split()


def words(server: TestSshServer, second: TestEngine) -> list[str]:
    where = f"{server.url}{second.socket}"
    return [where, "memory=1GiB", "labels=extra", f"address={second.address}"]


def test_an_engine_comes_and_goes_while_zoe_runs(
    deployment: Deployment, second: TestEngine, server: TestSshServer
) -> None:
    zoe = deployment.zoe
    said = zoe("submit", "extra.yaml")
    assert "no node has the label extra" in said
    first = said.split()[0]
    said = zoe("node", "add", "lab2", *words(server, second))
    assert said.startswith("lab2 is ready: "), said
    assert "1GiB" in said
    assert f"lab2: added by admin: {' '.join(words(server, second))}" in zoe("node", "ls")
    until(lambda: zoe("logs", first) == "f.main.0| begins\n")
    (container,) = running(second)
    assert container.startswith(LAB2)

    said = zoe("node", "rm", "lab2", code=6)
    assert "1 instance runs on lab2" in said
    assert DRAIN in said
    os.kill(deployment.programs()["master"], signal.SIGKILL)
    until(lambda: "lab2" in zoe("node", "ls") and "running" in zoe("show", first))
    assert running(second) == [container], "the next master has taken it over"
    zoe("node", "drain", "lab2")
    (deployment.workspace / "end").touch()
    zoe("wait", first)
    assert zoe("logs", first) == "f.main.0| begins\n"

    assert "lab2 goes" in zoe("node", "rm", "lab2")
    until(lambda: "lab2" not in zoe("node", "ls"))
    until(lambda: not second.docker("ps", "-aq"))
    until(lambda: LAB2 not in second.docker("network", "ls"))
    assert "no engine 'lab2'" in zoe("node", "rm", "lab2", code=4)
    assert "named by the setting docker_engines" in zoe("node", "rm", "lab", code=6)

    zoe("node", "add", "lab2", *words(server, second))
    last = zoe("submit", "extra.yaml", "--set", "file=never").strip()
    until(lambda: running(second), what=lambda: zoe("why", last))
    # The fixture takes everything down: what runs there ends, though no setting names it.


def test_an_engine_that_is_away_for_good_goes_by_force(
    deployment: Deployment, second: TestEngine, server: TestSshServer
) -> None:
    zoe = deployment.zoe
    zoe("node", "add", "lab2", *words(server, second))
    name = zoe("submit", "extra.yaml", "--set", "file=never").strip()
    until(lambda: "begins" in zoe("logs", name))
    server.stop()
    until(lambda: "unreachable" in zoe("node", "ls"))
    assert "`zoe node rm --force lab2`" in zoe("node", "rm", "lab2", code=6)
    assert "running" in zoe("show", name), "nothing on it is taken for lost"
    zoe("node", "rm", "--force", "lab2")
    until(lambda: "lab2" not in zoe("node", "ls"))
    until(lambda: "lost" in zoe("events", name), what=lambda: zoe("events", name))
    server.start()
    assert len(running(second)) == 1
    zoe("node", "add", "lab2", *words(server, second))
    until(lambda: not running(second), what=lambda: zoe("events", name))  # nobody wants it now


def test_what_cannot_be_reached_is_said_so(deployment: Deployment) -> None:
    said = deployment.zoe("node", "add", "lab3", "unix:///nowhere/docker.sock")
    assert said.startswith("lab3 is unreachable (lab3 cannot be reached at unix:///nowhere")
    assert "lab3" in deployment.zoe("node", "ls")
    deployment.zoe("node", "rm", "lab3")
    until(lambda: "lab3" not in deployment.zoe("node", "ls"))
