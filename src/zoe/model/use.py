"""What instances and nodes use and have used, made of samples: kept, and shown to people."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class InstanceUse:
    """What one attempt of an instance used when it was sampled last, and in all."""

    instance_id: str
    attempt: int
    at: float
    """Of the last sample; seconds since 1970."""
    cores_milli: int
    """On average since the sample before."""
    memory_bytes: int
    peak_bytes: int
    """The most memory that was seen of it."""
    core_seconds: float
    """How long it has worked in all."""
    network_bytes: int | None = None
    """Received and sent in all; None: the back-end cannot tell."""
    disk_bytes: int | None = None
    """Read and written in all."""
    memory_kills: int = 0
    """How many of its processes the kernel has killed for want of memory."""

    @property
    def execution_id(self) -> int:
        """The execution that it belongs to."""
        return int(self.instance_id.partition("/")[0])


@dataclass(frozen=True, slots=True)
class NodeUse:
    """What was used of a node, on average over ``seconds`` from ``at`` on."""

    name: str
    at: float
    seconds: float
    """Of one sample: since the one before."""
    cores_milli: int
    memory_bytes: int
    peak_bytes: int
    """The most memory that was used in that time."""
    memory_total_bytes: int
    memory_stall: float | None = None
    """Share of the time, in percent, in which something waited for memory; None: unknown."""
    cpu_stall: float | None = None
    """The same for cores."""


Point = tuple[float, int, int]
"""When (seconds since 1970), how many milli-cores, how many bytes of memory."""
