"""What is used: asked of the master, completed from the store, and shown to who may see it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from api_serving import Api, machines, serving, submitted
from zoe.api.access import token_hash
from zoe.model.execution import Exit, ExitReason, InstanceStatus
from zoe.model.rest_executions import WhyView
from zoe.model.rest_use import ExecutionUseView, NodePastView, TopView
from zoe.model.use import InstanceUse, NodeUse
from zoe.rpc.keys import server_keys
from zoe.rpc.messages import Done, Ping, Pong, Reply, Request, Used, Uses, Wake
from zoe.rpc.server import Server
from zoe.store.base import Token

GIB = 2**30
AT = 1_700_000_000.0


def use(execution_id: int, service: str, memory: int, **fields: object) -> InstanceUse:
    made = InstanceUse(f"{execution_id}/{service}/0", 1, AT, 250, memory, 2 * memory, 12.5, 10, 20)
    return replace(made, **fields)  # type: ignore[arg-type]  # its own fields


NODE = NodeUse("node-1", AT, 10.0, 1500, 3 * GIB, 4 * GIB, 32 * GIB, 1.5, 80.0)


@asynccontextmanager
async def with_master(folder: Path, *instances: InstanceUse) -> AsyncIterator[Api]:
    """Serve an api whose master tells these uses."""

    async def answer(request: Request) -> Reply:
        match request:
            case Used(execution_id=0, node=""):
                return Uses(10.0, [NODE], list(instances))
            case Used(node="node-1"):
                return Uses(10.0, [NODE], hour={"node-1": [(AT, 1500, 3 * GIB)]})
            case Used(execution_id=execution_id):
                own = [each for each in instances if each.execution_id == execution_id]
                return Uses(10.0, [], own, {own[0].instance_id: [(AT, 250, GIB)]} if own else {})
            case Ping():
                return Pong(1, AT, "fake", "0.1.0")
            case Wake():
                return Done()
        raise AssertionError(request)

    server = Server("tcp://127.0.0.1:0", server_keys(folder / "keys"), answer)
    await server.start()
    try:
        async with serving(folder, master_endpoint=server.endpoint, rpc_timeout_seconds=10) as api:
            yield api
    finally:
        await server.stop()


async def test_what_is_used_now(tmp_path: Path) -> None:
    small, large = use(1, "driver.count", GIB), use(1, "dask.worker", 2 * GIB)
    async with (
        with_master(tmp_path, small, large, use(99, "f.s", GIB)) as api,
        api.client() as http,
    ):
        await api.master.nodes(*machines())
        await submitted(http)
        await api.master.run(1)
        top = TopView.model_validate((await http.get("/api/v1/top")).json())
        assert top.sample_seconds == 10
        assert [each.id for each in top.instances] == [large.instance_id, small.instance_id]
        first = top.instances[0]
        assert (first.memory_bytes, first.peak_bytes, first.cores_milli) == (2 * GIB, 4 * GIB, 250)
        assert first.reserved.memory_bytes == 2 * GIB
        known = {node.name: node.use for node in top.nodes}
        assert known["node-2"] is None
        assert (node := known["node-1"])
        assert (node.memory_bytes, node.memory_stall) == (3 * GIB, 1.5)
        limited = await http.get("/api/v1/top", params={"limit": 1})
        assert len(limited.json()["instances"]) == 1
        page = (await http.get("/api/v1/nodes")).json()["items"]
        assert page[0]["use"]["cores_milli"] == 1500
        metrics = (await http.get("/metrics")).text
        assert 'zoe_node_memory_used_bytes{node="node-1"} 3.221225472e+09' in metrics
        assert 'zoe_node_stall_ratio{node="node-1",resource="cpu"} 0.8' in metrics
        assert 'zoe_node_under_pressure{node="node-2"} 0.0' in metrics


async def test_users_see_their_own_and_no_nodes(tmp_path: Path) -> None:
    async with with_master(tmp_path, use(1, "driver.count", GIB)) as api, api.client() as admin:
        await api.store.add_token(Token(token_hash("zoe_eve"), "t", "eve", "user", 0.0))
        await submitted(admin)
        await api.master.run(1)
        async with api.client("zoe_eve") as eve:
            top = TopView.model_validate((await eve.get("/api/v1/top")).json())
            assert (top.nodes, top.instances, top.sample_seconds) == ([], [], 10)
            assert (await eve.get("/api/v1/executions/1/use")).status_code == 404
            assert (await eve.get("/api/v1/nodes/node-1/use")).status_code == 403


async def test_what_was_used_stays_known(tmp_path: Path) -> None:
    live = use(1, "driver.count", GIB)
    async with with_master(tmp_path, live) as api, api.client() as http:
        await submitted(http)
        instances = await api.master.run(1)
        before = use(1, "dask.scheduler", GIB // 2)
        await api.store.uses.put(
            [before, replace(live, memory_bytes=5, peak_bytes=5)], [], api.master.epoch
        )
        told = await http.get("/api/v1/executions/1/use")
        found = ExecutionUseView.model_validate(told.json())
        assert [(each.id, each.memory_bytes) for each in found.instances] == [
            (before.instance_id, GIB // 2),
            (live.instance_id, GIB),
        ]
        assert [point.memory_bytes for point in found.hour[live.instance_id]] == [GIB]
        killed = Exit(ExitReason.OUT_OF_MEMORY, message="it needed more than its 512 MiB")
        scheduler = next(each for each in instances if each.service == "dask.scheduler")
        await api.master.stopped(replace(scheduler, status=InstanceStatus.STOPPING), killed)
        async with api.client(token="", Origin=api.url, Accept="text/html") as browser:
            await browser.post("/sign-in", data={"token": api.token})
            page = (await browser.get("/executions/1")).text
        assert "0.2 of 0.5 cores" in page
        assert "1 GiB of 512 MiB" in page
        assert "at most 1 GiB, 12 s of work" in page


async def test_what_was_used_of_a_node(tmp_path: Path) -> None:
    async with with_master(tmp_path) as api, api.client() as http:
        await api.master.nodes(*machines())
        now = time.time()
        kept = [replace(NODE, at=now - 60), replace(NODE, at=now - 2 * 86400)]
        await api.store.uses.put([], kept, api.master.epoch)
        told = (await http.get("/api/v1/nodes/node-1/use")).json()
        found = NodePastView.model_validate(told)
        assert [point.cores_milli for point in found.hour] == [1500]
        assert len(found.past) == 1
        longer = await http.get("/api/v1/nodes/node-1/use", params={"days": 3})
        assert len(longer.json()["past"]) == 2
        assert (await http.get("/api/v1/nodes/node-9/use")).status_code == 404


async def test_without_the_master_only_the_store_tells(tmp_path: Path) -> None:
    async with serving(tmp_path) as api, api.client() as http:
        await api.master.nodes(*machines())
        await submitted(http)
        await api.master.run(1)
        kept = use(1, "driver.count", GIB)
        await api.store.uses.put([kept], [], api.master.epoch)
        top = TopView.model_validate((await http.get("/api/v1/top")).json())
        assert (top.sample_seconds, top.instances) == (0, [])
        assert [node.use for node in top.nodes] == [None, None]
        told = (await http.get("/api/v1/executions/1/use")).json()
        assert [each["id"] for each in told["instances"]] == [kept.instance_id]
        assert told["hour"] == {}


@pytest.mark.parametrize(("elastic", "curbed"), [(1, True), (3, False)])
async def test_why_says_which_nodes_get_nothing_elastic(
    tmp_path: Path, elastic: int, *, curbed: bool
) -> None:
    async with serving(tmp_path) as api, api.client() as http:
        first, second = machines()
        short = "less than 5% of its memory is free"
        await api.master.nodes(replace(first, pressure=short), second)
        await submitted(http)
        await api.master.run(1, elastic=elastic)
        why = WhyView.model_validate((await http.get("/api/v1/executions/1/why")).json())
        said = [(each.code, each.message) for each in why.reasons]
        expected = ("node-under-pressure", f"no elastic instance is added to node-1: {short}")
        assert said == ([expected] if curbed else [])
