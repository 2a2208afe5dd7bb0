"""Hears PostgreSQL's notifications on one connection, whatever happens to it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

import psycopg

from zoe.store.base import StoreUnavailable
from zoe.store.database import Connection
from zoe.store.hints import Hints

PAYLOAD_IDS = 300
"""Ids that one notification carries at most (PostgreSQL allows 8000 bytes); more become a 0."""
FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 2.0
PROBE_SECONDS = 20.0
"""After this silence the connection is tried: a dead one does not tell."""


def payload_of(execution_ids: set[int]) -> str:
    """Write ids as the text of a notification."""
    if len(execution_ids) > PAYLOAD_IDS or 0 in execution_ids:
        return "0"
    return ",".join(str(execution_id) for execution_id in sorted(execution_ids))


class Listener:
    """One LISTEN for all readers of this program; begins with the first of them."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._hints = Hints()
        self._task: asyncio.Task[None] | None = None
        self._is_listening = False
        self._is_closed = False

    async def read(self) -> AsyncGenerator[int, None]:
        """Yield ids; 0 first, as soon as nothing can be missed any more."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen())
        async with contextlib.aclosing(self._hints.read(at_first=self._is_listening)) as hints:
            async for execution_id in hints:
                yield execution_id

    async def close(self) -> None:
        """End every reader and the connection."""
        self._is_closed = True
        self._hints.close()
        if self._task is not None:
            self._task.cancel()
            # A connection that just breaks may end it with an error instead of the cancellation.
            await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with await self._connect() as connection:
                    await connection.execute("LISTEN zoe_changes")
                    self._is_listening = True
                    self._hints.publish(0)
                    pause = FIRST_PAUSE_SECONDS
                    await self._hear(connection)
            except (psycopg.Error, StoreUnavailable, OSError):
                self._is_listening = False
                if self._is_closed:
                    return
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _hear(self, connection: Connection) -> None:
        while True:
            async for notification in connection.notifies(timeout=PROBE_SECONDS):
                for execution_id in notification.payload.split(","):
                    self._hints.publish(int(execution_id))
            await connection.execute("SELECT 1")
