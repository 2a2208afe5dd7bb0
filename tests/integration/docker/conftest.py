"""A docker back-end on the one real engine of this test process."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from container_worlds import DockerWorld
from docker_engine import TestEngine
from zoe.backends.docker.backend import DockerBackend


@pytest.fixture
async def world(tmp_path: Path, engine: TestEngine) -> AsyncIterator[DockerWorld]:
    made = DockerWorld(tmp_path, engine)
    yield made
    await made.end()


@pytest.fixture
async def backend(world: DockerWorld) -> DockerBackend:
    opened = world.backend()
    await opened.open()
    return opened
