"""A node of the swarm, in the place of an engine: services are asked of the manager.

What only its own engine can do (run commands inside, send signals, tell its images) is asked there,
where the setting ``swarm_engines`` names one for the node.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from aiodocker import Docker

from zoe.backends.base import Refused, Retryable
from zoe.backends.docker.attempt import PREPARES
from zoe.backends.docker.engine import Body, Engine, NotThere, Taken, Unreachable
from zoe.backends.docker.host import Host
from zoe.backends.docker.names import Key, execution_of, is_of
from zoe.backends.docker.node import ids_by_name
from zoe.backends.swarm.service import on_node
from zoe.backends.swarm.task import container_id
from zoe.backends.swarm.view import Swarm, is_up
from zoe.model.cluster import Node, NodeStatus
from zoe.model.engines import EngineSpec
from zoe.model.resources import CORE, Resources

SETTLE_SECONDS = 10.0
"""How long a start waits for its task to run; then it goes on alone, as with a large image."""
_NANO = 10**9
_AVAILABILITY = {"drain": NodeStatus.DRAINING, "pause": NodeStatus.CORDONED}


class NodeEngine(Engine):
    """What an attempt asks; a container is known by the id of its service."""

    def __init__(self, spec: EngineSpec, deployment: str, swarm: Swarm) -> None:
        super().__init__(spec, deployment)
        self._swarm = swarm

    @property
    def is_here(self) -> bool:
        """Never: nobody but containers is in a network of the swarm."""
        return False

    @property
    def is_named(self) -> bool:
        """Whether the administrator has said where the engine of this node is."""
        return bool(self.spec.url)

    async def inspect(self, container: str) -> Body:
        """Return all about an attempt as it was seen last; raises NotThere."""
        found = self._swarm.container(container)
        inside = container_id(self._swarm.task(container))
        if self.is_named and inside and found["State"].get("ExitCode"):
            with suppress(Retryable, Refused):  # then nobody says whether it lacked memory
                state = (await super().inspect(inside))["State"]
                found["State"]["OOMKilled"] = state["OOMKilled"]
        return found

    async def kill(self, container: str, signal: str) -> None:
        """Send a signal; where no engine answers the swarm ends it, with the grace it has."""
        inside = await self._inside(container)
        if self.is_named and inside:
            with suppress(Refused, Unreachable):
                return await super().kill(inside, signal)
        return await self._swarm.manager.end_tasks(container)

    async def run_inside(self, container: str, command: Sequence[str], seconds: float) -> str:
        """Run a command in an attempt, as an engine does; say so where none is named."""
        if not self.is_named:
            return f"no command can be run on {self.name}: swarm_engines names no engine for it"
        return await super().run_inside(await self._inside(container), command, seconds)

    async def update(self, container: str, limits: Body) -> None:
        """Give an attempt other limits."""
        if not self.is_named:
            raise Refused(f"{self.name} changes no limits: swarm_engines names no engine for it")
        await super().update(await self._inside(container), limits)

    async def remove(self, container: str, *, force: bool = False) -> None:
        """Remove the service of an attempt, if it is there."""
        await self._swarm.manager.remove_service(container)

    async def stats(self, container: str) -> Body:
        """Return what an attempt uses now, or a container of others; raises NotThere."""
        return await super().stats(await self._inside(container) or container)

    async def networks(self) -> Sequence[Body]:
        """Return those of this deployment, which span all nodes."""
        return await self._swarm.manager.networks()

    async def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a network over all nodes, unless it is there."""
        await self._swarm.manager.create_network(name, labels)

    async def remove_network(self, name: str) -> None:
        """Remove a network, if it is there."""
        await self._swarm.manager.remove_network(name)

    @asynccontextmanager
    async def output(
        self, container: str, *, follow: bool
    ) -> AsyncIterator[AsyncIterator[tuple[int, bytes]]]:
        """Open the output from its beginning; what is followed ends with the task."""
        if "Lost" in self._swarm.container(container)["State"]:
            raise NotThere(f"{self.name} does not tell what it wrote")
        async with self._swarm.manager.service_output(container, follow=follow) as parts:
            yield self._until_end(container, parts) if follow else parts

    async def _until_end(
        self, container: str, parts: AsyncIterator[tuple[int, bytes]]
    ) -> AsyncIterator[tuple[int, bytes]]:
        ended = asyncio.create_task(self._end(container))
        try:
            while True:
                part = asyncio.ensure_future(anext(parts, None))
                try:
                    await asyncio.wait({part, ended}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not part.done():
                        part.cancel()
                        await asyncio.gather(part, return_exceptions=True)
                if part.cancelled() or (found := part.result()) is None:
                    return
                yield found
        finally:
            ended.cancel()

    async def _end(self, container: str) -> None:
        with suppress(NotThere):
            while self._swarm.container(container)["State"]["Running"]:
                await self._swarm.next_look()

    async def _connected(self) -> Docker:
        if not self.is_named:
            raise Refused(f"swarm_engines names no engine for {self.name}")
        return await super()._connected()

    async def _inside(self, container: str) -> str:
        """Return the id of an attempt on its own engine; empty: it has none yet."""
        return container_id(self._swarm.task(container))


class NodeHost(Host):
    """A node with what it is given to do: the port of the docker back-end to an engine."""

    engine: NodeEngine

    def __init__(self, spec: EngineSpec, deployment: str, swarm: Swarm) -> None:
        super().__init__(spec, deployment)
        self._swarm = swarm
        self.engine = NodeEngine(spec, deployment, swarm)
        # A network is that of all nodes.
        self._using, self._there = swarm.using, swarm.there
        self._network_lock = swarm.network_lock
        self._images: Mapping[str, str] | None = None

    @property
    def is_reachable(self) -> bool:
        """Whether the manager answered when it was asked last."""
        return not self._swarm.why

    async def containers(self) -> Sequence[Body]:
        """Return the services of this deployment for this node, in the words of an engine."""
        return [
            {"Id": service["ID"], "Labels": service["Spec"]["Labels"]}
            for service in self._swarm.services_of(self.engine.name)
        ]

    async def node(self) -> Node:
        """Return the node as the swarm describes it."""
        found, spec = self._swarm.nodes[self.engine.name], self.engine.spec
        await self._look_at_images()
        status, why = _status(found, self._swarm.why)
        return Node(
            spec.name,
            _capacity(found, spec),
            foreign=self._swarm.foreign(found["ID"]),
            labels=spec.labels | _labels(found),
            status=status,
            message=why,
            gpus=spec.gpus,
            images=None if self._images is None else frozenset(self._images),
        )

    async def start(self, key: Key, config: Mapping[str, Any]) -> Body:
        """Create the service of an attempt, and return it once it runs or takes its time.

        Raises Refused and Retryable; then nothing is left, unless the manager does not answer.
        """
        node = self._swarm.nodes.get(self.engine.name)
        if node is None or not is_up(node):
            raise Retryable(f"the swarm does not reach {self.engine.name}")
        image = config["TaskTemplate"]["ContainerSpec"]["Image"]
        if image not in (self._images or {}):
            await self._look_at_images()
        if self._images is not None and image not in self._images:
            raise Retryable(
                f"{self.engine.name} has no image {image}", hint="pull or build it on that machine."
            )
        # By its id, so that no registry is asked for what the node has.
        known = (self._images or {}).get(image, image)
        async with self._network(execution_of(key)), self._free:
            service = await self._create_service(key, on_node(config, node["ID"], known))
            await self._swarm.look()
            return await self._settled(service)

    async def _create_service(self, key: Key, spec: Mapping[str, Any]) -> str:
        manager = self._swarm.manager
        try:
            return await manager.create_service(spec)
        except Taken:
            found = await manager.service(spec["Name"])
        if not is_of(found["Spec"].get("Labels"), self._deployment, key):
            raise Refused(
                f"{manager.name} has another service called {spec['Name']}, not of this deployment",
                hint="remove it, or give this deployment another name.",
            )
        return str(found["ID"])

    async def _settled(self, service: str) -> Body:
        """Wait for a task to run or end, or for its node to work on it; what cannot is removed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while self._swarm.container(service)["State"]["Status"] == PREPARES:
                    await self._swarm.next_look()
        found = await self.engine.inspect(service)
        state = found["State"]
        if "Rejected" in state or state.get("Waits"):
            await self._swarm.manager.remove_service(service)
            why = state.get("Rejected") or state["Error"] or "its task is not taken up"
            raise Retryable(f"{self.engine.name}: {why}")
        return found

    async def _look_at_images(self) -> None:
        if not self.engine.is_named or not is_up(self._swarm.nodes[self.engine.name]):
            return
        try:
            images = await self.engine.images()
        except (Retryable, Refused):
            self._images = None  # the swarm gets what it lacks
        else:
            self._images = ids_by_name(images)


def spec_of(node: Body, named: EngineSpec | None) -> EngineSpec:
    """Return how a node is used: as its engine's words say, and as the swarm tells."""
    name = str(node["Description"]["Hostname"])
    address = named.address if named else ""
    if not address:
        address = str(node["Status"].get("Addr", ""))
        leads = (node.get("ManagerStatus") or {}).get("Addr", "")
        if address in ("", "0.0.0.0") and leads:
            address = leads.rpartition(":")[0]
    return replace(named or EngineSpec(name, ""), name=name, address=address)


def _capacity(node: Body, spec: EngineSpec) -> Resources:
    has = node["Description"].get("Resources") or {}
    return Resources(
        spec.cores_milli or has.get("NanoCPUs", 0) * CORE // _NANO,
        spec.memory_bytes or has.get("MemoryBytes", 0) // 10 * 9,
        len(spec.gpus),
    )


def _labels(node: Body) -> frozenset[str]:
    """Return ``disk=ssd`` as it is, and ``ssd`` alone for what only says yes."""
    said = (node["Spec"].get("Labels") or {}).items()
    return frozenset(name if value in ("", "true") else f"{name}={value}" for name, value in said)


def _status(node: Body, why_unknown: str) -> tuple[NodeStatus, str]:
    if why_unknown:
        return NodeStatus.UNREACHABLE, why_unknown
    if not is_up(node):
        said = node["Status"].get("Message", "")
        return NodeStatus.UNREACHABLE, f"the swarm says that it is {node['Status']['State']}" + (
            f": {said}" if said else ""
        )
    availability = node["Spec"]["Availability"]
    status = _AVAILABILITY.get(availability, NodeStatus.READY)
    return status, "" if status is NodeStatus.READY else f"its availability is {availability}"
