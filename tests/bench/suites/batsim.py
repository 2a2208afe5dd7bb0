"""When jobs start under backfilling, beside when Batsim started them: its own workload and logs.

A textbook counts processors, and so do we where all nodes are equal; Batsim reserves them by
number. What that moves is shown by schedules that do the same (tests/numbered.py).
"""

from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path

from figures import Figures

import numbered
import textbook
from traces import BATSIM
from zoe.scheduler.planner import Planner
from zoe.scheduler.sharing import Sharing
from zoe.sim.cluster import read_nodes
from zoe.sim.simulation import simulate
from zoe.sim.workload import Job
from zoe.sim.workloads.batsim import Slot, read_batsim, read_schedule

NODES = "32x1c"
SECONDS = 2.0
"""So far apart, two starts count as the same."""
RULES: Mapping[str, textbook.Rule] = {"easy": textbook.easy, "conservative": textbook.conservative}
MUST = {"easy": 733}
HOW = {
    "easy": [("processors reserved by number", False)],
    "conservative": [
        ("processors reserved by number", False),
        ("processors reserved by number, each improved while the others keep theirs", True),
    ],
}
"""What Batsim does in another way than the textbook, one thing after the other."""


async def measure(figures: Figures, folder: Path) -> None:
    """Compare, job by job, ours and the textbook's with Batsim's."""
    if not BATSIM.is_dir():
        figures.note(f"left out: there is no {BATSIM}")
        return
    jobs = read_batsim((BATSIM / "evalys_medium_late.json").read_bytes()).jobs
    nodes = read_nodes(NODES)
    for name, rule in RULES.items():
        log = BATSIM / f"evalys_medium_late_{name}_out_jobs.csv"
        slots = read_schedule(log.read_bytes(), log.name).slots
        by_the_book = textbook.starts(jobs, len(nodes), rule)
        _compare(figures, f"{name}, textbook", jobs, by_the_book, slots, MUST.get(name))
        for how, one_by_one in HOW[name]:
            as_batsim = numbered.starts(jobs, len(nodes), name, one_by_one=one_by_one)
            _compare(figures, f"{name}, {how}", jobs, as_batsim, slots)
        sharing = Sharing(backfill=name, backfill_depth=1_000_000, patience_seconds=inf)
        result = simulate(jobs, nodes, Planner(sharing))
        started = {o.job.id: o.started for o in result.outcomes if o.started is not None}
        _compare(figures, f"{name}, ours", jobs, started, slots, MUST.get(name))
        others = sum(started.get(each) != at for each, at in by_the_book.items())
        figures.add(f"{name}: jobs that start at another time than in the textbook", others, "jobs")


def _compare(
    figures: Figures,
    name: str,
    jobs: Sequence[Job],
    started: Mapping[int, float],
    slots: Mapping[int, Slot],
    must: int | None = None,
) -> None:
    near = sum(abs(at - slots[each].start_seconds) <= SECONDS for each, at in started.items())
    figures.add(f"{name}: starts within {SECONDS:g} s", near, "jobs", must=must, jobs=len(jobs))
    arrived = {job.id: job.arrival_seconds for job in jobs}
    figures.add(
        f"{name}: mean wait",
        sum(at - arrived[each] for each, at in started.items()) / len(jobs),
        "s",
        baseline=sum(slots[each].start_seconds - at for each, at in arrived.items()) / len(jobs),
    )
