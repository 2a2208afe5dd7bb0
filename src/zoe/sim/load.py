"""How much of a cluster a workload asks for, and the same workload at another load."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from zoe.model.cluster import Node
from zoe.model.errors import ZoeError
from zoe.model.resources import NOTHING, Resources
from zoe.sim.metrics import Shares
from zoe.sim.workload import Job


class LoadInvalid(ZoeError):
    """A load that cannot be computed or asked for."""


def capacity_of(nodes: Iterable[Node]) -> Resources:
    """Return what all nodes have together."""
    return sum((node.capacity for node in nodes), NOTHING)


def arrival_window(jobs: Sequence[Job]) -> float:
    """Return the seconds from the first to the last arrival."""
    arrivals = [job.arrival_seconds for job in jobs]
    return max(arrivals) - min(arrivals) if arrivals else 0.0


def offered_load(
    jobs: Iterable[Job], nodes: Iterable[Node], window_seconds: float | None = None
) -> Shares:
    """Return what ``jobs`` ask for, as a part of what ``nodes`` give within the window.

    1 is exactly full; above it the queue must grow. The window is that of the arrivals unless it is
    given. None where there is no value: the window has no length, the nodes have none of it.
    """
    jobs = tuple(jobs)
    window = arrival_window(jobs) if window_seconds is None else window_seconds
    if not (math.isfinite(window) and window > 0):
        return Shares()
    capacity = capacity_of(nodes)
    cores = memory = gpus = 0.0
    for job in jobs:
        for need in job.demand.needs:
            busy = job.seconds * (need.essential + need.elastic)
            each = need.shape.each
            cores += busy * each.cores_milli
            memory += busy * each.memory_bytes
            gpus += busy * each.gpus
    return Shares(
        _share(cores, capacity.cores_milli * window),
        _share(memory, capacity.memory_bytes * window),
        _share(gpus, capacity.gpus * window),
    )


def scaled(jobs: Iterable[Job], load_factor: float) -> tuple[Job, ...]:
    """Return the jobs with all arrivals closer by ``load_factor``: the load grows by as much."""
    if not (math.isfinite(load_factor) and load_factor > 0):
        raise LoadInvalid(
            f"a load cannot be scaled by {load_factor:g}",
            hint="2 lets everything arrive twice as fast, 0.5 half as fast",
        )
    return tuple(
        replace(job, demand=replace(job.demand, submitted_at=job.arrival_seconds / load_factor))
        for job in jobs
    )


def _share(asked: float, there_is: float) -> float | None:
    return asked / there_is if there_is else None
