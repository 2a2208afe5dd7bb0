"""The word count and its Dask cluster, run with the commands of their files, without Zoe."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zoe.model.execution import Execution, ServiceInstance
from zoe.model.launch import Launch, Place, launch
from zoe.model.zapp_yaml import read_zapp

ROOT = Path(__file__).parents[2]
FRAMEWORK = ROOT / "zapps/dask/framework.yaml"
ZAPP = ROOT / "zapps/dask-wordcount/zapp.yaml"


def eventually(condition: Callable[[], bool], what: str, seconds: float = 40) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.05)


class Cluster:
    """The processes of one word count, each on a loopback address of its own."""

    def __init__(self, folder: Path) -> None:
        catalogue = {"dask": (str(FRAMEWORK), FRAMEWORK.read_text())}
        zapp = read_zapp(ZAPP.read_text(), parameters={"seconds": 15}, catalogue=catalogue)
        names = ["dask.scheduler.0", *(f"dask.worker.{n}" for n in range(5)), "driver.count.0"]
        net = f"127.{random.randrange(64, 255)}.{random.randrange(255)}"
        self.hosts = {name: f"{net}.{number}" for number, name in enumerate(names, 1)}
        self.place = Place(deployment="test", hosts=self.hosts, workspace=str(folder))
        self.execution = Execution(7, "count", "ada", zapp, 0.0)
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def launched(self, service: str, ordinal: int = 0) -> Launch:
        instance = ServiceInstance(7, service, ordinal, essential=ordinal == 0)
        return launch(self.execution, instance, self.place, on_process=True)

    def start(self, service: str, ordinal: int = 0, *more: str) -> subprocess.Popen[bytes]:
        what = self.launched(service, ordinal)
        name = f"{service}.{ordinal}"
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [*what.command, *more],
                cwd=self.folder,
                env=self.environment(what),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self.processes[name]

    def environment(self, what: Launch) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**os.environ, "HOME": str(self.folder), "PATH": path, **what.environment}

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def listens(self) -> bool:
        try:
            socket.create_connection((self.hosts["dask.scheduler.0"], 8786), 1).close()
        except OSError:
            return False
        return True

    def start_cluster(self, workers: int) -> None:
        self.start("dask.scheduler")
        eventually(self.listens, "the scheduler")
        for ordinal in range(workers):
            self.start("dask.worker", ordinal)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    shutil.copy(ZAPP.with_name("wordcount.py"), tmp_path)
    found = Cluster(tmp_path)
    yield found
    for process in found.processes.values():
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait(10)


SOURCES = Path(sysconfig.get_path("purelib")) / "distributed"


def test_results_survive_a_worker_that_is_taken_back_and_one_that_dies(cluster: Cluster) -> None:
    cluster.start_cluster(3)
    driver = cluster.start("driver.count", 0, f"--folder={SOURCES}")
    eventually(lambda: "round 1:" in cluster.log("driver.count.0"), "the first round")

    taken = cluster.launched("dask.worker", 2)
    hook = subprocess.run(
        taken.shrink_command,
        env=cluster.environment(taken),
        cwd=cluster.folder,
        timeout=30,
        capture_output=True,
        check=False,
    )
    assert hook.returncode == 0, hook.stderr
    assert cluster.processes["dask.worker.2"].wait(20) == 0
    assert driver.poll() is None, cluster.log("driver.count.0")

    cluster.processes["dask.worker.1"].send_signal(signal.SIGKILL)
    assert driver.wait(90) == 0, cluster.log("driver.count.0")
    output = cluster.log("driver.count.0")
    assert "rounds with equal results" in output
    files = list(SOURCES.rglob("*.py"))
    assert f"{len(files)} files, {sum(path.stat().st_size for path in files)} bytes" in output
    assert "  self\n" in output


def test_a_driver_without_its_scheduler_fails(cluster: Cluster) -> None:
    cluster.start_cluster(1)
    driver = cluster.start("driver.count", 0, f"--folder={SOURCES}")
    eventually(lambda: "round 1:" in cluster.log("driver.count.0"), "the first round")
    cluster.processes["dask.scheduler.0"].kill()
    assert driver.wait(60) != 0


def test_a_folder_without_sources_is_a_failure(cluster: Cluster, tmp_path: Path) -> None:
    driver = cluster.start("driver.count", 0, f"--folder={tmp_path / 'nothing'}")
    assert driver.wait(30) == 1
    assert "no Python file under" in cluster.log("driver.count.0")
