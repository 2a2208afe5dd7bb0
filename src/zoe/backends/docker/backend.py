"""The back-end that runs instances as containers of Docker Engines."""

import asyncio
import json
import shutil
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal
from weakref import WeakValueDictionary

from zoe.backends.base import Refused, Retryable
from zoe.backends.docker.attempt import RETRY_SECONDS, Attempt, never_started, stop_all
from zoe.backends.docker.claims import check_claims
from zoe.backends.docker.config import GpuDriver, guarded_by, limits_config, why_not
from zoe.backends.docker.engine import OOM, Body, NotThere
from zoe.backends.docker.host import Host, NoImage
from zoe.backends.docker.names import Key, execution_of, key_of
from zoe.backends.docker.notes import Note, Notes
from zoe.backends.docker.output import Output
from zoe.backends.docker.pending import Pending
from zoe.backends.docker.recipe import Recipe
from zoe.backends.docker.registries import Passwords
from zoe.backends.docker.stats import sample_engines
from zoe.backends.fence import Fence
from zoe.backends.watchers import Watchers
from zoe.model.cluster import Node, Observation, ObservedInstance
from zoe.model.engines import EngineSpec, parse_engines
from zoe.model.execution import Execution, ServiceInstance
from zoe.model.logs import log_folder
from zoe.model.resources import Resources
from zoe.model.samples import Samples
from zoe.model.volumes import VolumeSpec
from zoe.model.zapp import Service, ZApp

PullPolicy = Literal["missing", "always", "never"]

HALF_DONE_SECONDS = 120.0
"""What was created so long ago and not started is removed: no master is still about to."""
REMOVED_MAX = 1000
"""How many removed containers are remembered, of those removed last."""


class DockerBackend:
    """Runs instances on the machines of ``engines``; each has all folders under the same names.

    ``pull`` says when images come from their registries; ``docker_auth`` is a file with passwords
    as Docker's own client keeps it, by default this user's. ``volumes`` are what applications name.
    ``gpu_driver`` hands GPUs to containers; "none" only tells their ids in variables.
    """

    name = "docker"
    networks_span_nodes = False
    """Whether instances on different nodes reach each other by name."""

    def __init__(
        self,
        deployment: str,
        data_dir: Path,
        engines: Sequence[EngineSpec],
        *,
        logs_dir: Path,
        workspaces_dir: Path,
        gpu_driver: GpuDriver = "nvidia",
        api_url: str = "",
        pull: PullPolicy = "missing",
        docker_auth: Path | None = None,
        volumes: Sequence[VolumeSpec] = (),
    ) -> None:
        self._deployment = deployment
        self._notes = Notes(data_dir.absolute() / self.name)
        self._logs_dir = logs_dir.absolute()
        self._workspaces_dir = workspaces_dir.absolute()
        self._pull = pull
        self._volumes = {volume.name: volume for volume in volumes}
        self._recipe = Recipe(deployment, self._workspaces_dir, gpu_driver, api_url, self._volumes)
        self._data_dir = data_dir
        self._guarded = guarded_by(data_dir, engines)
        self._passwords = Passwords(docker_auth or Path.home() / ".docker/config.json")
        self.fence = Fence()
        self._added: dict[str, EngineSpec] = {}
        """The engines that are used beside those of the settings."""
        self._hosts = {spec.name: self._host(spec) for spec in engines}
        self._attempts: dict[Key, Attempt] = {}
        self._pending: dict[Key, Pending] = {}
        self._never_started: dict[Key, ObservedInstance] = {}
        self._starting: dict[Key, ServiceInstance] = {}
        self._removed: deque[str] = deque(maxlen=REMOVED_MAX)
        """Containers that a look which began before may still list."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._watchers = Watchers()
        self._staying: dict[str, asyncio.Task[None]] = {}
        """What follows each engine, by its name."""

    async def open(self) -> None:
        """Find what runs and what ended; an engine that does not answer is tried again later."""
        self._workspaces_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        for note in self._notes.load().values():
            if note.never_started:
                self._never_started[note.key] = never_started(note)
        await asyncio.gather(*(self._try_look(host) for host in self._hosts.values()))
        for name, host in self._hosts.items():
            self._staying[name] = asyncio.create_task(self._stay(host))

    async def close(self) -> None:
        """Let go; containers go on running."""
        self._watchers.close()
        for task in self._staying.values():
            task.cancel()
        await asyncio.gather(*self._staying.values(), return_exceptions=True)
        await asyncio.gather(*(attempt.close() for attempt in self._known()))
        for host in self._hosts.values():
            await host.engine.close()

    async def use(self, engines: str) -> None:
        """Use these engines, written as in the settings, too, and no others beside those.

        One that is used no longer is left as it is: what is known of it is forgotten.
        """
        self._notes.keep_engines(engines)
        wanted = {spec.name: spec for spec in parse_engines(engines)} if engines else {}
        for name in [name for name, spec in self._added.items() if spec != wanted.get(name)]:
            del self._added[name]
            await self._drop(self._hosts.pop(name))
        for name in wanted.keys() - self._hosts.keys():
            self._added[name] = wanted[name]
            self._hosts[name] = self._host(wanted[name])
            self._staying[name] = asyncio.create_task(self._stay(self._hosts[name]))
        specs = [host.engine.spec for host in self._hosts.values()]
        self._guarded = guarded_by(self._data_dir, specs)

    async def shutdown(self, *, grace_seconds: float) -> None:
        """Stop every attempt and wait for their ends, which the next master will find.

        Raises Retryable, when all others have ended, where an engine does not answer.
        """
        away = {name for name, host in self._hosts.items() if not host.is_reachable}
        for pending in list(self._pending.values()):
            await pending.give_up()
        living = [each for each in self._attempts.values() if each.lives]
        if away := away | await stop_all(living, grace_seconds):
            raise Retryable(
                f"{', '.join(sorted(away))} cannot be reached: what runs there goes on",
                hint="`zoe down` ends it once it answers again.",
            )

    async def start(self, execution: Execution, instance: ServiceInstance) -> None:
        """Start this attempt; Refused when no engine will ever run it, in words."""
        key = (instance.id, instance.attempt)
        async with self._lock(instance.id):
            if key in self._attempts or key in self._pending or key in self._never_started:
                return
            self.fence.check()
            service = execution.zapp.service(instance.service)
            host = self._check(execution, instance, service)
            self._starting[key] = instance
            try:
                config = self._config(execution, instance, service, host)
                await self._begin(host, instance, config)
            except (Retryable, Refused):
                await self._drop_network(host, execution.id)
                raise
            finally:
                del self._starting[key]

    async def stop(
        self, instance_id: str, attempt: int, *, grace_seconds: float, shrink: bool
    ) -> None:
        """Begin to stop it; Retryable while it may be on an engine that does not answer."""
        key = (instance_id, attempt)
        async with self._lock(instance_id):
            if pending := self._pending.get(key):
                if not pending.lives:
                    return
                await pending.give_up()
            if key not in self._attempts:
                await self._look_everywhere()
            if key in self._attempts:
                await self._attempts[key].stop(grace_seconds, shrink=shrink)
            elif key not in self._never_started:
                note = Note(instance_id, attempt, never_started=True)
                self._notes.save(note)
                self._never_started[key] = never_started(note)
                self._watchers.tell(self._never_started[key])
                if pending := self._pending.pop(key, None):
                    await self._drop_network(self._hosts[pending.seen.node], execution_of(key))

    async def resize(self, instance_id: str, attempt: int, limits: Resources) -> None:
        """Give a running container other limits."""
        found = self._attempts.get((instance_id, attempt))
        if found is None or not found.lives:
            raise Refused("it does not run")
        engine = self._hosts[found.seen.node].engine
        await engine.update(found.id, limits_config(limits, limits.cores_milli))

    async def remove(self, instance_id: str, attempt: int) -> None:
        """Remove the container of a stopped attempt, and its network when it was the last."""
        key = (instance_id, attempt)
        found = self._attempts.get(key) or self._pending.get(key)
        if found is not None:
            if found.lives:
                raise Retryable("it has not stopped yet")
            host = self._hosts[found.seen.node]
            if isinstance(found, Attempt):
                await host.engine.remove(found.id)
                self._removed.append(found.id)
            self._attempts.pop(key, None)
            self._pending.pop(key, None)
            await self._drop_network(host, execution_of(key))
        self._never_started.pop(key, None)
        self._notes.remove(key)

    async def forget(self, execution_id: int) -> None:
        """Delete the output of an execution."""
        folder = log_folder(self._logs_dir, execution_id)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def observe(self) -> Observation:
        """Return every engine as a node, and every attempt on those that answer."""
        nodes = await asyncio.gather(*(self._see(host) for host in self._hosts.values()))
        seen = [
            attempt.seen for attempt in self._known() if self._hosts[attempt.seen.node].is_reachable
        ]
        return Observation(tuple(nodes), (*seen, *self._never_started.values()))

    async def sample(self) -> Samples:
        """Return what every engine that answers, and every attempt that lives there, use."""
        reachable = [host.engine for host in self._hosts.values() if host.is_reachable]
        containers = {
            each.id: (key, each.seen.node, each.memory_kills)
            for key, each in self._attempts.items()
            if each.lives
        }
        return await sample_engines(reachable, containers)

    def watch(self) -> AsyncIterator[ObservedInstance]:
        """Yield what changes."""
        return self._watchers.watch()

    def describe(self, zapp: ZApp) -> list[str]:
        """Return what cannot run here, and what is different, for people."""
        notes = [
            f"{name} cannot run here: {reason}"
            for name, service in zapp.services()
            if (reason := why_not(service, self._volumes)) is not None
        ]
        if len(self._hosts) > 1 and not self.networks_span_nodes:
            notes.append("instances on different engines do not reach each other by name")
        return notes

    def _host(self, spec: EngineSpec) -> Host:
        pulls = self._pull != "never"
        return Host(spec, self._deployment, self._passwords, pulls=pulls, check=self.fence.check)

    async def _drop(self, host: Host) -> None:
        """Follow an engine no longer, and what is on it."""
        gone = [each for each in self._known() if each.seen.node == host.engine.name]
        for each in gone:
            key = (each.seen.instance_id, each.seen.attempt)
            self._attempts.pop(key, None)
            self._pending.pop(key, None)
        staying = self._staying.pop(host.engine.name)
        staying.cancel()
        await asyncio.gather(staying, *(each.close() for each in gone), return_exceptions=True)
        await host.end()

    # Finding what is there.

    async def _stay(self, host: Host) -> None:
        """Look whenever something happens on an engine, and when it comes back."""
        while True:
            try:
                async with host.engine.events() as happened:
                    await self._look(host)
                    await host.remove_networks(self._executions(host))
                    async for lines in happened:
                        self._note_memory_kills(lines)
                        await self._look(host)
            except (Retryable, Refused):
                await self._try_look(host)
            await asyncio.sleep(RETRY_SECONDS)

    async def _look_everywhere(self) -> None:
        for host in list(self._hosts.values()):
            await self._look(host)

    def _note_memory_kills(self, lines: Sequence[bytes]) -> None:
        for event in map(json.loads, lines):
            if event["Action"] == OOM:
                for attempt in self._attempts.values():
                    if attempt.id == event["Actor"]["ID"]:
                        attempt.note_memory_kill()

    async def _see(self, host: Host) -> Node:
        await self._try_look(host)
        return await host.node()

    async def _try_look(self, host: Host) -> None:
        with suppress(Retryable, Refused):  # the host remembers why
            await self._look(host)

    async def _look(self, host: Host) -> None:
        """Adopt what is not known yet; remove what was created long ago and never started."""
        for container in await host.containers():
            key = key_of(container["Labels"])
            if self._is_known(key):
                continue
            try:
                found = await host.engine.inspect(container["Id"])
            except NotThere:
                continue  # it was removed meanwhile
            if self._is_known(key) or found["Id"] in self._removed:
                continue
            if found["State"]["Status"] == "created":
                if time.time() - container["Created"] > HALF_DONE_SECONDS:
                    await host.engine.remove(found["Id"])
                continue
            self._adopt(host, key, found)
            if self._never_started.pop(key, None) is not None:
                await self._attempts[key].stop(0, shrink=False)

    def _is_known(self, key: Key) -> bool:
        """Whether somebody looks after it: one that is pending no more has no container."""
        pending = self._pending.get(key)
        return key in self._attempts or key in self._starting or bool(pending and pending.lives)

    async def _begin(self, host: Host, instance: ServiceInstance, config: Body) -> None:
        """Start a container; when its image is to be pulled first, return at once."""
        key = (instance.id, instance.attempt)
        if self._pull != "always":
            try:
                return self._adopt(host, key, await host.start(key, config))
            except NoImage:
                if self._pull == "never":
                    raise
        self._pending[key] = Pending(
            host, instance, config, lambda made: self._adopt(host, key, made), self._watchers.tell
        )
        return None

    def _adopt(self, host: Host, key: Key, container: Body) -> None:
        """Follow a container that was started; one that another look has found stays as it is."""
        self._pending.pop(key, None)
        if key not in self._attempts and self._hosts.get(host.engine.name) is host:
            note = self._notes.find(key)
            output = Output(self._logs_dir, key, self.fence)
            self._attempts[key] = Attempt(
                host.engine, container, note, self._notes, output, self._watchers.tell
            )
            self._attempts[key].follow()

    async def _drop_network(self, host: Host, execution_id: int) -> None:
        """Remove the network of an execution that has nothing on a host (any more).

        What fails is done when the host is looked at again: nobody waits for it.
        """
        if execution_id not in self._executions(host):
            with suppress(Retryable, Refused):
                await host.remove_network(execution_id)

    def _known(self) -> list[Attempt | Pending]:
        """Return every attempt with a container, or on the way to one."""
        return [*self._attempts.values(), *self._pending.values()]

    def _executions(self, host: Host) -> set[int]:
        """Return the executions that have attempts on a host."""
        return {
            execution_of((attempt.seen.instance_id, attempt.seen.attempt))
            for attempt in self._known()
            if attempt.seen.node == host.engine.name
        }

    # What an attempt needs.

    def _check(self, execution: Execution, instance: ServiceInstance, service: Service) -> Host:
        host = self._hosts.get(instance.node)
        if host is None:
            raise Refused(f"there is no engine {instance.node or '(none given)'}")
        if (reason := why_not(service, self._volumes, execution)) is not None:
            raise Refused(f"{instance.service} cannot run on the {self.name} back-end: {reason}")
        seen = (attempt.seen for attempt in self._known())
        check_claims(instance, seen, self._starting.values(), host.engine.spec.gpus)
        return host

    def _config(
        self, execution: Execution, instance: ServiceInstance, service: Service, host: Host
    ) -> dict[str, object]:
        publish = bool(host.engine.spec.address)
        return self._recipe.config(
            execution, instance, service, publish=publish, guarded=self._guarded
        )

    def _lock(self, instance_id: str) -> asyncio.Lock:
        """Return what lets calls about one instance happen one after the other."""
        return self._locks.setdefault(instance_id, asyncio.Lock())
