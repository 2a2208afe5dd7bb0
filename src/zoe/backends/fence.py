"""Whether a master may act on machines: while it leads, and by its own clock no moment longer.

The lease in the store keeps out what a master writes that does not lead any more. What it does on
machines is kept out here: a master may sleep while its lease ends and wake up in the middle of
something, or be cut off from the database. The clock goes on while a process, or the whole machine,
is suspended, and nobody can set it.
"""

import asyncio
import math
import time
from collections.abc import Callable

from zoe.backends.base import Retryable


class Fenced(Retryable):
    """Another master may lead: what was to be done is not."""


def boot_seconds() -> float:
    """Return the seconds since this machine was started, suspended or not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Fence:
    """Open until a moment that is put off again and again; for who needs no lease, for ever."""

    def __init__(self, now: Callable[[], float] = boot_seconds) -> None:
        self.now = now
        self.epoch = 0
        """The epoch of the lease; 0: there is none. What outlives masters obeys no older one."""
        self._until = math.inf
        self._opened = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether it is still time."""
        return self.now() < self._until

    def extend(self, epoch: int, until: float) -> None:
        """Let this epoch act until a moment, by :attr:`now`."""
        self.epoch, self._until = epoch, until
        self._opened.set()

    def close(self) -> None:
        """Let nobody act until it is extended."""
        self._until = -math.inf

    def check(self) -> None:
        """Raise Fenced unless it is open: the last thing before something is done."""
        if not self.is_open:
            raise Fenced("this master could not renew its lease in time: another one may lead")

    async def passage(self) -> None:
        """Wait until it is open."""
        while not self.is_open:
            self._opened.clear()
            await self._opened.wait()
