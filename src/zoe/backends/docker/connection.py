"""How an engine is reached: by its socket, by ssh, or by TCP, with TLS unless it is said not to."""

import asyncio
import socket
import time
from pathlib import Path

import aiohttp

from zoe.backends.base import Refused
from zoe.certificates import TLS_HINT, CertificatesUnusable, tls_context, tls_problem
from zoe.model.engines import SCHEME, TCP_SCHEME, EngineSpec
from zoe.ssh import PAUSE_SECONDS, SshFailed, Tunnel

KEEP_ALIVE_SECONDS = 15
"""After so long a silence it is asked whether the machine is still there."""
KEEP_ALIVE_PAUSE_SECONDS = 5
KEEP_ALIVE_TRIES = 3
"""How often it is asked, so long after each other, before the connection counts as broken."""


FIRST_SSH_PAUSE_SECONDS = 1.0
"""How long a machine that did not let us in is left alone; it doubles each time."""
LAST_SSH_PAUSE_SECONDS = 30.0
"""How long at most: servers shut out who asks too often."""


class Way:
    """The way to an engine: what connects to it, and its address for HTTP; raises Refused.

    Each output that is followed holds a connection, so their number has no limit.
    """

    def __init__(self, spec: EngineSpec) -> None:
        self._tunnel = Tunnel(spec) if spec.ssh_destination else None
        self._lock = asyncio.Lock()
        self._failure: SshFailed | None = None
        self._pause = FIRST_SSH_PAUSE_SECONDS
        self._again_at = 0.0
        self.connector, self.url = self._connector(spec)

    async def open(self) -> None:
        """Open what has to be open before anybody connects; raises SshFailed.

        After a failure it is not tried at once: who asks meanwhile is told the same.
        """
        if self._tunnel is None:
            return
        async with self._lock:
            if self._failure is not None and time.monotonic() < self._again_at:
                raise SshFailed(str(self._failure), hint=self._failure.hint)
            try:
                self._tunnel.begin()
                # Another program opens it.
                while not self._tunnel.is_open():  # noqa: ASYNC110 as said above
                    await asyncio.sleep(PAUSE_SECONDS)
            except SshFailed as failure:
                self._failure, self._again_at = failure, time.monotonic() + self._pause
                self._pause = min(self._pause * 2, LAST_SSH_PAUSE_SECONDS)
                raise
            self._failure, self._pause = None, FIRST_SSH_PAUSE_SECONDS

    def trouble(self, error: BaseException) -> tuple[str, str]:
        """Return what TLS or ssh had against a connection, and what to try; "" if neither had."""
        if why := tls_problem(error):
            return why, TLS_HINT
        return self._tunnel.trouble() if self._tunnel else ("", "")

    async def close(self) -> None:
        """Let go of the way; who has connected closes that itself."""
        if self._tunnel is not None:
            await asyncio.to_thread(self._tunnel.close)

    def _connector(self, spec: EngineSpec) -> tuple[aiohttp.BaseConnector, str]:
        if path := str(self._tunnel.socket) if self._tunnel else spec.socket:
            return aiohttp.UnixConnector(path, limit=0), f"{SCHEME}localhost"
        place = spec.url.removeprefix(TCP_SCHEME)
        if spec.insecure:
            return aiohttp.TCPConnector(limit=0, socket_factory=_socket), f"http://{place}"
        try:
            context = tls_context(Path(spec.tls))
        except CertificatesUnusable as error:
            raise Refused(f"{spec.name}: {error}", hint=error.hint) from error
        connector = aiohttp.TCPConnector(limit=0, ssl=context, socket_factory=_socket)
        return connector, f"https://{place}"


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Make one that notices that the other machine is gone: what is followed may be silent."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    lasting = KEEP_ALIVE_SECONDS + KEEP_ALIVE_TRIES * KEEP_ALIVE_PAUSE_SECONDS
    for option, value in (
        (socket.TCP_KEEPIDLE, KEEP_ALIVE_SECONDS),
        (socket.TCP_KEEPINTVL, KEEP_ALIVE_PAUSE_SECONDS),
        (socket.TCP_KEEPCNT, KEEP_ALIVE_TRIES),
        (socket.TCP_USER_TIMEOUT, lasting * 1000),  # the same for what nobody acknowledges
    ):
        made.setsockopt(socket.IPPROTO_TCP, option, value)
    return made
