"""Finds every process of an instance where there are no control groups.

Each instance carries a mark that all its descendants inherit and that neither a new session, nor a
double fork, nor an empty environment removes: an unusual pair of limits for POSIX message queues.
Whatever carries it belongs to the instance.
"""

import os
import random
import resource
import signal
from collections.abc import Iterable
from contextlib import suppress

Mark = tuple[int, int]
"""Soft and hard limit, in bytes."""


def new_mark() -> Mark:
    """Return a mark; there are about 10^11, so it is unique on the machine."""
    _, hard = resource.getrlimit(resource.RLIMIT_MSGQUEUE)
    top = 819_200 if hard == resource.RLIM_INFINITY else hard
    middle = top // 2
    chance = random.SystemRandom()
    return chance.randrange(middle), chance.randrange(middle, top)


def wear(mark: Mark) -> None:
    """Mark this process and what it will start."""
    resource.setrlimit(resource.RLIMIT_MSGQUEUE, mark)


def scan() -> dict[Mark, set[int]]:
    """Return the processes of this machine by mark; zombies are not among them."""
    found: dict[Mark, set[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (mark := _mark_of(entry.name)) is not None:
            found.setdefault(mark, set()).add(int(entry.name))
    return found


def kill(pids: set[int], number: signal.Signals) -> None:
    """Send a signal to each."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def kill_group(leader: int, number: signal.Signals) -> None:
    """Send a signal to the process group of ``leader``."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def start_ticks(pid: int) -> int | None:
    """Return when ``pid`` started, in ticks since the boot; None when it is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def memory_bytes(pids: Iterable[int]) -> int:
    """Return the memory of these processes, where what they share counts for each of them."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(words[1]) * page for pid in pids if len(words := _words(pid, "statm")) > 1)


def core_seconds(pids: Iterable[int]) -> float:
    """Return how long these processes, and their children that have ended, have worked."""
    ticks = 0
    for pid in pids:
        fields = _words(pid, "stat", after=b")")  # from the state on: the third field
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def disk_bytes(pids: Iterable[int]) -> int:
    """Return what these processes have read from disks and written to them."""
    total = 0
    for pid in pids:
        lines = iter(_words(pid, "io"))  # "read_bytes: 4096"
        counts = dict(zip(lines, lines, strict=False))
        total += int(counts.get(b"read_bytes:", 0)) + int(counts.get(b"write_bytes:", 0))
    return total


def _words(pid: int, name: str, after: bytes = b"") -> list[bytes]:
    """Return the words of a file of a process, none when it has ended or is not ours."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            text = file.read()
    except OSError:
        return []
    return (text.rpartition(after)[2] if after else text).split()


def boot_id() -> str:
    """Return what tells this boot of the machine from others."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def _mark_of(pid: str) -> Mark | None:
    try:
        with open(f"/proc/{pid}/limits", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # "Max msgqueue size         819200               819200               bytes"
    words = text.partition(b"Max msgqueue size")[2].split(None, 2)
    if len(words) < 2 or not (words[0].isdigit() and words[1].isdigit()):
        return None
    return int(words[0]), int(words[1])
