"""The embedded PostgreSQL as a program: it ends when it is told, and with its owner."""

# ruff: noqa: ASYNC221 (nothing else runs in these loops that could be held up)

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from embedded_server import ask, processes_of, until

from zoe.store.embedded import EmbeddedPostgres


@pytest.fixture
def owner(folder: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[str], str]]]:
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "zoe.store.embedded", str(folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline())["url"]

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
async def test_the_program_stops_it_when_told(
    owner: Callable[[], tuple[subprocess.Popen[str], str]],
    folder: Path,
    signal_: signal.Signals,
) -> None:
    process, url = owner()
    assert ask(url, "SELECT count(*) FROM execution") == 0
    process.send_signal(signal_)
    assert process.wait(30) == 0
    assert not processes_of(folder)


async def test_it_stops_when_its_owner_is_killed(
    owner: Callable[[], tuple[subprocess.Popen[str], str]], folder: Path
) -> None:
    process, url = owner()
    assert processes_of(folder)
    process.kill()
    process.wait()
    await until(lambda: not processes_of(folder), "PostgreSQL ends with its owner")
    _, again = owner()
    assert again == url


async def test_the_program_ends_when_its_database_does(
    owner: Callable[[], tuple[subprocess.Popen[str], str]], folder: Path
) -> None:
    process, _ = owner()
    pid = EmbeddedPostgres(folder).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert process.wait(30) == 1
    _, url = owner()
    assert ask(url, "SELECT 1") == 1


async def test_the_program_ends_when_its_parent_does(folder: Path) -> None:
    script = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-m', 'zoe.store.embedded', sys.argv[1]],"
        " stdout=subprocess.PIPE)\n"
        "p.stdout.readline()\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, str(folder)], check=True)
    await until(lambda: not processes_of(folder), "PostgreSQL ends with its owner's parent")
