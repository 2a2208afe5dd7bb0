"""Migrations: each once, in order, never changed, never backwards, one runner at a time."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import psycopg
import pytest

from database import Cluster
from zoe.model.execution import EXECUTION_TRANSITIONS, INSTANCE_TRANSITIONS
from zoe.store.base import Masters, StoreUnavailable
from zoe.store.migrate import Migration, SchemaMismatch, migrate, read_migrations
from zoe.store.postgres import PostgresStore
from zoe.store.programs import find_programs

ONE = Migration(1, "0001_one", "CREATE TABLE one (x int); INSERT INTO one VALUES (1);")
TWO = Migration(2, "0002_two", "CREATE TABLE two (x int);")
APPLIED = [f"applied {migration.name}\n" for migration in read_migrations()]
BROKEN = Migration(2, "0002_two", "CREATE TABLE two (x int); SELECT 1 / 0;")


@pytest.fixture
def empty_url(embedded_cluster: Cluster) -> Iterator[str]:
    with embedded_cluster.database("template1") as url:
        yield url


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        return {row[0] for row in connection.execute(query)}


async def test_each_is_applied_once(empty_url: str) -> None:
    assert await migrate(empty_url, [ONE]) == ["0001_one"]
    assert await migrate(empty_url, [ONE, TWO]) == ["0002_two"]
    assert await migrate(empty_url, [ONE, TWO]) == []
    assert tables(empty_url) == {"schema_migration", "one", "two"}


async def test_many_runners_apply_each_once(empty_url: str) -> None:
    done = await asyncio.gather(*(migrate(empty_url, [ONE, TWO]) for _ in range(8)))
    assert sorted(name for names in done for name in names) == ["0001_one", "0002_two"]


async def test_a_failing_one_leaves_nothing(empty_url: str) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(empty_url, [ONE, BROKEN])
    assert tables(empty_url) == {"schema_migration", "one"}
    assert await migrate(empty_url, [ONE, TWO]) == ["0002_two"]


async def test_a_changed_one_is_refused(empty_url: str) -> None:
    await migrate(empty_url, [ONE])
    changed = Migration(1, "0001_one", ONE.text + " -- harmless")
    with pytest.raises(SchemaMismatch, match="0001_one is not the one"):
        await migrate(empty_url, [changed, TWO])
    assert "two" not in tables(empty_url)


async def test_a_newer_database_is_refused(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "INSERT INTO schema_migration (number, name, sha256) VALUES (99, '0099_moon', '')"
        )
    with pytest.raises(SchemaMismatch, match=r"newer version of Zoe .0099_moon") as refusal:
        await migrate(postgres_url)
    assert "backup" in refusal.value.hint
    with pytest.raises(SchemaMismatch, match="newer version"):
        await PostgresStore(postgres_url).open()


async def test_no_database_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await migrate(f"postgresql:///zoe?host={tmp_path}")


def test_as_a_program(empty_url: str) -> None:
    command = [sys.executable, "-m", "zoe.store.migrate", empty_url]
    first, second, bad = (
        subprocess.run(each, capture_output=True, text=True, check=False)
        for each in (command, command, [*command[:-1], "postgresql:///?host=/nowhere"])
    )
    assert (first.returncode, first.stdout) == (0, "".join(APPLIED))
    assert (second.returncode, second.stdout) == (0, "nothing to do\n")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "could not be migrated" in bad.stderr


async def test_the_schema_is_the_sum_of_the_migrations(postgres_url: str, empty_url: str) -> None:
    with psycopg.connect(empty_url) as connection:
        connection.execute((files("zoe.store") / "schema.sql").read_bytes())
    assert dump(postgres_url) == dump(empty_url)


def dump(url: str) -> list[str]:
    pg_dump = find_programs(None, None)["pg_dump"]
    command = [pg_dump, "--no-owner", "--inserts", "-T", "schema_migration", url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if not line.startswith("\\")]


def test_the_database_knows_the_transitions_of_the_model(postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        for table, transitions in (
            ("execution_transition", EXECUTION_TRANSITIONS),
            ("instance_transition", INSTANCE_TRANSITIONS),
        ):
            rows = connection.execute(f"SELECT old, new FROM {table}".encode()).fetchall()
            assert set(rows) == {(old, new) for old, news in transitions.items() for new in news}


async def test_executions_that_are_there_already_are_counted(empty_url: str) -> None:
    first, counts, *_ = read_migrations()
    await migrate(empty_url, [first])
    new = (
        "INSERT INTO execution (name, owner, zapp, source, submitted_at) "
        "VALUES ('x', 'ann', '{}', '', 0)"
    )
    with psycopg.connect(empty_url) as connection:
        for _ in range(2):
            connection.execute(new.encode())
    await migrate(empty_url, [first, counts])
    with psycopg.connect(empty_url) as connection:
        connection.execute(new.encode())
        connection.execute("UPDATE execution SET status = 'queued' WHERE id = 1")
        connection.execute("UPDATE execution SET desired = 'stop' WHERE id = 1")
        connection.execute("DELETE FROM execution WHERE id = 2")
        counted = "SELECT status, count FROM execution_count ORDER BY status"
        rows = connection.execute(counted).fetchall()
    assert rows == [("queued", 1), ("submitted", 1)]


async def test_executions_that_are_there_already_run_for_no_team(empty_url: str) -> None:
    first, counts, forecast, accounts, *_ = read_migrations()
    await migrate(empty_url, [first, counts, forecast])
    with psycopg.connect(empty_url) as connection:
        connection.execute(
            "INSERT INTO execution (name, owner, zapp, source, submitted_at) "
            "VALUES ('x', 'ann', '{}', '', 0)"
        )
    assert await migrate(empty_url, [first, counts, forecast, accounts]) == [accounts.name]
    with psycopg.connect(empty_url) as connection:
        rows = connection.execute("SELECT team, time_limit_seconds FROM execution").fetchall()
        assert rows == [("", None)]
        assert connection.execute("SELECT version FROM share_version").fetchall() == [(0,)]


async def test_executions_that_are_there_already_keep_no_minimum(empty_url: str) -> None:
    *earlier, minimum, balance, mark, use, masters, engine = read_migrations()
    await migrate(empty_url, earlier)
    with psycopg.connect(empty_url) as connection:
        connection.execute(
            "INSERT INTO execution (name, owner, zapp, source, submitted_at, elastic) "
            """VALUES ('x', 'ann', '{}', '', 0, '{"f.s": 3}')"""
        )
    assert await migrate(empty_url, [*earlier, minimum]) == [minimum.name]
    assert await migrate(empty_url) == [
        balance.name,
        mark.name,
        use.name,
        masters.name,
        engine.name,
    ]
    with psycopg.connect(empty_url) as connection:
        rows = connection.execute("SELECT elastic, elastic_min FROM execution").fetchall()
        assert rows == [({"f.s": 3}, {})]
        assert connection.execute("SELECT * FROM balance").fetchall() == []
        assert connection.execute("SELECT * FROM instance_use").fetchall() == []
        assert connection.execute("SELECT * FROM engine").fetchall() == []
        # What was used of an execution that was there before goes with it.
        connection.execute(
            "INSERT INTO instance_use VALUES (1, '1/f.s/0', 1, 0, 0, 0, 0, 0, NULL, NULL, 0)"
        )
        connection.execute("DELETE FROM execution")
        assert connection.execute("SELECT * FROM instance_use").fetchall() == []


async def test_a_master_that_leads_already_is_reached_where_the_setting_says(
    empty_url: str,
) -> None:
    *earlier, masters = read_migrations()
    await migrate(empty_url, earlier)
    with psycopg.connect(empty_url) as connection:
        connection.execute(
            "UPDATE leader SET epoch = 3, holder = 'h:1', expires_at = now() + interval '1 hour'"
        )
    assert await migrate(empty_url) == [masters.name]
    store = PostgresStore(empty_url)
    await store.open()
    assert await store.masters() == Masters("h:1", "", 3, 0.0)
    await store.close()


def test_the_migrations_are_numbered() -> None:
    assert [each.number for each in read_migrations()] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
