"""How an engine is reached: by its socket, or by TCP, with TLS unless the administrator says so."""

from pathlib import Path

import aiohttp

from zoe.backends.base import Refused
from zoe.certificates import CertificatesUnusable, tls_context
from zoe.model.engines import SCHEME, TCP_SCHEME, EngineSpec


def connection_to(spec: EngineSpec) -> tuple[aiohttp.BaseConnector, str]:
    """Return what connects to an engine, and its address for HTTP; raises Refused.

    Each output that is followed holds a connection, so their number has no limit.
    """
    if spec.socket:
        return aiohttp.UnixConnector(spec.socket, limit=0), f"{SCHEME}localhost"
    place = spec.url.removeprefix(TCP_SCHEME)
    if spec.insecure:
        return aiohttp.TCPConnector(limit=0), f"http://{place}"
    try:
        context = tls_context(Path(spec.tls))
    except CertificatesUnusable as error:
        raise Refused(f"{spec.name}: {error}", hint=error.hint) from error
    return aiohttp.TCPConnector(limit=0, ssl=context), f"https://{place}"
