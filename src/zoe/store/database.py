"""Connections to PostgreSQL: a pool, transactions bounded in time, and errors in our own words."""

import asyncio
import contextlib
import select
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from zoe.model.errors import IllegalTransition, ZoeError
from zoe.store.base import StaleEpoch, StoreUnavailable

T = TypeVar("T")
Connection = AsyncConnection[DictRow]

CALL_SECONDS = 15.0
"""Longest that one call may take, whatever happens."""
CONNECTION_SECONDS = 3.0
"""Longest that a call waits for a connection."""
ATTEMPTS = 5
"""How often a transaction is tried that the database asks to try again."""

_CONNECT: dict[str, Any] = {
    "application_name": "zoe",
    "connect_timeout": 5,
    "row_factory": dict_row,
    "autocommit": True,
    # A stopped client must not hold its locks, and a statement that waits must give up in time.
    "options": "-c statement_timeout=10s -c lock_timeout=5s"
    " -c idle_in_transaction_session_timeout=5s -c default_transaction_isolation=read\\ committed",
    # A cut network is noticed in seconds; these mean nothing on a local socket.
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 3000,
}


class Database:
    """One program's connections to one database."""

    def __init__(self, url: str, pool_size: int) -> None:
        self._url = url
        self._pool_size = pool_size
        self._pool: AsyncConnectionPool[Connection] | None = None

    async def open(self) -> None:
        """Open the pool and wait for its first connection; raises StoreUnavailable."""
        if self._pool is not None:
            return
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            self._url,
            kwargs=_CONNECT,
            min_size=1,
            max_size=self._pool_size,
            timeout=CONNECTION_SECONDS,
            reconnect_timeout=1.0,  # then the next call tries at once, not after a long pause
            check=_check,
            reset=_reset,
            open=False,
        )
        try:
            with translated():
                await pool.open(wait=True, timeout=CONNECTION_SECONDS)
        except BaseException:
            await pool.close()
            raise
        self._pool = pool

    async def close(self) -> None:
        """Close every connection of the pool."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def connect(self) -> Connection:
        """Return a new connection outside of the pool, in autocommit."""
        with translated():
            return await AsyncConnection.connect(self._url, **_CONNECT)

    async def read(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run ``work``, each statement of which is a transaction of its own."""
        async with self._connection() as connection:
            return await work(connection)

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run ``work`` in a transaction and commit it; again if the database asks for that."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with self._connection() as connection:
                    # Unlike an explicit transaction, its beginning goes with the first statement.
                    await connection.set_autocommit(False)
                    return await work(connection)
            except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected) as error:
                if attempt == ATTEMPTS:
                    raise StoreUnavailable(
                        f"the database was too busy in {ATTEMPTS} attempts"
                    ) from error
                await asyncio.sleep(0.005 * 2**attempt)
        raise AssertionError("unreachable")

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        if self._pool is None:
            raise StoreUnavailable("the store is not open")
        try:
            async with asyncio.timeout(CALL_SECONDS):
                with translated():
                    async with self._pool.connection() as connection:
                        yield connection
        except TimeoutError as error:
            raise StoreUnavailable(
                f"the database did not answer within {CALL_SECONDS:.0f} s"
            ) from error


async def _check(connection: Connection) -> None:
    """Raise if the connection has ended: then something has arrived that nobody asked for."""
    arrived = select.poll()
    arrived.register(connection.fileno(), select.POLLIN)
    if arrived.poll(0):
        await AsyncConnectionPool.check_connection(connection)


async def _reset(connection: Connection) -> None:
    await connection.set_autocommit(True)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn psycopg's errors into the store's, here and nowhere else."""
    try:
        yield
    except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
        raise
    except psycopg.Error as error:
        ours = _translate(error)
        if ours is None:
            raise
        raise ours from error


def _translate(error: psycopg.Error) -> ZoeError | None:
    message = error.diag.message_primary or str(error)
    match error:
        case psycopg.Error(sqlstate="ZE001"):
            return StaleEpoch(f"another master has taken over: {message}")
        case psycopg.Error(sqlstate="ZE002"):
            return IllegalTransition(message)
        case psycopg.errors.CheckViolation() | psycopg.errors.ForeignKeyViolation():
            return IllegalTransition(f"the database refuses a contradiction: {message}")
        case psycopg.OperationalError() | psycopg.InterfaceError():
            # The address may hold a password, so only what the server or libpq said is shown.
            return StoreUnavailable(
                f"the database cannot be reached: {message}",
                hint="see `zoe doctor`; what was accepted is kept, try again",
            )
        case _:
            return None
