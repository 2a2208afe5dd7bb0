"""What this machine has to give away: its cores and memory, as far as this process may use them."""

import os
from pathlib import Path

from zoe.model.resources import CORE, Resources


def detect_capacity(cores: float = 0, memory_bytes: int = 0) -> Resources:
    """Return what is configured; for a zero, all cores and nine tenths of the memory."""
    return Resources(
        cores_milli=round(cores * CORE) or len(os.sched_getaffinity(0)) * CORE,
        memory_bytes=memory_bytes or _memory_bytes() // 10 * 9,
    )


def _memory_bytes() -> int:
    """Return the memory of the machine, or of the container that this runs in."""
    amounts = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            text = Path("/sys/fs/cgroup", name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            amounts.append(int(text))
    return min(amounts)
