"""Server and client over real sockets on loopback: answers, retries, restarts, limits."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog

from zoe.rpc import frames
from zoe.rpc.client import Client, MasterUnreachable
from zoe.rpc.keys import ClientKeys, ServerKeys, client_keys, server_keys
from zoe.rpc.messages import Done, Failed, Ping, Plan, Planned, Pong, Reply, Request, Wake
from zoe.rpc.server import CannotListen, Server

ANYWHERE = "tcp://127.0.0.1:0"
PONG = Pong(epoch=3, since=12.5, backend="fake", version="0")


@pytest.fixture
def keys(tmp_path: Path) -> tuple[ServerKeys, ClientKeys]:
    return server_keys(tmp_path / "keys"), client_keys(tmp_path / "keys")


Keys = tuple[ServerKeys, ClientKeys]


async def pong(_: Request) -> Reply:
    return PONG


async def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def test_every_kind_of_request_arrives_and_is_answered(keys: Keys) -> None:
    planned = Planned(True, True, [], [], ["a note"])
    heard: list[Request] = []

    async def answer(request: Request) -> Reply:
        heard.append(request)
        match request:
            case Wake():
                return Done()
            case Ping():
                return PONG
            case Plan():
                return planned

    plan = Plan("admin", "zoe: 4\n", "a.yaml", {"workers": 3, "name": "x", "f": 0.5, "b": True})
    async with Server(ANYWHERE, keys[0], answer) as server, Client(server.endpoint, keys[1]) as api:
        assert await api.ask(Ping()) == PONG
        assert await api.ask(plan) == planned
        assert await api.ask(Wake(7)) == Done()
    assert heard == [Ping(), plan, Wake(7)]
    assert (server.counters.received, server.counters.answered) == (3, 3)


async def test_slow_questions_do_not_hold_up_others(keys: Keys) -> None:
    release = asyncio.Event()

    async def answer(request: Request) -> Reply:
        if isinstance(request, Plan):
            await release.wait()
            return Failed("late", request.document)
        return PONG

    async with Server(ANYWHERE, keys[0], answer) as server, Client(server.endpoint, keys[1]) as api:
        slow = [asyncio.create_task(api.ask(Plan("admin", str(n)))) for n in range(20)]
        await eventually(lambda: server.counters.received >= 20)
        assert await asyncio.gather(*(api.ask(Ping()) for _ in range(20))) == [PONG] * 20
        release.set()
        assert await asyncio.gather(*slow) == [Failed("late", str(n)) for n in range(20)]


async def test_a_question_put_again_while_under_way_is_answered_once(keys: Keys) -> None:
    calls = 0
    release = asyncio.Event()

    async def answer(_: Request) -> Reply:
        nonlocal calls
        calls += 1
        await release.wait()
        return PONG

    async with Server(ANYWHERE, keys[0], answer) as server, Client(server.endpoint, keys[1]) as api:
        asked = asyncio.create_task(api.ask(Ping(), timeout=10))
        await eventually(lambda: server.counters.duplicates >= 2)
        release.set()
        assert await asked == PONG
        assert (calls, server.counters.answered) == (1, 1)


async def test_a_question_survives_a_restart_of_the_master(keys: Keys) -> None:
    async def never(_: Request) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    first = Server(ANYWHERE, keys[0], never)
    await first.start()
    async with Client(first.endpoint, keys[1]) as api:
        asked = asyncio.create_task(api.ask(Ping(), timeout=10))
        await eventually(lambda: first.counters.received > 0)
        await first.stop(grace_seconds=0)
        async with Server(first.endpoint, keys[0], pong) as second:
            assert await asked == PONG
            assert second.counters.answered == 1
        async with Server(first.endpoint, keys[0], pong):
            assert await api.ask(Ping(), timeout=5) == PONG


async def test_without_a_master_a_question_ends_in_time(keys: Keys) -> None:
    server = Server(ANYWHERE, keys[0], pong)
    await server.start()
    await server.stop()
    async with Client(server.endpoint, keys[1], timeout=0.3) as api:
        began = time.monotonic()
        with pytest.raises(MasterUnreachable) as raised:
            await api.ask(Ping())
        assert 0.29 <= time.monotonic() - began < 2
        assert server.endpoint in str(raised.value)
        assert "is the master running?" in raised.value.hint


async def test_without_a_master_hints_cost_nothing_and_are_not_kept_for_later(keys: Keys) -> None:
    first = Server(ANYWHERE, keys[0], pong)
    await first.start()
    await first.stop()
    async with Client(first.endpoint, keys[1], hint_seconds=0.1) as api:
        began = time.monotonic()
        for n in range(100):
            await api.hint(Wake(n))
        assert time.monotonic() - began < 5  # if each waited, it would take ten seconds
        await eventually(lambda: api.lost_hints == 1)
        async with Server(first.endpoint, keys[0], pong) as second:
            assert await api.ask(Ping(), timeout=5) == PONG
            assert second.counters.hints == 0
            await api.hint(Wake(1))
            await eventually(lambda: second.counters.hints == 1)


async def test_a_master_that_comes_soon_hears_the_latest_hint(keys: Keys) -> None:
    heard: list[Request] = []

    async def answer(request: Request) -> Reply:
        heard.append(request)
        return Done()

    first = Server(ANYWHERE, keys[0], pong)
    await first.start()
    await first.stop()
    async with Client(first.endpoint, keys[1], hint_seconds=5) as api:
        for n in range(100):
            await api.hint(Wake(n))
        async with Server(first.endpoint, keys[0], answer):
            await eventually(lambda: len(heard) == 1)
    assert heard == [Wake(99)]
    assert api.lost_hints == 0


async def test_a_client_closes_while_a_hint_waits(keys: Keys) -> None:
    async with Client("tcp://127.0.0.1:1", keys[1], hint_seconds=60) as api:
        await api.hint(Wake(1))
    assert api._ringing is not None
    assert api._ringing.cancelled()


async def test_hints_arrive_and_are_not_answered(keys: Keys) -> None:
    heard: list[Request] = []

    async def answer(request: Request) -> Reply:
        heard.append(request)
        return Done()

    async with Server(ANYWHERE, keys[0], answer) as server, Client(server.endpoint, keys[1]) as api:
        assert await api.ask(Ping()) == Done()  # connected from here on
        for n in range(50):
            await api.hint(Wake(n))
        await eventually(lambda: len(heard) == 51)
        assert await api.ask(Ping()) == Done()
    assert heard == [Ping(), *map(Wake, range(50)), Ping()]
    assert (server.counters.hints, server.counters.answered, api.strays) == (50, 2, 0)


async def test_an_answer_nobody_waits_for_is_cancelled(keys: Keys) -> None:
    cancelled = asyncio.Event()

    async def answer(request: Request) -> Reply:
        if isinstance(request, Ping):
            return PONG
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async with Server(ANYWHERE, keys[0], answer) as server, Client(server.endpoint, keys[1]) as api:
        with pytest.raises(MasterUnreachable):
            await api.ask(Wake(), timeout=0.2)
        async with asyncio.timeout(5):
            await cancelled.wait()
        assert server.counters.expired >= 1
        assert await api.ask(Ping()) == PONG


async def test_too_many_requests_are_told_so(keys: Keys) -> None:
    release = asyncio.Event()
    running = most = 0

    async def answer(_: Request) -> Reply:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1
        return PONG

    async with (
        Server(ANYWHERE, keys[0], answer, limit=4) as server,
        Client(server.endpoint, keys[1], timeout=10) as api,
    ):
        asked = [asyncio.create_task(api.ask(Ping())) for _ in range(300)]
        await eventually(lambda: sum(task.done() for task in asked) == 296)
        release.set()
        replies = await asyncio.gather(*asked)
        assert most == 4
        assert replies.count(PONG) == 4
        assert {reply.code for reply in replies if isinstance(reply, Failed)} == {"busy"}
        assert await api.ask(Ping()) == PONG


@pytest.mark.parametrize("error", [RuntimeError("broken"), TimeoutError(), KeyError("x")])
async def test_an_answer_that_raises_is_logged_once_and_harms_nobody(
    keys: Keys, error: Exception
) -> None:
    async def answer(request: Request) -> Reply:
        if isinstance(request, Ping):
            return PONG
        raise error

    with structlog.testing.capture_logs() as logged:
        async with (
            Server(ANYWHERE, keys[0], answer) as server,
            Client(server.endpoint, keys[1]) as api,
        ):
            reply = await api.ask(Plan("admin", "x"))
            assert isinstance(reply, Failed)
            assert reply.code == "internal"
            assert "broken" not in reply.message
            assert await api.ask(Ping()) == PONG
    assert [(line["log_level"], line["request"]) for line in logged] == [("error", "Plan")]
    assert server.counters.internal == 1


async def test_stopping_lets_a_request_under_way_end(keys: Keys) -> None:
    release = asyncio.Event()

    async def answer(_: Request) -> Reply:
        await release.wait()
        return PONG

    server = Server(ANYWHERE, keys[0], answer)
    await server.start()
    async with Client(server.endpoint, keys[1]) as api:
        asked = asyncio.create_task(api.ask(Ping()))
        await eventually(lambda: server.counters.received > 0)
        stopping = asyncio.create_task(server.stop(grace_seconds=5))
        await asyncio.sleep(0)
        release.set()
        await stopping
        assert await asked == PONG


async def test_stopping_takes_no_longer_than_its_grace(keys: Keys) -> None:
    async def answer(_: Request) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    server = Server(ANYWHERE, keys[0], answer)
    await server.start()
    async with Client(server.endpoint, keys[1], timeout=1) as api:
        asked = [asyncio.create_task(api.ask(Ping())) for _ in range(10)]
        await eventually(lambda: server.counters.received >= 10)
        began = time.monotonic()
        await server.stop(grace_seconds=0.1)
        assert time.monotonic() - began < 1
        ends = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(end, MasterUnreachable) for end in ends)


async def test_closing_the_client_ends_its_questions(keys: Keys) -> None:
    async def answer(_: Request) -> Reply:
        await asyncio.Event().wait()
        raise AssertionError

    async with Server(ANYWHERE, keys[0], answer) as server:
        api = Client(server.endpoint, keys[1], timeout=30)
        await api.start()
        asked = asyncio.create_task(api.ask(Ping()))
        await eventually(lambda: server.counters.received > 0)
        await api.stop()
        with pytest.raises(MasterUnreachable, match="closed"):
            await asked


async def test_a_request_or_answer_that_is_too_large_is_told_so(keys: Keys) -> None:
    async def answer(request: Request) -> Reply:
        if isinstance(request, Plan):
            return Failed("long", "x" * (2 * frames.MAX_BYTES))
        return PONG

    async with Server(ANYWHERE, keys[0], answer) as server, Client(server.endpoint, keys[1]) as api:
        reply = await api.ask(Plan("admin", "x" * frames.MAX_BYTES))
        assert isinstance(reply, Failed)
        assert (reply.code, server.counters.received) == ("too-large", 0)
        reply = await api.ask(Plan("admin", "x" * (frames.MAX_BYTES - 1000)))
        assert isinstance(reply, Failed)
        assert (reply.code, server.counters.answered) == ("too-large", 1)
        assert await api.ask(Ping()) == PONG


async def test_a_taken_address_is_told_so(keys: Keys) -> None:
    async with Server(ANYWHERE, keys[0], pong) as server:
        with pytest.raises(CannotListen, match="in use") as raised:
            await Server(server.endpoint, keys[0], pong).start()
        assert "another master" in raised.value.hint


@pytest.mark.parametrize("endpoint", ["", "tcp://", "http://127.0.0.1:1", "tcp://127.0.0.1:x"])
async def test_what_is_no_address_is_told_so(keys: Keys, endpoint: str) -> None:
    with pytest.raises(CannotListen):
        await Server(endpoint, keys[0], pong).start()
    with pytest.raises(MasterUnreachable):
        await Client(endpoint, keys[1]).start()


async def test_answers_are_remembered_within_bounds(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoe.rpc.server.REMEMBERED_ANSWERS", 10)
    monkeypatch.setattr("zoe.rpc.server.REMEMBERED_BYTES", 5000)

    async def answer(request: Request) -> Reply:
        return Failed("x", "y" * 2000) if isinstance(request, Plan) else PONG

    async with Server(ANYWHERE, keys[0], answer) as server, Client(server.endpoint, keys[1]) as api:
        for _ in range(30):
            await api.ask(Ping())
        assert len(server._answered) == 10
        for _ in range(5):
            await api.ask(Plan("admin", ""))
        assert len(server._answered) == 2
