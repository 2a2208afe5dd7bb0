"""How an engine is reached: by its socket, or by TCP, with TLS unless the administrator says so."""

import socket
from pathlib import Path

import aiohttp

from zoe.backends.base import Refused
from zoe.certificates import CertificatesUnusable, tls_context
from zoe.model.engines import SCHEME, TCP_SCHEME, EngineSpec

KEEP_ALIVE_SECONDS = 15
"""After so long a silence it is asked whether the machine is still there."""
KEEP_ALIVE_PAUSE_SECONDS = 5
KEEP_ALIVE_TRIES = 3
"""How often it is asked, so long after each other, before the connection counts as broken."""


def connection_to(spec: EngineSpec) -> tuple[aiohttp.BaseConnector, str]:
    """Return what connects to an engine, and its address for HTTP; raises Refused.

    Each output that is followed holds a connection, so their number has no limit.
    """
    if spec.socket:
        return aiohttp.UnixConnector(spec.socket, limit=0), f"{SCHEME}localhost"
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
