"""The catalogue on a swarm of three nodes: the same files as on one engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalogue_world import bring, catalogue_up, chosen
from docker_images import provide
from stack import Deployment, until
from swarm_engines import TestSwarm

pytestmark = [pytest.mark.component("swarm"), pytest.mark.timeout(1200)]


@pytest.fixture
def deployment(tmp_path: Path, swarm: TestSwarm) -> Iterator[Deployment]:
    for node in swarm.nodes.values():
        provide(node, "mpi")
    before = swarm.things()
    engines = "; ".join(f"{name} {node.url} cores=1" for name, node in swarm.nodes.items())
    with catalogue_up(tmp_path, ZOE_BACKEND="swarm", ZOE_SWARM_ENGINES=engines) as found:
        yield found
    until(lambda: swarm.things() == before, what=lambda: swarm.things() ^ before)


def test_ranks_on_three_nodes_compute_together(deployment: Deployment) -> None:
    bring(deployment, "mpi-heat/heat.py")
    choices = chosen("ranks=3", "cores=0.6", "size=100", "steps=200")
    said = deployment.zoe("run", "mpi-heat", "--name", "heat", *choices)
    assert "3 ranks, 200 steps of 10000 points" in said
    assert "equal to the result of one process" in said
    with deployment.client() as client:
        nodes = {one.node for one in client.show("heat").instances if one.service == "mpi.worker"}
    assert len(nodes) == 3
