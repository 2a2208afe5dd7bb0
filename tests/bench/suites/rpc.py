"""Round trips between api and master, beside a bare ZeroMQ echo without encryption."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import zmq
import zmq.asyncio
from figures import Figures, percentile

from zoe.rpc import frames
from zoe.rpc.client import Client
from zoe.rpc.keys import client_keys
from zoe.rpc.messages import Ping, Pong

SECONDS = 3.0
"""How long each figure is measured."""
AT_ONCE = 32

SERVER = """
import asyncio, sys
from pathlib import Path
from zoe.rpc.keys import server_keys
from zoe.rpc.messages import Pong
from zoe.rpc.server import Server

async def main():
    async def answer(request):
        return Pong(1, 0.0, "process", "0")
    async with Server("tcp://127.0.0.1:0", server_keys(Path(sys.argv[1])), answer) as server:
        print(server.endpoint, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

ECHO = """
import asyncio, zmq, zmq.asyncio

async def main():
    socket = zmq.asyncio.Context().socket(zmq.ROUTER)
    socket.bind("tcp://127.0.0.1:0")
    print(socket.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)
    while True:
        await socket.send_multipart(await socket.recv_multipart())

asyncio.run(main())
"""


async def measure(figures: Figures, folder: Path) -> None:
    """Measure one question at a time, and many at once."""
    keys = client_keys(folder / "keys")
    async with (
        _program(ECHO) as bare,
        _program(SERVER, str(folder / "keys")) as endpoint,
        Client(endpoint, keys) as client,
    ):

        async def ask() -> None:
            assert isinstance(await client.ask(Ping()), Pong)

        echo = _Echo(bare)
        try:
            for at_once in (1, AT_ONCE):
                baseline, _ = await _rate(echo.ask, at_once)
                rate, times = await _rate(ask, at_once)
                name = f"round trips, {at_once} at once"
                figures.add(name, rate, "1/s", baseline=baseline)
                if at_once == 1:
                    figures.add("round trip, p50", percentile(times, 50) * 1000, "ms")
                    figures.add("round trip, p99", percentile(times, 99) * 1000, "ms")
        finally:
            await echo.close()


async def _rate(ask: Callable[[], Awaitable[None]], at_once: int) -> tuple[float, list[float]]:
    """Return questions per second and how long each took, in seconds."""
    times: list[float] = []
    await ask()  # connects

    async def go_on(until: float) -> None:
        while (began := time.perf_counter()) < until:
            await ask()
            times.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(go_on(began + SECONDS) for _ in range(at_once)))
    return len(times) / (time.perf_counter() - began), times


class _Echo:
    """The least that can be done: frames of the same size, told apart by their order."""

    def __init__(self, endpoint: str) -> None:
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.connect(endpoint)
        self._frame = frames.pack(bytes(16), Ping(), 1.0)
        self._waiting: list[asyncio.Future[None]] = []
        self._reading = asyncio.create_task(self._read())

    async def ask(self) -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        await self._socket.send(self._frame)
        await answer

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.wait([self._reading])
        self._socket.close(linger=0)
        self._context.term()

    async def _read(self) -> None:
        while True:
            await self._socket.recv()
            self._waiting.pop(0).set_result(None)


@asynccontextmanager
async def _program(code: str, *arguments: str) -> AsyncIterator[str]:
    """Run ``code`` in a process of its own; yields the first line it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.kill()
        await process.wait()
