"""What strangers and broken peers do to the master's port: nothing happens, and it goes on."""

import asyncio
import os
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import zmq
import zmq.asyncio

from zoe.rpc import frames
from zoe.rpc.client import Client, MasterUnreachable
from zoe.rpc.keys import ClientKeys, ServerKeys, client_keys, server_keys
from zoe.rpc.messages import VERSION, Failed, Ping, Pong, Reply, Request, Wake
from zoe.rpc.server import REMEMBERED_BYTES, Server

ANYWHERE = "tcp://127.0.0.1:0"
PONG = Pong(epoch=3, since=12.5, backend="fake", version="0")
REQUEST_ID = bytes(range(16))

Keys = tuple[ServerKeys, ClientKeys]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return server_keys(tmp_path / "keys"), client_keys(tmp_path / "keys")


@pytest.fixture
def heard() -> list[Request]:
    """All requests that reached the answering function."""
    return []


@pytest.fixture
async def server(keys: Keys, heard: list[Request]) -> AsyncIterator[Server]:
    async def answer(request: Request) -> Reply:
        heard.append(request)
        return PONG

    async with Server(ANYWHERE, keys[0], answer) as server:
        yield server
        # Whatever the test did, those who are known are still answered.
        async with Client(server.endpoint, keys[1], timeout=5) as api:
            assert await api.ask(Ping()) == PONG


@contextmanager
def dealer(endpoint: str, keys: ClientKeys | None) -> Iterator[zmq.asyncio.Socket]:
    """A bare socket at ``endpoint``, encrypted if there are keys, to send anything whatever."""
    context = zmq.asyncio.Context()
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    if keys is not None:
        socket.curve_publickey, socket.curve_secretkey = keys.public, keys.secret
        socket.curve_serverkey = keys.server
    socket.connect(endpoint)
    try:
        yield socket
    finally:
        socket.close()
        context.term()


async def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def stranger(keys: ClientKeys) -> ClientKeys:
    """Keys that fit the master's, and that it does not know."""
    public, secret = zmq.curve_keypair()
    return replace(keys, public=public, secret=secret)


async def received(socket: zmq.asyncio.Socket) -> Reply:
    async with asyncio.timeout(5):
        frame = await socket.recv()
    assert frames.read_header(frame).request_id == REQUEST_ID
    return frames.read_reply(frame)


async def test_a_random_key_is_refused_and_told_why(
    server: Server, keys: Keys, heard: list[Request]
) -> None:
    async with Client(server.endpoint, stranger(keys[1]), timeout=1, hint_seconds=0.1) as api:
        with pytest.raises(MasterUnreachable) as raised:
            await api.ask(Ping())
        await api.hint(Wake(1))
        assert "refused the key" in raised.value.hint
        await eventually(lambda: api.lost_hints == 1)
    assert server.counters.refused >= 1
    assert (server.counters.received, heard) == (0, [])


async def test_a_refused_client_gets_in_once_its_key_is_known(keys: Keys) -> None:
    async def answer(_: Request) -> Reply:
        return PONG

    outsider = stranger(keys[1])
    server = Server(ANYWHERE, keys[0], answer)
    await server.start()
    async with Client(server.endpoint, outsider, timeout=0.3) as api:
        with pytest.raises(MasterUnreachable):
            await api.ask(Ping())
        await server.stop()
        known = replace(keys[0], clients={**keys[0].clients, outsider.public: "second"})
        async with Server(server.endpoint, known, answer):
            assert await api.ask(Ping(), timeout=10) == PONG


async def test_the_wrong_master_is_not_trusted(server: Server, keys: Keys) -> None:
    deceived = replace(keys[1], server=zmq.curve_keypair()[0])
    async with Client(server.endpoint, deceived, timeout=2.0) as api:
        with pytest.raises(MasterUnreachable) as raised:
            await api.ask(Ping())
        assert "master.public" in raised.value.hint
    assert server.counters.received == 0


async def test_a_client_without_encryption_is_not_heard(
    server: Server, heard: list[Request]
) -> None:
    with dealer(server.endpoint, None) as plain:
        for _ in range(10):
            await plain.send(frames.pack(REQUEST_ID, Ping(), 5.0))
        assert not await plain.poll(300)
    assert (server.counters.received, heard) == (0, [])


async def test_bytes_that_are_not_zeromq_are_not_heard(server: Server) -> None:
    host, port = server.endpoint.removeprefix("tcp://").split(":")
    for greeting in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" + b"\0" * 8 + b"\x7f\x03",
        os.urandom(5000),
    ):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(greeting)
    assert server.counters.received == 0


async def test_a_replayed_recording_is_not_heard(
    server: Server, keys: Keys, heard: list[Request]
) -> None:
    """An eavesdropper sends the bytes of a good connection once more."""
    host, port = server.endpoint.removeprefix("tcp://").split(":")
    recording: list[bytes] = []

    async def tap(inward: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        reader, writer = await asyncio.open_connection(host, int(port))

        async def copy(
            source: asyncio.StreamReader, target: asyncio.StreamWriter, keep: bool
        ) -> None:
            while piece := await source.read(65536):
                if keep:
                    recording.append(piece)
                target.write(piece)
            target.close()

        await asyncio.gather(
            copy(inward, writer, True), copy(reader, back, False), return_exceptions=True
        )

    async with await asyncio.start_server(tap, host, 0) as middle:
        endpoint = "tcp://{}:{}".format(*middle.sockets[0].getsockname())
        async with Client(endpoint, keys[1]) as api:
            assert await api.ask(Wake(41)) == PONG
    assert heard == [Wake(41)]
    with socket.create_connection((host, int(port)), timeout=5) as replay:
        replay.sendall(b"".join(recording))
        await asyncio.to_thread(read_to_the_end, replay)
    assert heard == [Wake(41)]


def read_to_the_end(connection: socket.socket) -> None:
    connection.settimeout(2)
    try:
        while connection.recv(4096):
            pass
    except OSError:  # cut, or silent: both will do
        pass


async def test_a_repeated_request_gets_the_same_answer_without_being_carried_out(
    server: Server, keys: Keys, heard: list[Request]
) -> None:
    frame = frames.pack(REQUEST_ID, Wake(9), 5.0)
    for _ in range(3):  # over connections of their own, too
        with dealer(server.endpoint, keys[1]) as known:
            for _ in range(3):
                await known.send(frame)
                assert await received(known) == PONG
    assert heard == [Wake(9)]
    assert server.counters.duplicates == 8


async def test_another_client_does_not_get_an_answer_by_its_id(
    keys: Keys, heard: list[Request]
) -> None:
    async def answer(request: Request) -> Reply:
        heard.append(request)
        return PONG

    second = stranger(keys[1])
    known = replace(keys[0], clients={**keys[0].clients, second.public: "second"})
    async with Server(ANYWHERE, known, answer) as server:
        for client in (keys[1], second):
            with dealer(server.endpoint, client) as socket:
                await socket.send(frames.pack(REQUEST_ID, Ping(), 5.0))
                assert await received(socket) == PONG
    assert len(heard) == 2


async def test_garbage_of_a_known_client_is_counted(
    server: Server, keys: Keys, heard: list[Request]
) -> None:
    good = frames.pack(REQUEST_ID, Ping(), 5.0)
    unanswerable = [[b""], [b"\0"], [good[:20]], [good, good], [b"", good], [os.urandom(3)] * 50]
    answerable = [good[:21], good[:-1], good + b"x", good[:21] + b"\x91" * 100_000]
    with dealer(server.endpoint, keys[1]) as known:
        for parts in unanswerable:
            await known.send_multipart(parts)
        for frame in answerable:
            await known.send(frame)
            reply = await received(known)
            assert isinstance(reply, Failed)
            assert reply.code == "malformed"
        await known.send(frames.pack(frames.NO_ANSWER, Ping(), 5.0)[:-1])
        await eventually(lambda: server.counters.received == len(unanswerable + answerable) + 1)
    # What begins with another byte than our version counts as another version.
    assert server.counters.malformed + server.counters.wrong_version == server.counters.received
    assert server.counters.malformed >= 9
    assert heard == []


async def test_another_version_is_told_so_and_nothing_else(
    server: Server, keys: Keys, heard: list[Request]
) -> None:
    frame = bytes([VERSION + 1]) + REQUEST_ID + b"whatever comes then"
    with dealer(server.endpoint, keys[1]) as known:
        await known.send(frame)
        reply = await received(known)
    assert isinstance(reply, Failed)
    assert reply.code == "version"
    assert (server.counters.wrong_version, heard) == (1, [])


async def test_a_master_of_another_version_is_told_to_the_user(keys: Keys) -> None:
    """The master of the future answers in its own language; the first bytes are the same."""
    context = zmq.asyncio.Context()
    future = context.socket(zmq.ROUTER)
    future.linger = 0
    future.curve_server = True
    future.curve_secretkey, future.curve_publickey = keys[0].secret, keys[0].public
    port = future.bind_to_random_port("tcp://127.0.0.1")
    try:
        async with Client(f"tcp://127.0.0.1:{port}", keys[1], timeout=5) as api:
            asked = asyncio.create_task(api.ask(Ping()))
            route, frame = await future.recv_multipart()
            await future.send_multipart([route, b"\x09" + frame[1:17] + b"something new"])
            with pytest.raises(
                MasterUnreachable, match=f"version 9 instead of {VERSION}"
            ) as raised:
                await asked
            assert "same version" in raised.value.hint
            asked = asyncio.create_task(api.ask(Ping()))
            route, frame = await future.recv_multipart()
            await future.send_multipart([route, frame[:17] + b"\0\0\0\0what?"])
            with pytest.raises(MasterUnreachable, match="cannot be read"):
                await asked
            await future.send_multipart([route, b"short"])
            await future.send_multipart(
                [route, os.urandom(16).join([bytes([VERSION]), b"\0\0\0\0x"])]
            )
            await eventually(lambda: api.strays == 2)
    finally:
        future.close()
        context.term()


async def test_an_expired_request_is_dropped(
    server: Server, keys: Keys, heard: list[Request]
) -> None:
    with dealer(server.endpoint, keys[1]) as known:
        await known.send(frames.pack(REQUEST_ID, Ping(), 0.0))
        await known.send(frames.pack(REQUEST_ID[::-1], Wake(1), 5.0))
        await known.recv()
    assert (server.counters.expired, heard) == (1, [Wake(1)])


async def test_a_giant_frame_cuts_the_connection_and_costs_no_memory(
    server: Server, keys: Keys, heard: list[Request]
) -> None:
    """The sender's own hundred megabytes are made in another process: ours is measured."""
    before = psutil.Process().memory_info().rss
    sender = await asyncio.create_subprocess_exec(
        sys.executable, "-c", GIANT, server.endpoint, keys[1].public, keys[1].secret, keys[1].server
    )
    async with asyncio.timeout(60):
        assert await sender.wait() == 0  # it saw the connection cut
    assert (server.counters.received, heard) == (0, [])
    assert psutil.Process().memory_info().rss - before < 30_000_000


GIANT = """
import sys, zmq
from zmq.utils.monitor import recv_monitor_message
context = zmq.Context()
socket = context.socket(zmq.DEALER)
socket.linger = 0
socket.curve_publickey, socket.curve_secretkey, socket.curve_serverkey = (
    key.encode() for key in sys.argv[2:]
)
monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
socket.connect(sys.argv[1])
socket.send(bytes(100_000_000))
assert monitor.poll(30_000)
recv_monitor_message(monitor)
monitor.close(0)
socket.disable_monitor()
socket.close()
context.term()
"""


async def test_a_flood_is_bounded_and_others_are_heard(keys: Keys) -> None:
    running = most = 0

    async def answer(request: Request) -> Reply:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return PONG if isinstance(request, Ping) else Failed("long", "x" * 20_000)

    async with Server(ANYWHERE, keys[0], answer, limit=8) as server:
        with dealer(server.endpoint, keys[1]) as flooder:
            done = asyncio.Event()

            async def flood() -> None:
                number = 0
                while not done.is_set():
                    request_id = struct.pack(">QQ", 1, number)
                    await flooder.send(frames.pack(request_id, Wake(number), 5.0))
                    number += 1
                    if number % 100 == 0:  # it never reads the answers
                        await asyncio.sleep(0)

            flooding = asyncio.create_task(flood())
            await eventually(lambda: server.counters.received > 1000)
            async with Client(server.endpoint, keys[1], timeout=20) as api:
                assert await answered(api) == PONG
            await eventually(lambda: server.counters.undelivered > 100, 30)
            done.set()
            await flooding
        assert most <= 8
        assert server.counters.busy + server.counters.answered > 1000
        assert len(server._answered) * 20_000 <= REMEMBERED_BYTES
        async with Client(server.endpoint, keys[1], timeout=5) as api:
            assert await answered(api) == PONG


async def answered(api: Client) -> Reply:
    """Ask until the master is not busy."""
    async with asyncio.timeout(20):
        while (reply := await api.ask(Ping())) != PONG:
            assert isinstance(reply, Failed)
            assert reply.code == "busy"
    return reply
