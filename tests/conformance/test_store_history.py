"""What every store tells of what happened: the history, and hints to those who follow it."""

import asyncio
import dataclasses
from contextlib import aclosing

from submissions_for_tests import (
    NODES,
    STOPPING,
    Q,
    S,
    T,
    instance,
    lead,
    new,
    status,
)
from zoe.model.change import (
    Acknowledge,
    Cause,
    Defer,
    SetNodes,
)
from zoe.model.execution import (
    InstanceStatus,
    Reason,
)
from zoe.store.base import Store

STOPPED = InstanceStatus.STOPPED


async def test_the_cause_of_a_loss_is_in_the_history(store: Store) -> None:
    made = await store.submit(new())
    epoch = await lead(store)
    lost = dataclasses.replace(instance(made.id), cause=Cause("reclaim", 7))
    await store.record([lost, instance(made.id, 1)], epoch)
    causes = [each.detail.get("cause") for each in await store.history(made.id)]
    assert causes == [None, {"rule": "reclaim", "for_execution": 7}, None]


async def test_every_change_has_its_line_of_history(store: Store) -> None:
    made = await store.submit(new())
    epoch = await lead(store)
    room = (Reason("no-room", "no node is large enough"),)
    await store.record([status(made.id, Q, 1.0), Defer(made.id, 2, 1.0, room)], epoch)
    await store.record([Defer(made.id, 1, 2.0, room)], epoch)  # only the place: not worth a line
    await store.request_scale(made.id, "f.s", 1, "bob")
    await store.record([status(made.id, S, 3.0), instance(made.id, at=3.0)], epoch)
    await store.request_stop(made.id, "ann")
    await store.record([status(made.id, STOPPING, 4.0)], epoch)
    await store.record([instance(made.id, 0, STOPPED, at=5.0), status(made.id, T, 6.0)], epoch)
    entries = await store.history(made.id)
    assert [(entry.kind, entry.message) for entry in entries] == [
        ("submitted", "submitted by ann"),
        ("status", "it is queued"),
        ("deferred", "no node is large enough"),
        ("scale-requested", "bob set the elastic instances of f.s to 1"),
        ("status", "it is starting"),
        ("instance", "it is waiting"),
        ("stop-requested", "ann asked to stop it"),
        ("status", "it is stopping"),
        ("instance", "it is stopped"),
        ("status", "it is terminated"),
    ]
    assert [entry.at for entry in entries if entry.kind == "status"] == [1.0, 3.0, 4.0, 6.0]
    assert entries[2].detail == {
        "queue_position": 2,
        "reasons": [{"code": "no-room", "message": "no node is large enough"}],
    }
    assert entries[5].detail["id"] == f"{made.id}/f.s/0"
    assert entries[5].detail["node"] == "node-1"
    assert entries[-1].detail["end"]["outcome"] == "completed"


async def test_history_goes_on_after_an_id(store: Store) -> None:
    first, second = await store.submit(new("a")), await store.submit(new("b"))
    epoch = await lead(store)
    await store.record([status(first.id, Q), status(second.id, Q), status(first.id, S)], epoch)
    everything = await store.history(None)
    ids = [entry.id for entry in everything]
    assert ids == sorted(ids)
    assert len(ids) == 5
    assert await store.history(None, after=ids[1], limit=2) == everything[2:4]
    own = [entry for entry in everything if entry.execution_id == first.id]
    assert await store.history(first.id, after=own[0].id) == own[1:]
    assert await store.history(None, after=ids[-1]) == []
    assert await store.history(None, limit=2, newest=True) == everything[-2:]
    assert await store.history(None, after=ids[3], limit=2, newest=True) == everything[4:]
    assert await store.history(first.id, limit=2, newest=True) == own[-2:]
    assert await store.history(first.id, newest=True) == own


async def test_who_follows_history_misses_nothing(store: Store, another_store: Store) -> None:
    epoch = await lead(store)
    seen: list[int] = []
    running = True

    async def follow() -> None:
        while True:
            more_may_come = running
            entries = await another_store.history(None, after=seen[-1] if seen else 0)
            seen.extend(entry.id for entry in entries)
            if not entries and not more_may_come:
                return
            await asyncio.sleep(0)

    async def live(n: int) -> None:
        made = await another_store.submit(new(f"job-{n}"))
        await asyncio.gather(
            store.record([status(made.id, Q), instance(made.id)], epoch),
            another_store.request_scale(made.id, "f.s", 1, "ann"),
        )

    following = asyncio.create_task(follow())
    await asyncio.gather(*(live(n) for n in range(40)))
    running = False
    await following
    assert seen == [entry.id for entry in await store.history(None)]
    assert len(seen) == 160


async def test_changes_tell_of_every_commit(store: Store, another_store: Store) -> None:
    first = await store.submit(new("a"))
    second = await store.submit(new("b"))
    epoch = await lead(store)
    async with aclosing(another_store.changes()) as one, aclosing(another_store.changes()) as two:
        async with asyncio.timeout(20):
            for changes in (one, two):
                assert await anext(changes) == 0
            await store.request_stop(first.id, "ann")
            for changes in (one, two):
                assert await anext(changes) == first.id
            await store.record([status(second.id, Q), Acknowledge(first.id, 1)], epoch)
            for changes in (one, two):
                assert await anext(changes) == second.id
            await store.record([SetNodes(NODES, 1.0)], epoch)
            for changes in (one, two):
                assert await anext(changes) == 0
            third = await store.submit(new("c"))
            assert await anext(one) == third.id


async def test_a_slow_reader_of_changes_is_told_that_it_missed_some(store: Store) -> None:
    async with aclosing(store.changes()) as changes:
        async with asyncio.timeout(60):
            assert await anext(changes) == 0
            made = await asyncio.gather(*(store.submit(new(f"job-{n}")) for n in range(1100)))
            seen = {await anext(changes)}
            while made[-1].id not in seen and 0 not in seen:
                seen.add(await anext(changes))


async def test_closing_ends_the_readers(store: Store) -> None:
    begun = asyncio.Event()

    async def read() -> None:
        async for execution_id in store.changes():
            assert execution_id == 0
            begun.set()

    reading = asyncio.create_task(read())
    async with asyncio.timeout(20):
        await begun.wait()
        await store.close()
        await reading
