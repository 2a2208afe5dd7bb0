"""The Docker Engines that administrators have added, as every store keeps them.

A small part of the port to the state, :attr:`zoe.store.base.Store.engines`, with a twin in memory.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from psycopg.types.json import Jsonb

from zoe.model.codec import from_json, to_json
from zoe.model.engines import AddedEngine
from zoe.store.base import Conflict
from zoe.store.checks import check_text
from zoe.store.database import Connection, Database
from zoe.store.queries import QUERIES


class EngineBook(Protocol):
    """Engines by name. Every method may raise StoreUnavailable; nothing is half done then."""

    async def read(self) -> Sequence[AddedEngine]:
        """Return all engines, by name."""

    async def add(self, engine: AddedEngine) -> None:
        """Keep an engine. Raises Conflict when there is one of that name, and NotStorable."""

    async def let_go(self, name: str, *, at_once: bool) -> None:
        """Say that an engine is to go, if it is there: when nothing runs there, or at once."""

    async def forget(self, name: str) -> None:
        """Forget an engine that was to go, and has gone."""


class MemoryEngineBook:
    """The twin in memory."""

    def __init__(self) -> None:
        self._engines: dict[str, AddedEngine] = {}

    async def read(self) -> Sequence[AddedEngine]:
        """Return all engines, by name."""
        return [self._engines[name] for name in sorted(self._engines)]

    async def add(self, engine: AddedEngine) -> None:
        """Keep an engine."""
        _check(engine)
        if engine.name in self._engines:
            raise _taken(engine)
        self._engines[engine.name] = engine

    async def let_go(self, name: str, *, at_once: bool) -> None:
        """Say that an engine is to go."""
        if name in self._engines:
            kept = self._engines[name]
            self._engines[name] = replace(kept, leaving=True, at_once=at_once)

    async def forget(self, name: str) -> None:
        """Forget an engine that was to go."""
        if name in self._engines and self._engines[name].leaving:
            del self._engines[name]


class PostgresEngineBook:
    """The table ``engine``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> Sequence[AddedEngine]:
        """Return all engines, by name."""

        async def work(connection: Connection) -> Sequence[AddedEngine]:
            rows = await (await connection.execute(QUERIES["engines"])).fetchall()
            return [from_json(AddedEngine, row["document"]) for row in rows]

        return await self._database.read(work)

    async def add(self, engine: AddedEngine) -> None:
        """Keep an engine."""
        _check(engine)
        parameters = {"name": engine.name, "document": Jsonb(to_json(engine))}

        async def work(connection: Connection) -> int:
            return (await connection.execute(QUERIES["add_engine"], parameters)).rowcount

        if not await self._database.run(work):
            raise _taken(engine)

    async def let_go(self, name: str, *, at_once: bool) -> None:
        """Say that an engine is to go."""
        document = Jsonb({"leaving": True, "at_once": at_once})
        await self._run("let_engine_go", name, document)

    async def forget(self, name: str) -> None:
        """Forget an engine that was to go."""
        await self._run("forget_engine", name)

    async def _run(self, query: str, name: str, document: Jsonb | None = None) -> None:
        parameters = {"name": name, "document": document}

        async def work(connection: Connection) -> None:
            await connection.execute(QUERIES[query], parameters)

        if name.isprintable():
            await self._database.run(work)


def _check(engine: AddedEngine) -> None:
    for text in (engine.name, engine.words, engine.by):
        check_text("engine", text)


def _taken(engine: AddedEngine) -> Conflict:
    return Conflict(f"There is an engine {engine.name} already.")
