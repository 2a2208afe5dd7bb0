"""A shell for every test of the command line."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from shell import Shell

from api_serving import serving
from zoe.client.credentials import Credentials, keep


@pytest.fixture
async def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shell]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    async with serving(tmp_path / "api") as api:
        keep(tmp_path, Credentials(api.url, api.token))
        yield Shell(api, tmp_path)
