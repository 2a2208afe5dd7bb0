"""The supervisor with small programs: they die, do not end, or die for good."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from zoe.cli.supervisor import LOG_MAX_BYTES, Child, GaveUp, Patience, Program, rotate

QUICK = Patience(quick_seconds=5, quick_deaths=3, backoff_seconds=0.01, stop_seconds=0.3)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def program(tmp_path: Path, script: str, *, announces: bool = False) -> Program:
    command = ("sh", "-c", script)
    return Program("dummy", command, tmp_path / "logs/dummy.log", os.environ, announces)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def said() -> list[str]:
    return []


async def test_a_program_that_is_killed_is_started_again(tmp_path: Path, said: list[str]) -> None:
    starts: list[int] = []
    child = Child(
        program(tmp_path, "exec sleep 60"),
        said.append,
        QUICK,
        on_start=lambda: starts.append(child.pid or 0),
    )
    await child.start()
    first = child.pid
    assert first
    os.kill(first, signal.SIGKILL)
    await until(lambda: len(starts) == 2)
    assert starts[0] == first != starts[1]
    assert is_alive(starts[1])
    assert "dummy was killed by SIGKILL; it is started again" in said[0]
    await child.stop()
    assert not is_alive(starts[1])


async def test_one_that_always_dies_is_given_up_with_the_end_of_its_log(
    tmp_path: Path, said: list[str]
) -> None:
    child = Child(program(tmp_path, "echo no room; exit 4"), said.append, QUICK)
    await child.start()
    with pytest.raises(GaveUp, match=r"(?s)ended with 4 3 times in a row; .*dummy.log:.*no room"):
        await child.watch()
    assert len(said) == 2
    await child.stop()


async def test_one_that_is_never_ready_is_given_up_at_its_start(
    tmp_path: Path, said: list[str]
) -> None:
    child = Child(program(tmp_path, "echo broken >&2; exit 1", announces=True), said.append, QUICK)
    with pytest.raises(GaveUp, match="broken"):
        await child.start()


async def test_an_announcement_is_waited_for_at_each_start(tmp_path: Path, said: list[str]) -> None:
    heard: list[str] = []
    script = program(tmp_path, "echo '{\"url\": 1}'; exec sleep 60", announces=True)
    child = Child(script, said.append, QUICK, heard.append)
    await child.start()
    assert heard == ['{"url": 1}']
    os.kill(child.pid or 0, signal.SIGTERM)
    await until(lambda: len(heard) == 2)
    await child.stop()


async def test_one_that_ignores_sigterm_is_killed(tmp_path: Path, said: list[str]) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.05; done"
    child = Child(program(tmp_path, script, announces=True), said.append, QUICK)
    await child.start()
    pid = child.pid
    assert pid
    await child.stop()
    assert not is_alive(pid)
    assert "killed" in said[-1]


async def test_a_program_that_cannot_be_run_is_given_up(tmp_path: Path, said: list[str]) -> None:
    missing = Program("dummy", ("/no/such/program",), tmp_path / "dummy.log", os.environ)
    child = Child(missing, said.append, QUICK)
    await child.start()
    with pytest.raises(GaveUp, match="/no/such/program"):
        await child.watch()


def test_when_the_supervisor_is_killed_nothing_is_left(tmp_path: Path) -> None:
    script = """
        import asyncio, os, sys
        from pathlib import Path
        from zoe.cli.supervisor import Child, Program

        async def main():
            folder = Path(sys.argv[1])
            for name in ("one", "two"):
                program = Program(name, ("sleep", "60"), folder / f"{name}.log", os.environ)
                child = Child(program, print)
                await child.start()
                await asyncio.sleep(0)
                print(child.pid, flush=True)
            await asyncio.sleep(60)

        asyncio.run(main())
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout
        pids = [int(supervisor.stdout.readline()) for _ in range(2)]
        for pid in pids:
            cmdline = Path(f"/proc/{pid}/cmdline")
            asyncio.run(until(lambda path=cmdline: path.read_bytes().startswith(b"sleep")))
        supervisor.kill()
        supervisor.wait()
    asyncio.run(until(lambda: not any(map(is_alive, pids))))


def test_a_large_log_is_put_aside(tmp_path: Path) -> None:
    log = tmp_path / "logs/x.log"
    rotate(log)
    assert log.parent.is_dir()
    with log.open("wb") as file:
        file.truncate(LOG_MAX_BYTES + 1)
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "logs/x.log.1").stat().st_size > LOG_MAX_BYTES
