"""The store when PostgreSQL is killed, hangs or is another version: nothing promised is lost."""

# ruff: noqa: ASYNC220 (nothing else runs in these loops that could be held up)

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import psutil
import psycopg
import pytest
import pytest_asyncio

from database import Cluster, running_cluster
from submissions_for_tests import Q, R, new, status
from zoe.model.errors import IllegalTransition
from zoe.store.base import StaleEpoch, Store, StoreUnavailable
from zoe.store.migrate import SchemaMismatch, migrate
from zoe.store.postgres import PostgresStore


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A PostgreSQL of its own, since it will be killed."""
    with running_cluster(tmp_path) as running:
        yield running


@pytest_asyncio.fixture
async def mortal(cluster: Cluster) -> AsyncIterator[PostgresStore]:
    """A store on a PostgreSQL that will be killed."""
    await migrate(cluster.url)
    store = PostgresStore(cluster.url)
    await store.open()
    yield store
    await store.close()


@pytest_asyncio.fixture
async def lasting(postgres_url: str) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_url)
    await store.open()
    yield store
    await store.close()


def kill(cluster: Cluster) -> None:
    pid = cluster.postgres.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


async def restart(cluster: Cluster) -> None:
    deadline = time.monotonic() + 30
    while cluster.postgres.is_alive():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    await cluster.postgres.start()


async def eventually(action: Callable[[], Awaitable[object]], seconds: float = 20) -> object:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await action()
        except StoreUnavailable:
            assert time.monotonic() < deadline, "it does not come back"
            await asyncio.sleep(0.02)


async def test_nothing_acknowledged_is_lost(cluster: Cluster, mortal: PostgresStore) -> None:
    acknowledged: list[int] = []
    ends = False

    async def submit(worker: int) -> None:
        n = 0
        while not ends:
            n += 1
            try:
                made = await mortal.submit(new(f"job-{worker}-{n}", key=f"{worker}-{n}"))
            except StoreUnavailable:
                await asyncio.sleep(0.01)  # it may also have come back before anybody noticed
            else:
                acknowledged.append(made.id)

    workers = [asyncio.create_task(submit(n)) for n in range(8)]
    for _ in range(3):
        before = len(acknowledged)
        while len(acknowledged) < before + 50:
            await asyncio.sleep(0.005)
        kill(cluster)
        await restart(cluster)
    before = len(acknowledged)
    while len(acknowledged) < before + 50:
        await asyncio.sleep(0.005)
    ends = True
    await asyncio.gather(*workers)
    alive = {execution.id for execution in await mortal.load()}
    assert set(acknowledged) <= alive
    assert len(acknowledged) == len(set(acknowledged))
    submitted = [entry.execution_id for entry in await mortal.history(None, limit=10**6)]
    assert set(submitted) == alive


async def test_calls_say_so_while_it_is_down_and_work_afterwards(
    cluster: Cluster, mortal: PostgresStore
) -> None:
    made = await mortal.submit(new())
    epoch = await mortal.lead("me", 60)
    assert epoch is not None
    children = psutil.Process(cluster.postgres.pid).children()
    kill(cluster)
    psutil.wait_procs(children, 10)  # until they notice, they go on answering
    for call in (
        lambda: mortal.get(made.id),
        lambda: mortal.submit(new()),
        lambda: mortal.record([status(made.id, Q)], epoch),
        lambda: mortal.renew(epoch, 60),
        lambda: mortal.lead("you", 60),
    ):
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await call()
        assert time.monotonic() - begun < 8
    await restart(cluster)
    await eventually(lambda: mortal.record([status(made.id, Q)], epoch))
    await eventually(lambda: mortal.renew(epoch, 60))
    assert (await mortal.get(made.id)).status is Q
    assert [each.id for each in await mortal.load()] == [made.id]


async def test_a_restart_between_two_calls_is_not_noticed(
    cluster: Cluster, mortal: PostgresStore
) -> None:
    made = await mortal.submit(new())
    kill(cluster)
    await restart(cluster)
    assert await mortal.get(made.id) == made


async def test_changes_go_on_after_a_restart(cluster: Cluster, mortal: PostgresStore) -> None:
    async with aclosing(mortal.changes()) as changes, asyncio.timeout(60):
        assert await anext(changes) == 0
        kill(cluster)
        await restart(cluster)
        assert await anext(changes) == 0
        made = await mortal.submit(new())
        assert await anext(changes) == made.id


async def test_changes_wait_for_a_database_that_comes_later(cluster: Cluster) -> None:
    await migrate(cluster.url)
    kill(cluster)
    store = PostgresStore(cluster.url)
    with pytest.raises(StoreUnavailable):
        await store.open()
    reading = asyncio.create_task(anext(store.changes()))
    await restart(cluster)
    async with asyncio.timeout(30):
        assert await reading == 0
    await store.open()
    assert await store.load() == []
    await store.close()


async def test_a_hanging_database_is_given_up(
    cluster: Cluster, mortal: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoe.store.database.CALL_SECONDS", 0.5)
    made = await mortal.submit(new())
    backends = [
        child.pid
        for child in psutil.Process(cluster.postgres.pid).children()
        if "postgres: zoe" in child.cmdline()[0]
    ]
    assert backends
    for pid in backends:
        os.kill(pid, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable, match=r"did not answer|cannot be reached"):
            await mortal.get(made.id)
        assert time.monotonic() - begun < 10
    finally:
        for pid in backends:
            os.kill(pid, signal.SIGCONT)
    monkeypatch.undo()
    assert await eventually(lambda: mortal.get(made.id)) == made


async def test_a_locked_table_is_given_up(
    lasting: PostgresStore, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoe.store.database.CALL_SECONDS", 1.0)
    made = await lasting.submit(new())
    with psycopg.connect(postgres_url) as blocker:
        blocker.execute("LOCK TABLE execution")
        with pytest.raises(StoreUnavailable):
            await lasting.request_stop(made.id, "ann")
    monkeypatch.undo()
    assert (await lasting.request_stop(made.id, "ann")).generation == 2


async def test_a_stopped_client_does_not_block_the_others(
    lasting: PostgresStore, postgres_url: str
) -> None:
    script = (
        "import asyncio, sys\n"
        "from zoe.store.database import Database\n"
        "from zoe.store.queries import QUERIES\n"
        "async def work(connection):\n"
        "    await connection.execute(QUERIES['lock_history'])\n"
        "    print('locked', flush=True)\n"
        "    import signal, os; os.kill(os.getpid(), signal.SIGSTOP)\n"
        "async def main():\n"
        "    database = Database(sys.argv[1], 2)\n"
        "    await database.open()\n"
        "    await database.run(work)\n"
        "asyncio.run(main())\n"
    )
    stopped = subprocess.Popen(
        [sys.executable, "-c", script, postgres_url], stdout=subprocess.PIPE, text=True
    )
    try:
        assert stopped.stdout is not None
        assert stopped.stdout.readline() == "locked\n"
        assert await eventually(lambda: lasting.submit(new()))
    finally:
        stopped.kill()
        stopped.wait()
        assert stopped.stdout is not None
        stopped.stdout.close()


async def test_a_killed_leader_is_followed_at_once(
    lasting: PostgresStore, postgres_url: str
) -> None:
    script = (
        "import asyncio, sys, time\n"
        "from zoe.store.postgres import PostgresStore\n"
        "async def main():\n"
        "    store = PostgresStore(sys.argv[1])\n"
        "    await store.open()\n"
        "    print(await store.lead('child', 3600), flush=True)\n"
        "    while True:\n"
        "        await asyncio.sleep(1)\n"
        "asyncio.run(main())\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, postgres_url], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        epoch = int(child.stdout.readline())
        assert await lasting.lead("me", 60) is None
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
    deadline = time.monotonic() + 10
    while (mine := await lasting.lead("me", 60)) is None:
        assert time.monotonic() < deadline, "the lease of a dead leader is still honoured"
        await asyncio.sleep(0.01)
    assert mine == epoch + 1
    with pytest.raises(StaleEpoch):
        await lasting.renew(epoch, 60)


async def test_the_old_leader_s_lock_does_not_cost_the_new_one_its_lease(
    lasting: PostgresStore, postgres_url: str
) -> None:
    old, third = PostgresStore(postgres_url), PostgresStore(postgres_url)
    await old.open()
    await third.open()
    try:
        assert await old.lead("old", 0.01)  # it never renews, and keeps its session
        deadline = time.monotonic() + 10
        while (epoch := await lasting.lead("new", 60)) is None:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
    finally:
        await old.close()
    assert await third.lead("third", 60) is None
    await lasting.renew(epoch, 60)
    await third.close()


async def test_a_leader_whose_connection_is_ended_hears_of_it_and_goes_on_leading(
    lasting: PostgresStore, postgres_url: str
) -> None:
    follower = PostgresStore(postgres_url)
    await follower.open()
    epoch = await lasting.lead("me", 60)
    assert epoch is not None
    for _ in range(3):
        holding = asyncio.create_task(lasting.hold(60))
        await asyncio.sleep(0)
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
                " AND objid = %s AND mode = 'ExclusiveLock'",
                [epoch],
            )
        assert not await asyncio.wait_for(holding, 5)
        await lasting.renew(epoch, 60)
        assert await follower.lead("you", 60) is None, "the lock is held again"
    await follower.close()


async def test_who_asks_whether_it_can_lead_keeps_no_leader_from_its_lock(
    lasting: PostgresStore, postgres_url: str
) -> None:
    """The question takes the lock for a moment: a leader that comes back just then tries again."""
    epoch = await lasting.lead("me", 60)
    assert epoch is not None
    await lasting._lease._close_session()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(1517249864, %s::integer)", [epoch])
        renewing = asyncio.create_task(lasting.renew(epoch, 60))
        done, _ = await asyncio.wait({renewing}, timeout=0.1)
        assert not done
    await renewing
    follower = PostgresStore(postgres_url)
    await follower.open()
    assert await follower.lead("you", 60) is None
    await follower.close()


async def test_the_database_refuses_without_us_too(
    lasting: PostgresStore, postgres_url: str
) -> None:
    made = await lasting.submit(new())
    for statement, words in {
        "UPDATE execution SET status = 'running'": "cannot go from submitted to running",
        "UPDATE execution SET status = 'submitted'": "cannot go from submitted to submitted",
        "UPDATE execution SET status = 'odd'": "cannot go|check",
        "UPDATE execution SET acknowledged_generation = 9": "acknowledged_is_asked",
        "UPDATE execution SET desired = 'dance'": "check constraint",
        "UPDATE execution SET ended_at = 1": "ended_has_time",
        "INSERT INTO execution (name, owner, zapp, source, submitted_at, status)"
        " VALUES ('', '', '{}', '', 0, 'running')": "begins as submitted",
        "SELECT fence(7)": "does not hold the lease",
    }.items():
        with (
            psycopg.connect(postgres_url) as connection,
            pytest.raises(psycopg.DatabaseError, match=words),
        ):
            connection.execute(statement.encode())
    assert await lasting.get(made.id) == made
    epoch = await lasting.lead("me", 60)
    assert epoch is not None
    with pytest.raises(IllegalTransition, match="submitted to running"):
        await lasting.record([status(made.id, R)], epoch)


async def test_a_store_that_is_not_open_says_so() -> None:
    store: Store = PostgresStore("postgresql://nobody@/nothing")
    with pytest.raises(StoreUnavailable, match="not open"):
        await store.load()
    await store.close()


async def test_an_address_where_nobody_listens_is_given_up(tmp_path: Path) -> None:
    store = PostgresStore(f"postgresql://zoe:s3cret@/zoe?host={tmp_path}")
    begun = time.monotonic()
    with pytest.raises(StoreUnavailable) as refusal:
        await store.open()
    assert time.monotonic() - begun < 15
    assert "s3cret" not in str(refusal.value)


async def test_an_empty_database_is_refused_with_instructions(
    embedded_cluster: Cluster,
) -> None:
    with embedded_cluster.database("template1") as url:
        store = PostgresStore(url)
        with pytest.raises(SchemaMismatch, match="0001_foundation") as refusal:
            await store.open()
        assert "zoe.store.migrate" in refusal.value.hint
        await migrate(url)
        await store.open()
        await store.close()
