"""MPI of the catalogue: ranks in containers of their own, started over SSH, as any user."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalogue_world import OWNER, Place, bring, catalogue_on, chosen, working
from docker_engine import TestEngine
from stack import Deployment, until
from swarm_engines import TestSwarm
from zoe.model.execution import Outcome

pytestmark = pytest.mark.timeout(1200)
docker = pytest.mark.component("docker")


RANKS = 3
CHOICES = (f"ranks={RANKS}", "cores=0.3")
WAITS = """\
import time
from mpi4py import MPI
print("rank", MPI.COMM_WORLD.rank, "is here", flush=True)
while True:
    time.sleep(60)
"""
STRANGER = """\
import asyncio, os, pathlib
import asyncssh

async def ask(key):
    options = {"username": "mpi", "known_hosts": None, "agent_path": None, "config": None}
    try:
        async with asyncssh.connect("1.worker.mpi", 2222, client_keys=[key], **options):
            print("let in")
    except asyncssh.PermissionDenied:
        print("denied")

(own,) = pathlib.Path(os.environ["ZOE_WORKSPACE"]).glob(".zoe/mpi-*/key")
asyncio.run(ask(asyncssh.read_private_key(own)))
asyncio.run(ask(asyncssh.generate_private_key("ssh-ed25519")))
"""
"""Takes whoever answers for the server, and comes with the execution's key, then with another."""
WORKER = "mpi.worker"


@pytest.fixture(params=[OWNER, 0], ids=["somebody", "root"])
def deployment(
    request: pytest.FixtureRequest, engine: TestEngine, tmp_path: Path
) -> Iterator[Deployment]:
    lab, room = Place("docker", engine), "cores=1 memory=4GiB"
    with catalogue_on(lab, tmp_path, "mpi", room=room, owner=request.param) as found:
        yield found


@docker
def test_ranks_compute_together(deployment: Deployment) -> None:
    bring(deployment, "mpi-pi/pi.py")
    said = deployment.zoe("run", "mpi-pi", "--name", "pi", *chosen(*CHOICES, "strips=3000000"))
    assert "3 ranks on 0.worker.mpi, 1.worker.mpi, 2.worker.mpi" in said
    assert "pi is 3.14159265" in said
    assert not list((deployment.workspace / ".zoe").iterdir()), "its key is left"

    bring(deployment, "mpi-heat/heat.py")
    said = deployment.zoe("run", "mpi-heat", *chosen(*CHOICES, "size=100", "steps=200"))
    assert "3 ranks, 200 steps of 10000 points" in said
    assert "equal to the result of one process" in said


@docker
@pytest.mark.parametrize("deployment", [OWNER], indirect=True, ids=["somebody"])
def test_a_lost_rank_ends_the_execution(deployment: Deployment, engine: TestEngine) -> None:
    (deployment.workspace / "pi.py").write_text(WAITS)
    deployment.zoe("submit", "mpi-pi", "--name", "pi", *chosen(*CHOICES))
    until(
        lambda: deployment.zoe("logs", "pi").count("is here") == RANKS,
        what=lambda: deployment.zoe("logs", "pi"),
    )
    names = engine.docker("ps", "--format", "{{.Names}}").split()
    (lost,) = [name for name in names if ".mpi.worker.1." in name]
    # Nobody gets in without the key.
    with deployment.client() as client:
        assert working(client, "pi", WORKER) == RANKS
    (worker,) = [name for name in names if ".mpi.worker.0." in name]
    said = engine.docker("exec", "-e", "USER=mpi", worker, "python3", "-c", STRANGER)
    assert said.split("\n") == ["let in", "denied"]
    engine.docker("kill", lost)
    with deployment.client() as client:
        end = until(lambda: client.show("pi").end)
    assert end.outcome is Outcome.FAILED
    # What has started the ranks may have noticed it before Zoe.
    assert WORKER in end.message or "main.mpiexec exited with 255" in end.message
    until(lambda: not list((deployment.workspace / ".zoe").glob("mpi-*-1")))


@pytest.mark.component("swarm")
def test_ranks_on_three_nodes_compute_together(swarm: TestSwarm, tmp_path: Path) -> None:
    choices = chosen("ranks=3", "cores=0.6", "size=100", "steps=200")
    with catalogue_on(Place("swarm", swarm), tmp_path, "mpi", room="cores=1") as deployment:
        bring(deployment, "mpi-heat/heat.py")
        said = deployment.zoe("run", "mpi-heat", "--name", "heat", *choices)
        with deployment.client() as client:
            ranks = [one for one in client.show("heat").instances if one.service == WORKER]
    assert "3 ranks, 200 steps of 10000 points" in said
    assert "equal to the result of one process" in said
    assert len({one.node for one in ranks}) == 3
