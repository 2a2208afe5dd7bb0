"""What every route works with: one set of parts per api, handed over, never global."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fastapi import Request as HttpRequest

from zoe import failpoints
from zoe.api.feed import Feed
from zoe.api.metrics import Metrics
from zoe.api.shares import Shares
from zoe.api.tokens import Tokens
from zoe.rpc.client import Client
from zoe.rpc.messages import Wake
from zoe.settings import Settings
from zoe.store.base import Store

SCOPE_KEY = "zoe.parts"
"""Where a request carries the parts of the api that it came to."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The settings, the ports and the moving parts of one api."""

    settings: Settings
    store: Store
    tokens: Tokens
    shares: Shares
    master: Client
    feed: Feed
    metrics: Metrics
    frameworks: Callable[[], Mapping[str, tuple[str, str]]]
    """The catalogue's frameworks: name to (file name, text)."""
    session_key: bytes

    async def ring(self, execution_id: int) -> None:
        """Say that there is an intent, to who watches here and to the master if it is there."""
        self.feed.notify(execution_id)
        await failpoints.reach("cp03", lambda: self.master.hint(Wake(execution_id)))
        await self.master.hint(Wake(execution_id))


def parts_of(request: HttpRequest) -> Parts:
    """Return the parts of the api that this request came to."""
    parts: Parts = request.scope[SCOPE_KEY]
    return parts
