"""The small parts of the store that need no database."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import psycopg
import pytest

from submissions_for_tests import SMALL, new
from zoe.model.execution import Execution
from zoe.store.base import NewExecution, StoreUnavailable
from zoe.store.database import Connection
from zoe.store.hints import PENDING_MAX, Hints
from zoe.store.listener import PAYLOAD_IDS, Listener, payload_of
from zoe.store.queries import QUERIES, read_queries
from zoe.store.submissions import BATCH, Submissions


def test_statements_are_named_and_inserted() -> None:
    text = "-- about\n-- name: a\nx\n\n-- name: b\nSELECT {a}, '{}', {c}\n-- name: c\ny\n"
    assert read_queries(text) == {"a": b"x", "b": b"SELECT x, '{}', {c}", "c": b"y"}
    with pytest.raises(AssertionError, match="called a"):
        read_queries("-- name: a\nx\n-- name: a\ny\n")


def test_no_insertion_is_left_open() -> None:
    assert not [name for name, text in QUERIES.items() if b"{" in text]


@pytest.mark.parametrize(
    ("ids", "payload"),
    [({3, 1}, "1,3"), ({0, 1}, "0"), (set(range(1, PAYLOAD_IDS + 2)), "0")],
)
def test_a_payload_fits(ids: set[int], payload: str) -> None:
    assert payload_of(ids) == payload
    assert len(payload_of(set(range(2**63 - PAYLOAD_IDS, 2**63)))) < 8000


async def test_hints_merge_while_nobody_reads() -> None:
    hints = Hints()
    async with aclosing(hints.read(at_first=True)) as reader:
        assert await anext(reader) == 0
        for execution_id in (1, 2, 1, 2):
            hints.publish(execution_id)
        assert [await anext(reader), await anext(reader)] == [1, 2]
        for execution_id in range(1, PENDING_MAX + 3):
            hints.publish(execution_id)
        hints.publish(1)
        assert await anext(reader) == 0
        hints.publish(7)
        assert await anext(reader) == 7
        hints.close()
        assert [each async for each in reader] == []


class Disk:
    """Commits batches when it is told to; refuses those that have a bad one."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.may_commit = asyncio.Event()

    async def write(self, batch: Sequence[NewExecution]) -> Sequence[Execution]:
        self.sizes.append(len(batch))
        await self.may_commit.wait()
        if any(each.name == "away" for each in batch):
            raise StoreUnavailable
        if any(each.name == "bad" for each in batch):
            raise ValueError("bad")
        return [Execution(1, each.name, each.owner, SMALL, 0.0) for each in batch]


async def begin(submissions: Submissions, *names: str) -> list[asyncio.Task[Execution]]:
    tasks = [asyncio.create_task(submissions.submit(new(name))) for name in names]
    await asyncio.sleep(0)
    return tasks


async def test_what_comes_during_a_commit_goes_together() -> None:
    disk = Disk()
    submissions = Submissions(disk.write)
    first = await begin(submissions, "first")
    await asyncio.sleep(0)
    others = await begin(submissions, *(f"job-{n}" for n in range(BATCH + 5)))
    disk.may_commit.set()
    made = await asyncio.gather(*first, *others)
    assert disk.sizes == [1, BATCH, 5]
    assert [each.name for each in made] == ["first", *(f"job-{n}" for n in range(BATCH + 5))]


async def test_a_bad_one_is_told_alone() -> None:
    disk = Disk()
    disk.may_commit.set()
    tasks = await begin(Submissions(disk.write), "a", "bad", "b")
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [getattr(each, "name", str(each)) for each in answers] == ["a", "bad", "b"]
    assert disk.sizes == [3, 1, 1, 1]


async def test_all_are_told_that_the_store_is_away() -> None:
    disk = Disk()
    disk.may_commit.set()
    submissions = Submissions(disk.write)
    answers = await asyncio.gather(*await begin(submissions, "a", "away"), return_exceptions=True)
    assert [type(each) for each in answers] == [StoreUnavailable] * 2
    assert disk.sizes == [2]
    assert (await submissions.submit(new("later"))).name == "later"


async def test_who_does_not_wait_any_more_holds_up_nobody() -> None:
    disk = Disk()
    submissions = Submissions(disk.write)
    gone, there = await begin(submissions, "gone", "there")
    gone.cancel()
    disk.may_commit.set()
    assert (await there).name == "there"
    await submissions.close()


async def test_a_listener_closes_though_its_connection_breaks() -> None:
    """The rest of the store is closed after it: a pool left open would outlive its program."""
    connecting = asyncio.Event()

    async def connect() -> Connection:
        connecting.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise psycopg.OperationalError("the server closed the connection unexpectedly")

    listener = Listener(connect)
    reader = asyncio.create_task(anext(listener.read()))
    await connecting.wait()
    await listener.close()
    with pytest.raises(StopAsyncIteration):
        await reader
