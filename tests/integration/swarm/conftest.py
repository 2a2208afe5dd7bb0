"""A swarm back-end on the one real swarm of this test process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from container_worlds import SwarmWorld
from swarm_engines import TestSwarm
from zoe.backends.swarm.backend import SwarmBackend


@pytest.fixture
async def world(tmp_path: Path, swarm: TestSwarm) -> AsyncIterator[SwarmWorld]:
    made = SwarmWorld(tmp_path, swarm=swarm)
    yield made
    await made.end()


@pytest.fixture
async def backend(world: SwarmWorld) -> SwarmBackend:
    opened = world.backend()
    await opened.open()
    return opened
