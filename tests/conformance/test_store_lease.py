"""What every store does so that one master leads at a time."""

import asyncio
import time

import pytest

from submissions_for_tests import (
    Q,
    R,
    lead,
    new,
    status,
)
from zoe.store.base import Masters, StaleEpoch, Store


async def test_a_stale_epoch_writes_nothing(store: Store, another_store: Store) -> None:
    made = await store.submit(new())
    for epoch in (0, 1, 99):
        with pytest.raises(StaleEpoch):
            await store.record([status(made.id, Q)], epoch)
    old = await lead(store)
    await store.resign(old)
    with pytest.raises(StaleEpoch):
        await store.record([status(made.id, Q)], old)
    present = await lead(another_store)
    assert present > old
    # Stale comes first, whatever else is wrong.
    for change in (status(made.id, Q), status(made.id, R), status(999, Q)):
        with pytest.raises(StaleEpoch):
            await store.record([change], old)
    with pytest.raises(StaleEpoch):
        await store.renew(old, 5)
    await store.resign(old)
    await another_store.record([status(made.id, Q)], present)
    assert [entry.kind for entry in await store.history(made.id)] == ["submitted", "status"]


async def test_one_leads_at_a_time(store: Store, another_store: Store) -> None:
    epochs = await asyncio.gather(
        *(each.lead("x", 60) for _ in range(10) for each in (store, another_store))
    )
    assert len([epoch for epoch in epochs if epoch is not None]) == 1


async def test_a_lease_ends_with_time(store: Store, another_store: Store) -> None:
    first = await store.lead("first", 0.3)
    assert first is not None
    assert await another_store.lead("second", 60) is None
    await store.renew(first, 0.4)
    deadline = time.monotonic() + 10
    while (second := await another_store.lead("second", 60)) is None:
        assert time.monotonic() < deadline, "the lease does not end"
        await asyncio.sleep(0.02)
    assert second == first + 1
    with pytest.raises(StaleEpoch):
        await store.renew(first, 60)
    assert await store.lead("first", 60) is None
    await another_store.renew(second, 60)


async def test_everybody_learns_who_leads_and_who_stands_by(
    store: Store, another_store: Store
) -> None:
    assert await store.masters() == Masters()
    before = time.time() - 1
    epoch = await store.lead("here:1", 60, "tcp://here:1")
    assert epoch is not None
    assert await another_store.lead("there:2", 60, "tcp://there:2") is None
    assert await another_store.lead("there:2", 60, "tcp://there:2") is None
    for each in (store, another_store):
        found = await each.masters()
        assert found == Masters("here:1", "tcp://here:1", epoch, found.since, ("there:2",))
        assert before < found.since < time.time() + 1
    await store.resign(epoch)
    assert await store.masters() == Masters(epoch=epoch, standby=("there:2",))
    assert await another_store.lead("there:2", 60, "tcp://there:2") == epoch + 1
    found = await store.masters()
    assert (found.leader, found.endpoint, found.standby) == ("there:2", "tcp://there:2", ())


async def test_nobody_leads_when_the_lease_is_over(store: Store) -> None:
    assert await store.lead("here:1", 0.01)
    deadline = time.monotonic() + 10
    while (await store.masters()).leader:
        assert time.monotonic() < deadline, "the lease does not end"
        await asyncio.sleep(0.01)


async def test_who_leads_waits_for_the_next_renewal(store: Store) -> None:
    epoch = await store.lead("here:1", 60)
    assert epoch is not None
    began = time.monotonic()
    assert await store.hold(0.05)
    assert time.monotonic() - began >= 0.05
    await store.renew(epoch, 60)
