"""Whose access token it is, remembered for a moment: every request asks."""

import time
from collections.abc import Awaitable, Callable

from zoe.store.base import Token

REMEMBERED_SECONDS = 1.0
"""How long a token that was taken back may still work."""
REMEMBERED_MAX = 1000


class Tokens:
    """The tokens of the store; one that is unknown is looked for each time, so a new one works."""

    def __init__(
        self,
        find: Callable[[str], Awaitable[Token | None]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = find
        self._now = now
        self._found: dict[str, tuple[Token, float]] = {}

    async def find(self, hash: str) -> Token | None:
        """Return the token with this hash, if there was one at most REMEMBERED_SECONDS ago."""
        asked_at = self._now()
        token, found_at = self._found.pop(hash, (None, 0.0))
        if token is None or asked_at - found_at > REMEMBERED_SECONDS:
            token, found_at = await self._find(hash), asked_at
        if token is not None:
            if len(self._found) >= REMEMBERED_MAX:
                self._found.clear()
            self._found[hash] = token, found_at
        return token
