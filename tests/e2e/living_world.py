"""A deployment to be hurt, the applications in it, and what they have written down.

``living.py`` is what runs in them: all attempts write into one ledger, which tells in the end what
was lost, what was done twice, and what was there twice at a time.
"""

import json
import os
import shutil
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from living import birth

from stack import Deployment, deployment_in, until
from zoe.client import RequestFailed, Zoe
from zoe.failpoints import POINTS
from zoe.model.execution import ExecutionStatus, InstanceStatus, Outcome
from zoe.model.rest_executions import ExecutionDetail, InstanceView

LIVING = """\
zoe: 4
name: living
parameters:
  elastic: {type: integer, default: 1}
  cores: {type: number, default: 0.1}
x-defaults: &small
  resources: {cores: 0.1, memory: 48MiB}
frameworks:
  cluster:
    services:
      head:
        <<: *small
        command: [python3, -IS, "${workspace}/living.py", head]
        ports: [{name: Head, port: 7000, protocol: tcp}]
        ready: {tcp: {port: 7000}, interval: 100ms}
      worker:
        <<: *small
        command: [python3, -IS, "${workspace}/living.py", worker]
        count: {essential: 1, elastic: "${parameters.elastic}"}
        depends_on: {head: ready}
        ready: {command: [test, -e, begun], interval: 50ms}
        restart: {policy: on-failure, attempts: 1, backoff: 100ms}
  main:
    depends_on: {cluster: ready}
    services:
      driver:
        command: [python3, -IS, "${workspace}/living.py", driver]
        resources: {cores: "${parameters.cores}", memory: 48MiB}
        monitor: true
"""
NOTE = """\
zoe: 4
name: note
frameworks:
  f:
    services:
      note:
        command: [python3, -IS, "${workspace}/living.py", note]
        resources: {cores: 0.05, memory: 32MiB}
        monitor: true
"""
PATIENT = """\
zoe: 4
name: patient
kind: service
frameworks:
  cluster:
    services:
      head:
        command: [python3, -IS, "${workspace}/living.py", head]
        resources: {cores: 0.1, memory: 48MiB}
        count: {essential: 1, elastic: 1}
        restart: {policy: on-failure, attempts: 1, backoff: 100ms}
"""
HEAD, WORKER, DRIVER = "cluster.head", "cluster.worker", "main.driver"


class World:
    """A deployment that is up, the applications in it, and what they have written down."""

    def __init__(self, deployment: Deployment, zoe: Zoe) -> None:
        self.deployment = deployment
        self.zoe = zoe
        self.marks = deployment.data_dir / "run/failpoints"
        """A file for each failpoint that fires no more."""

    def submit(self, *files: str, **parameters: float) -> int:
        """Submit the application, with these files for it written before it starts."""
        id = self.zoe.submit(LIVING, parameters=parameters).id
        for file in files:
            self.write(file, id)
        return id

    def disarm(self) -> None:
        """Let no failpoint fire, until it is armed."""
        self.marks.mkdir(exist_ok=True)
        for point in POINTS:
            (self.marks / point).touch()

    def arm(self, point: str) -> None:
        """Let a failpoint fire the next time that a program comes by."""
        (self.marks / point).unlink()

    def write(self, name: str, id: int) -> None:
        (self.deployment.workspace / f"{name}-{id}").touch()

    def reach(self, id: int, status: ExecutionStatus) -> ExecutionDetail:
        """Wait until an execution has this status."""
        return until(
            lambda: found if (found := self.zoe.show(id)).status is status else None,
            what=lambda: f"{status}\n{self.story(id)}",
        )

    def running(self, elastic: int = 1) -> int:
        """Return a new execution with all of its instances running and written down."""
        return self.all_alive(self.submit("open", elastic=elastic), 3 + elastic)

    def all_alive(self, id: int, count: int = 4) -> int:
        """Wait until Zoe and the ledger say that so many instances live."""
        until(
            lambda: len(self.pids(id)) == len(self.alive(id)) == count,
            what=lambda: self.story(id),
        )
        return id

    def alive(self, id: int) -> list[InstanceView]:
        """Return the instances that Zoe says are running and ready."""
        return [
            each
            for each in self.zoe.show(id).instances
            if each.status is InstanceStatus.RUNNING and each.ready
        ]

    def ledger(self, id: int) -> list[dict[str, Any]]:
        """Return what the instances of an execution have written."""
        file = self.deployment.workspace / "ledger"
        lines = file.read_text().splitlines() if file.exists() else []
        entries = [json.loads(line) for line in lines]
        return [each for each in entries if each["instance"].startswith(f"{id}/")]

    def pids(self, id: int) -> dict[tuple[str, int], int]:
        """Return the living processes of an execution, by instance and attempt."""
        return {
            (each["instance"].partition("/")[2], each["attempt"]): each["pid"]
            for each in self.ledger(id)
            if each["what"] == "begins" and birth(each["pid"]) == each["birth"]
        }

    def kill(self, part: str) -> None:
        """Kill a part with SIGKILL, and return when another one has taken its place."""
        pid = self.pid_of(part)
        os.kill(pid, signal.SIGKILL)
        until(lambda: not birth(pid))
        until(lambda: self.is_back(part, pid), what=self.deployment.logs)

    def pid_of(self, part: str) -> int:
        match part:
            case "postmaster":
                return self.deployment.postmaster()
            case "agent":
                return self.deployment.agent()
            case _:
                return self.deployment.programs()[part]

    def is_back(self, part: str, before: int) -> bool:
        try:
            ready = self.zoe.ready()
            return ready.store and ready.master.up and self.pid_of(part) not in (None, before)
        except (OSError, IndexError, RequestFailed):
            return False

    def end(self, id: int) -> ExecutionDetail:
        """Wait for the end of an execution, which must leave no process."""
        try:
            found = self.zoe.wait(id, timeout=60)
        except RequestFailed as late:
            raise AssertionError(f"{late}\n{self.story(id)}") from late
        mark = f"ZOE_EXECUTION_ID={id}".encode()
        left = [pid for pid in self.deployment.processes() if mark in environment(pid)]
        assert not left, f"processes are left\n{self.story(id)}"
        return found

    def check_ledger(self, id: int) -> None:
        """Nothing is missing, nothing was done twice, nothing was there twice at a time."""
        entries = self.ledger(id)
        begun = Counter((e["instance"], e["attempt"]) for e in entries if e["what"] == "begins")
        ended = Counter((e["instance"], e["attempt"]) for e in entries if e["what"] == "ends")
        assert set(begun.values()) <= {1}, f"an attempt began twice\n{self.story(id)}"
        assert not ended - begun, f"an attempt ended twice\n{self.story(id)}"
        beside = [e for e in entries if e.get("beside")]
        assert not beside, f"two attempts at a time: {beside}\n{self.story(id)}"
        for instance in self.zoe.show(id).instances:
            if instance.started_at is not None:
                assert (instance.id, instance.attempt) in begun, self.story(id)

    def story(self, id: int) -> str:
        """Tell everything about an execution, for a test that failed."""
        detail = self.zoe.show(id).model_dump_json(include={"status", "end", "reasons", "desired"})
        history = [
            f"{e.at:%X.%f} {e.kind} {e.detail.get('id', '')} {e.message}" for e in self.events(id)
        ]
        lines = [str(entry) for entry in self.ledger(id)]
        return "\n".join([detail, *history, *lines, self.deployment.logs()])

    def events(self, id: int) -> list[Any]:
        found, cursor = [], ""
        while True:
            page = self.zoe.events(id, cursor=cursor)
            found += page.items
            if not (cursor := page.next_cursor):
                return found


def environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def ending(found: ExecutionDetail) -> tuple[Outcome, int | None]:
    assert found.end is not None
    return found.end.outcome, found.end.exit_code


class Crowd(threading.Thread):
    """Submits small applications again and again, and remembers which were accepted."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self._over = threading.Event()
        self.accepted: list[int] = []
        self.refused: list[RequestFailed] = []

    def run(self) -> None:
        with self._world.deployment.client(retry_seconds=0) as zoe:
            while not self._over.wait(0.15):
                try:
                    self.accepted.append(zoe.submit(NOTE).id)
                except RequestFailed as refusal:
                    self.refused.append(refusal)

    def __enter__(self) -> "Crowd":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


@contextmanager
def world_in(folder: Path, **settings: str) -> Iterator[World]:
    """Give a deployment that is up, in which no failpoint fires until it is armed."""
    with deployment_in(folder, **settings) as deployment:
        deployment.zoe("up", "--detach")
        deployment.workspace.mkdir(parents=True)
        shutil.copy(Path(__file__).with_name("living.py"), deployment.workspace)
        with deployment.client() as zoe:
            found = World(deployment, zoe)
            found.disarm()
            yield found
