"""A process back-end, with control groups and without, and an embedded PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from backend_worlds import (
    ProcessWorld,
    make_world,
)
from zoe.backends.process.backend import ProcessBackend
from zoe.store.embedded import EmbeddedPostgres


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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder whose name needs quoting in a URL."""
    return tmp_path / "a b%c'ü"


@pytest_asyncio.fixture
async def postgres(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(folder)
    yield made
    await made.stop()
