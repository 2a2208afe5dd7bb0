"""Worlds of the back-ends that run containers, each on a real engine or swarm."""

import asyncio
import shlex
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backend_worlds import (
    GPUS,
    NODE,
    SLEEPS,
    Program,
    end_of,
    eventually,
    make_execution,
    make_instance,
    output,
    ready,
    run,
    seen,
    start,
    within,
)
from docker_engine import IMAGE, TestEngine
from swarm_engines import MANAGER, WORKERS, TestSwarm
from zoe.backends.docker.backend import DockerBackend
from zoe.backends.swarm.backend import SwarmBackend
from zoe.backends.swarm.service import service_name
from zoe.model.cluster import ObservedInstance
from zoe.model.engines import EngineSpec
from zoe.model.execution import ExitReason, ServiceInstance
from zoe.model.resources import Resources
from zoe.model.zapp import HttpCheck, Service

# The base image has Perl, and no Python.
SERVE_IN_PERL = """
use IO::Socket::INET;
my $s = IO::Socket::INET->new(LocalAddr => $ENV{ZOE_ADDRESS}, LocalPort => $ARGV[0],
                              Listen => 5, ReuseAddr => 1) or die;
while (my $c = $s->accept) { <$c>; print $c "HTTP/1.0 200 OK\r\n\r\nhello"; close $c }
"""
ASK_IN_PERL = """
use IO::Socket::INET;
for my $peer (@ARGV) {
    my $s = IO::Socket::INET->new(PeerAddr => $peer, PeerPort => 8000) or die $peer;
    print $s "GET / HTTP/1.0\\r\\n\\r\\n"; my @said = <$s>; print "$said[-1]\\n";
}
"""
MIB = 2**20
LET_GO_SECONDS = 20.0
"""How long a busy engine may take to let go of a network."""


@dataclass
class DockerWorld:
    """A deployment of its own on the one real engine of this test process."""

    folder: Path
    engine: TestEngine

    def __post_init__(self) -> None:
        self.data_dir = self.folder / "z"
        self.logs_dir = self.data_dir / "logs"
        self.deployment = f"test-{uuid.uuid4().hex[:12]}"
        self.opened: list[DockerBackend] = []
        self.things_before = self.engine.things()

    def backend(self, address: str = "", **options: Any) -> DockerBackend:
        engines = [EngineSpec(NODE, self.engine.url, gpus=GPUS, address=address)]
        backend = DockerBackend(
            self.deployment,
            self.data_dir,
            options.pop("engines", engines),
            logs_dir=self.logs_dir,
            workspaces_dir=self.data_dir / "workspaces",
            **{"gpu_driver": "none", **options},
        )
        self.opened.append(backend)
        return backend

    def service(self, program: Program, name: str = "s", **fields: Any) -> Service:
        command = program.command_with(f"perl -e {shlex.quote(SERVE_IN_PERL)}")
        return Service(name, **{"image": IMAGE, "command": command, **fields})

    def peer_name(self, seen: ObservedInstance) -> str:
        _execution_id, service, ordinal = seen.instance_id.split("/")
        framework, name = service.split(".")
        return f"{ordinal}.{name}.{framework}"

    def container(self, instance: ServiceInstance) -> str:
        return f"zoe-{self.deployment}-{instance.id.replace('/', '.')}.{instance.attempt}"

    async def end(self) -> None:
        """End everything; fail when a container, a network or a volume is left."""
        last = await self._end_all()
        if not await self._is_empty(last) and (network := self._network()):
            self.engine.recount(network)
            await self._is_empty(last)
        await last.close()
        assert self.engine.things() == self.things_before

    async def _is_empty(self, last: DockerBackend) -> bool:
        """Give the engine time to let go of networks: a look at the machine tries again."""
        deadline = time.monotonic() + LET_GO_SECONDS
        while self.engine.things() != self.things_before:
            if time.monotonic() > deadline:
                return False
            await last.observe()
            await asyncio.sleep(0.1)
        return True

    def _network(self) -> str:
        """Return the name of the network that alone is left, or an empty one."""
        left = self.engine.things() - self.things_before
        names = [thing.removeprefix("network ") for thing in left if thing.startswith("network ")]
        return names[0] if len(left) == len(names) == 1 else ""

    async def _end_all(self) -> DockerBackend:
        for backend in self.opened:
            await backend.close()
        last = self.backend()
        await last.open()
        await last.shutdown(grace_seconds=0.2)
        for one in (await last.observe()).instances:
            await last.remove(one.instance_id, one.attempt)
        return last


@dataclass
class TwoEnginesWorld(DockerWorld):
    """A deployment with another engine beside that of its tests."""

    second: TestEngine

    def __post_init__(self) -> None:
        super().__post_init__()
        self.second_before = self.second.things()

    def backend(self, address: str = "", **options: Any) -> DockerBackend:
        engines = [
            EngineSpec("node-0", self.second.url),
            EngineSpec(NODE, self.engine.url, gpus=GPUS, address=address),
        ]
        return super().backend(**{"engines": engines, **options})

    async def end(self) -> None:
        await super().end()
        assert self.second.things() == self.second_before


@dataclass
class SwarmWorld(DockerWorld):
    """A deployment of its own on the one real swarm of this test process."""

    engine: TestEngine = field(init=False)
    swarm: TestSwarm

    def __post_init__(self) -> None:
        self.engine = self.swarm.nodes[NODE]
        super().__post_init__()
        self.things_before = self.swarm.things()

    def backend(self, **options: Any) -> SwarmBackend:
        """Return a new connection; ``engines`` are those of the nodes, the first a manager's."""
        manager = EngineSpec(MANAGER, self.swarm.manager.url)
        workers = [EngineSpec(name, self.swarm.nodes[name].url, gpus=GPUS) for name in WORKERS]
        backend = SwarmBackend(
            self.deployment,
            self.data_dir,
            options.pop("engines", [manager, *workers]),
            logs_dir=self.logs_dir,
            workspaces_dir=self.data_dir / "workspaces",
            **{"gpu_driver": "none", **options},
        )
        self.opened.append(backend)
        return backend

    def service_name(self, instance: ServiceInstance) -> str:
        return service_name(self.deployment, (instance.id, instance.attempt))

    async def end(self) -> None:
        """End everything; fail when anything is left on any node."""
        await (await self._end_all()).close()
        last = self.backend()
        last.unused_seconds = 0.5
        await last.open()  # a network goes when every node has let go of it
        name = f"zoe-{self.deployment}-"
        await eventually(lambda: name not in self.swarm.docker("network", "ls"))
        await last.close()
        with suppress(AssertionError):
            await eventually(lambda: self.swarm.things() == self.things_before, 20)
        assert self.swarm.things() == self.things_before


async def check_peers(
    world: DockerWorld, backend: DockerBackend, node: str = NODE
) -> ServiceInstance:
    """Have an instance on ``node`` ask another by its own name and by its service's; return it."""
    serves = world.service(Program(listens=8000), ready=within(20, HttpCheck(8000)))
    client = replace(
        world.service(SLEEPS, name="client"),
        command=("perl", "-e", ASK_IN_PERL, "${dns.f.s.0}", "s.f"),
    )
    execution = make_execution(serves, client)
    server, caller = make_instance(execution), make_instance(execution, "f.client", node=node)
    await backend.start(execution, server)
    await seen(backend, server, ready)
    await backend.start(execution, caller)
    assert (await end_of(backend, caller)).code == 0
    assert output(world, caller) == "hello\nhello\n"
    return caller


async def check_memory_that_is_not_enough(world: DockerWorld, backend: DockerBackend) -> None:
    """Have an attempt want more memory than it may have: its end says so, and how much that is."""
    service = replace(
        world.service(SLEEPS, resources=Resources(500, 32 * MIB)),
        command=("perl", "-e", "my $all = 'x' x (256 * 2**20); print length $all"),
    )
    _, instance = await start(backend, service)
    exit = await end_of(backend, instance)
    assert exit.reason is ExitReason.OUT_OF_MEMORY
    assert "32 MiB" in exit.message


async def check_stop_across_masters(world: DockerWorld, backend: DockerBackend) -> None:
    """Have a master end within the grace of an attempt: the next one ends the attempt."""
    _, instance = await run(world, backend, Program(ignores_term=True, prints="up"))
    await eventually(lambda: output(world, instance) == "up\n")
    await backend.stop(instance.id, 1, grace_seconds=1.5, shrink=False)
    await backend.close()
    heir = world.backend()
    await heir.open()
    exit = await end_of(heir, instance)
    assert (exit.reason, exit.signal) == (ExitReason.STOPPED, 9)


async def check_output_across_masters(
    world: DockerWorld, backend: DockerBackend, lines: int
) -> None:
    """Have masters follow each other while an attempt writes: each line is there, and once."""
    script = f"$| = 1; for (1..{lines}) {{ print qq($_\\n); print STDERR qq(e$_\\n) }} sleep 1000"
    service = replace(world.service(SLEEPS), command=("perl", "-e", script))
    _, instance = await start(backend, service)
    await eventually(lambda: output(world, instance) != "")
    last = backend
    for _ in range(3):
        await last.close()
        last = world.backend()
        await last.open()
    await eventually(lambda: output(world, instance).endswith(f"\n{lines}\n"))
    await eventually(lambda: output(world, instance, "stderr").endswith(f"\ne{lines}\n"))
    assert output(world, instance).split() == [str(number) for number in range(1, lines + 1)]
    errors = output(world, instance, "stderr").split()
    assert errors == [f"e{number}" for number in range(1, lines + 1)]
