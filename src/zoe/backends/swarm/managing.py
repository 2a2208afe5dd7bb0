"""The calls to a manager of the swarm: its nodes, services, tasks and their output."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from zoe.backends.docker.engine import LOOK_SECONDS, Body, Engine, NotThere, Taken, frames


class ManagingEngine(Engine):
    """An engine that is asked as a manager of its swarm."""

    async def nodes(self) -> Sequence[Body]:
        """Return the nodes of the swarm; raises Refused when it is no manager of one."""
        return await self._list("nodes")

    async def services(self) -> Sequence[Body]:
        """Return the services of this deployment."""
        return await self._list("services", {"filters": self._mine})

    async def tasks(self) -> Sequence[Body]:
        """Return the tasks of everybody that the swarm has not forgotten."""
        return await self._list("tasks")

    async def service(self, name: str) -> Body:
        """Return a service, by name or id; raises NotThere."""
        found: Body = await self._ask("GET", f"services/{name}", seconds=LOOK_SECONDS)
        return found

    async def create_service(self, spec: Body) -> str:
        """Create a service and return its id; raises Taken when there is one of that name."""
        made = await self._ask("POST", "services/create", body=spec)
        return str(made["ID"])

    async def remove_service(self, service: str) -> None:
        """Remove a service with its tasks, if it is there."""
        with suppress(NotThere):
            await self._ask("DELETE", f"services/{service}")

    async def end_tasks(self, service: str) -> None:
        """Have the swarm end the tasks of a service, once; they get the grace of the service."""
        found = await self.service(service)
        if not found["Spec"]["Mode"]["Replicated"]["Replicas"]:
            return
        spec = {**found["Spec"], "Mode": {"Replicated": {"Replicas": 0}}}
        version = str(found["Version"]["Index"])
        await self._ask("POST", f"services/{service}/update", {"version": version}, spec)

    @asynccontextmanager
    async def service_output(
        self, service: str, *, follow: bool
    ) -> AsyncIterator[AsyncIterator[tuple[int, bytes]]]:
        """Open the output of a service, as :meth:`output` does; what is followed never ends."""
        params = {"stdout": "1", "stderr": "1", "follow": "1" if follow else "0"}
        async with self._open(f"services/{service}/logs", params) as answer:
            yield frames(self.name, answer.content)

    async def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a network over all nodes, unless it is there."""
        config = {"Name": name, "CheckDuplicate": True, "Driver": "overlay", "Labels": labels}
        with suppress(Taken):
            await self._ask("POST", "networks/create", body=config)

    async def networks(self) -> Sequence[Body]:
        """Return those of this deployment that span the swarm."""
        filters = {**json.loads(self._mine), "scope": ["swarm"]}
        found: Sequence[Body] = await self._ask(
            "GET", "networks", {"filters": json.dumps(filters)}, seconds=LOOK_SECONDS
        )
        return found

    async def _list(self, path: str, params: Mapping[str, str] | None = None) -> Sequence[Body]:
        found: Sequence[Body] = await self._ask("GET", path, params, seconds=LOOK_SECONDS)
        return found
