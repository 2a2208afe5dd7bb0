"""What tests of back-ends share: programs to run, and worlds to run them in.

Those with containers are in container_worlds.py.
"""

import asyncio
import math
import os
import shlex
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from zoe.backends.base import Backend
from zoe.backends.fake import Behaviour, FakeBackend, FakeEngine
from zoe.backends.process.backend import ProcessBackend
from zoe.model.cluster import Node, ObservedInstance
from zoe.model.execution import Execution, Exit, ExitReason, InstanceStatus, ServiceInstance
from zoe.model.logs import log_path
from zoe.model.resources import CORE, Resources
from zoe.model.samples import InstanceSample
from zoe.model.zapp import Framework, Kind, ReadyCheck, Service, ZApp

NODE = "node-a"
GPUS = ("a", "b")
PATIENCE_SECONDS = 60.0
SERVE = """
import http.server, os, sys
http.server.HTTPServer((os.environ["ZOE_ADDRESS"], int(sys.argv[1])),
                       http.server.SimpleHTTPRequestHandler).serve_forever()
"""


@dataclass(frozen=True)
class Program:
    """What an instance does, for any back-end."""

    prints: str = ""
    prints_environment: bool = False
    exit_code: int | None = None
    """None: it runs until it is stopped."""
    signal: int | None = None
    """Dies from this signal, sent by itself."""
    ignores_term: bool = False
    listens: int = 0
    """Serves HTTP on this port of its own address; 0: on none."""
    holds_mib: int = 0
    """Has so much memory, besides its own."""
    works: bool = False
    """Keeps one core busy."""

    @property
    def command(self) -> tuple[str, ...]:
        return self.command_with(f"{sys.executable} -c {shlex.quote(SERVE)}")

    def command_with(self, serves: str) -> tuple[str, ...]:
        """Return the command; ``serves`` is what serves HTTP on the port that follows."""
        script = ["trap '' TERM"] if self.ignores_term else []
        if self.prints_environment:
            script.append("env")
        if self.prints:
            script.append(f"echo {shlex.quote(self.prints)}")
        if self.signal is not None:
            script.append(f"kill -{self.signal} $$")
        if self.listens:
            script.append(f"exec {serves} {self.listens}")
        if self.holds_mib:
            script.append(f"exec perl -e '$x = \"x\" x ({self.holds_mib} << 20); sleep 1000'")
        if self.works:
            script.append("while :; do :; done")
        script.append("exec sleep 1000" if self.exit_code is None else f"exit {self.exit_code}")
        return ("sh", "-c", "\n".join(script))

    @property
    def behaviour(self) -> Behaviour:
        does = Behaviour(
            ready_seconds=0.01 if self.listens else math.inf,
            stop_seconds=math.inf if self.ignores_term else 0.0,
            uses=lambda: InstanceSample(
                "", 0, self.holds_mib << 20, time.monotonic() if self.works else 0.0
            ),
            output=lambda launch: (
                "".join(
                    [f"{name}={value}\n" for name, value in launch.environment.items()]
                    * self.prints_environment
                )
                + f"{self.prints}\n"
            ),
        )
        if self.signal is not None:
            exit = Exit(ExitReason.FAILED, None, self.signal)
            return replace(does, run_seconds=0.01, exit=exit)
        if self.exit_code is not None:
            reason = ExitReason.FAILED if self.exit_code else ExitReason.COMPLETED
            return replace(does, run_seconds=0.01, exit=Exit(reason, self.exit_code))
        return does


SLEEPS = Program()


def make_execution(*services: Service, id: int = 1, owner: str = "ada", **fields: Any) -> Execution:
    zapp = ZApp("app", Kind.BATCH, (Framework("f", services),))
    return Execution(id, f"run-{id}", owner, zapp, submitted_at=1.0, **fields)


def make_instance(
    execution: Execution, service: str = "f.s", ordinal: int = 0, attempt: int = 1, node: str = NODE
) -> ServiceInstance:
    return ServiceInstance(execution.id, service, ordinal, True, node=node, attempt=attempt)


class World(Protocol):
    """A back-end with machines of its own."""

    logs_dir: Path

    def backend(self) -> Backend:
        """Return a new connection, as a new master would make it."""

    def service(self, program: Program, name: str = "s", **fields: Any) -> Service:
        """Return a service that does what the program says."""

    def peer_name(self, seen: ObservedInstance) -> str:
        """Return the name under which its peers know an instance that was seen."""

    async def end(self) -> None:
        """End everything; fail when something is left."""


@asynccontextmanager
async def hearing(backend: Backend) -> AsyncIterator[list[ObservedInstance]]:
    """Listen to what a back-end tells meanwhile."""
    heard: list[ObservedInstance] = []

    async def listen() -> None:
        async for change in backend.watch():
            heard.append(change)

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    try:
        yield heard
    finally:
        listening.cancel()


async def seen(
    backend: Backend,
    instance: ServiceInstance,
    until: Callable[[ObservedInstance], bool],
    seconds: float = PATIENCE_SECONDS,
) -> ObservedInstance:
    """Look at the back-end until it shows the attempt as wanted; return what it shows."""
    deadline = time.monotonic() + seconds
    found: ObservedInstance | None = None
    while time.monotonic() < deadline:
        for found in (await backend.observe()).instances:
            if (found.instance_id, found.attempt) == (instance.id, instance.attempt) and until(
                found
            ):
                return found
        await asyncio.sleep(0.01)
    raise AssertionError(f"not within {seconds} s; last: {found}")


def stopped(one: ObservedInstance) -> bool:
    return one.status is InstanceStatus.STOPPED


def running(one: ObservedInstance) -> bool:
    return one.status is InstanceStatus.RUNNING


def ready(one: ObservedInstance) -> bool:
    return one.ready


async def end_of(backend: Backend, instance: ServiceInstance) -> Exit:
    """Wait until an attempt has ended; return how."""
    exit = (await seen(backend, instance, stopped)).exit
    assert exit is not None
    return exit


async def node_of(backend: Backend, name: str = NODE) -> Node:
    """Return a node as the back-end tells it."""
    (node,) = [node for node in (await backend.observe()).nodes if node.name == name]
    return node


async def start(
    backend: Backend, service: Service, **fields: object
) -> tuple[Execution, ServiceInstance]:
    """Start an instance of a service, whatever becomes of it."""
    execution = make_execution(service, **fields)
    instance = make_instance(execution)
    await backend.start(execution, instance)
    return execution, instance


async def run(
    world: World, backend: Backend, program: Program = SLEEPS, **fields: int
) -> tuple[Execution, ServiceInstance]:
    """Start an instance of a program, and wait until it runs."""
    execution = make_execution(world.service(program), **fields)
    instance = make_instance(execution)
    await backend.start(execution, instance)
    await seen(backend, instance, running)
    return execution, instance


async def eventually(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until it is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not true within {seconds} s"
        await asyncio.sleep(0.01)


def output(world: World, instance: ServiceInstance, stream: Any = "stdout") -> str:
    path = Path(log_path(world.logs_dir, instance.id, instance.attempt, stream))
    return path.read_text() if path.exists() else ""


@dataclass
class FakeWorld:
    """The fake engine in real time."""

    folder: Path
    programs: dict[str, Program] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.logs_dir = self.folder / "logs"
        self.engine = FakeEngine(
            [Node(NODE, Resources(64 * CORE, 2**36, len(GPUS)), gpus=GPUS)],
            behaviour=lambda _, instance: self.programs[instance.service].behaviour,
            logs_dir=self.logs_dir,
        )

    def backend(self) -> FakeBackend:
        return FakeBackend(self.engine)

    def service(self, program: Program, name: str = "s", **fields: Any) -> Service:
        self.programs[f"f.{name}"] = program
        return Service(name, command=program.command, **fields)

    def peer_name(self, seen: ObservedInstance) -> str:
        return seen.address

    async def end(self) -> None:
        """Nothing is left of something that exists in memory only."""


@dataclass
class ProcessWorld:
    """An agent of its own, with a folder of its own."""

    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.data_dir = self.folder / "z"
        self.logs_dir = self.data_dir / "logs"
        self.deployment = f"test-{uuid.uuid4().hex[:12]}"
        self.opened: list[ProcessBackend] = []

    def backend(self, **options: Any) -> ProcessBackend:
        backend = ProcessBackend(
            self.deployment,
            self.data_dir,
            logs_dir=self.logs_dir,
            workspaces_dir=self.data_dir / "workspaces",
            node_name=NODE,
            **{"gpus": GPUS, **self.options, **options},
        )
        self.opened.append(backend)
        return backend

    def service(self, program: Program, name: str = "s", **fields: Any) -> Service:
        return Service(name, command=program.command, **fields)

    def peer_name(self, seen: ObservedInstance) -> str:
        return seen.address

    async def end(self) -> None:
        """End everything; fail when a process or a control group of it is left."""
        for backend in self.opened:
            await backend.close()
        last = self.backend()
        await last.open()
        await last.shutdown(grace_seconds=0.2)
        await last.close()
        await eventually(lambda: not processes_of(self.data_dir))
        await eventually(lambda: not groups_of(self.deployment))


def processes_of(folder: Path) -> dict[int, str]:
    """Return every process, zombies too, that names ``folder`` or descends from such a one."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes()
            text = line + (entry / "environ").read_bytes()
            here = os.readlink(entry / "cwd")
        except OSError:
            continue
        if bytes(folder) in text or here.startswith(str(folder)):
            found[int(entry.name)] = line.replace(b"\0", b" ").decode()
    return found


def groups_of(deployment: str) -> list[Path]:
    """Return every control group of a deployment; other ones may come and go meanwhile."""
    return [
        Path(folder) / name
        for folder, names, _ in os.walk("/sys/fs/cgroup")
        for name in names
        if name.startswith(f"zoe-{deployment}-")
    ]


def make_world(kind: str, folder: Path) -> FakeWorld | ProcessWorld:
    """Return a new world of a kind: fake, process, or process-rlimits (no control groups)."""
    if kind == "fake":
        return FakeWorld(folder)
    return ProcessWorld(folder, {"cgroups": kind != "process-rlimits"})


def within(seconds: float, check: Any) -> ReadyCheck:
    return ReadyCheck(check, timeout_seconds=seconds, interval_seconds=0.02)
