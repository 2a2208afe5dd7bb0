"""A process back-end for the tests of it, with control groups and without."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend_worlds import (
    ProcessWorld,
    make_world,
)
from zoe.backends.process.backend import ProcessBackend


@pytest.fixture(params=["process", "process-rlimits"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ProcessWorld]:
    made = make_world(request.param, tmp_path)
    assert isinstance(made, ProcessWorld)
    yield made
    await made.end()


@pytest.fixture
async def backend(world: ProcessWorld) -> ProcessBackend:
    opened = world.backend()
    await opened.open()
    return opened
