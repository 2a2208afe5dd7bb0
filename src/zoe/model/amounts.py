"""Amounts and times as people read them, for every sentence that Zoe says."""

from collections.abc import Iterable

from zoe.model.resources import CORE, Resources

_MEMORY_UNITS = ((1024**4, "TiB"), (1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))
_TIME_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"))


def amount(resources: Resources) -> str:
    """Say ``resources`` in words: ``2 cores and 4 GiB``."""
    parts = []
    if resources.cores_milli or not (resources.memory_bytes or resources.gpus):
        parts.append(cores(resources.cores_milli))
    if resources.memory_bytes:
        parts.append(memory(resources.memory_bytes))
    if resources.gpus:
        parts.append(counted(resources.gpus, "GPU"))
    return listed(parts)


def cores(cores_milli: int) -> str:
    """Say a number of cores: ``1 core``, ``0.5 cores``."""
    return "1 core" if cores_milli == CORE else f"{cores_milli / CORE:g} cores"


def memory(memory_bytes: int) -> str:
    """Say an amount of memory with the largest unit that fits: ``4 GiB``, ``1.5 GiB``."""
    if not memory_bytes:
        return "0 GiB"
    for size, unit in _MEMORY_UNITS:
        if memory_bytes >= size:
            return f"{round(memory_bytes / size, 2):g} {unit}"
    return f"{memory_bytes} bytes"


def duration(seconds: float) -> str:
    """Say a time span with the largest unit that is whole: ``2 hours``, ``90 minutes``."""
    for size, unit in _TIME_UNITS:
        if seconds >= size and seconds % size == 0:
            return counted(int(seconds // size), unit)
    return "1 second" if seconds == 1 else f"{seconds:g} seconds"


def counted(count: int, noun: str) -> str:
    """Say a count with its noun: ``1 execution``, ``3 executions``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listed(parts: Iterable[str]) -> str:
    """Join with commas and a last ``and``."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
