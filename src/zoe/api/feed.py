"""Spreads the store's notifications over everybody who waits for a change.

Notifications are hints: who waits looks at the store afterwards, and looks now and then without
one. A commit wakes those who wait for its execution and those who wait for any.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

import structlog

from zoe.store.base import Store, StoreUnavailable

log = structlog.get_logger()

RETRY_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class Subscription:
    """A place to wait for changes of one execution (or of any, with None)."""

    feed: "Feed"
    execution_id: int | None
    rung: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_closed(self) -> bool:
        """Whether the api is ending: finish at once."""
        return self.feed.is_closed

    async def wait(self, seconds: float) -> bool:
        """Return when something changed (True), or after so long, or at the end (False)."""
        if self.is_closed:
            return False
        try:
            await asyncio.wait_for(self.rung.wait(), seconds)
        except TimeoutError:
            return False
        self.rung.clear()
        return not self.is_closed

    async def pause(self, seconds: float) -> None:
        """Return after so long, or at the end."""
        if not self.is_closed:
            await self.feed.wait_closed(seconds)


class Feed:
    """Everybody who waits; while it is :meth:`running`, one task listens to the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._subscriptions: set[Subscription] = set()
        self._closed = asyncio.Event()

    @property
    def is_closed(self) -> bool:
        """Whether the api is ending."""
        return self._closed.is_set()

    async def wait_closed(self, seconds: float) -> None:
        """Return at the end, or after so long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._closed.wait(), seconds)

    @contextmanager
    def subscribe(self, execution_id: int | None) -> Iterator[Subscription]:
        """Wait for changes of one execution, or of any."""
        subscription = Subscription(self, execution_id)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    @property
    def subscriptions(self) -> int:
        """How many wait."""
        return len(self._subscriptions)

    def notify(self, execution_id: int) -> None:
        """Wake who waits for this execution; everybody with 0."""
        for subscription in self._subscriptions:
            if not execution_id or subscription.execution_id in (None, execution_id):
                subscription.rung.set()

    def close(self) -> None:
        """End every stream: nobody waits from now on."""
        self._closed.set()
        self.notify(0)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen to the store meanwhile; nobody waits afterwards."""
        listener = asyncio.create_task(self._listen(), name="store feed")
        try:
            yield
        finally:
            self.close()
            listener.cancel()
            with suppress(asyncio.CancelledError):
                await listener

    async def _listen(self) -> None:
        """Listen until cancelled; go on after the store was away."""
        while True:
            try:
                async for execution_id in self._store.changes():
                    self.notify(execution_id)
            except StoreUnavailable as error:
                log.warning("no notifications from the store", error=str(error))
            await asyncio.sleep(RETRY_SECONDS)
            self.notify(0)
