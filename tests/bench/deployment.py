"""PostgreSQL, master and api as the programs they are, in a folder of their own."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from wire import Connection

from zoe.store.embedded import EmbeddedPostgres
from zoe.store.migrate import migrate

START_SECONDS = 30.0
STOP_SECONDS = 10.0


@dataclass(slots=True)
class Deployment:
    """A running Zoe; ``database_url`` is of the PostgreSQL that it uses."""

    folder: Path
    database_url: str
    environment: dict[str, str]
    programs: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """The administrator's access token."""
        return (self.folder / "token").read_text().strip()

    def connection(self) -> Connection:
        """Return a connection to the api, not yet open."""
        port = int(self._ready("api")["url"].rsplit(":", 1)[1])
        return Connection("127.0.0.1", port, self.token)

    def rss_bytes(self, program: str) -> int:
        """Return the resident memory of a program, without its children."""
        return psutil.Process(self.programs[program].pid).memory_info().rss

    def cpu_seconds(self, program: str) -> float:
        """Return the processor time that a program has used, without its children."""
        times = psutil.Process(self.programs[program].pid).cpu_times()
        return times.user + times.system

    async def start(self, program: str) -> None:
        """Start ``master`` or ``api`` and wait until it says where it is reached."""
        self._file(program).unlink(missing_ok=True)
        with (self.folder / f"{program}.log").open("ab") as log:
            process = self.programs[program] = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                f"zoe.{program}.main",
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        await until(lambda: self._file(program).exists() or process.returncode is not None)
        if process.returncode is not None:
            text = (self.folder / f"{program}.log").read_text()
            raise RuntimeError(f"the {program} ended with {process.returncode}:\n{text[-2000:]}")
        if program == "master":
            self.environment["ZOE_MASTER_ENDPOINT"] = self._ready("master")["endpoint"]

    async def stop(self, program: str) -> None:
        """End a program as a supervisor does."""
        process = self.programs.pop(program)
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()

    def _file(self, program: str) -> Path:
        return self.folder / "run" / f"{program}.json"

    def _ready(self, program: str) -> dict[str, Any]:
        ready: dict[str, Any] = json.loads(self._file(program).read_text())
        return ready


@asynccontextmanager
async def deployment(folder: Path, **settings: str) -> AsyncIterator[Deployment]:
    """Run PostgreSQL, then master and api; everything has ended afterwards."""
    postgres = EmbeddedPostgres(folder)
    url = await postgres.start()
    await migrate(url)
    running = Deployment(folder, url, _environment(folder, url, settings))
    try:
        await running.start("master")
        await running.start("api")
        async with running.connection() as connection:
            await connection.until_there_are_nodes()
        yield running
    finally:
        for program in list(running.programs):
            await running.stop(program)
        _end_what_is_left(folder)
        await postgres.stop()


def _environment(folder: Path, url: str, settings: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ZOE_")}
    return inherited | {
        "HOME": str(folder),  # no settings of the user
        "XDG_CONFIG_HOME": str(folder),
        "ZOE_DATA_DIR": str(folder),
        "ZOE_DATABASE_URL": url,
        "ZOE_API_PORT": "0",
        "ZOE_MASTER_ENDPOINT": "tcp://127.0.0.1:0",
        "ZOE_LOG_LEVEL": "warning",
        **settings,
    }


def _end_what_is_left(folder: Path) -> None:
    """End what outlives the master on purpose: the agent of the instances of this folder."""
    for process in psutil.process_iter(["cmdline", "pid"]):
        arguments = process.info["cmdline"] or []
        if any(str(folder) in each for each in arguments) and "postgres" not in arguments[0]:
            process.send_signal(signal.SIGTERM)


async def until(condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    """Wait until ``condition`` holds; raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not condition():  # it is about another process
            await asyncio.sleep(0.01)
