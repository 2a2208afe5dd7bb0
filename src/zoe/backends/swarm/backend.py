"""The back-end that runs instances as services of a Docker Swarm."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from zoe.backends.base import Refused, Retryable
from zoe.backends.docker.attempt import RETRY_SECONDS
from zoe.backends.docker.backend import DockerBackend
from zoe.backends.docker.config import GpuDriver, guarded_by
from zoe.backends.docker.host import Host
from zoe.backends.docker.names import EXECUTION, execution_of
from zoe.backends.swarm.node import NodeHost, spec_of
from zoe.backends.swarm.service import service_spec
from zoe.backends.swarm.view import Swarm
from zoe.model.cluster import Observation
from zoe.model.engines import EngineSpec
from zoe.model.execution import Execution, ServiceInstance
from zoe.model.volumes import VolumeSpec
from zoe.model.zapp import CommandCheck, Service, ZApp

LOOK_PAUSE_SECONDS = 0.3
"""Between two looks at the swarm, which has no events of tasks."""
TIDY_SECONDS = 2.0
"""Between two looks for networks that nothing needs any more."""
DEPLOYMENT_MAX = 40
"""Letters in the name of a deployment: the swarm takes no longer names of networks."""


class SwarmBackend(DockerBackend):
    """Runs instances on the nodes of the swarm that ``engines`` are of; at least one is a manager.

    The first that is one is asked, and another while it does not answer. Each is the engine of
    the node called as it is, for what a manager cannot do. Every node has all folders under the
    same names, by a shared file system.
    """

    name = "swarm"
    networks_span_nodes = True
    unused_seconds = 60.0
    """How long a network that another master has made is unused before it is removed."""

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
        volumes: Sequence[VolumeSpec] = (),
    ) -> None:
        super().__init__(
            deployment,
            data_dir,
            (),
            logs_dir=logs_dir,
            workspaces_dir=workspaces_dir,
            gpu_driver=gpu_driver,
            api_url=api_url,
            volumes=volumes,
        )
        self._guarded = guarded_by(data_dir, engines)
        self._named = {spec.name: spec for spec in engines}
        self._swarm = Swarm(engines, deployment)
        self._tidy_at = 0.0
        self._dropped: set[int] = set()
        """Executions whose networks this master has used, and uses no more."""
        self._unused_since: dict[str, float] = {}

    async def open(self) -> None:
        """Find what runs and what ended; Retryable while no manager answers."""
        if len(self._deployment) > DEPLOYMENT_MAX:
            raise Refused(
                f"{self._deployment} is too long for the name of a deployment in a swarm",
                hint=f"choose one of at most {DEPLOYMENT_MAX} letters",
            )
        await super().open()
        await self._look_everywhere()
        self._staying[self.name] = asyncio.create_task(self._watch_swarm())

    async def close(self) -> None:
        """Let go; services go on running."""
        await super().close()
        await self._swarm.close()

    async def observe(self) -> Observation:
        """Return every node, and every attempt; none while the manager does not answer."""
        try:
            await self._look_everywhere()
        except (Retryable, Refused) as error:
            if not self._swarm.has_answered:
                raise Retryable(str(error), hint=error.hint) from error
        hosts = self._meet_nodes()  # a start may have looked since
        nodes = await asyncio.gather(*(host.node() for host in hosts))
        if self._swarm.why:
            return Observation(tuple(nodes), tuple(self._never_started.values()))
        seen = [attempt.seen for attempt in self._attempts.values()]
        return Observation(tuple(nodes), (*seen, *self._never_started.values()))

    def describe(self, zapp: ZApp) -> list[str]:
        """Return what cannot run here, and what is different, for people."""
        nameless = sorted(self._hosts.keys() - self._named.keys())
        if not nameless:
            return super().describe(zapp)
        where = f"on {', '.join(nameless)}: swarm_engines names no engine there"
        notes = super().describe(zapp)
        for name, service in zapp.services():
            if service.ready and isinstance(service.ready.check, CommandCheck):
                notes.append(f"the ready check of {name} is a command, and none can be run {where}")
            if service.elastic and service.shrink.command:
                notes.append(f"the shrink command of {name} is not run {where}")
        return notes

    async def _watch_swarm(self) -> None:
        """Look at the swarm again and again."""
        while True:
            pause = LOOK_PAUSE_SECONDS
            try:
                await self._look_everywhere()
                await self._tidy()
            except (Retryable, Refused):
                pause = RETRY_SECONDS
            await asyncio.sleep(pause)

    async def _look_everywhere(self) -> None:
        await self._swarm.look()
        for host in self._meet_nodes():
            await self._look(host)

    def _meet_nodes(self) -> list[Host]:
        """Return the nodes that the swarm has now; where each is reached may change."""
        for name, node in self._swarm.nodes.items():
            spec = spec_of(node, self._named.get(name))
            if name in self._hosts:
                self._hosts[name].engine.spec = spec
            else:
                self._hosts[name] = NodeHost(spec, self._deployment, self._swarm)
        return [self._hosts[name] for name in self._swarm.nodes]

    async def _drop_network(self, host: Host, execution_id: int) -> None:
        """Have its network removed once the nodes have let go of it: nobody waits for that."""
        if execution_id not in self._executions(host):
            self._dropped.add(execution_id)

    async def _tidy(self) -> None:
        """Remove the networks of executions that have no attempts any more, if it is time.

        One that this master has not used itself may be that of another, which is about to.
        """
        now = time.monotonic()
        if (now < self._tidy_at and not self._dropped) or not self._hosts:
            return
        self._tidy_at = now + TIDY_SECONDS
        host = next(iter(self._hosts.values()))
        used, there = self._executions(host), set()
        networks = await self._swarm.manager.networks()
        names = {network["Name"] for network in networks}
        self._unused_since = {
            name: since for name, since in self._unused_since.items() if name in names
        }
        for network in networks:
            execution_id = network["Labels"].get(EXECUTION, "")
            there.add(execution_id)
            is_used = not execution_id.isdigit() or int(execution_id) in used
            if is_used or network["Name"] in self._swarm.attached:
                self._unused_since.pop(network["Name"], None)
                continue
            since = self._unused_since.setdefault(network["Name"], now)
            if int(execution_id) in self._dropped or now - since >= self.unused_seconds:
                await host.try_remove_network(int(execution_id))
        # What the swarm refused to remove yet is there at the next look, and tried again.
        self._dropped = {each for each in self._dropped - used if str(each) in there}

    def _executions(self, host: Host) -> set[int]:
        """Return the executions that have attempts anywhere: their networks span all nodes."""
        return set(map(execution_of, self._attempts))

    def _config(
        self, execution: Execution, instance: ServiceInstance, service: Service, host: Host
    ) -> dict[str, object]:
        container = super()._config(execution, instance, service, host)
        key = (instance.id, instance.attempt)
        grace = service.shrink.grace_seconds
        return service_spec(self._deployment, key, container, service.resources, grace)
