"""A shell for the tests of the command line."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from shell import Shell, opened


@pytest.fixture(autouse=True)
def nobody_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not answer here never will: most tests run the master by hand."""
    monkeypatch.setattr("zoe.cli.executions.LOOK_SECONDS", 0.0)
    monkeypatch.setattr("zoe.client.retries.patience", _at_once)


def _at_once(seconds: float) -> Iterator[float]:
    return iter(())


@pytest.fixture
async def shell(tmp_path: Path) -> AsyncIterator[Shell]:
    async with opened(tmp_path) as shell:
        yield shell
