"""The nodes that administrators have taken out of service, as every store keeps them.

A small part of the port to the state, :attr:`zoe.store.base.Store.marks`, with a twin in memory.
"""

from collections.abc import Sequence
from typing import Protocol

from psycopg.types.json import Jsonb

from zoe.model.cluster import NodeMark
from zoe.model.codec import from_json, to_json
from zoe.store.checks import check_text
from zoe.store.database import Connection, Database
from zoe.store.queries import QUERIES


class MarkBook(Protocol):
    """Marks of nodes. Every method may raise StoreUnavailable; nothing is half done then."""

    async def read(self) -> Sequence[NodeMark]:
        """Return all marks, by the name of the node."""

    async def put(self, mark: NodeMark) -> None:
        """Keep a mark, in place of what was kept for that node. Raises NotStorable."""

    async def remove(self, name: str) -> None:
        """Forget the mark of a node, if it has one."""


class MemoryMarkBook:
    """The twin in memory."""

    def __init__(self) -> None:
        self._marks: dict[str, NodeMark] = {}

    async def read(self) -> Sequence[NodeMark]:
        """Return all marks, by the name of the node."""
        return [self._marks[name] for name in sorted(self._marks)]

    async def put(self, mark: NodeMark) -> None:
        """Keep a mark."""
        _check(mark)
        self._marks[mark.name] = mark

    async def remove(self, name: str) -> None:
        """Forget the mark of a node."""
        self._marks.pop(name, None)


class PostgresMarkBook:
    """The table ``node_mark``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> Sequence[NodeMark]:
        """Return all marks, by the name of the node."""

        async def work(connection: Connection) -> Sequence[NodeMark]:
            rows = await (await connection.execute(QUERIES["marks"])).fetchall()
            return [from_json(NodeMark, row["document"]) for row in rows]

        return await self._database.read(work)

    async def put(self, mark: NodeMark) -> None:
        """Keep a mark."""
        _check(mark)
        parameters = {"name": mark.name, "document": Jsonb(to_json(mark))}

        async def work(connection: Connection) -> None:
            await connection.execute(QUERIES["put_mark"], parameters)

        await self._database.run(work)

    async def remove(self, name: str) -> None:
        """Forget the mark of a node."""

        async def work(connection: Connection) -> None:
            await connection.execute(QUERIES["remove_mark"], {"name": name})

        if name.isprintable():
            await self._database.run(work)


def _check(mark: NodeMark) -> None:
    for text in (mark.name, mark.by, mark.reason):
        check_text("mark of a node", text)
