"""Docker Engines that administrators add and take out while Zoe runs."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from api_serving import DASK, Api, machines, serving
from zoe.api.access import token_hash
from zoe.model.cluster import Node, NodeStatus
from zoe.model.engines import AddedEngine
from zoe.model.resources import Resources
from zoe.model.rest_cluster import EngineView, NodePage
from zoe.store.base import Token

PLACE = "/api/v1/nodes/node-2/engine"
WORDS = "ssh://zoe@node-2 cores=8 gpus=0,1"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    named = "lab unix:///var/run/docker.sock"
    async with serving(tmp_path, backend="docker", docker_engines=named) as running:
        yield running


async def refused(answer: httpx2.Response, status: int, *said: str) -> None:
    problem = answer.json()
    assert answer.status_code == status, problem
    for words in said:
        assert words in f"{problem['detail']} {problem['hint']}", problem


async def test_an_engine_is_added_once(api: Api, admin: httpx2.AsyncClient) -> None:
    for words in (WORDS, f"  {WORDS.replace(' ', '   ')}"):
        answer = await admin.put(PLACE, json={"engine": words})
        assert answer.status_code == 200, answer.text
        view = EngineView.model_validate(answer.json())
        assert view == EngineView(name="node-2", engine=WORDS, by="admin")
    assert list(await api.store.engines.read()) == [AddedEngine("node-2", WORDS, "admin")]
    other = await admin.put(PLACE, json={"engine": "ssh://zoe@elsewhere"})
    await refused(other, 409, f"an engine node-2 already: {WORDS}", "`zoe node rm node-2`")
    await api.master.nodes(*machines())
    page = NodePage.model_validate((await admin.get("/api/v1/nodes")).json())
    assert [each.engine for each in page.items] == [None, view]


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("n", "http://a:1", "neither a socket"),
        ("n", "tcp://a:2375", "root on that machine"),
        ("n", "ssh://a; m ssh://b", "one address"),
        ("n", "ssh://a; rm ssh://b;", "one address"),
        ("Not a name", "ssh://a", "a name and an address"),
        ("n m", "ssh://a", "neither a socket"),
        ("n", "unix:///var/run/docker.sock", "two engines have the address unix:"),
        ("n", WORDS.split()[0], "two engines have the address ssh:"),
        ("n", "", "a name and an address"),
    ],
)
async def test_what_is_no_other_engine_is_refused(
    api: Api, admin: httpx2.AsyncClient, name: str, words: str, said: str
) -> None:
    await admin.put(PLACE, json={"engine": WORDS})
    place = f"/api/v1/nodes/{quote(name)}/engine"
    await refused(await admin.put(place, json={"engine": words}), 400, said)
    assert len(await api.store.engines.read()) == 1


async def test_an_engine_goes_when_nothing_runs_there(api: Api, admin: httpx2.AsyncClient) -> None:
    await admin.put(PLACE, json={"engine": WORDS})
    await api.master.nodes(*machines())
    await admin.post("/api/v1/executions", json={"document": DASK})
    await api.master.run(1, elastic=1)
    for place in (PLACE, f"{PLACE}?force=true"):
        await refused(
            await admin.delete(place), 409, "1 instance runs on node-2", "`zoe node drain node-2`"
        )
    assert list(await api.store.marks.read()) == []
    one, two = machines()
    away = Node(two.name, two.capacity, status=NodeStatus.UNREACHABLE, message="it is away")
    await api.master.nodes(one, away)
    await refused(await admin.delete(PLACE), 409, "If it never will: `zoe node rm --force node-2`")
    answer = await admin.delete(f"{PLACE}?force=true")
    assert answer.status_code == 202
    assert EngineView.model_validate(answer.json()).leaving
    (kept,) = await api.store.engines.read()
    assert (kept.leaving, kept.at_once) == (True, True)


async def test_what_is_to_go_takes_nothing_new(api: Api, admin: httpx2.AsyncClient) -> None:
    await admin.put(PLACE, json={"engine": WORDS})
    await api.master.nodes(Node("node-2", Resources(8000, 2**35)))
    assert (await admin.delete(f"{PLACE}?force=true")).status_code == 202
    (kept,) = await api.store.engines.read()
    assert (kept.leaving, kept.at_once) == (True, False), "it answers: nothing is lost there"
    (mark,) = await api.store.marks.read()
    assert (mark.name, mark.status, mark.message) == (
        "node-2", NodeStatus.DRAINING, "by admin: taken out for good"
    )  # fmt: skip
    back = await admin.put("/api/v1/nodes/node-2", json={"status": "ready"})
    await refused(back, 409, "is being taken out for good", "`zoe node add node-2`")
    await refused(await admin.put(PLACE, json={"engine": WORDS}), 409, "shows it no more")


async def test_what_the_settings_name_stays(admin: httpx2.AsyncClient) -> None:
    place = "/api/v1/nodes/lab/engine"
    said = "lab is named by the setting docker_engines", "zoe config show --origin"
    await refused(await admin.delete(place), 409, *said)
    again = await admin.put(place, json={"engine": "ssh://elsewhere"})
    await refused(again, 409, "the setting docker_engines names it")
    unknown = await admin.delete("/api/v1/nodes/node-3/engine")
    await refused(unknown, 404, "no engine 'node-3'")


async def test_only_administrators_do_so(api: Api) -> None:
    await api.store.add_token(Token(token_hash("zoe_eve"), "t", "eve", "user", time.time()))
    async with api.client("zoe_eve") as eve:
        assert (await eve.put(PLACE, json={"engine": WORDS})).status_code == 403
        await api.store.engines.add(AddedEngine("node-2", WORDS, "admin"))
        assert (await eve.delete(PLACE)).status_code == 403
    (kept,) = await api.store.engines.read()
    assert not kept.leaving


@pytest.mark.parametrize(
    ("backend", "adds", "removes"),
    [
        ("swarm", "`docker swarm join`", "`docker swarm leave`"),
        ("process", "need the back-end docker or swarm", "runs everything on this machine"),
    ],
)
async def test_other_back_ends_say_what_to_do_instead(
    tmp_path: Path, backend: str, adds: str, removes: str
) -> None:
    async with serving(tmp_path, backend=backend) as api, api.client() as admin:
        await refused(await admin.put(PLACE, json={"engine": WORDS}), 409, adds)
        await refused(await admin.delete(PLACE), 409, removes)
        assert list(await api.store.engines.read()) == []
