"""What the tests of the embedded PostgreSQL ask it, and see of it."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import psycopg


def ask(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        row = connection.execute(question.encode()).fetchone()
        assert row is not None
        return row[0]


def tell(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


async def until(is_so: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline, f"not within 30 s: {what}"
        await asyncio.sleep(0.01)


def processes_of(folder: Path) -> dict[int, bytes]:
    """Return the living processes that work in the cluster of ``folder``, and their commands.

    Workers of the server come and go: the command is read with the rest, and not later.
    """
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == folder / "postgres/cluster":
                found[int(entry.name)] = (entry / "cmdline").read_bytes()
        except OSError:
            continue
    return found
