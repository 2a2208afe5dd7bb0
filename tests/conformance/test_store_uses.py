"""What every store does with what instances and nodes used."""

from dataclasses import replace

import pytest

from submissions_for_tests import lead, new
from zoe.model.change import Forget, SetStatus
from zoe.model.execution import ExecutionEnd, ExecutionStatus, Outcome
from zoe.model.use import InstanceUse, NodeUse
from zoe.store.base import StaleEpoch, Store

HOUR, DAY = 3600.0, 86400.0
GIB = 2**30


def use(execution_id: int, ordinal: int = 0, **fields: object) -> InstanceUse:
    made = InstanceUse(f"{execution_id}/f.s/{ordinal}", 1, 10.0, 500, GIB, GIB, 1.5, None, 7)
    return replace(made, **fields)  # type: ignore[arg-type]  # its own fields


def minute(at: float, name: str = "n1", **fields: object) -> NodeUse:
    made = NodeUse(name, at, 60.0, 1000, GIB, 2 * GIB, 8 * GIB, 1.0, None)
    return replace(made, **fields)  # type: ignore[arg-type]  # its own fields


async def test_the_last_use_counts_and_what_grows_never_becomes_less(
    store: Store, another_store: Store
) -> None:
    one = (await store.submit(new("one"))).id
    assert list(await store.uses.of_execution(one)) == []
    epoch = await lead(store)
    await store.uses.put([use(one), use(one, 1, network_bytes=5), use(one + 99)], [], epoch)
    later = use(
        one,
        at=20.0,
        cores_milli=100,
        memory_bytes=5,
        peak_bytes=5,
        core_seconds=1.0,
        disk_bytes=None,
    )
    await store.uses.put([later, use(one, attempt=2)], [], epoch)
    grown = replace(later, peak_bytes=GIB, core_seconds=1.5, disk_bytes=7)
    assert list(await another_store.uses.of_execution(one)) == [
        grown,
        use(one, attempt=2),
        use(one, 1, network_bytes=5),
    ]
    assert list(await another_store.uses.of_execution(one + 99)) == []


async def test_uses_go_with_their_execution(store: Store) -> None:
    one = (await store.submit(new("one"))).id
    epoch = await lead(store)
    await store.uses.put([use(one)], [], epoch)
    await store.request_delete(one, "ann")
    end = ExecutionEnd(Outcome.STOPPED, "stopped")
    await store.record(
        [SetStatus(one, ExecutionStatus.TERMINATED, 1.0, "stopped", end), Forget(one)], epoch
    )
    assert list(await store.uses.of_execution(one)) == []


async def test_minutes_of_nodes_become_hours_and_are_forgotten_in_the_end(
    store: Store, another_store: Store
) -> None:
    epoch = await lead(store)
    now = 10 * DAY
    old = now - DAY - 2 * HOUR
    minutes = [
        minute(old + 1),
        minute(old + 61, cores_milli=4000, seconds=180.0, peak_bytes=3 * GIB, memory_stall=None),
        minute(old + HOUR + 1, cpu_stall=2.5),
        minute(now - 100),
        minute(old + 1, "n2", cores_milli=1),
    ]
    await store.uses.put([], minutes, epoch)
    await store.uses.put([], minutes[:1], epoch)
    assert [each.at for each in await another_store.uses.of_node("n1", old + 61)] == [
        old + 61,
        old + HOUR + 1,
        now - 100,
    ]
    for _ in range(2):
        await store.uses.condense(now, kept_days=30, epoch=epoch)
        assert list(await another_store.uses.of_node("n1", 0)) == [
            minute(old + 1, seconds=240.0, cores_milli=3250, peak_bytes=3 * GIB),
            minute(old + HOUR + 1, cpu_stall=2.5),
            minute(now - 100),
        ]
    await store.uses.condense(now + 2 * HOUR, kept_days=1, epoch=epoch)
    assert [each.at for each in await store.uses.of_node("n1", 0)] == [now - 100]
    assert list(await store.uses.of_node("n2", 0)) == []
    assert list(await store.uses.of_node("nobody\0", 0)) == []


async def test_who_does_not_lead_writes_nothing(store: Store) -> None:
    one = (await store.submit(new("one"))).id
    epoch = await lead(store)
    await store.uses.put([], [minute(1.0)], epoch)
    await store.resign(epoch)
    for stale in (0, epoch, epoch + 1):
        with pytest.raises(StaleEpoch):
            await store.uses.put([use(one)], [minute(2.0)], stale)
        with pytest.raises(StaleEpoch):
            await store.uses.condense(30 * DAY, 1, stale)
    assert list(await store.uses.of_execution(one)) == []
    assert [each.at for each in await store.uses.of_node("n1", 0)] == [1.0]
