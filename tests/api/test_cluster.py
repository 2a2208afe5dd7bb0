"""Nodes, plans, health and metrics; the store or the master away; what is described."""

import json
from pathlib import Path

import httpx2
import pytest

from api_serving import BROKEN, DASK, Api, machines, serving
from zoe.model.cluster import Node, NodeStatus
from zoe.model.execution import Execution, ExecutionStatus
from zoe.model.resources import Resources
from zoe.model.rest import ReadyView, VersionView, WhoView
from zoe.model.rest_cluster import MastersView, NodePage, NodeView, PlanView
from zoe.rpc.keys import server_keys
from zoe.rpc.messages import (
    Blocker,
    Done,
    Expected,
    Failed,
    Ping,
    Placement,
    Plan,
    Planned,
    Pong,
    Reply,
    Request,
    Wake,
)
from zoe.rpc.server import Server
from zoe.store.base import StoreUnavailable
from zoe.store.memory import MemoryStore

OPENAPI = Path(__file__).parents[2] / "docs/reference/openapi.json"


class FragileStore(MemoryStore):
    """The memory store, which can be away."""

    is_away = False

    def __getattribute__(self, name: str) -> object:
        found = super().__getattribute__(name)
        reads = {"get", "find", "page", "counts", "find_token", "submit", "history", "nodes"}
        if name in reads and super().__getattribute__("is_away"):
            raise StoreUnavailable("The database cannot be reached.", hint="Is it running?")
        return found


async def test_masters_tell_who_leads_and_who_stands_by(
    api: Api, admin: httpx2.AsyncClient
) -> None:
    assert (await admin.get("/api/v1/masters")).json() == {"leader": None, "standby": []}
    await api.store.lead("one:1", 60, "tcp://one:8643")
    await api.store.lead("two:2", 60, "tcp://two:8643")
    found = MastersView.model_validate((await admin.get("/api/v1/masters")).json())
    assert found.leader is not None
    assert (found.leader.name, found.leader.endpoint) == ("one:1", "tcp://one:8643")
    assert (found.leader.epoch, found.standby) == (1, ["two:2"])


async def test_nodes_say_what_is_reserved_and_by_whom(api: Api, admin: httpx2.AsyncClient) -> None:
    assert (await admin.get("/api/v1/nodes")).json() == {"items": [], "next_cursor": ""}
    await api.master.nodes(*machines())
    id = (await admin.post("/api/v1/executions", json={"document": DASK})).json()["id"]
    await api.master.run(id, elastic=1)
    page = NodePage.model_validate((await admin.get("/api/v1/nodes")).json())
    assert [node.name for node in page.items] == ["node-1", "node-2"]
    for node in page.items:
        held = sum(each.reserved.cores_milli for each in node.instances)
        assert node.reserved.cores_milli == held > 0
        assert node.free.cores_milli == (
            node.capacity.cores_milli - node.foreign.cores_milli - node.reserved.cores_milli
        )
    assert {each.execution_id for node in page.items for each in node.instances} == {id}


async def test_who_holds_which_gpu_is_shown(api: Api, admin: httpx2.AsyncClient) -> None:
    await api.master.nodes(
        Node("node-1", Resources(8000, 2**35, 2), gpus=("a", "b")),
        Node("node-2", Resources(8000, 2**35, 1), images=frozenset({"y", "x"})),
    )
    id = (await admin.post("/api/v1/executions", json={"document": DASK})).json()["id"]
    (first, *_) = await api.master.run(id, gpus=("b", "c"))
    shown = {
        each["id"]: each
        for each in (await admin.get(f"/api/v1/executions/{id}")).json()["instances"]
    }
    assert [each["gpus"] for each in shown.values() if each["gpus"]] == [["b", "c"]]
    assert shown[first.id]["gpus"] == ["b", "c"]
    page = NodePage.model_validate((await admin.get("/api/v1/nodes")).json())
    assert [node.images for node in page.items] == [None, ["x", "y"]]
    told = {
        node.name: [(gpu.id, gpu.instance, gpu.gone) for gpu in node.gpus] for node in page.items
    }
    assert told == {
        "node-1": [("a", None, False), ("b", first.id, False), ("c", first.id, True)],
        "node-2": [("0", None, False)],
    }


async def test_administrators_take_nodes_out_of_service_and_back(
    api: Api, admin: httpx2.AsyncClient
) -> None:
    await api.master.nodes(*machines())
    form = {"status": "draining", "reason": " new disk "}
    answer = await admin.put("/api/v1/nodes/node-1", json=form)
    view = NodeView.model_validate(answer.json())
    assert (view.name, view.status, view.message) == ("node-1", "draining", "by admin: new disk")
    (mark,) = await api.store.marks.read()
    assert (mark.name, mark.status, mark.by, mark.reason) == (
        "node-1", NodeStatus.DRAINING, "admin", "new disk"
    )  # fmt: skip
    back = await admin.put("/api/v1/nodes/node-1", json={"status": "ready"})
    assert (back.json()["status"], back.json()["message"]) == ("ready", "")
    assert list(await api.store.marks.read()) == []
    wrong = await admin.put("/api/v1/nodes/nod-1", json=form)
    assert (wrong.status_code, wrong.json()["code"]) == (404, "not-found")
    assert "node-1" in wrong.json()["hint"]
    reasons = [form | {"reason": reason} for reason in ("x" * 201, "a\x1b[0m", "two\nlines")]
    for bad in ({"status": "unreachable"}, {}, form | {"a": 1}, *reasons):
        assert (await admin.put("/api/v1/nodes/node-1", json=bad)).status_code == 422


async def test_without_the_master_only_plans_are_refused(admin: httpx2.AsyncClient) -> None:
    plan = await admin.post("/api/v1/plan", json={"document": DASK})
    assert plan.status_code == 503
    assert plan.json()["code"] == "master-unavailable"
    assert "retry-after" not in plan.headers
    ready = await admin.get("/readyz")
    view = ReadyView.model_validate(ready.json())
    assert (ready.status_code, view.status, view.store, view.master.up) == (
        200,
        "ready",
        True,
        False,
    )
    submitted = await admin.post("/api/v1/executions", json={"document": DASK})
    assert submitted.status_code == 201
    broken = await admin.post("/api/v1/plan", json={"document": BROKEN})
    assert broken.json()["code"] == "zapp-invalid"


async def test_with_the_master_plans_are_made_and_intents_rung(tmp_path: Path) -> None:
    asked: list[Request] = []

    async def answer(request: Request) -> Reply:
        asked.append(request)
        match request:
            case Ping():
                return Pong(3, 1.0, "process", "0.1.0")
            case Plan(document=document) if "never" in document:
                return Failed("not-leading", "The master is starting.")
            case Plan():
                reasons = [Blocker("no-room", "No node has 1 core.")]
                return Planned(
                    False,
                    True,
                    [Placement("dask.scheduler/0", "n", True)],
                    reasons,
                    queue_position=4,
                    forecast=Expected(1.0, 2.0, None, "nobody can tell when 3 (nap) ends"),
                )
            case _:
                return Done()

    server = Server("tcp://127.0.0.1:0", server_keys(tmp_path / "keys"), answer)
    async with (
        server,
        serving(
            tmp_path, master_endpoint=server.endpoint, rpc_timeout_seconds=5.0, rpc_hint_seconds=2.0
        ) as api,
        api.client() as client,
    ):
        response = await client.post("/api/v1/plan", json={"document": DASK})
        plan = PlanView.model_validate(response.json())
        assert (plan.fits_now, plan.can_ever_fit) == (False, True)
        assert plan.reasons[0].message == "No node has 1 core."
        assert plan.queue_position == 4
        assert plan.forecast is not None
        assert plan.forecast.p50 is not None
        assert (plan.forecast.p50.timestamp(), plan.forecast.p90) == (2.0, None)
        assert plan.forecast.because == "nobody can tell when 3 (nap) ends"
        refused = await client.post("/api/v1/plan", json={"document": f"# never\n{DASK}"})
        assert refused.json()["code"] == "master-unavailable"
        ready = ReadyView.model_validate((await client.get("/readyz")).json())
        assert (ready.master.up, ready.master.epoch, ready.master.backend) == (True, 3, "process")
        id = (await client.post("/api/v1/executions", json={"document": DASK})).json()["id"]
        await client.post(f"/api/v1/executions/{id}/stop")
        await client.get("/readyz")  # answered after the hints
        assert asked.count(Wake(id)) == 2


async def test_while_the_store_is_away_the_api_says_so_and_recovers(tmp_path: Path) -> None:
    store = FragileStore()
    async with serving(tmp_path, store=store) as api, api.client() as client:
        store.is_away = True
        for method, path in (("GET", "/executions"), ("POST", "/executions"), ("GET", "/nodes")):
            response = await client.request(method, f"/api/v1{path}", json={"document": DASK})
            assert response.status_code == 503
            assert response.json()["code"] == "store-unavailable"
            assert int(response.headers["retry-after"]) > 0
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["store"]) == (503, False)
        assert (await client.get("/livez")).status_code == 200
        page = await client.get("/sign-in", headers={"Accept": "text/html", "Cookie": "x=y"})
        assert page.status_code == 200
        store.is_away = False
        assert (await client.get("/api/v1/executions")).status_code == 200


async def test_an_unforeseen_error_tells_nothing(
    api: Api, admin: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(self: object, owner: object, ref: str) -> Execution:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(MemoryStore, "find", broken)
    response = await admin.get("/api/v1/executions/1")
    assert response.status_code == 500
    assert response.json()["code"] == "internal"
    assert "secret" not in response.text
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    counted = (await admin.get("/metrics")).text
    assert 'route="/api/v1/executions/{ref}",status="500"' in counted


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/api/v1/nowhere", 404, "no-such-route"),
        ("GET", "/nowhere", 404, "no-such-route"),
        ("PUT", "/api/v1/executions", 405, "method-not-allowed"),
        ("POST", "/livez", 405, "method-not-allowed"),
    ],
)
async def test_wrong_addresses_are_problems(
    admin: httpx2.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    response = await admin.request(method, path)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert ("allow" in response.headers) == (status == 405)


async def test_people_get_pages_for_errors(admin: httpx2.AsyncClient) -> None:
    response = await admin.get("/nowhere", headers={"Accept": "text/html"})
    assert response.status_code == 404
    assert "<!doctype html>" in response.text


async def test_the_server_says_what_it_is(admin: httpx2.AsyncClient) -> None:
    version = VersionView.model_validate((await admin.get("/api/v1/version")).json())
    assert (version.api, version.deployment) == ("v1", "zoe")
    who = WhoView.model_validate((await admin.get("/api/v1/whoami")).json())
    assert (who.user, who.role, who.token) == ("admin", "admin", "first")
    assert (await admin.get("/api/v1/schema")).json()["$schema"]


async def test_metrics_count_requests_and_executions(api: Api, admin: httpx2.AsyncClient) -> None:
    id = (await admin.post("/api/v1/executions", json={"document": DASK})).json()["id"]
    await api.master.status(id, ExecutionStatus.QUEUED)
    await admin.get("/api/v1/executions/4711")
    text = (await admin.get("/metrics")).text
    assert 'zoe_executions{status="queued"} 1.0' in text
    assert 'zoe_executions{status="running"} 0.0' in text
    route = 'route="/api/v1/executions/{ref}"'
    assert f'zoe_api_requests_total{{method="GET",{route},status="404"}} 1.0' in text


async def test_the_description_in_the_docs_is_the_one_that_is_served(
    admin: httpx2.AsyncClient,
) -> None:
    served = (await admin.get("/api/v1/openapi.json")).json()
    assert json.loads(OPENAPI.read_text()) == served, "run `python scripts/write_openapi.py`"


async def test_every_route_is_in_the_reference(admin: httpx2.AsyncClient) -> None:
    served = (await admin.get("/api/v1/openapi.json")).json()
    text = (OPENAPI.parent / "rest.md").read_text()
    for path, methods in served["paths"].items():
        for method in methods:
            route = f"{method.upper()} {path.removeprefix('/api/v1')}"
            assert f"`{route}`" in text, f"docs/reference/rest.md does not mention {route}"
