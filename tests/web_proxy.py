"""A proxy of HTTP and HTTPS for builds of images: engines of the tests have no way to the web.

It answers at one address of this machine, for as long as a build takes. Images know nothing of
it: who builds names it in the arguments ``http_proxy`` and ``https_proxy``.
"""

import http.client
import select
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

SECONDS = 120.0
"""How long a server, or who asks, may be silent."""
_CHUNK_BYTES = 64 * 1024
_OF_A_CONNECTION = {"connection", "keep-alive", "proxy-connection", "transfer-encoding"}


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SECONDS

    def do_GET(self) -> None:
        """Fetch a page over HTTP, as apt does."""
        url = urlsplit(self.path)
        server = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=SECONDS)
        try:
            headers = {n: v for n, v in self.headers.items() if n.lower() not in _OF_A_CONNECTION}
            server.request("GET", f"{url.path}?{url.query}".rstrip("?"), headers=headers)
            answer = server.getresponse()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in _OF_A_CONNECTION:
                    self.send_header(name, value)
            # Without a length, the end of the connection is the end of the page.
            if answer.length is None and answer.status not in (204, 304):
                self.send_header("Connection", "close")
            self.end_headers()
            shutil.copyfileobj(answer, self.wfile, _CHUNK_BYTES)
        except OSError as error:
            self.send_error(502, str(error))
        finally:
            server.close()

    def do_CONNECT(self) -> None:
        """Pass bytes on in both directions, as pip does it over HTTPS."""
        host, _, port = self.path.rpartition(":")
        self.close_connection = True
        try:
            server = socket.create_connection((host, int(port)), SECONDS)
        except OSError as error:
            self.send_error(502, str(error))
            return
        with server:
            self.send_response_only(200)
            self.end_headers()
            other = {self.connection: server, server: self.connection}
            while ready := select.select([*other], [], [], SECONDS)[0]:
                for end in ready:
                    if not (part := end.recv(_CHUNK_BYTES)):
                        return
                    other[end].sendall(part)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the build tells what failed."""


@contextmanager
def web_proxy(address: str) -> Iterator[str]:
    """Run the proxy at ``address`` of this machine; yields its URL."""
    with ThreadingHTTPServer((address, 0), _Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{address}:{server.server_port}"
        finally:
            server.shutdown()
