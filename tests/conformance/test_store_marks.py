"""What every store does with the marks of nodes."""

import pytest

from zoe.model.cluster import NodeMark, NodeStatus
from zoe.store.base import Store
from zoe.store.checks import NotStorable

CORDONED, DRAINING = NodeStatus.CORDONED, NodeStatus.DRAINING


async def test_marks_are_kept_by_name_and_the_last_one_counts(
    store: Store, another_store: Store
) -> None:
    assert list(await store.marks.read()) == []
    last = NodeMark("n1", DRAINING, "bob", "new disk, \u00fcber Nacht")
    for mark in (NodeMark("n2", CORDONED, "ann"), NodeMark("n1", CORDONED, "ann"), last):
        await store.marks.put(mark)
    assert list(await another_store.marks.read()) == [last, NodeMark("n2", CORDONED, "ann")]
    await another_store.marks.remove("n1")
    await another_store.marks.remove("n1")
    await another_store.marks.remove("nobody\0")
    assert [mark.name for mark in await store.marks.read()] == ["n2"]


async def test_what_cannot_be_stored_is_refused(store: Store) -> None:
    with pytest.raises(NotStorable):
        await store.marks.put(NodeMark("n1", CORDONED, "ann", "a\0b"))
    assert list(await store.marks.read()) == []
