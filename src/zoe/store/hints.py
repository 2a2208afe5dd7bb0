"""Spreads change notifications over their readers: merged while unread, bounded, never blocking."""

import asyncio
from collections.abc import AsyncGenerator

PENDING_MAX = 1000
"""Different ids that wait for a slow reader; more become one 0, which stands for any."""


class _Reader:
    def __init__(self) -> None:
        self.pending: dict[int, None] = {}
        self.rung = asyncio.Event()

    def put(self, execution_id: int) -> None:
        if 0 not in self.pending or execution_id == 0:
            self.pending[execution_id] = None
        if execution_id == 0 or len(self.pending) > PENDING_MAX:
            self.pending = {0: None}
        self.rung.set()


class Hints:
    """Everybody who reads changes in this program."""

    def __init__(self) -> None:
        self._readers: set[_Reader] = set()
        self._is_closed = False

    def publish(self, execution_id: int) -> None:
        """Tell every reader that this execution changed; 0: any may have."""
        for reader in self._readers:
            reader.put(execution_id)

    async def read(self, *, at_first: bool) -> AsyncGenerator[int, None]:
        """Yield what is published from now on, until closed; a 0 ``at_first`` if told to."""
        reader = _Reader()
        if at_first:
            reader.put(0)
        self._readers.add(reader)
        try:
            while not self._is_closed:
                await reader.rung.wait()
                reader.rung.clear()
                pending, reader.pending = reader.pending, {}
                for execution_id in pending:
                    yield execution_id
        finally:
            self._readers.discard(reader)

    def close(self) -> None:
        """End every reader."""
        self._is_closed = True
        for reader in self._readers:
            reader.rung.set()
