"""A running api for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest

from api_serving import Api, serving


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(tmp_path) as running:
        yield running


@pytest.fixture
async def admin(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client() as client:
        yield client
