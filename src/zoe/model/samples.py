"""What instances and nodes were seen to use at one moment, as a back-end tells it.

What grows while they run is told as a sum since the start; how fast it grows is found by comparing
two samples. (What a user is charged for under a quota is another thing: :mod:`zoe.model.usage`.)
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InstanceSample:
    """What one attempt of an instance uses; None where the back-end cannot tell."""

    instance_id: str
    attempt: int
    memory_bytes: int
    """Without the cache of files, which the kernel gives up when it needs the memory."""
    core_seconds: float
    peak_bytes: int = 0
    """The most memory that it had so far; 0: the back-end does not know."""
    network_bytes: int | None = None
    """Received and sent."""
    disk_bytes: int | None = None
    """Read and written."""
    memory_kills: int = 0
    """How many of its processes the kernel has killed because its memory was used up."""


@dataclass(frozen=True, slots=True)
class NodeSample:
    """What is used of a machine, by whom ever."""

    name: str
    memory_bytes: int
    """Used: what could not be given to a new program."""
    memory_total_bytes: int
    core_seconds: float | None = None
    """Of all its cores together, since some moment."""
    memory_stall: float | None = None
    """Share of the last ten seconds, in percent, in which something waited for memory."""
    cpu_stall: float | None = None
    """The same for cores."""
    is_machine: bool = True
    """Whether everything on it is counted, or only what runs in containers."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Everything that was seen at one moment; an attempt that has ended may be missing."""

    nodes: tuple[NodeSample, ...] = ()
    instances: tuple[InstanceSample, ...] = ()
