"""The real `zoe up` on a real Docker Engine: applications are containers, and outlive a master."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from docker_engine import IMAGE, TestEngine
from docker_registry import COMMAND, registry_beside
from stack import Deployment, deployment_in, until
from zoe.cli.engines import engine_finding
from zoe.model.engines import EngineSpec

ZAPP = f"""\
zoe: 4
name: small
kind: batch
parameters:
  file: {{type: string, default: end}}
frameworks:
  f:
    services:
      main:
        image: {IMAGE}
        command: [sh, -c, "echo begins; until [ -e $ZOE_WORKSPACE/${{parameters.file}} ];
                           do sleep 0.05; done; hostname; exit 3"]
        resources: {{cores: 0.1, memory: 32MiB}}
        monitor: true
"""

pytestmark = [pytest.mark.component("docker"), pytest.mark.timeout(300)]


@pytest.fixture
def deployment(tmp_path: Path, engine: TestEngine) -> Iterator[Deployment]:
    (tmp_path / "small.yaml").write_text(ZAPP)
    settings = {
        "ZOE_DEPLOYMENT": "test-up",
        "ZOE_DOCKER_ENGINES": f"lab {engine.url} memory=1GiB",
    }
    with deployment_in(tmp_path, **settings) as found:
        yield found
    engine.empty()


def running(engine: TestEngine) -> list[str]:
    return engine.docker("ps", "--format", "{{.Names}}").split()


def test_an_application_runs_in_containers(deployment: Deployment, engine: TestEngine) -> None:
    deployment.zoe("up", "--detach", "--backend", "docker")
    assert "lab" in deployment.zoe("nodes")
    name = deployment.zoe("submit", "small.yaml").strip()
    until(lambda: "begins" in deployment.zoe("logs", name))
    (container,) = running(engine)
    assert container == "zoe-test-up-1.f.main.0.1"

    os.kill(deployment.programs()["master"], signal.SIGKILL)
    (deployment.workspace / "end").touch()
    deployment.zoe("wait", name, code=3)
    assert deployment.zoe("logs", name) == "f.main.0| begins\nf.main.0| 0.main.f\n"
    until(lambda: engine.docker("ps", "-aq") == "", what=lambda: "its container is still there")
    until(lambda: "zoe-test-up" not in engine.docker("network", "ls"))


def test_down_ends_the_containers_or_keeps_them(deployment: Deployment, engine: TestEngine) -> None:
    deployment.zoe("up", "--detach", "--backend", "docker")
    name = deployment.zoe("submit", "small.yaml", "--set", "file=never").strip()
    until(lambda: running(engine))
    deployment.zoe("down", "--keep")
    assert running(engine)
    deployment.zoe("up", "--detach", "--backend", "docker")
    assert "running" in deployment.zoe("show", name)
    deployment.zoe("down", "--yes")
    assert not running(engine)


def test_down_says_what_it_could_not_end(deployment: Deployment, engine: TestEngine) -> None:
    deployment.zoe("up", "--detach", "--backend", "docker")
    deployment.zoe("submit", "small.yaml", "--set", "file=never")
    until(lambda: running(engine))
    engine.kill()
    try:
        deployment.zoe("down", "--yes", code=1)
    finally:
        engine.start()
    assert "lab cannot be reached" in (deployment.data_dir / "logs/shutdown.log").read_text()
    assert running(engine)
    deployment.zoe("down", "--yes")
    assert not running(engine)


def test_a_pull_is_told_and_outlives_the_master(
    deployment: Deployment, engine: TestEngine, tmp_path: Path
) -> None:
    with registry_beside(engine, tmp_path / "registry") as registry:
        image = registry.image()
        command = f"image: {image}\n        command: [{', '.join(COMMAND)}]"
        zapp = re.sub(r"image: .*?(?=\n +resources)", command, ZAPP, flags=re.DOTALL)
        (tmp_path / "pulled.yaml").write_text(zapp)
        deployment.zoe("up", "--detach", "--backend", "docker")
        registry.pause()
        name = deployment.zoe("submit", "pulled.yaml").strip()
        said = f"waits until lab has pulled {image}"
        until(lambda: said in deployment.zoe("show", name))
        assert f"f.main {said}." in deployment.zoe("why", name)
        os.kill(deployment.programs()["master"], signal.SIGKILL)
        registry.resume()
        deployment.zoe("wait", name)
        assert "ldconfig" in deployment.zoe("logs", name)
        absent = zapp.replace(image, f"{image}23")
        (tmp_path / "absent.yaml").write_text(absent)
        said = deployment.zoe("run", "absent.yaml", "--name", "absent", code=103)
        assert f"the image {image}23 cannot be pulled on lab: manifest" in said


def test_doctor_asks_the_engine(engine: TestEngine, tmp_path: Path) -> None:
    found = engine_finding(EngineSpec("lab", engine.url))
    assert found.ok
    assert "Docker" in found.found
    none = engine_finding(EngineSpec("lab", f"unix://{tmp_path}/none.sock"))
    assert not none.ok
    assert "there is no socket" in none.found
    assert "name another socket" in none.try_
