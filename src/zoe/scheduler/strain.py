"""What samples of a node mean: how loaded it is, what it is short of, and who uses most of it.

Coarse and sluggish on purpose: what a node is told to be changes only when a threshold is crossed,
and changes back only well on the other side of it, so that noise plans nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoe.model.cluster import Node
from zoe.model.load import NodeLoad

LEVELS = 8
"""Steps in which the load of a node is told."""
SLACK = 0.25
"""How far past the edge of its step, in steps, a load has to be before it is told to be another."""
OUTSIDE_STEPS = 16
"""Parts of a node in which use from outside is counted, so that it seldom changes."""
RELEASED_AT = 2.0
"""A node is short of memory until so many times the least free part are free again."""
HUNGRIEST = 100
"""How many of those that use most memory are told."""
_FREE_MEMORY, _MEMORY_STALL, _CPU_STALL = "free memory", "memory", "cores"
"""The thresholds; the last two are what programs wait for."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a node is under pressure."""

    free_memory: float = 0.05
    """Part of its memory; it is short when less is free. 0: it never is."""
    memory_stall: float = 25.0
    """Percent of the time in which something waits for memory. 0: nobody looks."""
    cpu_stall: float = 0.0
    """Percent of the time in which something waits for a core. 0: nobody looks."""
    pause_seconds: float = 300.0
    """How long nothing elastic is placed on a node after it was under pressure."""


@dataclass(frozen=True, slots=True)
class Use:
    """What was seen on a node: by instances that have room there, and by everybody."""

    memory_bytes: int
    memory_total_bytes: int
    cores_milli: int = 0
    """Of everybody, on average since the last sample."""
    memory_stall: float | None = None
    cpu_stall: float | None = None
    is_machine: bool = True
    instances: Sequence[tuple[str, int]] = ()
    """Our instances with their memory in bytes."""
    reserved_bytes: int = 0
    """What these have reserved together."""

    @property
    def ours_bytes(self) -> int:
        """The memory of our instances together."""
        return sum(memory for _, memory in self.instances)


@dataclass(frozen=True, slots=True)
class _Pressure:
    """Why a node is under pressure, and until when it stays so if all is well from now on."""

    threshold: str
    said: str
    until: float


class Judge:
    """Says what the samples of each node mean, in the light of those before."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._loads: dict[str, NodeLoad] = {}
        self._pressures: dict[str, _Pressure] = {}
        """By node; also of one that could not be sampled for a moment."""

    def judge(self, nodes: Sequence[Node], uses: Mapping[str, Use], now: float) -> list[NodeLoad]:
        """Return the loads of those nodes of which something was seen.

        ``nodes`` are as the back-end tells them, without what was said here before.
        """
        known = {node.name: node for node in nodes}
        self._pressures = {name: each for name, each in self._pressures.items() if name in known}
        self._loads = {
            name: self._load(known[name], use, now) for name, use in uses.items() if name in known
        }
        return list(self._loads.values())

    def _load(self, node: Node, use: Use, now: float) -> NodeLoad:
        before = self._loads.get(node.name, NodeLoad(node.name, level=-1))
        pressure = self._pressures.pop(node.name, None)
        crossed = self._crossed(node, use, pressure.threshold if pressure else "")
        if crossed:
            pressure = _Pressure(*crossed, until=now + self._limits.pause_seconds)
        elif pressure and now >= pressure.until:
            pressure = None
        if pressure:
            self._pressures[node.name] = pressure
        anew = self._crossed(node, use, "")
        must_give = anew is not None and anew[0] in (_FREE_MEMORY, _MEMORY_STALL)
        most = sorted(use.instances, key=lambda one: (-one[1], one[0])) if must_give else []
        return NodeLoad(
            node.name,
            _level(_used_part(node, use), before.level),
            _outside(node, use, before.outside_bytes),
            pressure.said if pressure else "",
            tuple(most[:HUNGRIEST]),
        )

    def _crossed(self, node: Node, use: Use, before: str) -> tuple[str, str] | None:
        """Return which threshold a node is past, and that in words.

        The one that it was past ``before`` is only left well on the other side.
        """
        limits = self._limits
        free = limits.free_memory
        if free and use.memory_total_bytes:
            needed = free * (RELEASED_AT if before == _FREE_MEMORY else 1.0)
            if _free_part(node, use) < needed:
                return _FREE_MEMORY, f"less than {free:.0%} of its memory is free"
        for threshold, stall, limit in (
            (_MEMORY_STALL, use.memory_stall, limits.memory_stall),
            (_CPU_STALL, use.cpu_stall, limits.cpu_stall),
        ):
            least = limit / (RELEASED_AT if before == threshold else 1.0)
            if limit and stall is not None and stall >= least:
                return threshold, f"its programs wait for {threshold} for {limit:g}% of the time"
        return None


def _free_part(node: Node, use: Use) -> float:
    """Return which part of the memory is free: of the machine, or of what Zoe has of it.

    The latter counts where instances use more than they have reserved: then those that keep to
    theirs may not get it.
    """
    free = 1.0 - use.memory_bytes / use.memory_total_bytes
    size = node.capacity.memory_bytes - node.foreign.memory_bytes
    if size > 0 and use.ours_bytes > use.reserved_bytes:
        free = min(free, 1.0 - use.ours_bytes / size)
    return free


def _used_part(node: Node, use: Use) -> float:
    parts = [use.memory_bytes / use.memory_total_bytes] if use.memory_total_bytes else [0.0]
    if node.capacity.cores_milli:
        parts.append(use.cores_milli / node.capacity.cores_milli)
    return max(parts)


def _level(part: float, before: int) -> int:
    """Return the step of a part of a node that is used, or the one before if that is as near."""
    steps = part * LEVELS
    if before >= 0 and before - SLACK <= steps < before + 1 + SLACK:
        return before
    return min(LEVELS - 1, max(0, int(steps)))


def _outside(node: Node, use: Use, before: int) -> int:
    """Return what others use beyond what they are left, in whole steps of the node, rounded down.

    They are left what the machine has more than its capacity, and what is counted as theirs.
    """
    if not use.is_machine:
        return 0  # containers of others, which are counted as theirs
    left = max(0, use.memory_total_bytes - node.capacity.memory_bytes) + node.foreign.memory_bytes
    beyond = max(0, use.memory_bytes - use.ours_bytes - left)
    step = max(1, node.capacity.memory_bytes // OUTSIDE_STEPS)
    if before - step * SLACK <= beyond < before + step * (1 + SLACK):
        return before
    return min(node.capacity.memory_bytes, beyond // step * step)
