"""An event loop whose time is virtual: it jumps to the next timer whenever nothing else is due."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

START = 1_700_000_000.0
"""Seconds since 1970 at the beginning of virtual time."""


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everything waits, and nothing will ever happen"
            self.time += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs coroutines in virtual time; whatever sleeps costs nothing."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.time

    def now(self) -> float:
        """Seconds since 1970, as the programs under test see them."""
        return START + self._jumping.time


def run(scenario: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """Run ``scenario(loop)`` in virtual time and return what it returns."""
    loop = VirtualLoop()
    try:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            return runner.run(scenario(loop))
    finally:
        loop.close()
