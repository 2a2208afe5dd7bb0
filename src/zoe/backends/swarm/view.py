"""The swarm as it was seen last: nodes, services and tasks, by one look at a manager for all."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoe.backends.base import Refused, Retryable
from zoe.backends.docker.engine import Body, NotThere
from zoe.backends.docker.names import is_whole
from zoe.backends.swarm.managing import ManagingEngine
from zoe.backends.swarm.task import container_of, node_id_of
from zoe.model.engines import EngineSpec
from zoe.model.resources import CORE, Resources

_LIVE = frozenset({"assigned", "accepted", "preparing", "ready", "starting", "running"})
_NANO = 10**9


@dataclass(frozen=True)
class Sight:
    """What one look has shown."""

    nodes: Mapping[str, Body] = field(default_factory=dict)
    """By id."""
    services: Mapping[str, Body] = field(default_factory=dict)
    """Ours, by id."""
    tasks: Mapping[str, Body] = field(default_factory=dict)
    """The newest of each service, by the service's id."""
    attached: frozenset[str] = frozenset()
    """The names of the networks that a task has on a node that is up, even one being removed."""
    foreign: Mapping[str, Resources] = field(default_factory=dict)
    """What tasks of others have reserved, by the id of the node."""


class Swarm:
    """What a manager tells, kept while none answers; ``engines`` are those that may be managers."""

    def __init__(self, engines: Sequence[EngineSpec], deployment: str) -> None:
        self._deployment = deployment
        self._managers = {spec.name: ManagingEngine(spec, deployment) for spec in engines}
        self.manager = self._managers[engines[0].name]
        """The one that is asked: another one, when it does not answer as a manager any more."""
        self._sight = Sight()
        self._looks = asyncio.Lock()
        self._looked = asyncio.Condition()
        self.why = f"{self.manager.name} has not been asked yet"
        """Why the last look failed; empty: it did not."""
        self.has_answered = False
        self.using: Counter[int] = Counter()
        """How many starts of each execution are under way, on any node."""
        self.there: set[int] = set()
        """Of those, the executions whose networks are there."""
        self.network_lock = asyncio.Lock()

    @property
    def nodes(self) -> Mapping[str, Body]:
        """The nodes, by host name; of several with the same name, the one that is up."""
        by_state = sorted(self._sight.nodes.values(), key=is_up)
        return {node["Description"]["Hostname"]: node for node in by_state}

    async def look(self) -> None:
        """Look again, and tell those who wait; raises Retryable and Refused, and says why."""
        async with self._looks:  # one after the other: none replaces a later one
            try:
                self._sight = await self._see(self.manager)
            except (Retryable, Refused) as error:
                if not await self._ask_another():
                    self.why = str(error)
                    raise
            self.why, self.has_answered = "", True
        async with self._looked:
            self._looked.notify_all()

    async def close(self) -> None:
        """Let go of all managers."""
        for manager in self._managers.values():
            await manager.close()

    async def _see(self, manager: ManagingEngine) -> Sight:
        nodes = await manager.nodes()
        seen = _sight(nodes, await manager.services(), await manager.tasks())
        if self._sight.nodes and not self._sight.nodes.keys() & seen.nodes.keys():
            raise Retryable(
                f"{manager.name} is a manager of another swarm than before",
                hint="if that is meant, start Zoe again: what ran in the other one is lost.",
            )
        return seen

    async def _ask_another(self) -> bool:
        """Look by the first of the other managers that answers, which is asked from now on.

        All are asked at once, so that it takes no longer where many are away.
        """
        others = {n: each for n, each in self._managers.items() if each is not self.manager}
        leads = {name for name, node in self.nodes.items() if node.get("ManagerStatus")}
        known = [others[name] for name in others if name in leads]
        asked = known or list(others.values())  # a manager may be called as no node is
        found = await asyncio.gather(*map(self._try, asked))
        for manager, seen in zip(asked, found, strict=True):
            if seen is not None:
                before, self.manager, self._sight = self.manager, manager, seen
                # What is still followed there is followed here: a silent one might never say so.
                self._managers[before.name] = ManagingEngine(before.spec, self._deployment)
                await before.close()
                return True
        return False

    async def _try(self, manager: ManagingEngine) -> Sight | None:
        try:
            return await self._see(manager)
        except (Retryable, Refused):
            return None

    async def next_look(self) -> None:
        """Wait until somebody has looked again."""
        async with self._looked:
            await self._looked.wait()

    def node_name(self, service: Body) -> str:
        """Return the host name of the node for which a service was made; empty: it is gone."""
        node = self._sight.nodes.get(node_id_of(service))
        return "" if node is None else str(node["Description"]["Hostname"])

    def services_of(self, node_name: str) -> Sequence[Body]:
        """Return the services of this deployment for a node, with all our labels."""
        return [
            service
            for service in self._sight.services.values()
            if is_whole(service["Spec"]["Labels"]) and self.node_name(service) == node_name
        ]

    def foreign(self, node_id: str) -> Resources:
        """Return what tasks of others have reserved on a node."""
        return self._sight.foreign.get(node_id, Resources())

    @property
    def attached(self) -> frozenset[str]:
        """The names of the networks that tasks have: a node keeps what is removed too soon."""
        return self._sight.attached

    def task(self, service_id: str) -> Body | None:
        """Return the task of a service; None while it has none."""
        return self._sight.tasks.get(service_id)

    def container(self, service_id: str) -> dict[str, Any]:
        """Return an attempt in the words of an engine; raises NotThere."""
        service = self._sight.services.get(service_id)
        if service is None:
            raise NotThere(f"{self.manager.name} has no service {service_id}")
        node = self._sight.nodes.get(node_id_of(service))
        # A manager that has just come back knows nothing of a node ("unknown"): that loses nothing.
        is_down = node is None or node["Status"]["State"] == "down"
        return container_of(service, self.task(service_id), node_is_down=is_down)


def is_up(node: Body) -> bool:
    """Whether the swarm reaches a node."""
    return bool(node["Status"]["State"] == "ready")


def _sight(nodes: Sequence[Body], services: Sequence[Body], tasks: Sequence[Body]) -> Sight:
    ours = {service["ID"]: service for service in services}
    up = {node["ID"] for node in nodes if is_up(node)}
    attached = {
        str(each["Network"]["Spec"]["Name"])
        for task in tasks
        if task.get("NodeID") in up
        for each in task.get("NetworksAttachments") or ()
    }
    newest: dict[str, Body] = {}
    foreign: dict[str, Resources] = {}
    for task in sorted(tasks, key=lambda task: str(task["CreatedAt"])):
        newest[task.get("ServiceID", "")] = task
        node_id = task.get("NodeID", "")
        if task.get("ServiceID") not in ours and node_id and task["Status"]["State"] in _LIVE:
            foreign[node_id] = foreign.get(node_id, Resources()) + _reserved(task)
    return Sight(
        {node["ID"]: node for node in nodes},
        ours,
        newest,
        frozenset(attached),
        foreign,
    )


def _reserved(task: Body) -> Resources:
    found = (task["Spec"].get("Resources") or {}).get("Reservations") or {}
    cores_milli = found.get("NanoCPUs", 0) * CORE // _NANO
    return Resources(cores_milli, found.get("MemoryBytes", 0))
