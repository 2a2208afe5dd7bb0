"""The real `zoe up` on a real swarm, as docs/howto/swarm.md says: what is lost runs elsewhere."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docker_engine import IMAGE
from stack import Deployment, deployment_in, until
from swarm_engines import MANAGER, WORKERS, TestSwarm
from walkthrough import walk_through
from zoe.cli.engines import swarm_findings
from zoe.model.engines import parse_engines

HOWTO = Path(__file__).parents[3] / "docs/howto/swarm.md"
ELSEWHERE_SECONDS = 30.0
"""Once the swarm has called a node down, what it ran runs on others.

On an idle machine that is so after the loss itself. How soon the swarm calls a node down where
the tests are not alone is its own affair, and not judged here.
"""

pytestmark = [pytest.mark.component("swarm"), pytest.mark.timeout(300)]


def engines_of(swarm: TestSwarm) -> str:
    return "; ".join(f"{name} {node.url} cores=2" for name, node in swarm.nodes.items())


@pytest.fixture
def deployment(tmp_path: Path, swarm: TestSwarm) -> Iterator[Deployment]:
    (shown,) = re.findall(
        r"^```yaml title=.*?\n(.*?)^```", HOWTO.read_text(), re.MULTILINE | re.DOTALL
    )
    assert IMAGE in shown
    (tmp_path / "grows.yaml").write_text(shown)
    before = swarm.things()
    settings = {
        "ZOE_DEPLOYMENT": "test-up",
        "ZOE_SWARM_ENGINES": engines_of(swarm),
        "ZOE_OBSERVE_SECONDS": "1",
        "ZOE_STOP_GRACE_SECONDS": "1",
    }
    with deployment_in(tmp_path, **settings) as found:
        yield found
    mine = ("--filter", "label=zoe.deployment=test-up")
    if services := swarm.docker("service", "ls", "-q", *mine).split():
        swarm.docker("service", "rm", *services)
    until(lambda: not swarm.docker("node", "ps", "-q", *swarm.nodes))
    if networks := swarm.docker("network", "ls", "-q", *mine).split():
        swarm.docker("network", "rm", *networks)
    until(lambda: swarm.things() == before, what=lambda: swarm.things() ^ before)


def nodes_of(deployment: Deployment, name: str, service: str) -> dict[int, str]:
    """Return on which node each instance of a service runs."""
    with deployment.client() as zoe:
        return {
            instance.ordinal: instance.node
            for instance in zoe.show(name).instances
            if instance.service == service and instance.status == "running"
        }


def test_what_a_lost_worker_ran_runs_elsewhere(deployment: Deployment, swarm: TestSwarm) -> None:
    deployment.zoe("up", "--detach", "--backend", "swarm")
    told = deployment.zoe("nodes")
    assert all(node in told for node in (MANAGER, *WORKERS))
    name = deployment.zoe("submit", "grows.yaml").strip()
    until(lambda: len(nodes_of(deployment, name, "app.worker")) == 3)
    until(lambda: deployment.zoe("logs", name).count("works on") == 3)
    main = nodes_of(deployment, name, "app.main")[0]
    lost = next(
        node
        for node in WORKERS
        if node in nodes_of(deployment, name, "app.worker").values() and node != main
    )
    was_there = [n for n, node in nodes_of(deployment, name, "app.worker").items() if node == lost]

    swarm.nodes[lost].cut()
    try:
        until(lambda: swarm.state(lost) == "down", what=lambda: swarm.state(lost))
        until(
            lambda: (
                (found := nodes_of(deployment, name, "app.worker")).keys() >= set(was_there)
                and lost not in found.values()
            ),
            ELSEWHERE_SECONDS,
            what=lambda: deployment.zoe("show", name),
        )
        assert "unreachable" in deployment.zoe("nodes")
    finally:
        swarm.nodes[lost].heal()
    until(lambda: "unreachable" not in deployment.zoe("nodes"))
    until(
        lambda: "worker" not in swarm.nodes[lost].docker("ps", "--format", "{{.Names}}"),
        what=lambda: "what was lost runs on",
    )

    os.kill(deployment.programs()["master"], signal.SIGKILL)
    (deployment.workspace / "end").touch()
    deployment.zoe("wait", name, code=0)
    until(lambda: not [each for each in swarm.services() if "test-up" in each])
    until(lambda: "zoe-test-up" not in swarm.docker("network", "ls"))


def test_down_ends_the_services_or_keeps_them(deployment: Deployment, swarm: TestSwarm) -> None:
    deployment.zoe("up", "--detach", "--backend", "swarm")
    name = deployment.zoe("submit", "grows.yaml").strip()
    until(lambda: "works on" in deployment.zoe("logs", name))
    deployment.zoe("down", "--keep")
    kept = swarm.docker("service", "ls", "--format", "{{.Name}} {{.Replicas}}")
    assert "zoe-test-up-1_app_main_0_1 1/1" in kept
    deployment.zoe("up", "--detach", "--backend", "swarm")
    assert "running" in deployment.zoe("show", name)
    deployment.zoe("down", "--yes")
    assert not [
        container
        for node in swarm.nodes.values()
        for container in node.docker("ps", "--format", "{{.Names}}").split()
        if container.startswith("zoe-test-up-")
    ]


def test_the_page_does_what_it_says(deployment: Deployment, swarm: TestSwarm) -> None:
    deployment.data_dir = deployment.folder / ".local/share/zoe"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = deployment.environment | {"PATH": path, "DOCKER_HOST": swarm.manager.url}
    assert walk_through(HOWTO, deployment.folder, environment) >= 7


def test_doctor_asks_the_swarm(deployment: Deployment, swarm: TestSwarm) -> None:
    (found,) = swarm_findings(parse_engines(engines_of(swarm)))
    assert (found.ok, found.found) == (True, "3 of 3 nodes are ready")
    found, nameless = swarm_findings(parse_engines(f"manager {swarm.manager.url}"))
    assert found.ok
    assert (nameless.ok, nameless.needed) == (False, False)
    assert WORKERS[0] in nameless.found
    swarm.docker("swarm", "update", "--task-history-limit", "0")
    try:
        found, *_ = swarm_findings(parse_engines(engines_of(swarm)))
    finally:
        swarm.docker("swarm", "update", "--task-history-limit", "5")
    assert not found.ok
    assert "forgets" in found.found
    (found,) = swarm_findings(parse_engines(f"w {swarm.nodes[WORKERS[0]].url}"))
    assert not found.ok
    assert "no manager" in found.found
    said = deployment.zoe("doctor", code=0)
    assert "cgroups" in said, "the setting names the back-end, and none does"
