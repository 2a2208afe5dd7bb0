"""What instances and nodes used, as every store keeps it.

A small part of the port to the state, :attr:`zoe.store.base.Store.uses`, with a twin in memory. It
is a record for people: losing a minute of it harms nothing, so it is written apart from changes.
"""

import dataclasses
from collections.abc import Callable, Collection, Sequence
from math import floor
from typing import Protocol

from zoe.model.use import InstanceUse, NodeUse, averaged, grown
from zoe.store.checks import is_storable
from zoe.store.database import Connection, Database
from zoe.store.queries import QUERIES

MINUTE_SECONDS = 60.0
"""How much of the use of a node is one row at first."""
MINUTES_KEPT_SECONDS = 86400.0
"""For how long: older ones are made into hours."""
_HOUR = 3600.0
_DAY = 86400.0


class UseBook(Protocol):
    """Uses of instances and nodes. Every method may raise StoreUnavailable.

    Those that write raise StaleEpoch when ``epoch`` does not hold the lease.
    """

    async def put(
        self, instances: Sequence[InstanceUse], nodes: Sequence[NodeUse], epoch: int
    ) -> None:
        """Keep what was used: of instances in place of what was kept, but for what grows.

        Those of executions that are not there any more are left out.
        """

    async def condense(self, now: float, kept_days: float, epoch: int) -> None:
        """Make hours of the minutes of nodes that are older than a day; forget what is too old."""

    async def of_execution(self, execution_id: int) -> Sequence[InstanceUse]:
        """Return what the attempts of an execution used, by id and attempt."""

    async def of_node(self, name: str, since: float) -> Sequence[NodeUse]:
        """Return what was used of a node since then, the oldest first."""


class MemoryUseBook:
    """The twin in memory; ``executions`` returns the ids of those that are there.

    ``check`` raises StaleEpoch for an epoch that does not hold the lease.
    """

    def __init__(
        self, executions: Callable[[], Collection[int]], check: Callable[[int], None]
    ) -> None:
        self._executions = executions
        self._check = check
        self._instances: dict[tuple[str, int], InstanceUse] = {}
        self._nodes: dict[tuple[str, bool, float], NodeUse] = {}

    async def put(
        self, instances: Sequence[InstanceUse], nodes: Sequence[NodeUse], epoch: int
    ) -> None:
        """Keep what was used."""
        self._check(epoch)
        there = self._executions()
        for use in instances:
            if use.execution_id in there:
                key = (use.instance_id, use.attempt)
                self._instances[key] = grown(self._instances.get(key), use)
        for node in nodes:
            self._nodes.setdefault((node.name, False, node.at), node)

    async def condense(self, now: float, kept_days: float, epoch: int) -> None:
        """Make hours of old minutes; forget what is too old."""
        self._check(epoch)
        hours: dict[tuple[str, int], list[NodeUse]] = {}
        for key, use in sorted(self._nodes.items()):
            if not key[1] and use.at < _minutes_until(now):
                hours.setdefault((use.name, floor(use.at / _HOUR)), []).append(self._nodes.pop(key))
        for uses in hours.values():
            hour = averaged(uses)
            self._nodes.setdefault((hour.name, True, hour.at), hour)
        kept_from = now - kept_days * _DAY
        self._nodes = {key: use for key, use in self._nodes.items() if use.at >= kept_from}

    async def of_execution(self, execution_id: int) -> Sequence[InstanceUse]:
        """Return what the attempts of an execution used."""
        if execution_id not in self._executions():
            return []
        found = [each for each in self._instances.values() if each.execution_id == execution_id]
        return sorted(found, key=lambda use: (use.instance_id, use.attempt))

    async def of_node(self, name: str, since: float) -> Sequence[NodeUse]:
        """Return what was used of a node since then."""
        found = [each for each in self._nodes.values() if each.name == name and each.at >= since]
        return sorted(found, key=lambda use: use.at)


class PostgresUseBook:
    """The tables ``instance_use`` and ``node_use``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(
        self, instances: Sequence[InstanceUse], nodes: Sequence[NodeUse], epoch: int
    ) -> None:
        """Keep what was used: one statement for all instances, one for all nodes."""
        of_instances = _columns(InstanceUse, instances)
        of_instances["execution_id"] = [each.execution_id for each in instances]
        of_nodes = _columns(NodeUse, nodes) | {"is_hour": [False] * len(nodes)}

        async def work(connection: Connection) -> None:
            await connection.execute(QUERIES["fence"], {"epoch": epoch})
            if instances:
                await connection.execute(QUERIES["put_instance_uses"], of_instances)
            if nodes:
                await connection.execute(QUERIES["put_node_uses"], of_nodes)

        await self._database.run(work)

    async def condense(self, now: float, kept_days: float, epoch: int) -> None:
        """Make hours of old minutes; forget what is too old."""

        async def work(connection: Connection) -> None:
            await connection.execute(QUERIES["fence"], {"epoch": epoch})
            until = {"minutes_until": _minutes_until(now)}
            await connection.execute(QUERIES["condense_node_uses"], until)
            kept_from = {"kept_from": now - kept_days * _DAY}
            await connection.execute(QUERIES["forget_node_uses"], kept_from)

        await self._database.run(work)

    async def of_execution(self, execution_id: int) -> Sequence[InstanceUse]:
        """Return what the attempts of an execution used."""

        async def work(connection: Connection) -> Sequence[InstanceUse]:
            parameters = {"execution_id": execution_id}
            rows = await (await connection.execute(QUERIES["instance_uses"], parameters)).fetchall()
            return [InstanceUse(**row) for row in rows]

        return await self._database.read(work)

    async def of_node(self, name: str, since: float) -> Sequence[NodeUse]:
        """Return what was used of a node since then."""
        if not is_storable(name):
            return []

        async def work(connection: Connection) -> Sequence[NodeUse]:
            parameters = {"name": name, "since": since}
            rows = await (await connection.execute(QUERIES["node_uses"], parameters)).fetchall()
            return [NodeUse(**row) for row in rows]

        return await self._database.read(work)


def _columns(
    kind: type[InstanceUse | NodeUse], uses: Sequence[InstanceUse | NodeUse]
) -> dict[str, list[object]]:
    return {
        field.name: [getattr(use, field.name) for use in uses] for field in dataclasses.fields(kind)
    }


def _minutes_until(now: float) -> float:
    """Return the hour before which minutes are made into hours, each hour once and whole."""
    return floor((now - MINUTES_KEPT_SECONDS) / _HOUR) * _HOUR
