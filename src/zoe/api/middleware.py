"""What holds for every request: known hosts, bounded bodies, security headers, counts."""

import ipaddress
import socket
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zoe.api.errors import problem_of, problem_response
from zoe.api.metrics import Metrics
from zoe.model.rest import API_PREFIX
from zoe.settings import Settings

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def allowed_hosts(settings: Settings) -> frozenset[str]:
    """Return the host names that we answer to; against names that others point at us."""
    hosts = {"localhost", "127.0.0.1", "::1", settings.api_host.lower()}
    if settings.api_url:
        hosts.add(urlsplit(settings.api_url).hostname or "")
    if _is_wildcard(settings.api_host):
        hosts |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(hosts - {""})


def is_allowed(host: str, hosts: frozenset[str], *, any_address: bool) -> bool:
    """Whether the ``Host`` of a request is one of ours; a bare address is no name to point."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return False
    return name in hosts or (any_address and _is_address(name))


class Border:
    """Checks what comes in and marks what goes out, around the whole app."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self._app = app
        self._hosts = allowed_hosts(settings)
        self._any_address = _is_wildcard(settings.api_host)
        self._max_bytes = settings.request_max_bytes
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; anything that is not HTTP goes through (start and end of the app)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()

        async def marked_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith(API_PREFIX):
                    headers.setdefault("Cache-Control", "no-store")
                self._count(scope, message["status"], time.perf_counter() - begin)
            await send(message)

        headers = Headers(scope=scope)
        error = self._refusal(headers)
        if error is not None:
            await problem_response(problem_of(error))(scope, receive, marked_send)
            return
        await self._app(scope, self._bounded(receive), marked_send)

    def _refusal(self, headers: Headers) -> HTTPException | None:
        if not is_allowed(headers.get("host", ""), self._hosts, any_address=self._any_address):
            return HTTPException(
                421, "This server does not answer to this host name; the setting api_url adds one."
            )
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self._max_bytes:
            return self._too_large()
        return None

    def _bounded(self, receive: Receive) -> Receive:
        received = 0

        async def bounded_receive() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self._max_bytes:
                    raise self._too_large()
            return message

        return bounded_receive

    def _too_large(self) -> HTTPException:
        return HTTPException(413, f"A request may have at most {self._max_bytes} bytes.")

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")  # without the prefix of its router
        if scope["path"].startswith(API_PREFIX) and not route.startswith(API_PREFIX):
            route = API_PREFIX + route if route.startswith("/") else route
        self._metrics.requests.labels(scope["method"], route, str(status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)


def _is_wildcard(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
