"""A PostgreSQL of our own in a data folder: made, started, watched and stopped here.

``DATA_DIR/postgres`` holds the cluster (``cluster``), the socket (``run``), the password, the log
and two locks. ``start.lock`` is held while somebody starts. ``alive.lock`` is inherited by every
process of the cluster, so it is free exactly when none of them lives, whatever killed them: no
process id is trusted. A second process that starts the same folder adopts what runs. PostgreSQL is
told to stop when its owner, the process that started it, dies.
"""

import argparse
import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from urllib.parse import quote

import psycopg

from zoe.model.errors import ZoeError
from zoe.store.migrate import migrate
from zoe.store.programs import EmbeddedFailed, Programs, RunAs, find_programs, run_as

USER = "zoe"
"""The role, and the database, that everything of Zoe uses."""

SOCKET_PATH_MAX = 85
"""Longest path of a socket's folder: the system's limit of 107 less the socket's own name."""

START_SECONDS = 60.0
STOP_SECONDS = 20.0
LOG_MAX_BYTES = 16 * 1024 * 1024

OPTIONS = {
    "listen_addresses": "",  # only the socket
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
}


class EmbeddedPostgres:
    """The PostgreSQL of one data folder."""

    def __init__(self, data_dir: Path, bin_dir: Path | None = None) -> None:
        self._folder = data_dir.absolute() / "postgres"
        self._bin_dir = bin_dir
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data folder."""
        return self._folder / "cluster"

    @property
    def pid(self) -> int | None:
        """The process id of the postmaster, if its file names one."""
        lines = self._pid_file_lines()
        return int(lines[0]) if lines and lines[0].isdigit() else None

    @property
    def is_owner(self) -> bool:
        """Whether this object started it, and so stops it."""
        return self._process is not None

    async def start(self) -> str:
        """Start it, or adopt what runs, and return its URL once it takes connections.

        Call it from a thread that lasts: PostgreSQL stops when the thread that started it ends.
        Raises EmbeddedFailed.
        """
        try:
            return await self._start(time.monotonic() + START_SECONDS)
        except BaseException:
            await self.stop()
            raise

    async def _start(self, deadline: float) -> str:
        make_folder(self._folder, 0o711)
        with _open_lock(self._folder / "start.lock") as lock:
            await _until(lambda: _take(lock), deadline, "another process keeps starting it")
            url = await self._adopt_or_spawn(deadline)
            while not url:
                if self._process and self._process.poll() is not None:
                    self._process = None
                    raise EmbeddedFailed(f"PostgreSQL ended at its start:\n{self._log_tail()}")
                _check_time(deadline, f"it does not take connections; see {self._log}")
                await asyncio.sleep(0.01)
                url = await asyncio.to_thread(self._running_url)
            await asyncio.to_thread(self._make_database, url)
        return url

    async def _adopt_or_spawn(self, deadline: float) -> str:
        """Return the URL of what runs; or start it and return nothing yet."""
        with _open_lock(self._folder / "alive.lock") as alive:
            while True:
                # Asked first: somebody may have started it by hand, without the lock.
                if url := await asyncio.to_thread(self._running_url):
                    return url
                if _take(alive):
                    break
                _check_time(deadline, f"it is alive but does not answer; see {self._log}")
                await asyncio.sleep(0.02)
            await asyncio.to_thread(self._make)
            self._spawn(alive)
            return ""

    async def stop(self) -> None:
        """Stop it if this object started it: fast, then at once. Adopted ones are left alone."""
        process, self._process = self._process, None
        if process is None:
            return
        for signal_ in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            process.send_signal(signal_)
            with contextlib.suppress(EmbeddedFailed):
                deadline = time.monotonic() + STOP_SECONDS
                await _until(lambda: process.poll() is not None, deadline, "")
                break
        if not _fits(self._folder / "run"):
            with contextlib.suppress(OSError):
                self._socket_folder().rmdir()

    def is_alive(self) -> bool:
        """Whether it runs: as far as can be told without connecting."""
        if self._process is not None:
            return self._process.poll() is None
        if not self._folder.is_dir():
            return False
        with _open_lock(self._folder / "alive.lock") as alive:
            return not _take(alive, shared=True)

    # Starting.

    def _make(self) -> None:
        """Make the cluster unless it exists; find what starts it."""
        exists = (self.cluster / "PG_VERSION").is_file()
        major = int((self.cluster / "PG_VERSION").read_text()) if exists else None
        owner = self.cluster.stat().st_uid if exists else None
        self._programs = find_programs(self._bin_dir, major)
        self._run_as = run_as(owner, self._programs, self._folder)
        self._prepare_socket_folder()
        if exists:
            # Nobody of this cluster lives (we hold alive.lock). These files would stop PostgreSQL
            # if the process id in them belonged to a zombie or to somebody else by now.
            (self.cluster / "postmaster.pid").unlink(missing_ok=True)
            for left in self._socket_folder().glob(".s.PGSQL.*"):
                left.unlink()
        else:
            self._initialise(self._programs, self._run_as)

    def _initialise(self, programs: Programs, owner: RunAs) -> None:
        """Make the cluster in a folder beside and move it into place: all or nothing."""
        password = self._folder / "password"
        if not password.is_file():
            _write_private(password, secrets.token_urlsafe(24))
        new = self._folder / "cluster.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        owner.give(new, 0o700)
        pwfile = self._socket_folder() / "password"
        _write_private(pwfile, password.read_text())
        owner.give(pwfile, 0o600)
        command = [*owner.prefix, programs["initdb"], "-D", str(new), "-U", USER, "-E", "UTF8"]
        command += ["-A", "scram-sha-256", f"--pwfile={pwfile}", "--no-instructions"]
        if programs.major >= 17:
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        else:
            command += ["--locale=C.UTF-8"]
        try:
            made = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=START_SECONDS,
                env=_environment(),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise EmbeddedFailed(f"initdb did not end in {START_SECONDS:.0f} s") from error
        finally:
            pwfile.unlink()
        if made.returncode:
            raise EmbeddedFailed(f"initdb failed:\n{made.stdout}{made.stderr}")
        new.rename(self.cluster)

    def _spawn(self, alive: int) -> None:
        """Start the postmaster with the lock; in a session of its own, so Ctrl-C passes it by."""
        if self._log.exists() and self._log.stat().st_size > LOG_MAX_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        options = OPTIONS | {"unix_socket_directories": str(self._socket_folder())}
        command = [*self._run_as.prefix, "--pdeathsig", "INT", self._programs["postgres"]]
        command += ["-D", str(self.cluster)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        with self._log.open("ab") as log:
            self._log.chmod(0o600)
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_environment(),
                pass_fds=(alive,),
                start_new_session=True,
            )

    def _running_url(self) -> str:
        """Return the URL if the cluster is ready and takes a connection, else nothing."""
        lines = self._pid_file_lines()
        if len(lines) < 8 or lines[7] != "ready":
            return ""
        password = quote((self._folder / "password").read_text(), safe="")
        url = f"postgresql://{USER}:{password}@/{USER}?host={quote(lines[4], safe='')}"
        try:
            psycopg.connect(url, dbname="postgres", connect_timeout=5).close()
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error):
                raise EmbeddedFailed(
                    f"the password in {self._folder / 'password'} is not the database's",
                    hint="restore that file from a backup",
                ) from error
            return ""
        return url

    def _make_database(self, url: str) -> None:
        with psycopg.connect(url, dbname="postgres", autocommit=True) as connection:
            exists = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [USER])
            if not exists.fetchone():
                connection.execute(f"CREATE DATABASE {USER}")

    # Files.

    @property
    def _log(self) -> Path:
        return self._folder / "postgres.log"

    def _log_tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-10:])

    def _pid_file_lines(self) -> list[str]:
        try:
            text = (self.cluster / "postmaster.pid").read_text()
        except FileNotFoundError:
            return []
        return [line.strip() for line in text.splitlines()]

    def _socket_folder(self) -> Path:
        folder = self._folder / "run"
        if _fits(folder):
            return folder
        digest = hashlib.sha256(os.fsencode(self._folder)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"zoe-{digest}"

    def _prepare_socket_folder(self) -> None:
        folder = self._socket_folder()
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if folder.is_symlink() or status.st_uid not in (os.geteuid(), self._run_as.uid):
            raise EmbeddedFailed(f"{folder} belongs to somebody else", hint="remove it")
        self._run_as.give(folder, 0o700)


def make_folder(folder: Path, mode: int) -> None:
    """Make ``folder`` with these permissions, unless it is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir()
        folder.chmod(mode)


def _fits(folder: Path) -> bool:
    return len(os.fsencode(folder)) < SOCKET_PATH_MAX


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, complete or not at all."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _environment() -> dict[str, str]:
    """Return what PostgreSQL gets of our environment: none of the PG variables, no locale."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


@contextlib.contextmanager
def _open_lock(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _take(lock: int, *, shared: bool = False) -> bool:
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _check_time(deadline: float, message: str) -> None:
    if time.monotonic() > deadline:
        raise EmbeddedFailed(message)


async def _until(is_done: Callable[[], bool], deadline: float, message: str) -> None:
    while not is_done():
        _check_time(deadline, message)
        await asyncio.sleep(0.01)


# As a program: the owner of a PostgreSQL, until it is told to stop or its parent dies.


async def own(data_dir: Path, bin_dir: Path | None, parent: int) -> int:
    """Start and migrate, print ``{"url": ...}`` when ready, and stay; return the exit code."""
    database = EmbeddedPostgres(data_dir, bin_dir)
    stopping = asyncio.Event()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal_, stopping.set)
    try:
        url = await database.start()
        for name in await migrate(url):
            sys.stderr.write(f"applied {name}\n")
        sys.stdout.write(json.dumps({"url": url}) + "\n")
        sys.stdout.flush()
        while not stopping.is_set() and os.getppid() == parent:
            if not database.is_alive():
                sys.stderr.write("PostgreSQL has ended\n")
                return 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), timeout=0.2)
    finally:
        await database.stop()
    return 0


def main() -> int:
    """Run ``python -m zoe.store.embedded DATA_DIR [--pg-bin FOLDER]``."""
    parent = os.getppid()
    parser = argparse.ArgumentParser(prog="python -m zoe.store.embedded", description=__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--pg-bin", type=Path)
    arguments = parser.parse_args()

    def leave(_signal: int, _frame: FrameType | None) -> None:
        sys.exit(0)  # before there is anything to stop

    signal.signal(signal.SIGTERM, leave)
    try:
        return asyncio.run(own(arguments.data_dir, arguments.pg_bin, parent))
    except ZoeError as error:
        sys.stderr.write(f"{error}\n" + (f"{error.hint}\n" if error.hint else ""))
        return 1


if __name__ == "__main__":
    sys.exit(main())
