"""Forecasts in a process of their own: they compute, and the master must not wait meanwhile.

``python -m zoe.master.forecasting`` answers one question after the other from stdin on stdout, and
ends with its stdin: when the master goes, however that happens. It runs at a low priority. Messages
are pickled values behind their length; both ends are the same program.
"""

import asyncio
import os
import pickle
import random
import signal
import struct
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import structlog

from zoe.garbage import look_seldom
from zoe.scheduler.snapshot import Snapshot
from zoe.sim.forecast import Bounds, Estimate, forecast

log = structlog.get_logger("master")

AT_ONCE = 2
"""How many processes compute at the same time."""
LATE_SECONDS = 10.0
"""A forecast that takes so much longer than its budget is given up, and its process killed."""
NICENESS = 10
_LENGTH = struct.Struct("!Q")


class ForecastFailed(Exception):
    """There is no answer: the process that computes has died, or took too long."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which starts to predict: of those that wait in the snapshot, or only of ``wanted``."""

    snapshot: Snapshot
    budget_seconds: float
    bounds: Bounds
    wanted: tuple[int, ...] | None = None


class Forecaster(Protocol):
    """Who computes forecasts."""

    async def predict(self, question: Question) -> Mapping[int, Estimate]:
        """Return an estimate for each that was asked for; raises ForecastFailed."""
        ...

    async def close(self) -> None:
        """End what computes."""
        ...


def answer(question: Question) -> dict[int, Estimate]:
    """Compute a forecast within its budget; the same question gets the same luck."""
    began = time.monotonic()
    return forecast(
        question.snapshot,
        question.wanted,
        random.Random(0),
        question.bounds,
        time_spent=lambda: (time.monotonic() - began) / question.budget_seconds,
    )


class ForecastProcesses:
    """Processes that are started when they are asked, and again when they have died.

    There are two at most, so that who asks for a plan need not wait for the forecasts of all.
    """

    def __init__(self) -> None:
        self._idle: list[asyncio.subprocess.Process] = []
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def predict(self, question: Question) -> Mapping[int, Estimate]:
        """Have it computed by a process that does nothing else."""
        message = pickle.dumps(question, pickle.HIGHEST_PROTOCOL)
        async with self._turns:
            process = self._idle.pop() if self._idle else await _start()
            try:
                async with asyncio.timeout(question.budget_seconds + LATE_SECONDS):
                    reply = await _ask(process, message)
            except (OSError, EOFError, TimeoutError) as fault:
                await _kill(process)
                raise ForecastFailed(f"the forecast process gave no answer: {fault!r}") from fault
            except BaseException:  # what it says next would belong to this question
                await _kill(process)
                raise
            self._idle.append(process)
        estimates: Mapping[int, Estimate] = pickle.loads(reply)
        return estimates

    async def close(self) -> None:
        """Kill the processes."""
        while self._idle:
            await _kill(self._idle.pop())


async def _start() -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "zoe.master.forecasting",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
    except OSError as fault:
        raise ForecastFailed(f"the forecast process cannot be started: {fault}") from fault


async def _ask(process: asyncio.subprocess.Process, message: bytes) -> bytes:
    writer, reader = process.stdin, process.stdout
    assert writer is not None
    assert reader is not None
    writer.write(_LENGTH.pack(len(message)) + message)
    await writer.drain()
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return await reader.readexactly(length)


async def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()
    await process.wait()


def serve(questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer until there are no more questions."""
    while header := questions.read(_LENGTH.size):
        (length,) = _LENGTH.unpack(header)
        question: Question = pickle.loads(questions.read(length))
        reply = pickle.dumps(answer(question), pickle.HIGHEST_PROTOCOL)
        answers.write(_LENGTH.pack(len(reply)) + reply)
        answers.flush()


def main() -> int:
    """Run the process; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the master, which then leaves us
    os.nice(NICENESS)
    look_seldom()
    try:
        serve(sys.stdin.buffer, sys.stdout.buffer)
    except BrokenPipeError:
        os._exit(0)  # the master has gone: nobody wants the rest
    return 0


if __name__ == "__main__":
    sys.exit(main())
