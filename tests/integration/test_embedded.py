"""The embedded PostgreSQL: made, adopted, recovered, refused politely."""

# ruff: noqa: ASYNC220, ASYNC240 (nothing else runs in these loops that could be held up)

import asyncio
import os
import signal
import stat
import subprocess
from pathlib import Path

import psycopg
import pytest
from embedded_server import ask, processes_of, tell, until

from database import debian_bin
from zoe.store.embedded import EmbeddedPostgres
from zoe.store.programs import EmbeddedFailed


async def test_the_first_start_makes_it_and_the_next_keeps_it(
    postgres: EmbeddedPostgres, folder: Path
) -> None:
    url = await postgres.start()
    tell(url, "CREATE TABLE kept AS SELECT 7 AS x")
    assert ask(url, "SELECT current_user || current_database()") == "zoezoe"
    assert ask(url, "SHOW server_encoding") == "UTF8"
    assert ask(url, "SHOW listen_addresses") == ""
    assert ask(url, "SHOW fsync") == "on"
    assert ask(url, "SHOW timezone") == "UTC"
    await postgres.stop()
    assert not postgres.is_alive()
    assert not processes_of(folder)
    assert await postgres.start() == url
    assert ask(url, "SELECT x FROM kept") == 7


async def test_secrets_are_private(postgres: EmbeddedPostgres, folder: Path) -> None:
    url = await postgres.start()
    # The sockets lie beside the cluster, or elsewhere where its path is too long for one.
    run = Path(str(ask(url, "SHOW unix_socket_directories")))
    for path, mode in {
        folder / "postgres/password": 0o600,
        folder / "postgres/cluster": 0o700,
        run: 0o700,
        folder / "postgres/postgres.log": 0o600,
    }.items():
        assert stat.S_IMODE(path.stat().st_mode) == mode, path
    password = (folder / "postgres/password").read_text()
    assert len(password) >= 32
    assert not [
        pid for pid, command in processes_of(folder).items() if password.encode() in command
    ]
    assert [path for path in run.iterdir() if "assword" in path.name] == []
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        ask(url.replace(":" + password, ":wrong").replace(password, "wrong"), "SELECT 1")


async def test_a_second_one_adopts_and_leaves_it(postgres: EmbeddedPostgres, folder: Path) -> None:
    url = await postgres.start()
    second = EmbeddedPostgres(folder)
    assert second.is_alive()
    assert await second.start() == url
    assert (postgres.is_owner, second.is_owner) == (True, False)
    await second.stop()
    assert ask(url, "SELECT 1") == 1
    await postgres.stop()
    assert not second.is_alive()


async def test_many_starts_at_once_make_one(folder: Path) -> None:
    candidates = [EmbeddedPostgres(folder) for _ in range(5)]
    try:
        urls = await asyncio.gather(*(candidate.start() for candidate in candidates))
        assert len(set(urls)) == 1
        assert [candidate.is_owner for candidate in candidates].count(True) == 1
    finally:
        await asyncio.gather(*(candidate.stop() for candidate in candidates))


async def test_it_recovers_after_kill_nine(postgres: EmbeddedPostgres, folder: Path) -> None:
    url = await postgres.start()
    tell(url, "CREATE TABLE kept (x int)")
    for n in range(3):
        tell(url, f"INSERT INTO kept VALUES ({n})")
        assert postgres.pid is not None
        os.kill(postgres.pid, signal.SIGKILL)
        await until(lambda: not postgres.is_alive(), "death is noticed")
        assert await postgres.start() == url
        assert ask(url, "SELECT count(*) FROM kept") == n + 1


async def test_another_recovers_while_the_owner_left_a_zombie(
    postgres: EmbeddedPostgres, folder: Path
) -> None:
    url = await postgres.start()
    tell(url, "CREATE TABLE kept (x int)")
    pid = postgres.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)  # its parent, this process, does not wait for it
    await until(lambda: not processes_of(folder), "its processes end")
    # One that is being killed has no command line any more before it is a zombie.
    stat = Path(f"/proc/{pid}/stat")
    await until(lambda: stat.read_text().split(") ")[1][0] == "Z", "it is a zombie")
    second = EmbeddedPostgres(folder)
    try:
        assert await second.start() == url
        assert second.is_owner
        assert ask(url, "SELECT count(*) FROM kept") == 0
    finally:
        await second.stop()


async def test_a_process_id_of_somebody_else_is_not_trusted(
    postgres: EmbeddedPostgres, folder: Path
) -> None:
    url = await postgres.start()
    await postgres.stop()
    stale = folder / "postgres/cluster/postmaster.pid"
    other = subprocess.Popen(["sleep", "60"])
    try:
        stale.write_text(f"{other.pid}\n{stale.parent}\n1\n5432\n{folder}\n\n1 1\nready\n")
        assert await postgres.start() == url
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


async def test_an_interrupted_initdb_is_done_again(
    postgres: EmbeddedPostgres, folder: Path
) -> None:
    half = folder / "postgres/cluster.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    assert ask(await postgres.start(), "SELECT 1") == 1


async def test_a_long_path_still_has_a_socket(tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path / ("long" * 30))
    url = await postgres.start()
    try:
        assert ask(url, "SELECT 1") == 1
        socket_folder = Path(str(ask(url, "SHOW unix_socket_directories")))
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
    finally:
        await postgres.stop()
    assert not socket_folder.exists()


async def test_another_version_is_refused_with_instructions(
    postgres: EmbeddedPostgres, folder: Path
) -> None:
    await postgres.start()
    await postgres.stop()
    (folder / "postgres/cluster/PG_VERSION").write_text("11\n")
    with pytest.raises(EmbeddedFailed, match=r"made by PostgreSQL 11; there is only version") as it:
        await postgres.start()
    assert "install PostgreSQL 11" in it.value.hint
    assert not postgres.is_alive()


async def test_a_folder_without_programs_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedFailed, match="no PostgreSQL programs") as refusal:
        await EmbeddedPostgres(folder, tmp_path).start()
    assert "database_url" in refusal.value.hint


async def test_a_damaged_cluster_says_what_postgres_said(
    postgres: EmbeddedPostgres, folder: Path
) -> None:
    await postgres.start()
    await postgres.stop()
    (folder / "postgres/cluster/global/pg_control").unlink()
    with pytest.raises(EmbeddedFailed, match="pg_control"):
        await postgres.start()
    assert not postgres.is_alive()


async def test_a_wrong_password_file_is_named(postgres: EmbeddedPostgres, folder: Path) -> None:
    await postgres.start()
    await postgres.stop()
    (folder / "postgres/password").write_text("wrong")
    with pytest.raises(EmbeddedFailed, match="password") as refusal:
        await postgres.start()
    assert "backup" in refusal.value.hint
    assert not processes_of(folder)


@pytest.mark.component("postgres")
async def test_the_system_s_programs_will_do(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder, debian_bin())
    try:
        version = ask(await postgres.start(), "SHOW server_version")
        assert str(version).startswith(debian_bin().parent.name)
        # The programs must fit the folder: the packaged ones are newer and are passed over.
        second = EmbeddedPostgres(folder)
        await postgres.stop()
        await second.start()
        await second.stop()
    finally:
        await postgres.stop()
