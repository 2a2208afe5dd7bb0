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
from zoe.backends.docker.config import (
    EVERYWHERE,
    WORKSPACE,
    GpuDriver,
    container_config,
    guarded_by,
    limits_config,
    mounts_config,
    owner_of,
    why_not,
)
from zoe.backends.docker.engine import OOM, Body, NotThere
from zoe.backends.docker.host import Host, NoImage
from zoe.backends.docker.names import Key, execution_of, host_name, key_of
from zoe.backends.docker.notes import Note, Notes
from zoe.backends.docker.output import Output
from zoe.backends.docker.pending import Pending
from zoe.backends.docker.registries import Passwords
from zoe.backends.docker.stats import sample_engine
from zoe.backends.fence import Fence
from zoe.backends.peers import counts_by_service
from zoe.backends.watchers import Watchers
from zoe.model.cluster import Node, Observation, ObservedInstance
from zoe.model.engines import EngineSpec
from zoe.model.execution import Execution, ServiceInstance
from zoe.model.launch import Place, launch
from zoe.model.logs import log_folder
from zoe.model.resources import Resources
from zoe.model.samples import InstanceSample, NodeSample, Samples
from zoe.model.volumes import VolumeSpec
from zoe.model.zapp import Service, ZApp

PullPolicy = Literal["missing", "always", "never"]

HALF_DONE_SECONDS = 120.0
"""What was created so long ago and not started is removed: no master is still about to."""
REMOVED_MAX = 1000  # of those removed last


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
        self._gpu_driver = gpu_driver
        self._api_url = api_url
        self._pull = pull
        self._volumes = {volume.name: volume for volume in volumes}
        self._guarded = guarded_by(data_dir, engines)
        passwords = Passwords(docker_auth or Path.home() / ".docker/config.json")
        self.fence = Fence()
        self._hosts = {
            spec.name: Host(
                spec, deployment, passwords, tells_images=pull == "never", check=self.fence.check
            )
            for spec in engines
        }
        self._attempts: dict[Key, Attempt] = {}
        self._pending: dict[Key, Pending] = {}
        self._never_started: dict[Key, ObservedInstance] = {}
        self._starting: dict[Key, ServiceInstance] = {}
        self._removed: deque[str] = deque(maxlen=REMOVED_MAX)
        """Containers that a look which began before may still list."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._watchers = Watchers()
        self._staying: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Find what runs and what ended; an engine that does not answer is tried again later."""
        self._workspaces_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
        for note in self._notes.load().values():
            if note.never_started:
                self._never_started[note.key] = never_started(note)
        await asyncio.gather(*(self._try_look(host) for host in self._hosts.values()))
        self._staying = [asyncio.create_task(self._stay(host)) for host in self._hosts.values()]

    async def close(self) -> None:
        """Let go; containers go on running."""
        self._watchers.close()
        for task in self._staying:
            task.cancel()
        await asyncio.gather(*self._staying, return_exceptions=True)
        await asyncio.gather(*(attempt.close() for attempt in self._known()))
        for host in self._hosts.values():
            await host.engine.close()

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
        reachable = [host for host in self._hosts.values() if host.is_reachable]
        found = [one for one in await asyncio.gather(*map(self._sample, reachable)) if one]
        return Samples(
            tuple(node for node, _ in found),
            tuple(sample for _, samples in found for sample in samples),
        )

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
        for host in self._hosts.values():
            await self._look(host)

    def _note_memory_kills(self, lines: Sequence[bytes]) -> None:
        for event in map(json.loads, lines):
            if event["Action"] == OOM:
                for attempt in self._attempts.values():
                    if attempt.id == event["Actor"]["ID"]:
                        attempt.note_memory_kill()

    async def _sample(self, host: Host) -> tuple[NodeSample, list[InstanceSample]] | None:
        """Return what one engine tells; None when it does not answer, or nobody named it."""
        name = host.engine.name
        if not host.engine.spec.url:
            return None
        containers = {
            attempt.id: (key, attempt.memory_kills)
            for key, attempt in self._attempts.items()
            if attempt.lives and attempt.seen.node == name
        }
        try:
            return await sample_engine(host.engine, containers)
        except (Retryable, Refused):
            return None

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
        if key not in self._attempts:
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
        hosts = {
            f"{name}.{ordinal}": host_name(name, ordinal)
            for name, count in counts_by_service(execution, instance).items()
            for ordinal in range(count)
        }
        place = Place(self._deployment, hosts, WORKSPACE, self._api_url, listen=EVERYWHERE)
        what = launch(execution, instance, place)
        owner = owner_of(self._workspaces_dir, execution.owner)
        publish = bool(host.engine.spec.address)
        config = container_config(
            self._deployment, instance, service, what, owner, self._gpu_driver, publish=publish
        )
        config["HostConfig"]["Mounts"] += mounts_config(service, self._volumes, self._guarded)
        return config

    def _lock(self, instance_id: str) -> asyncio.Lock:
        """Return what lets calls about one instance happen one after the other."""
        return self._locks.setdefault(instance_id, asyncio.Lock())
