"""What every store does with the engines that administrators have added."""

from dataclasses import replace

import pytest

from zoe.model.engines import AddedEngine
from zoe.store.base import Conflict, Store
from zoe.store.checks import NotStorable

ONE = AddedEngine("n1", "ssh://zoe@n1 cores=8", "ann")
TWO = AddedEngine("n2", "tcp://n2:2376 tls=/etc/n2", "b\u00f6b")


async def test_engines_are_kept_by_name_until_they_have_gone(
    store: Store, another_store: Store
) -> None:
    assert list(await store.engines.read()) == []
    for engine in (TWO, ONE):
        await store.engines.add(engine)
    assert list(await another_store.engines.read()) == [ONE, TWO]
    await another_store.engines.forget("n1")
    assert list(await store.engines.read()) == [ONE, TWO], "nobody has said that it is to go"
    await another_store.engines.let_go("n1", at_once=False)
    await another_store.engines.let_go("nobody\0", at_once=False)
    assert list(await store.engines.read()) == [replace(ONE, leaving=True), TWO]
    await store.engines.let_go("n1", at_once=True)
    assert list(await store.engines.read()) == [replace(ONE, leaving=True, at_once=True), TWO]
    for name in ("n1", "n1", "n2", "nobody\0"):
        await store.engines.forget(name)
    assert list(await another_store.engines.read()) == [TWO]
    await store.engines.add(ONE)
    assert list(await another_store.engines.read()) == [ONE, TWO]


async def test_a_name_is_taken_once(store: Store, another_store: Store) -> None:
    await store.engines.add(ONE)
    with pytest.raises(Conflict, match="n1"):
        await another_store.engines.add(replace(ONE, words="unix:///a.sock"))
    await store.engines.let_go("n1", at_once=False)
    with pytest.raises(Conflict, match="n1"):
        await another_store.engines.add(ONE)
    (kept,) = await store.engines.read()
    assert (kept.words, kept.leaving) == (ONE.words, True)


async def test_what_cannot_be_stored_is_refused(store: Store) -> None:
    with pytest.raises(NotStorable):
        await store.engines.add(replace(ONE, by="a\0b"))
    assert list(await store.engines.read()) == []
