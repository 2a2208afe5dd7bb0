"""What `zoe up` leaves in the data folder for other commands: a lock, and who runs where."""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from zoe.model.errors import ZoeError


class AlreadyRunning(ZoeError):
    """Zoe runs in this data folder already."""


@dataclass(frozen=True, slots=True)
class Running:
    """What runs: the process of `zoe up`, its programs, and where the api is once it is ready."""

    pid: int
    url: str
    ready: bool = False
    programs: Mapping[str, int | None] = field(default_factory=dict)


def record_path(run_dir: Path) -> Path:
    """Return the file that says who runs."""
    return run_dir / "zoe.json"


def write(run_dir: Path, running: Running) -> None:
    """Say who runs, whole or not at all."""
    part = run_dir / ".zoe.json"
    part.write_text(json.dumps(asdict(running)) + "\n")
    part.replace(record_path(run_dir))


def read(run_dir: Path) -> Running | None:
    """Return who runs: nobody unless somebody holds the lock."""
    with contextlib.suppress(FileNotFoundError), _opened(run_dir) as lock:
        if _take(lock):
            return None
        with contextlib.suppress(FileNotFoundError, ValueError, TypeError):
            return Running(**json.loads(record_path(run_dir).read_text()))
        return Running(pid=0, url="")  # it has only just begun
    return None


@contextlib.contextmanager
def held(run_dir: Path) -> Iterator[None]:
    """Hold the data folder alone. Raises AlreadyRunning, saying where."""
    with _opened(run_dir, create=True) as lock:
        if not _take(lock):
            running = read(run_dir)
            where = f" at {running.url}" if running and running.url else ""
            who = f" (process {running.pid})" if running and running.pid else ""
            raise AlreadyRunning(
                f"Zoe is already running{where}{who} in {run_dir.parent}",
                hint="`zoe down` ends it; --data-dir starts another one elsewhere.",
            )
        record_path(run_dir).unlink(missing_ok=True)
        try:
            yield
        finally:
            record_path(run_dir).unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(run_dir: Path, *, create: bool = False) -> Iterator[int]:
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    lock = os.open(run_dir / "zoe.lock", flags, 0o600)
    try:
        yield lock
    finally:
        os.close(lock)


def _take(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
