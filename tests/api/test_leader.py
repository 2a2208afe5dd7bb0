"""The api and the masters: it talks to the one that leads, wherever that is."""

import asyncio
from pathlib import Path

import pytest

from api_serving import until
from zoe.api import leader
from zoe.api.leader import follow_leader, reached_from
from zoe.rpc.client import Client, MasterUnreachable
from zoe.rpc.keys import client_keys, server_keys
from zoe.rpc.messages import Ping, Pong, Request
from zoe.rpc.server import Server
from zoe.store.base import Masters
from zoe.store.memory import MemoryStore

ANYWHERE = "tcp://127.0.0.1:0"


class WatchedStore(MemoryStore):
    """Counts how often somebody asked who leads."""

    looks = 0

    async def masters(self) -> Masters:
        self.looks += 1
        return await super().masters()


@pytest.mark.parametrize(
    ("endpoint", "reached"),
    [
        ("tcp://10.0.0.1:8643", True),
        ("tcp://127.0.0.1:8643", False),
        ("tcp://localhost:8643", False),
        ("ipc:///run/zoe/master", False),
        ("", False),
    ],
)
def test_loopback_addresses_are_those_of_the_same_machine(endpoint: str, reached: bool) -> None:
    assert reached_from("two", Masters("one:1", endpoint)) == (endpoint if reached else "")
    assert reached_from("one", Masters("one:1", endpoint)) == endpoint
    assert reached_from("one", Masters("", endpoint)) == ""


async def test_it_follows_who_leads_and_questions_under_way_follow_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr("socket.gethostname", lambda: "here")
    silent: asyncio.Queue[Request] = asyncio.Queue()

    async def answer_never(request: Request) -> Pong:
        silent.put_nowait(request)
        return await asyncio.get_running_loop().create_future()

    async def answer(request: Request) -> Pong:
        return Pong(2, 0.0, "fake", "0")

    keys = tmp_path / "keys"
    store = WatchedStore()
    async with (
        Server(ANYWHERE, server_keys(keys), answer_never) as first,
        Server(ANYWHERE, server_keys(keys), answer) as second,
        Client(first.endpoint, client_keys(keys)) as client,
    ):
        following = asyncio.create_task(follow_leader(store, client))
        asking = asyncio.create_task(client.ask(Ping(), 20))
        await silent.get()
        await store.lead("here:2", 60, second.endpoint)
        reply = await asking
        assert isinstance(reply, Pong)
        assert reply.epoch == 2
        assert client.endpoint == second.endpoint
        await store.resign(1)
        await store.lead("here:3", 60, "nonsense")
        before = store.looks
        await until(lambda: store.looks > before + 2)
        assert isinstance(await client.ask(Ping(), 20), Pong)
        following.cancel()


async def test_what_is_no_address_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with Client("tcp://127.0.0.1:1", client_keys(tmp_path / "keys")) as client:
        with pytest.raises(MasterUnreachable, match="nonsense is not an address of a master"):
            client.follow("nonsense")
        assert client.endpoint == "tcp://127.0.0.1:1"
