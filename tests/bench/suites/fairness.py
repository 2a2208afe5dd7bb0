"""Two users, one of whom floods the cluster: how evenly the policies share it, and how full it is.

Jain's index of the users' mean bounded slowdowns is 1 when both wait alike for their size, and 0.9
when the one fares twice as ill as the other. Two floods: thousands of small executions, which drown
a neighbour where small ones go first, and bursts of long ones, which drown him where all go in
the order in which they came. Each seed offers exactly the same load.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from figures import Figures

from zoe.model.resources import Resources
from zoe.scheduler.planner import Planner
from zoe.scheduler.sharing import Sharing
from zoe.sim.cluster import read_nodes
from zoe.sim.interval import interval
from zoe.sim.load import offered_load
from zoe.sim.metrics import Metrics, bounded_slowdown
from zoe.sim.metrics import measure as metrics_of
from zoe.sim.simulation import simulate
from zoe.sim.workload import Job, uniform_job

NODES = "20x16c64gi"
CORES = 320
EACH = Resources(2000, 4 * 1024**3)
HOURS = 36
SEEDS = range(3)
POLICIES = ("fifo", "sjf", "size3d", "fair")
WITHOUT = ("fifo", "size3d")
"""Policies that know no users, one of which each flood defeats."""


@dataclass(frozen=True, slots=True)
class _Stream:
    """What one user submits: sizes are drawn from these, times evenly over all the hours."""

    load: float
    seconds: tuple[float, float]
    essential: tuple[int, ...]
    elastic: tuple[int, ...] = (0,)
    burst: int = 1


FLOODS = {
    "many small ones": {
        "quiet": _Stream(0.4, (600, 1800), (32, 64)),
        "flood": _Stream(0.6, (600, 1200), (1, 2, 4), (0, 4), burst=5),
    },
    "bursts of long ones": {
        "quiet": _Stream(0.2, (120, 600), (8, 16), (0, 8)),
        "flood": _Stream(0.7, (1800, 5400), (4, 8), (0, 16), burst=20),
    },
}


async def measure(figures: Figures, folder: Path) -> None:
    """Run every policy on both floods, and compare it with those that know no users."""
    nodes = read_nodes(NODES)
    for flood, streams in FLOODS.items():
        jain: dict[str, list[float | None]] = {policy: [] for policy in POLICIES}
        full: dict[str, list[float | None]] = {policy: [] for policy in POLICIES}
        slow: dict[str, dict[str, list[float]]] = {policy: {} for policy in POLICIES}
        loads = []
        for seed in SEEDS:
            jobs = _jobs(streams, seed)
            loads.append(offered_load(jobs, nodes, HOURS * 3600).cores)
            for policy in POLICIES:
                result = simulate(jobs, nodes, Planner(Sharing(policy=policy)))
                found: Metrics = metrics_of(result)
                jain[policy].append(found.jain)
                full[policy].append(found.allocation.cores)
                for user in streams:
                    of_user = [
                        bounded_slowdown(one)
                        for one in result.outcomes
                        if one.job.demand.owner == user
                    ]
                    slow[policy].setdefault(user, []).append(sum(of_user) / len(of_user))
        without = max(_mean(full[policy]) for policy in WITHOUT)
        for policy in POLICIES:
            indexes = [each for each in jain[policy] if each is not None]
            figures.add(
                f"Jain's index, {flood}, {policy}",
                _mean(jain[policy]),
                "index",
                must=0.9 if policy == "fair" else None,
                least=round(min(indexes), 4),
                seeds=len(SEEDS),
                nodes=NODES,
                offered_load=round(_mean(loads), 3),
                mean_slowdown={user: round(_mean(of), 2) for user, of in slow[policy].items()},
            )
            figures.add(
                f"allocation, {flood}, {policy}",
                _mean(full[policy]),
                "of the cores",
                baseline=without,
                must=round(0.97 * without, 4) if policy == "fair" else None,
            )


def _mean(values: Sequence[float | None]) -> float:
    found = interval(values)
    assert found is not None
    return found.mean


def _jobs(streams: Mapping[str, _Stream], seed: int) -> list[Job]:
    rng = random.Random(seed)
    drawn = [one for user, stream in streams.items() for one in _draw(user, stream, rng)]
    drawn.sort()
    return [
        uniform_job(
            number, arrival, seconds, essential, elastic, EACH,
            owner=user, run_seconds=seconds * rng.uniform(1, 2),
        )
        for number, (arrival, user, seconds, essential, elastic) in enumerate(drawn, 1)
    ]  # fmt: skip


def _draw(
    user: str, stream: _Stream, rng: random.Random
) -> list[tuple[float, str, float, int, int]]:
    """Draw what a user submits, then stretch the run times until the load is exact."""
    asked = sum(stream.essential) / len(stream.essential) + sum(stream.elastic) / len(
        stream.elastic
    )
    each = sum(stream.seconds) / 2 * asked * EACH.cores_milli / 1000
    wanted = stream.load * CORES * HOURS * 3600
    drawn = []
    for _ in range(round(wanted / each / stream.burst)):
        began = rng.uniform(0, HOURS * 3600)
        for number in range(stream.burst):
            sizes = rng.choice(stream.essential), rng.choice(stream.elastic)
            drawn.append((began + number, user, rng.uniform(*stream.seconds), *sizes))
    work = sum(one[2] * (one[3] + one[4]) for one in drawn) * EACH.cores_milli / 1000
    return [
        (arrival, owner, seconds * wanted / work, essential, elastic)
        for arrival, owner, seconds, essential, elastic in drawn
    ]
