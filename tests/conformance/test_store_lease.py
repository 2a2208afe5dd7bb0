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
from zoe.store.base import StaleEpoch, Store


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
