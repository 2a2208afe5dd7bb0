"""The whole stack for tests: the real `zoe up` in a folder of its own, seen from outside."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from zoe.client import Zoe

SECONDS = 60.0
"""How long a condition may take to hold: machines that run tests are busy."""
T = TypeVar("T")


def until(
    condition: Callable[[], T], seconds: float = SECONDS, what: Callable[[], object] | None = None
) -> T:
    """Return what ``condition`` returns, once that is true; ``what`` tells how it is instead."""
    limit = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < limit, f"waited in vain: {what() if what else condition}"
        time.sleep(0.05)
    return found


class Deployment:
    """One data folder, and the command line for it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.workspace = self.data_dir / "workspaces/admin"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("ZOE_")} | {
            "HOME": str(folder),
            "ZOE_BACKEND": "process",
            "ZOE_PROCESS_CORES": "2",
            "ZOE_PROCESS_MEMORY": "1GiB",
            "ZOE_LEASE_SECONDS": "2",
            "ZOE_API_PORT": "0",
            "ZOE_MASTER_ENDPOINT": "tcp://127.0.0.1:0",
            **settings,
        }
        if not self.environment["ZOE_BACKEND"]:  # it is chosen
            del self.environment["ZOE_BACKEND"]

    def popen(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "zoe.cli.main", "--data-dir", str(self.data_dir), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.folder,
        )

    def zoe(self, *arguments: str, code: int = 0) -> str:
        """Run a command, which must end with ``code``; return what it said."""
        with self.popen(*arguments) as process:
            try:
                out, err = process.communicate(timeout=SECONDS * 2)
            except subprocess.TimeoutExpired:
                process.kill()  # else it is waited for
                raise
        assert process.returncode == code, f"zoe {arguments}: {process.returncode}\n{out}\n{err}"
        return out + err

    def client(self, retry_seconds: float = SECONDS) -> Zoe:
        """Return a client that puts up with an api that is away."""
        kept = json.loads((self.data_dir / "credentials.json").read_text())
        return Zoe(kept["url"], kept["token"], retry_seconds=retry_seconds)

    def programs(self) -> dict[str, int]:
        """Return the process ids of `zoe up` and what it keeps alive, None while it is away."""
        record = json.loads((self.data_dir / "run/zoe.json").read_text())
        return {"up": record["pid"], **record["programs"]}

    def postmaster(self) -> int:
        """Return the process id of PostgreSQL itself."""
        return int((self.data_dir / "postgres/cluster/postmaster.pid").read_text().split()[0])

    def agent(self) -> int:
        """Return the process id of the agent that owns the instances."""
        (found,) = until(
            lambda: self.processes(argument=b"zoe.backends.process.daemon"),
            what=lambda: "there is no agent",
        )
        return found

    def processes(self, argument: bytes = b"") -> set[int]:
        """Return every process that has our folder in its arguments or environment."""
        found, mark = set(), os.fsencode(self.data_dir)
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    line = (entry / "cmdline").read_bytes()
                    environment = (entry / "environ").read_bytes()
                except (OSError, ProcessLookupError):
                    continue
                if argument in line and mark in line + environment:
                    found.add(int(entry.name))
        return found

    def logs(self) -> str:
        """Return the end of what the programs said, for a test that failed."""
        files = sorted((self.data_dir / "logs").glob("*.log"))
        return "\n".join(f"--- {file.name}\n{file.read_text()[-3000:]}" for file in files)


@contextmanager
def deployment_in(folder: Path, **settings: str) -> Iterator[Deployment]:
    """Give a deployment that is not up yet; in the end nothing of it is left."""
    found = Deployment(folder, **settings)
    try:
        yield found
    finally:
        found.zoe("down", "--yes")
        try:
            until(lambda: not found.processes(), 15, found.processes)
        finally:
            for pid in found.processes():
                os.kill(pid, signal.SIGKILL)
