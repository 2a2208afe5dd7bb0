"""The master is killed while it starts fifty containers: each one runs once in the end."""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from docker_engine import IMAGE, TestEngine
from stack import Deployment, deployment_in, until

INSTANCES = 50
PATIENCE_SECONDS = 150.0
"""Fifty containers take a busy engine half of it."""
SEEDS = int(os.environ.get("ZOE_TEST_SEEDS", "4"))
ZAPP = f"""\
zoe: 4
name: fifty
kind: service
frameworks:
  f:
    services:
      main:
        image: {IMAGE}
        command: [sleep, infinity]
        resources: {{cores: 0.01, memory: 8MiB}}
        count: {{essential: {INSTANCES}, elastic: 0}}
"""
NAME = "test-fifty"

pytestmark = [pytest.mark.component("docker"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def deployment(
    tmp_path_factory: pytest.TempPathFactory, engine: TestEngine
) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("fifty")
    (folder / "fifty.yaml").write_text(ZAPP)
    settings = {"ZOE_DEPLOYMENT": NAME, "ZOE_DOCKER_ENGINES": f"lab {engine.url} memory=1GiB"}
    with deployment_in(folder, **settings) as found:
        found.zoe("up", "--detach", "--backend", "docker")
        yield found
    engine.empty()


def containers(engine: TestEngine, state: str = "") -> dict[str, str]:
    """Return the ids of the deployment's containers, by name, in one state or in any."""
    wanted = ["--filter", f"label=zoe.deployment={NAME}"]
    if state:
        wanted += ["--filter", f"status={state}"]
    listed = engine.docker("ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.ID}}", *wanted)
    return dict(line.split() for line in listed.splitlines())


@pytest.mark.parametrize("seed", range(SEEDS))
def test_each_container_runs_once(deployment: Deployment, engine: TestEngine, seed: int) -> None:
    before = random.Random(seed).randrange(INSTANCES)
    submitted = deployment.zoe("submit", "fifty.yaml").split()[-1]
    with deployment.client() as zoe:
        id = zoe.show(submitted).id
        master = deployment.programs()["master"]
        until(lambda: len(containers(engine)) >= before, PATIENCE_SECONDS)
        os.kill(master, signal.SIGKILL)
        ran = containers(engine, "running")

        until(lambda: zoe.show(id).status == "running", PATIENCE_SECONDS, lambda: zoe.show(id))
        now = containers(engine, "running")
        assert now.keys() == {f"zoe-{NAME}-{id}.f.main.{n}.1" for n in range(INSTANCES)}
        assert containers(engine) == now, "some were left that do not run"
        assert ran.items() <= now.items(), "one that ran was started again"

        zoe.stop(id)
        zoe.wait(id, timeout=PATIENCE_SECONDS)
    until(lambda: not containers(engine), PATIENCE_SECONDS)
    until_gone(engine, f"zoe-{NAME}-{id}")


def until_gone(engine: TestEngine, network: str) -> None:
    """Wait until Zoe has removed a network.

    A busy engine may count endpoints wrong, and then removes a network that nothing is in only
    after it was started again: https://github.com/moby/moby/issues/42119.
    """

    def is_gone() -> bool:
        return network not in engine.docker("network", "ls", "--format", "{{.Name}}").split()

    with suppress(AssertionError):
        until(is_gone, PATIENCE_SECONDS)
        return
    engine.recount(network)
    until(is_gone, PATIENCE_SECONDS)
