"""What an engine may do wrong: a server that answers as one, and the back-end's own calls to it."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from zoe.backends.base import Retryable
from zoe.backends.docker.attempt import Attempt
from zoe.backends.docker.connection import KEEP_ALIVE_SECONDS, Way
from zoe.backends.docker.engine import Engine, NotThere, Unreachable
from zoe.backends.docker.names import ATTEMPT, GPUS, INSTANCE, READY, SHRINK
from zoe.backends.docker.notes import Note, Notes
from zoe.backends.docker.output import Output
from zoe.backends.docker.stats import sample_engine
from zoe.backends.fence import Fence
from zoe.model.engines import EngineSpec, parse_engines

KEY = ("1/f.s/0", 1)
LABELS = {INSTANCE: KEY[0], ATTEMPT: "1", GPUS: "", READY: "null", SHRINK: "[]"}


def frame(stream: int, said: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(said).to_bytes(4) + said


def container(status: str = "running", code: int = 0) -> dict[str, Any]:
    running = status == "running"
    state = {"Status": status, "Running": running, "ExitCode": code, "OOMKilled": False}
    return {
        "Id": "c1",
        "State": {**state, "Error": ""},
        "Config": {"Labels": LABELS},
        "HostConfig": {"Memory": 0},
        "NetworkSettings": {"Networks": {}, "Ports": {}},
    }


class Answers:
    """What the engine says of its one container."""

    def __init__(self) -> None:
        self.output = b""
        self.events = b""
        self.stats = dict[str, Any]()
        self.looks: list[Any] = [container()]
        """The last one again and again."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        what = request.path.rpartition("/")[2]
        if what == "stats":
            found = self.stats[request.path.split("/")[-2]]
            return (
                web.Response(body=found) if isinstance(found, bytes) else web.json_response(found)
            )
        if what == "version":
            return web.json_response({"ApiVersion": "1.43"})
        if what in ("logs", "events"):
            return web.Response(body=self.output if what == "logs" else self.events)
        return web.json_response(self.looks.pop(0) if self.looks[1:] else self.looks[0])


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def engine(tmp_path: Path, answers: Answers) -> AsyncIterator[Engine]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answers.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "sock")).start()
    engine = Engine(EngineSpec("lab", f"unix://{tmp_path}/sock"), "test")
    yield engine
    await engine.close()
    await runner.cleanup()


async def read(engine: Engine) -> list[tuple[int, bytes]]:
    async with engine.output("c1", follow=False) as parts:
        return [part async for part in parts]


def attempt_on(engine: Engine, folder: Path, note: Note | None = None) -> Attempt:
    notes = Notes(folder / "notes")
    notes.load()
    output = Output(folder / "logs", KEY, Fence())
    return Attempt(engine, container(), note or notes.find(KEY), notes, output, lambda seen: None)


async def test_what_an_engine_says_of_its_own_logs_is_no_output(
    engine: Engine, answers: Answers
) -> None:
    answers.output = frame(1, b"hello\n") + frame(3, b"Error grabbing logs: invalid\n")
    with pytest.raises(Retryable, match=r"^lab: Error grabbing logs: invalid$"):
        await read(engine)


@pytest.mark.parametrize("cut", [1, 7, 10])
async def test_an_output_that_breaks_off_is_tried_again(
    engine: Engine, answers: Answers, cut: int
) -> None:
    answers.output = frame(2, b"hello\n")[:cut]
    with pytest.raises(Unreachable, match="ended within a"):
        await read(engine)


async def test_a_log_that_cannot_be_read_hides_no_end(
    engine: Engine, answers: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoe.backends.docker.attempt.RETRY_SECONDS", 0.01)
    answers.output = frame(1, b"hello\n") + frame(3, b"Error grabbing logs: invalid\n")
    answers.looks = [container(), container("exited", 4)]
    attempt = attempt_on(engine, tmp_path)
    attempt.follow()
    async with asyncio.timeout(20):
        await attempt.ended()
    assert attempt.seen.exit
    assert attempt.seen.exit.code == 4
    (file,) = (tmp_path / "logs").rglob("*stdout*")
    assert file.read_text() == "hello\n"


async def test_an_event_of_any_length_ends_no_watching(engine: Engine, answers: Answers) -> None:
    answers.events = b"x" * 2**20 + b"\ny\n"
    async with engine.events() as batches:
        lines = [line async for batch in batches for line in batch]
    assert lines == [b"x" * 2**20, b"y"]


async def test_what_happens_soon_after_each_other_is_looked_at_once(
    engine: Engine, answers: Answers
) -> None:
    answers.events = b"one\ntwo\nthree\nfo"
    async with engine.events() as batches:
        assert await anext(batches) == [b"one", b"two", b"three"]


@pytest.mark.parametrize("body", [b"", b"null"])
async def test_what_is_just_being_removed_uses_nothing(
    engine: Engine, answers: Answers, body: bytes
) -> None:
    answers.stats = {"c1": body}
    with pytest.raises(NotThere, match="tells nothing of c1"):
        await engine.stats("c1")


async def test_kills_for_memory_are_counted_across_masters(engine: Engine, tmp_path: Path) -> None:
    attempt = attempt_on(engine, tmp_path)
    attempt.note_memory_kill()
    attempt.note_memory_kill()
    heir = attempt_on(engine, tmp_path)
    assert heir.memory_kills == 2


async def test_a_kill_for_memory_keeps_what_another_master_wrote(
    engine: Engine, tmp_path: Path
) -> None:
    standby = attempt_on(engine, tmp_path)
    notes = Notes(tmp_path / "notes")
    notes.save(Note(*KEY, kill_at=1.0))
    standby.note_memory_kill()
    assert notes.find(KEY) == Note(*KEY, kill_at=1.0, memory_kills=1)


async def test_an_engine_on_another_machine_is_asked_whether_it_is_still_there() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        (spec,) = parse_engines(f"lab tcp://{host}:{port} insecure")
        connector = Way(spec).connector
        factory = connector._socket_factory  # type: ignore[attr-defined]  # told to nobody
        with factory((socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port))) as made:
            assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            idle = made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            assert idle == KEEP_ALIVE_SECONDS
        await connector.close()


async def test_an_engine_that_does_not_take_the_connection_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full queue of a port that nobody takes anything from: what comes next gets no answer."""
    monkeypatch.setattr("zoe.backends.docker.engine.CONNECT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        host, port = server.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex((host, port))
        (spec,) = parse_engines(f"lab tcp://{host}:{port} insecure")
        engine = Engine(spec, "test")
        try:
            async with asyncio.timeout(10):
                with pytest.raises(Unreachable, match=r"lab at tcp://.* not answer within 0.2 s"):
                    async with engine.events():
                        pass
        finally:
            await engine.close()
            for each in waiting:
                each.close()


def test_a_note_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    notes.save(Note(*KEY, ready=True))
    (file,) = tmp_path.glob("*.json")
    written = json.loads(file.read_text())
    del written["memory_kills"]
    file.write_text(json.dumps(written))
    assert notes.find(KEY) == Note(*KEY, ready=True)


async def test_the_work_of_a_node_is_told_only_when_all_of_it_is_known(
    engine: Engine, answers: Answers
) -> None:
    busy = {"memory_stats": {"usage": 1}, "cpu_stats": {"cpu_usage": {"total_usage": 10**9}}}
    answers.looks = [{"Name": "far", "MemTotal": 8}, [{"Id": "a"}, {"Id": "b"}]] * 2
    answers.stats = {"a": busy, "b": busy}
    node, _ = await sample_engine(engine, {})
    assert node.core_seconds == 2
    answers.stats = {"a": busy}  # what is asked of the other is a fault of the server
    node, _ = await sample_engine(engine, {})
    assert node.core_seconds is None
    assert node.memory_bytes == 1
