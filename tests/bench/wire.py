"""A connection to the api that costs next to nothing: the measuring must not weigh more than what
is measured, on the same cores."""

import asyncio
import json
from types import TracebackType
from typing import Any, Self

API = "/api/v1"


class Connection:
    """One HTTP/1.1 connection that is kept open; one request at a time."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self._host = host
        self._port = port
        self._headers = (
            f"Host: {host}:{port}\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\n"
        ).encode()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def get(self, path: str) -> Any:
        """Return the answer, which must be a success."""
        status, body = await self.request("GET", path)
        if status != 200:
            raise RuntimeError(f"GET {path}: {status}: {body[:500]!r}")
        return json.loads(body)

    async def submit(self, document: str) -> int:
        """Submit an application; return the id of its execution once it is durable."""
        status, body = await self.request(
            "POST", "/executions", json.dumps({"document": document}).encode()
        )
        if status != 201:
            raise RuntimeError(f"POST /executions: {status}: {body[:500]!r}")
        return int(json.loads(body)["id"])

    async def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Send one request; return the status and the body of the answer."""
        self._writer.write(
            f"{method} {API}{path} HTTP/1.1\r\n".encode()
            + self._headers
            + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            + body
        )
        head = await self._reader.readuntil(b"\r\n\r\n")
        status_line, *lines = head.decode("latin-1").lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines if line)
        answer = await self._reader.readexactly(int(fields["content-length"]))
        return int(status_line.split()[1]), answer

    async def until_there_are_nodes(self, seconds: float = 30.0) -> None:
        """Wait until the master leads and has seen its nodes; raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not (await self.get("/nodes"))["items"]:  # of another process
                await asyncio.sleep(0.05)

    async def until_ended(
        self, execution_id: int, seconds: float = 20.0, pause: float = 0.01
    ) -> None:
        """Wait until an execution has ended as it should; raises TimeoutError, RuntimeError."""
        async with asyncio.timeout(seconds):
            while (shown := await self.get(f"/executions/{execution_id}"))[
                "status"
            ] != "terminated":
                if shown["status"] == "failed":
                    raise RuntimeError(f"an execution of the benchmark failed: {shown['end']}")
                await asyncio.sleep(pause)
