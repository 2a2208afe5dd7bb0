"""Two masters of a deployment: that of `zoe up`, one started by hand at an address of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from stack import Deployment, until
from zoe.client import Zoe

TABLES = ("execution", "instance", "execution_event", "node", "balance")


class Masters:
    """Who leads and who stands by, and what they write."""

    def __init__(self, deployment: Deployment, zoe: Zoe) -> None:
        self._deployment = deployment
        self._zoe = zoe
        self._logs = deployment.data_dir / "logs"
        self._second: subprocess.Popen[bytes] | None = None
        text = os.fsdecode(Path(f"/proc/{deployment.programs()['master']}/environ").read_bytes())
        self._variables = dict(each.split("=", 1) for each in text.split("\0") if each)
        self._variables["ZOE_MASTER_ENDPOINT"] = "tcp://127.0.0.1:0"

    def both(self) -> tuple[int, int]:
        """Return the process id of who leads and of who stands by, once there are both."""
        if self._second is None or self._second.poll() is not None:
            with (self._logs / "second.log").open("ab") as log:
                command = [sys.executable, "-P", "-m", "zoe.master.main"]
                self._second = subprocess.Popen(
                    command, env=self._variables, stdout=log, stderr=log
                )
        return until(self._known, what=self._deployment.logs)

    def _known(self) -> tuple[int, int] | None:
        found = self._zoe.masters()
        if found.leader is None:
            return None
        leader = _pid_in(found.leader.name)
        standby = [pid for pid in map(_pid_in, found.standby) if _lives(pid) and pid != leader]
        return (leader, standby[0]) if _lives(leader) and standby else None

    def leads(self, pid: int) -> bool:
        """Whether this one leads, and the api talks to it."""
        found, ready = self._zoe.masters().leader, self._zoe.ready().master
        return (
            found is not None
            and _pid_in(found.name) == pid
            and ready.up
            and ready.epoch == found.epoch
        )

    def log_of(self, pid: int) -> str:
        """Return what one of them has said."""
        is_second = self._second is not None and self._second.pid == pid
        return (self._logs / ("second.log" if is_second else "master.log")).read_text()

    def wake(self, pid: int) -> None:
        """Let one that stands still go on, and return when it has seen that it leads no more."""
        slept = self.log_of(pid).count("stops leading")
        os.kill(pid, signal.SIGCONT)
        until(
            lambda: self.log_of(pid).count("stops leading") > slept,
            what=lambda: self.log_of(pid),
        )
        until(lambda: self.both()[1] == pid)

    def database(self) -> psycopg.Connection[tuple[object, ...]]:
        url = (self._deployment.data_dir / "run/database_url").read_text()
        return psycopg.connect(url, autocommit=True)

    def contents(self) -> list[object]:
        """Return all that a master writes but what was used."""
        with self.database() as connection:
            return [
                connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2".encode()).fetchall()
                for table in TABLES
            ]

    def end(self) -> None:
        """End the second one."""
        if self._second is not None:
            self._second.send_signal(signal.SIGCONT)
            self._second.terminate()
            self._second.wait(15)


@contextmanager
def two_masters(deployment: Deployment, zoe: Zoe) -> Iterator[Masters]:
    """Give a deployment that is up a second master; it ends in the end."""
    found = Masters(deployment, zoe)
    try:
        yield found
    finally:
        found.end()


def _pid_in(name: str) -> int:
    return int(name.rpartition(":")[2])


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
