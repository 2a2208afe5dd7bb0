"""What every store does with users, teams and their shares."""

import asyncio

import pytest

from submissions_for_tests import SMALL, Q, R, S, T, new, status, way_to
from zoe.model.change import SetStatus
from zoe.model.execution import ExecutionStatus
from zoe.model.quota import Accounts, Quota, Team, User
from zoe.model.resources import Resources
from zoe.store.base import NewExecution, NotFound, Store

QUOTA = Quota(2500, 2**34, 0, 3, 1, 7200.5)
ANN = User("ann", ("physics", "art"), 2.5, QUOTA)
PHYSICS = Team("physics", 0.5, Resources(16_000, 2**36, 1), Quota(gpus=4))


async def test_at_first_there_is_nobody(store: Store) -> None:
    assert await store.accounts.read() == Accounts()
    assert await store.accounts.version() == 0


async def test_what_is_put_comes_back_as_it_was(store: Store, another_store: Store) -> None:
    await store.accounts.put_user(ANN)
    await store.accounts.put_team(PHYSICS)
    await store.accounts.put_user(User("bob"))
    read = await another_store.accounts.read()
    assert dict(read.users) == {"ann": ANN, "bob": User("bob")}
    assert dict(read.teams) == {"physics": PHYSICS}


async def test_each_change_has_another_version(store: Store, another_store: Store) -> None:
    book, versions = store.accounts, [0]
    for change in (
        book.put_user(ANN),
        book.put_user(User("ann")),
        book.put_team(PHYSICS),
        book.remove_user("ann"),
        book.remove_team("physics"),
    ):
        await change
        versions.append(await another_store.accounts.version())
        assert (await another_store.accounts.read()).version == versions[-1]
    assert versions == sorted(set(versions))
    assert not (await book.read()).users


async def test_the_last_of_many_at_once_wins_and_none_is_lost(
    store: Store, another_store: Store
) -> None:
    books = (store.accounts, another_store.accounts)
    before = await store.accounts.version()
    await asyncio.gather(
        *(books[n % 2].put_user(User(f"u{n % 5}", weight=n + 1.0)) for n in range(40))
    )
    read = await store.accounts.read()
    assert set(read.users) == {f"u{n}" for n in range(5)}
    assert read.version == before + 40


@pytest.mark.parametrize("name", ["nobody", "", "\x00", "a'; DROP TABLE user_share; --"])
async def test_only_who_is_there_can_be_removed(store: Store, name: str) -> None:
    await store.accounts.put_user(ANN)
    version = await store.accounts.version()
    with pytest.raises(NotFound, match="no user"):
        await store.accounts.remove_user(name)
    with pytest.raises(NotFound, match="no team"):
        await store.accounts.remove_team(name)
    assert await store.accounts.version() == version


async def test_an_execution_keeps_its_team(store: Store, another_store: Store) -> None:
    made = await store.submit(NewExecution("job", "ann", SMALL, "zoe: 4", team="physics"))
    alone = await store.submit(new())
    assert (made.team, alone.team) == ("physics", "")
    assert (await another_store.get(made.id)).team == "physics"
    assert [each.team for each in await another_store.load()] == ["physics", ""]


async def test_the_time_limit_that_a_quota_sets_is_kept(store: Store, another_store: Store) -> None:
    epoch = await store.lead("test", 60)
    assert epoch is not None
    made = await store.submit(new())
    starting = SetStatus(made.id, S, 2.0, "it has room", time_limit_seconds=30.5)
    await store.record([status(made.id, Q), starting], epoch)
    await store.record([status(made.id, R)], epoch)
    found = await another_store.get(made.id)
    assert (found.time_limit_seconds, found.limit_seconds) == (30.5, 30.5)
    free = await store.submit(new())
    await store.record(way_to(free.id, T), epoch)
    found = await another_store.get(free.id)
    assert (found.status, found.limit_seconds) == (ExecutionStatus.TERMINATED, None)
