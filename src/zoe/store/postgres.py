"""The store on PostgreSQL: plain SQL from ``queries.sql``, one transaction per call.

``schema.sql`` says what is kept. Every writer of history takes one lock until its commit, so its
ids become visible in order; many submissions share a commit (:mod:`zoe.store.submissions`).
"""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from psycopg.types.json import Jsonb

from zoe.model.balance import Balance
from zoe.model.change import Change, Defer, Forget
from zoe.model.cluster import Node
from zoe.model.codec import from_json
from zoe.model.execution import ENDED, Desired, Execution, ExecutionStatus
from zoe.store import checks, history
from zoe.store.accounts import PostgresAccountBook
from zoe.store.base import (
    HistoryEntry,
    Masters,
    NewExecution,
    NotFound,
    Page,
    PastForecast,
    Token,
)
from zoe.store.changes import SILENT, check_effect, missing, subject
from zoe.store.database import Connection, Database
from zoe.store.engines import PostgresEngineBook
from zoe.store.lease import Lease
from zoe.store.listener import Listener, payload_of
from zoe.store.marks import PostgresMarkBook
from zoe.store.migrate import check_schema
from zoe.store.queries import QUERIES
from zoe.store.rows import (
    entry_of,
    execution_of,
    line_parameters,
    past_forecast_of,
    statement_of,
    token_of,
)
from zoe.store.submissions import Submissions
from zoe.store.uses import PostgresUseBook


class PostgresStore:
    """The state in a PostgreSQL database (``postgresql://...``)."""

    def __init__(self, url: str, *, pool_size: int = 8) -> None:
        self._database = Database(url, pool_size)
        self._lease = Lease(self._database)
        self._listener = Listener(self._database.connect)
        self._submissions = Submissions(self._insert)
        self.accounts = PostgresAccountBook(self._database)
        self.marks = PostgresMarkBook(self._database)
        self.engines = PostgresEngineBook(self._database)
        self.uses = PostgresUseBook(self._database)

    async def open(self) -> None:
        """Connect and check the schema; raises StoreUnavailable or SchemaMismatch."""
        await self._database.open()
        try:
            await self._database.read(check_schema)
        except BaseException:
            await self._database.close()
            raise

    async def close(self) -> None:
        """Release every connection, whatever becomes of the others."""
        async with AsyncExitStack() as stack:
            # The pool of a program that ends must be closed: its workers outlive a cancellation.
            stack.push_async_callback(self._database.close)
            stack.push_async_callback(self._lease.close)
            stack.push_async_callback(self._listener.close)
            stack.push_async_callback(self._submissions.close)

    # Intents.

    async def submit(self, new: NewExecution) -> Execution:
        """Commit a new execution; raises NotStorable."""
        checks.check_new(new)
        return await self._submissions.submit(new)

    async def _insert(self, batch: Sequence[NewExecution]) -> Sequence[Execution]:
        parameters = [
            {
                "name": new.name,
                "owner": new.owner,
                "team": new.team,
                "zapp": Jsonb(checks.check_new(new)),
                "source": new.source,
                "idempotency_key": new.idempotency_key or None,
                **line_parameters(history.submitted(new.owner)),
            }
            for new in batch
        ]

        async def work(connection: Connection) -> Sequence[Execution]:
            async with connection.pipeline():
                await connection.execute(QUERIES["lock_history"])
                cursors = [await connection.execute(QUERIES["submit"], each) for each in parameters]
            rows = [await cursor.fetchone() for cursor in cursors]
            # No row: the key was there already, and visibly so, thanks to the lock.
            return [
                execution_of(row) if row else await _one(connection, "by_key", each)
                for row, each in zip(rows, parameters, strict=True)
            ]

        return await self._database.run(work)

    async def request_stop(self, execution_id: int, by: str) -> Execution:
        """Commit the wish to end it."""
        return await self._desire(execution_id, Desired.STOP, by)

    async def request_delete(self, execution_id: int, by: str) -> Execution:
        """Commit the wish to stop and forget it; an ended one vanishes at once."""
        return await self._desire(execution_id, Desired.DELETE, by)

    async def _desire(self, execution_id: int, wish: Desired, by: str) -> Execution:
        checks.check_text("user name", by)
        parameters = {
            "id": execution_id,
            "desired": wish.value,
            "by": by,
            **line_parameters(history.desired(wish, by)),
        }

        async def work(connection: Connection) -> Execution:
            await connection.execute(QUERIES["lock_history"])
            execution = await _one(connection, "lock_execution", {"id": execution_id})
            if wish is Desired.DELETE and execution.status in ENDED:
                await connection.execute(QUERIES["delete"], parameters)
            elif execution.status in ENDED or execution.desired in (wish, Desired.DELETE):
                return execution
            else:
                await connection.execute(QUERIES["desire"], parameters)
                execution = await _one(connection, "get", parameters)
            await _notify(connection, {execution_id})
            return execution

        return await self._database.run(work)

    async def request_scale(
        self, execution_id: int, service: str, elastic: int, by: str, elastic_min: int = 0
    ) -> Execution:
        """Commit other elastic counts; ValueError for those that cannot be."""
        checks.check_text("user name", by)
        parameters = {
            "id": execution_id,
            "service": service,
            "elastic": elastic,
            "elastic_min": elastic_min,
            **line_parameters(history.scaled(service, elastic, by, elastic_min)),
        }

        async def work(connection: Connection) -> Execution:
            await connection.execute(QUERIES["lock_history"])
            execution = await _one(connection, "lock_execution", {"id": execution_id})
            checks.check_scale(execution, service, elastic, elastic_min)
            if execution.has_scale(service, elastic, elastic_min):
                return execution
            await connection.execute(QUERIES["scale"], parameters)
            await _notify(connection, {execution_id})
            return await _one(connection, "get", parameters)

        return await self._database.run(work)

    # Reading.

    async def get(self, execution_id: int) -> Execution:
        """Return one execution with its instances."""

        async def work(connection: Connection) -> Execution:
            return await _one(connection, "get", {"id": execution_id})

        return await self._database.read(work)

    async def find(self, owner: str | None, reference: str) -> Execution:
        """Find by id, exact name or unique prefix of a name."""
        if not checks.is_storable(reference + (owner or "")):
            raise NotFound(f"there is no execution {reference!r}")
        parameters = {
            "owner": owner,
            "id": checks.id_in(reference),
            "name": reference,
            "prefix": reference,
            "after": reference + "\U0010ffff",
            "limit": checks.CANDIDATES + 1,
        }

        async def work(connection: Connection) -> Execution:
            for query in ("find_by_id", "find_by_name"):
                found = await connection.execute(QUERIES[query], parameters)
                if row := await found.fetchone():
                    return execution_of(row)
            answer = await connection.execute(QUERIES["names_with_prefix"], parameters)
            names = [row["name"] for row in await answer.fetchall()] if reference else []
            name = checks.check_candidates(reference, names)
            return await _one(connection, "find_by_name", {"name": name, "owner": owner})

        return await self._database.read(work)

    async def source(self, execution_id: int) -> str:
        """Return the application description as it was submitted."""
        rows = await self._rows("source", {"id": execution_id})
        if not rows:
            raise missing(execution_id)
        source: str = rows[0]["source"]
        return source

    async def page(
        self,
        *,
        owner: str | None = None,
        statuses: frozenset[ExecutionStatus] = frozenset(),
        name: str = "",
        limit: int = 50,
        cursor: str = "",
    ) -> Page:
        """Return executions, newest first; ``name`` is the beginning of the name."""
        before = checks.before(cursor)
        if not checks.is_storable(name + (owner or "")):
            return Page([])
        conditions = {
            b"owner = %(owner)s": owner is not None,
            # Written out, so that the plan suits these: few executions are active, many have ended.
            b"status IN (" + b", ".join(_literals(statuses)) + b")": bool(statuses),
            b"name >= %(name)s AND name < %(after)s": bool(name),
            b"id < %(before)s": before is not None,
        }
        used = [condition for condition, is_used in conditions.items() if is_used]
        query = QUERIES["page"] + (b" WHERE " + b" AND ".join(used) if used else b"")
        parameters = {
            "owner": owner,
            "name": name,
            "after": name + "\U0010ffff",
            "before": before,
            "limit": limit + 1,
        }
        rows = await self._query(query + b" ORDER BY id DESC LIMIT %(limit)s", parameters)
        items = [execution_of(row) for row in rows[:limit]]
        return Page(items, checks.cursor_after(items[-1]) if len(rows) > limit else "")

    async def history(
        self, execution_id: int | None, *, after: int = 0, limit: int = 1000, newest: bool = False
    ) -> Sequence[HistoryEntry]:
        """Return history entries with ``id > after``, oldest first."""
        query = "history" if execution_id is None else "history_of_one"
        parameters = {"id": execution_id, "after": after, "limit": limit}
        rows = await self._rows(f"{query}_newest" if newest else query, parameters)
        return [entry_of(row) for row in (reversed(rows) if newest else rows)]

    async def nodes(self) -> Sequence[Node]:
        """Return the nodes as last recorded, by name."""
        return [from_json(Node, row["document"]) for row in await self._rows("nodes")]

    async def counts(self) -> Mapping[ExecutionStatus, int]:
        """Return how many executions have each status; those without any are absent."""
        rows = await self._rows("counts")
        return {ExecutionStatus(row["status"]): row["count"] for row in rows}

    async def queue(self, *, owner: str | None = None, limit: int = 500) -> Sequence[Execution]:
        """Return those that wait, by their place in the queue, without instances."""
        if not checks.is_storable(owner or ""):
            return []
        rows = await self._rows("queue", {"owner": owner, "limit": limit})
        return [execution_of(row) for row in rows]

    async def past_forecasts(self, limit: int = 200) -> Sequence[PastForecast]:
        """Return what became of forecasts, the executions that started last at the end."""
        rows = await self._rows("past_forecasts", {"limit": limit})
        return [past_forecast_of(row) for row in reversed(rows)]

    def changes(self) -> AsyncGenerator[int, None]:
        """Yield an execution id soon after each commit about it; 0 first and after a break."""
        return self._listener.read()

    # The master.

    async def lead(self, holder: str, ttl_seconds: float, endpoint: str = "") -> int | None:
        """Take the lease if it is free, expired or its holder's session is gone."""
        return await self._lease.lead(holder, ttl_seconds, endpoint)

    async def hold(self, seconds: float) -> bool:
        """Wait while the session of the lease is there."""
        return await self._lease.hold(seconds)

    async def masters(self) -> Masters:
        """Return who leads and who stands by."""
        return await self._lease.masters()

    async def renew(self, epoch: int, ttl_seconds: float) -> None:
        """Keep the lease."""
        await self._lease.renew(epoch, ttl_seconds)

    async def resign(self, epoch: int) -> None:
        """Give the lease up; the epoch does not write any more."""
        await self._lease.resign(epoch)

    async def load(self) -> Sequence[Execution]:
        """Return every execution that has not ended, oldest first."""
        return [execution_of(row) for row in await self._rows("load")]

    async def balances(self) -> Sequence[Balance]:
        """Return what everybody has used, by team and user."""
        return [from_json(Balance, row["document"]) for row in await self._rows("balances")]

    async def intents(self) -> Sequence[Execution]:
        """Return the executions whose newest intent is not acknowledged, oldest first."""
        return [execution_of(row) for row in await self._rows("intents")]

    async def record(self, changes: Sequence[Change], epoch: int) -> None:
        """Commit all changes and their history in one transaction, or none of them."""
        if not changes:
            return
        cleaned = [checks.storable(change) for change in changes]
        statements = [statement_of(change) for change in cleaned]
        touched = {subject(change) for change in cleaned if not isinstance(change, SILENT)}

        async def work(connection: Connection) -> None:
            async with connection.pipeline():
                await connection.execute(QUERIES["lock_history"])
                await connection.execute(QUERIES["fence"], {"epoch": epoch})
                cursors = [
                    await connection.execute(QUERIES[name], parameters)
                    for name, parameters in statements
                ]
                if touched:
                    await _notify(connection, touched)
            for change, cursor in zip(cleaned, cursors, strict=True):
                rows = await cursor.fetchall() if isinstance(change, Defer | Forget) else []
                check_effect(change, cursor.rowcount, rows)

        await self._database.run(work)

    # Access tokens.

    async def add_token(self, token: Token) -> None:
        """Keep a token's hash; one that is there already stays as it is."""
        for text in (token.hash, token.name, token.user, token.role):
            checks.check_text("token", text)

        async def work(connection: Connection) -> None:
            parameters = {
                "hash": token.hash,
                "name": token.name,
                "user": token.user,
                "role": token.role,
                "created_at": token.created_at,
            }
            await connection.execute(QUERIES["add_token"], parameters)

        await self._database.run(work)

    async def find_token(self, hash: str) -> Token | None:
        """Return the token with this hash, if there is one."""
        if not checks.is_storable(hash):
            return None
        rows = await self._rows("find_token", {"hash": hash})
        return token_of(rows[0]) if rows else None

    async def tokens(self) -> Sequence[Token]:
        """Return every token, oldest first."""
        return [token_of(row) for row in await self._rows("tokens")]

    async def _rows(
        self, name: str, parameters: Mapping[str, Any] | None = None
    ) -> Sequence[Mapping[str, Any]]:
        return await self._query(QUERIES[name], parameters)

    async def _query(
        self, query: bytes, parameters: Mapping[str, Any] | None
    ) -> Sequence[Mapping[str, Any]]:
        async def work(connection: Connection) -> Sequence[Mapping[str, Any]]:
            return await (await connection.execute(query, parameters)).fetchall()

        return await self._database.read(work)


def _literals(statuses: Iterable[ExecutionStatus]) -> list[bytes]:
    return sorted(f"'{status.value}'".encode() for status in statuses)


async def _one(connection: Connection, name: str, parameters: Mapping[str, Any]) -> Execution:
    row = await (await connection.execute(QUERIES[name], parameters)).fetchone()
    if row is None:
        raise missing(parameters.get("id"))
    return execution_of(row)


async def _notify(connection: Connection, execution_ids: set[int]) -> None:
    await connection.execute(QUERIES["notify"], {"payload": payload_of(execution_ids)})
