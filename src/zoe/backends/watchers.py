"""Whoever watches a back-end, and what changes: the same for every back-end."""

import asyncio
from collections.abc import AsyncIterator

from zoe.model.cluster import ObservedInstance

WATCH_MAX = 10_000
"""Changes that wait for a slow reader; older ones are dropped, the next look finds them."""


class Watchers:
    """Those who watch one back-end."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[ObservedInstance | None]] = set()

    async def watch(self) -> AsyncIterator[ObservedInstance]:
        """Yield what is told from now on, until :meth:`close`."""
        queue: asyncio.Queue[ObservedInstance | None] = asyncio.Queue(WATCH_MAX)
        self._queues.add(queue)
        try:
            while (change := await queue.get()) is not None:
                yield change
        finally:
            self._queues.discard(queue)

    def tell(self, seen: ObservedInstance) -> None:
        """Tell everybody who watches."""
        for queue in self._queues:
            _put(queue, seen)

    def close(self) -> None:
        """Tell everybody that nothing more comes."""
        for queue in self._queues:
            _put(queue, None)


def _put(queue: asyncio.Queue[ObservedInstance | None], item: ObservedInstance | None) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(item)
