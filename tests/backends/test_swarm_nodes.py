"""The nodes of a swarm as they come and move: a server that answers as a manager."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from zoe.backends.swarm.backend import SwarmBackend
from zoe.model.cluster import NodeStatus
from zoe.model.engines import EngineSpec


class Manager:
    """What it says: its nodes, or that it cannot."""

    said = 'one: {"message": "no leader"}'

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


@asynccontextmanager
async def serving(managers: Mapping[str, Manager], folder: Path) -> AsyncIterator[SwarmBackend]:
    """Give a back-end that knows each manager by its name."""
    runners = []
    for name, manager in managers.items():
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", manager.answer)
        runners.append(web.AppRunner(app))
        await runners[-1].setup()
        await web.UnixSite(runners[-1], str(folder / name)).start()
    backend = SwarmBackend(
        "test",
        folder / "data",
        [EngineSpec(name, f"unix://{folder}/{name}") for name in managers],
        logs_dir=folder / "logs",
        workspaces_dir=folder / "workspaces",
    )
    try:
        yield backend
    finally:
        await backend.close()
        for runner in runners:
            await runner.cleanup()


@pytest.fixture
async def backend(tmp_path: Path, manager: Manager) -> AsyncIterator[SwarmBackend]:
    async with serving({"manager": manager}, tmp_path) as found:
        yield found


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


async def test_while_a_manager_does_not_answer_the_next_is_asked(tmp_path: Path) -> None:
    first, second, third = Manager(), Manager(), Manager()
    third.nodes = [node("a", "10.0.0.1")]
    first.is_broken = second.is_broken = True
    async with serving({"one": first, "two": second, "three": third}, tmp_path) as backend:
        (seen,) = (await backend.observe()).nodes
        assert (seen.name, seen.status) == ("a", NodeStatus.READY)
        first.nodes, first.is_broken, third.is_broken = third.nodes, False, True
        (seen,) = (await backend.observe()).nodes
        assert seen.status is NodeStatus.READY
        first.is_broken = True
        (seen,) = (await backend.observe()).nodes
        assert (seen.status, seen.message) == (NodeStatus.UNREACHABLE, first.said)


async def test_a_manager_of_another_swarm_is_not_asked(tmp_path: Path) -> None:
    first, second = Manager(), Manager()
    first.nodes, second.nodes = [node("a", "10.0.0.1")], [node("b", "10.0.0.2")]
    async with serving({"one": first, "two": second}, tmp_path) as backend:
        await backend.observe()
        first.is_broken = True
        (seen,) = (await backend.observe()).nodes
        assert (seen.name, seen.status) == ("a", NodeStatus.UNREACHABLE)
        first.nodes, first.is_broken = second.nodes, False
        (seen,) = (await backend.observe()).nodes
        assert (seen.name, seen.status) == ("a", NodeStatus.UNREACHABLE)
        assert "another swarm" in seen.message
