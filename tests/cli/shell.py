"""Commands as a person gives them, against a real api in this process."""

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from api_serving import Api, serving
from zoe.cli.main import main
from zoe.client.credentials import Credentials, keep
from zoe.model.execution import ExecutionEnd, ExecutionStatus, Outcome


@dataclass
class Shell:
    api: Api
    folder: Path

    async def zoe(self, *arguments: str, code: int = 0) -> str:
        """Run a command and return what it printed, stderr after stdout."""
        out, err = io.StringIO(), io.StringIO()

        def run() -> int:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                return main(["--data-dir", str(self.folder), *arguments])

        returned = await asyncio.to_thread(run)
        text = out.getvalue() + err.getvalue()
        assert returned == code, f"zoe {arguments} returned {returned}: {text}"
        return text

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return str(self.folder / name)

    async def id(self, name: str) -> int:
        return (await self.api.store.find(None, name)).id

    async def end(self, id: int, outcome: Outcome, exit_code: int | None = None) -> None:
        end = ExecutionEnd(outcome, "it is over", exit_code)
        fine = outcome in (Outcome.COMPLETED, Outcome.STOPPED)
        last = ExecutionStatus.TERMINATED if fine else ExecutionStatus.FAILED
        await self.api.master.status(id, ExecutionStatus.STOPPING, last, end=end)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Shell]:
    """Give a shell in ``folder``, logged in at an api of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder))
        async with serving(folder / "api") as api:
            keep(folder, Credentials(api.url, api.token))
            yield Shell(api, folder)
