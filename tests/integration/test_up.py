"""The real `zoe up`: everything as processes, killed one by one, and nothing left at the end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ZAPP = """\
zoe: 4
name: small
kind: batch
parameters:
  seconds: {type: number, default: 0.1}
frameworks:
  f:
    services:
      main:
        image: unused
        command: [sh, -c, "echo begins; sleep ${parameters.seconds}; echo ends; exit 3"]
        resources: {cores: 0.1, memory: 32MiB}
        monitor: true
"""
SECONDS = 60.0

pytestmark = pytest.mark.timeout(300)  # many processes, on machines that may be busy


def until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


class Deployment:
    """One data folder, and the command line for it."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.zapp = folder / "small.yaml"
        self.zapp.write_text(ZAPP)
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("ZOE_")} | {
            "HOME": str(folder),
            "ZOE_PROCESS_CORES": "2",
            "ZOE_PROCESS_MEMORY": "1GiB",
            "ZOE_LEASE_SECONDS": "2",
            "ZOE_API_PORT": "0",
        }
        self._folder = folder

    def popen(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "zoe.cli.main", "--data-dir", str(self.data_dir), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
            cwd=self._folder,
        )

    def zoe(self, *arguments: str, code: int = 0) -> str:
        with self.popen(*arguments) as process:
            out, err = process.communicate(timeout=SECONDS * 2)
        assert process.returncode == code, f"zoe {arguments}: {process.returncode}\n{out}\n{err}"
        return out + err

    def programs(self) -> dict[str, int]:
        record = json.loads((self.data_dir / "run/zoe.json").read_text())
        return {"up": record["pid"], **record["programs"]}

    def processes(self) -> set[int]:
        """Return every process that has our folder in its arguments or environment."""
        found, mark = set(), os.fsencode(self.data_dir)
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    seen = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                except (OSError, ProcessLookupError):
                    continue
                if mark in seen:
                    found.add(int(entry.name))
        return found


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    found = Deployment(tmp_path)
    yield found
    found.zoe("down", "--yes")
    try:
        until(lambda: not found.processes(), 15)
    finally:
        for pid in found.processes():
            os.kill(pid, signal.SIGKILL)


def test_from_up_to_down(deployment: Deployment) -> None:
    said = deployment.zoe("up", "--detach")
    assert "Zoe runs at http://127.0.0.1:" in said
    assert (deployment.data_dir / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert "already running at http://127.0.0.1:" in deployment.zoe("up", code=1)
    assert "master: leads" in deployment.zoe("doctor")

    told = deployment.zoe("run", str(deployment.zapp), "--name", "first", code=3)
    assert "f.main.0| begins\n" in told
    assert "first failed" in told
    name = deployment.zoe("submit", str(deployment.zapp)).strip()
    deployment.zoe("wait", name, code=3)
    assert deployment.zoe("logs", name) == "f.main.0| begins\nf.main.0| ends\n"
    listed = json.loads(deployment.zoe("ps", "-a", "--json"))
    assert [item["status"] for item in listed] == ["failed", "failed"]
    deployment.zoe("rm", name)
    deployment.zoe("show", name, code=4)

    long = deployment.zoe("submit", str(deployment.zapp), "--set", "seconds=600").strip()
    until(lambda: "begins" in deployment.zoe("logs", long))
    deployment.zoe("wait", long, "--timeout", "0.1", code=8)
    deployment.zoe("stop", long)
    deployment.zoe("wait", long, code=101)

    assert "Zoe has ended" in deployment.zoe("down")
    assert "does not run" in deployment.zoe("down", "--keep")
    deployment.zoe("ps", code=7)


@pytest.mark.parametrize("part", ["postgres", "master", "api"])
def test_a_part_that_is_killed_comes_back_and_the_work_goes_on(
    deployment: Deployment, part: str
) -> None:
    deployment.zoe("up", "--detach")
    name = deployment.zoe("submit", str(deployment.zapp), "--set", "seconds=8").strip()
    until(lambda: "begins" in deployment.zoe("logs", name))
    before = deployment.programs()[part]
    os.kill(before, signal.SIGKILL)
    until(lambda: deployment.programs()[part] not in (None, before))
    deployment.zoe("wait", name, code=3)
    assert deployment.zoe("logs", name) == "f.main.0| begins\nf.main.0| ends\n"


def test_when_up_is_killed_its_programs_end_and_applications_are_adopted(
    deployment: Deployment,
) -> None:
    deployment.zoe("up", "--detach")
    name = deployment.zoe("submit", str(deployment.zapp), "--set", "seconds=12").strip()
    until(lambda: "begins" in deployment.zoe("logs", name))
    programs = deployment.programs()
    os.kill(programs["up"], signal.SIGKILL)
    until(lambda: not deployment.processes() & set(programs.values()))
    postmaster = deployment.data_dir / "postgres/cluster/postmaster.pid"
    until(lambda: not postmaster.exists())  # it has stopped cleanly
    deployment.zoe("up", "--detach")
    deployment.zoe("wait", name, code=3)
    assert deployment.zoe("logs", name) == "f.main.0| begins\nf.main.0| ends\n"


def test_down_keep_leaves_applications_to_the_next_up(deployment: Deployment) -> None:
    deployment.zoe("up", "--detach")
    name = deployment.zoe("submit", str(deployment.zapp), "--set", "seconds=10").strip()
    until(lambda: "begins" in deployment.zoe("logs", name))
    deployment.zoe("down", "--keep")
    deployment.zoe("up", "--detach")
    deployment.zoe("wait", name, code=3)


def test_ctrl_c_ends_everything_in_the_foreground(deployment: Deployment) -> None:
    with deployment.popen("up") as up:
        assert up.stdout
        assert up.stderr
        assert "Zoe is ready at http://127.0.0.1:" in up.stdout.readline()
        assert up.stdout.readline().startswith("Your access token, shown only now: zoe_")
        deployment.zoe("submit", str(deployment.zapp), "--set", "seconds=600")
        up.send_signal(signal.SIGINT)
        up.communicate(timeout=SECONDS)
    assert up.returncode == 0
    until(lambda: not deployment.processes(), 15)
