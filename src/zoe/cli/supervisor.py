"""Keeps programs alive: starts them, starts them again with back-off, ends them in order.

A program gets SIGTERM when its supervisor dies, however it dies. One that dies quickly too often
is given up, and with it everything.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zoe.model.errors import ZoeError

LOG_MAX_BYTES = 16 * 1024 * 1024
"""A log that is larger when its program is first started is put aside, one generation."""
TAIL_LINES = 15


class GaveUp(ZoeError):
    """A program died too often."""


@dataclass(frozen=True, slots=True)
class Patience:
    """When a program counts as broken: ``quick_deaths`` in a row within ``quick_seconds`` each."""

    quick_seconds: float = 5.0
    quick_deaths: int = 5
    backoff_seconds: float = 0.25
    stop_seconds: float = 10.0
    """Time between SIGTERM and SIGKILL."""

    def pause(self, deaths: int) -> float:
        """Return the pause before the next start, after so many quick deaths."""
        return float(self.backoff_seconds * 2 ** max(0, deaths - 1))


@dataclass(frozen=True, slots=True)
class Program:
    """What to run. ``announces``: its first line on stdout says that it is ready, and how."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    announces: bool = False


class Child:
    """One program that is kept alive from :meth:`start` to :meth:`stop`."""

    def __init__(
        self,
        program: Program,
        say: Callable[[str], None],
        patience: Patience = Patience(),
        on_announcement: Callable[[str], None] = lambda line: None,
        on_start: Callable[[], None] = lambda: None,
    ) -> None:
        self.program = program
        self._say = say
        self._patience = patience
        self._on_announcement = on_announcement
        self._on_start = on_start
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id; None between two starts."""
        alive = self._process is not None and self._process.returncode is None
        return self._process.pid if alive and self._process else None

    async def start(self) -> None:
        """Start it, and return once it is announced (or at once). Raises GaveUp."""
        rotate(self.program.log)
        ready = asyncio.get_running_loop().create_future()
        self._keeping = asyncio.create_task(self._keep(ready), name=self.program.name)
        await asyncio.wait({ready, self._keeping}, return_when=asyncio.FIRST_COMPLETED)
        if self._keeping.done():
            ready.cancel()
            await self._keeping

    async def watch(self) -> None:
        """Return when it has been stopped. Raises GaveUp."""
        assert self._keeping is not None
        await asyncio.wait({self._keeping})
        if not self._keeping.cancelled():
            self._keeping.result()

    async def stop(self) -> None:
        """End it: SIGTERM, then SIGKILL for it and all of its process group."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), self._patience.stop_seconds)
        except TimeoutError:
            self._say(
                f"{self.program.name} does not end within {self._patience.stop_seconds:g} s; killed"
            )
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def _keep(self, ready: "asyncio.Future[None]") -> None:
        loop = asyncio.get_running_loop()
        deaths = 0
        while True:
            started = loop.time()
            process = self._process = await self._spawn()
            self._on_start()
            if await self._announced(process) and not ready.done():
                ready.set_result(None)
            code = await process.wait()
            deaths = deaths + 1 if loop.time() - started < self._patience.quick_seconds else 1
            if deaths >= self._patience.quick_deaths:
                raise GaveUp(
                    f"{self.program.name} {ending(code)} {deaths} times in a row; the end of "
                    f"{self.program.log}:\n{tail(self.program.log)}"
                )
            pause = self._patience.pause(deaths)
            self._say(
                f"{self.program.name} {ending(code)}; it is started again in {pause:g} s "
                f"(see {self.program.log})"
            )
            await asyncio.sleep(pause)

    async def _spawn(self) -> asyncio.subprocess.Process:
        descriptor = os.open(self.program.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as log:
            return await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "TERM", *self.program.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if self.program.announces else log,
                stderr=log,
                env=self.program.environment,
                start_new_session=True,  # Ctrl-C is for us: we end them in their order
            )

    async def _announced(self, process: asyncio.subprocess.Process) -> bool:
        """Whether it has said that it is ready; what it says afterwards is not read."""
        if process.stdout is None:
            return True
        line = (await process.stdout.readline()).decode().strip()
        if line:
            self._on_announcement(line)
        return bool(line)


def ending(code: int) -> str:
    """Say how a program ended, as the rest of a sentence about it."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"


def rotate(log: Path) -> None:
    """Put a large log aside, so that logs stay bounded."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > LOG_MAX_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 64 * 1024))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])
