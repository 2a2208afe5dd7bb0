"""What instances and nodes use and have used, made of samples: kept, and shown to people."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor


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


def grown(known: InstanceUse | None, use: InstanceUse) -> InstanceUse:
    """Return the newer use of an attempt, with whatever had been more before."""
    if known is None:
        return use
    return replace(
        use,
        peak_bytes=max(known.peak_bytes, use.peak_bytes),
        core_seconds=max(known.core_seconds, use.core_seconds),
        network_bytes=_most(known.network_bytes, use.network_bytes),
        disk_bytes=_most(known.disk_bytes, use.disk_bytes),
        memory_kills=max(known.memory_kills, use.memory_kills),
    )


def averaged(uses: Sequence[NodeUse]) -> NodeUse:
    """Return one use of a node for the whole time of several; there is at least one."""
    weights = [max(1.0, each.seconds) for each in uses]
    in_all = sum(weights)

    def average(values: Sequence[int]) -> int:
        weighted = (value * weight for value, weight in zip(values, weights, strict=True))
        return floor(sum(weighted) / in_all)

    return NodeUse(
        uses[0].name,
        min(each.at for each in uses),
        sum(each.seconds for each in uses),
        average([each.cores_milli for each in uses]),
        average([each.memory_bytes for each in uses]),
        max(each.peak_bytes for each in uses),
        max(each.memory_total_bytes for each in uses),
        _mean([each.memory_stall for each in uses if each.memory_stall is not None]),
        _mean([each.cpu_stall for each in uses if each.cpu_stall is not None]),
    )


def _most(one: int | None, other: int | None) -> int | None:
    return max((each for each in (one, other) if each is not None), default=None)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
