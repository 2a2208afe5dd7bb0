"""The nodes of a swarm as they come and move: a server that answers as a manager."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from zoe.backends.swarm.backend import SwarmBackend
from zoe.model.engines import EngineSpec


class Manager:
    """What it says: its nodes, or that it cannot."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.is_broken = False

    async def answer(self, request: web.Request) -> web.Response:
        if self.is_broken:
            return web.json_response({"message": "no leader"}, status=500)
        what = request.path.rpartition("/")[2]
        if what == "version":
            return web.json_response({"ApiVersion": "1.43"})
        return web.json_response(self.nodes if what == "nodes" else [])


def node(name: str, address: str) -> dict[str, Any]:
    return {
        "ID": f"id-{name}",
        "Description": {"Hostname": name},
        "Status": {"State": "ready", "Addr": address},
        "Spec": {"Availability": "active"},
    }


@pytest.fixture
def manager() -> Manager:
    return Manager()


@pytest.fixture
async def backend(tmp_path: Path, manager: Manager) -> AsyncIterator[SwarmBackend]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", manager.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "sock")).start()
    backend = SwarmBackend(
        "test",
        tmp_path / "data",
        [EngineSpec("manager", f"unix://{tmp_path}/sock")],
        logs_dir=tmp_path / "logs",
        workspaces_dir=tmp_path / "workspaces",
    )
    yield backend
    await backend.close()
    await runner.cleanup()


async def test_a_node_that_only_a_start_has_seen_is_there(
    backend: SwarmBackend, manager: Manager
) -> None:
    manager.nodes = [node("a", "10.0.0.1")]
    await backend.observe()
    manager.nodes.append(node("b", "10.0.0.2"))
    await backend._swarm.look()
    manager.is_broken = True
    assert [each.name for each in (await backend.observe()).nodes] == ["a", "b"]


async def test_where_a_node_is_reached_may_change(backend: SwarmBackend, manager: Manager) -> None:
    manager.nodes = [node("a", "10.0.0.1")]
    await backend.observe()
    assert backend._hosts["a"].engine.spec.address == "10.0.0.1"
    manager.nodes = [node("a", "10.0.0.9")]
    await backend.observe()
    assert backend._hosts["a"].engine.spec.address == "10.0.0.9"
