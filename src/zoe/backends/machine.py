"""What is used of this machine as a whole, from what its kernel tells in ``/proc``."""

import os
from pathlib import Path

from zoe.model.samples import NodeSample

PROC = Path("/proc")


def sample_machine(name: str, proc: Path = PROC) -> NodeSample:
    """Return what everybody together uses of this machine now."""
    memory = _memory(proc)
    return NodeSample(
        name,
        memory_bytes=memory["MemTotal"] - memory.get("MemAvailable", memory["MemFree"]),
        memory_total_bytes=memory["MemTotal"],
        core_seconds=_core_seconds(proc),
        memory_stall=_stall(proc, "memory"),
        cpu_stall=_stall(proc, "cpu"),
    )


def _memory(proc: Path) -> dict[str, int]:
    lines = (line.split() for line in (proc / "meminfo").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) == 3}


def _core_seconds(proc: Path) -> float:
    """Return how long all cores together have worked since the boot."""
    user, nice, system, _idle, _wait, *rest = map(int, _first_line(proc / "stat").split()[1:])
    interrupts = sum(rest[:2])  # what guests use is part of user and nice
    return (user + nice + system + interrupts) / os.sysconf("SC_CLK_TCK")


def _stall(proc: Path, what: str) -> float | None:
    """Return ``some avg10``; None where the kernel does not tell it."""
    try:
        line = _first_line(proc / "pressure" / what)  # some avg10=0.00 avg60=... total=...
        return float(line.split()[1].partition("=")[2])
    except (OSError, IndexError, ValueError):
        return None


def _first_line(path: Path) -> str:
    with path.open() as file:
        return file.readline()
