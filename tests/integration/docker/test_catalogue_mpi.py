"""MPI of the catalogue: ranks in containers of their own, started over SSH, as any user."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalogue_world import OWNER, bring, catalogue_on, working
from docker_engine import TestEngine
from stack import Deployment, until

pytestmark = [pytest.mark.component("docker"), pytest.mark.timeout(1200)]

RANKS = 3
CHOICES = ("--set", f"ranks={RANKS}", "--set", "cores=0.3")
WAITS = """\
import time
from mpi4py import MPI
print("rank", MPI.COMM_WORLD.rank, "is here", flush=True)
while True:
    time.sleep(60)
"""
WORKER = "mpi.worker"


@pytest.fixture(params=[OWNER, 0], ids=["somebody", "root"])
def deployment(
    request: pytest.FixtureRequest, engine: TestEngine, tmp_path: Path
) -> Iterator[Deployment]:
    room = "cores=1 memory=4GiB"
    with catalogue_on(engine, tmp_path, "mpi", room=room, owner=request.param) as found:
        yield found


def test_ranks_compute_together(deployment: Deployment) -> None:
    bring(deployment, "mpi-pi/pi.py")
    said = deployment.zoe("run", "mpi-pi", *CHOICES, "--set", "strips=3000000", "--name", "pi")
    assert "3 ranks on 0.worker.mpi, 1.worker.mpi, 2.worker.mpi" in said
    assert "pi is 3.14159265" in said
    assert not list((deployment.workspace / ".zoe").iterdir()), "its key is left"

    bring(deployment, "mpi-heat/heat.py")
    said = deployment.zoe("run", "mpi-heat", *CHOICES, "--set", "size=100", "--set", "steps=200")
    assert "3 ranks, 200 steps of 10000 points" in said
    assert "equal to the result of one process" in said


@pytest.mark.parametrize("deployment", [OWNER], indirect=True, ids=["somebody"])
def test_a_lost_rank_ends_the_execution(deployment: Deployment, engine: TestEngine) -> None:
    (deployment.workspace / "pi.py").write_text(WAITS)
    deployment.zoe("submit", "mpi-pi", *CHOICES, "--name", "pi")
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
    refused = "ZOE_EXECUTION_ID=x; export ZOE_EXECUTION_ID; mpi-node 1.worker.mpi id"
    said = engine.docker("exec", worker, "sh", "-c", f"{refused} 2>&1; echo $?")
    assert "no rank on 1.worker.mpi" in said
    assert said.endswith("255")
    engine.docker("kill", lost)
    assert "mpi.worker" in deployment.zoe("wait", "pi", code=1)
    until(lambda: not list((deployment.workspace / ".zoe").glob("mpi-*-1")))
