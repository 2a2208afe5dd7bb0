"""What the blocking and the async client share: where to, and how far a stream has come."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2

from zoe.client import calls, retries
from zoe.client.credentials import credentials
from zoe.client.errors import NotAllowed, no_answer
from zoe.model.rest_executions import FollowEnd, HistoryView, LogText
from zoe.settings import load_settings

FOLLOW_TIMEOUT = httpx2.Timeout(30.0, read=60.0)
"""A stream that says nothing for a minute, not even that it is alive, is broken."""

RESUME_SECONDS = 60.0
"""How long a broken stream is tried again before the api counts as unreachable."""


@dataclass(frozen=True, slots=True)
class Target:
    """An api, and what to show it."""

    url: str
    token: str

    @property
    def trust_env(self) -> bool:
        """Whether the proxies of the environment are used: never for this machine itself."""
        host = urlsplit(self.url).hostname or ""
        return host not in ("localhost", "::1") and not host.startswith("127.")

    @property
    def verify(self) -> ssl.SSLContext | bool:
        """Whom to trust with TLS; nobody where none is spoken: reading authorities takes 50 ms."""
        if self.trust_env or urlsplit(self.url).scheme == "https":
            return True
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def target(url: str, token: str) -> Target:
    """Return where requests go; what is not given comes from the settings and what was kept."""
    if not (url and token):
        given = {name: value for name, value in (("api_url", url), ("token", token)) if value}
        settings, _ = load_settings(given, os.environ)
        found = credentials(settings)
        url, token = found.url, found.token
    if not (token.isascii() and token.isprintable()):
        raise NotAllowed(
            "the access token has characters that no token has",
            hint="`zoe login` keeps another one.",
        )
    return Target(url, token)


class Position:
    """How far a stream has been read, and how patient to be when it breaks."""

    def __init__(self, target: Target, query: Mapping[str, str], after: str) -> None:
        self._target = target
        self._last = after
        self._pauses = retries.pauses(RESUME_SECONDS)
        self.query = {**query, "follow": "true"}

    @property
    def headers(self) -> dict[str, str]:
        """The token, and the last message that has arrived."""
        token, last = self._target.token, self._last
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        return sent | ({"Last-Event-ID": last} if last else {})

    def read(self, event: httpx2.ServerSentEvent) -> LogText | HistoryView | FollowEnd | None:
        """Return the message of an event; None for one that only a newer client knows."""
        self._last = event.id or self._last
        self._pauses = retries.pauses(RESUME_SECONDS)
        kind = calls.MESSAGES.get(event.event)
        return kind.model_validate_json(event.data) if kind else None

    def pause(self, error: httpx2.TransportError | None) -> float:
        """Return how long to wait before the next attempt. Raises Unreachable after the last."""
        if (pause := next(self._pauses, None)) is None:
            raise no_answer(
                self._target.url, error or httpx2.ReadError("it ends every stream at once")
            ) from error
        return pause
