"""Every back-end, in a world of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend_worlds import World, make_world
from container_worlds import DockerWorld, SwarmWorld, TwoEnginesWorld
from zoe.backends.base import Backend

REAL = [
    pytest.param(name, marks=pytest.mark.component(name.partition("-")[0]))
    for name in ("docker", "docker-two", "swarm")
]


@pytest.fixture(params=["fake", "process", "process-rlimits", *REAL])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    made: World
    if request.param == "docker":
        made = DockerWorld(tmp_path, request.getfixturevalue("engine"))
    elif request.param == "docker-two":
        engines = (request.getfixturevalue(name) for name in ("engine", "second_engine"))
        made = TwoEnginesWorld(tmp_path, *engines)
    elif request.param == "swarm":
        made = SwarmWorld(tmp_path, swarm=request.getfixturevalue("swarm"))
    else:
        made = make_world(request.param, tmp_path)
    yield made
    await made.end()


@pytest.fixture
async def backend(world: World) -> AsyncIterator[Backend]:
    opened = world.backend()
    await opened.open()
    yield opened
    await opened.close()
