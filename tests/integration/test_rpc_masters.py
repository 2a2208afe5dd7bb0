"""A client of a master that dies, freezes, and comes back at the same address."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from zoe.rpc.client import Client, MasterUnreachable
from zoe.rpc.keys import client_keys, server_keys
from zoe.rpc.messages import Ping, Pong

ANYWHERE = "tcp://127.0.0.1:0"


MASTER = """
import asyncio, sys
from pathlib import Path
from zoe.rpc.keys import server_keys
from zoe.rpc.messages import Pong
from zoe.rpc.server import Server

async def main():
    async def answer(_):
        return Pong(int(sys.argv[3]), 0.0, "fake", "0")
    async with Server(sys.argv[2], server_keys(Path(sys.argv[1])), answer) as server:
        print(server.endpoint, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@contextmanager
def master(folder: Path, endpoint: str, epoch: int) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-c", MASTER, str(folder), endpoint, str(epoch)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


async def test_a_client_outlives_masters_that_are_killed_or_frozen(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    server_keys(folder)
    endpoint = ANYWHERE
    api: Client | None = None
    for epoch in range(3):
        with master(folder, endpoint, epoch) as (process, endpoint):
            if api is None:
                api = Client(endpoint, client_keys(folder))
                await api.start()
            reply = await api.ask(Ping(), timeout=10)
            assert isinstance(reply, Pong)
            assert reply.epoch == epoch
            if epoch == 1:
                process.send_signal(signal.SIGSTOP)
                with pytest.raises(MasterUnreachable):
                    await api.ask(Ping(), timeout=0.3)
                process.send_signal(signal.SIGCONT)
                assert await api.ask(Ping(), timeout=10) == reply
            process.kill()
    assert api is not None
    await api.stop()
