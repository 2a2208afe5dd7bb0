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
    # Most tests run the master by hand: nobody would answer however long it is waited for.
    monkeypatch.setattr("zoe.cli.executions.LOOK_SECONDS", 0.0)
    async with serving(tmp_path / "api") as api:
        keep(tmp_path, Credentials(api.url, api.token))
        yield Shell(api, tmp_path)
