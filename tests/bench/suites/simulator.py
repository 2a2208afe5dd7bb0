"""How fast the simulator is: a real log of rigid jobs, and elastic executions.

Each schedule of the log is compared, job by job, with that of a second program that knows nothing
but counts of processors (tests/textbook.py). AccaSim runs the same log where it is installed: here,
or in the Python that the variable ACCASIM_PYTHON names.
"""

import asyncio
import gzip
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from math import inf
from pathlib import Path

from figures import Figures

import textbook
from traces import KTH, TRACES
from zoe.cli.simulator.inputs import tables
from zoe.model.cluster import Node
from zoe.model.resources import Resources
from zoe.scheduler.planner import Planner
from zoe.scheduler.sharing import Sharing
from zoe.sim.cluster import read_nodes
from zoe.sim.load import offered_load
from zoe.sim.simulation import simulate
from zoe.sim.workload import Job, uniform_job
from zoe.sim.workloads.paper import generate, machines
from zoe.sim.workloads.swf import read_swf

LIMIT_SECONDS = 400.0
NODES = "100x1c"
RULES = (
    ("FCFS", "fifo", textbook.fcfs, Sharing(backfill="none", patience_seconds=inf), 389_838.48,
     20_000, 200_000),
    ("EASY", "easy", textbook.easy, Sharing(backfill_depth=1_000_000, patience_seconds=inf),
     6_847.26, 10_000, 40_000),
)  # fmt: skip
"""What it is called here and at AccaSim, the rule and ours, the mean wait, jobs per second."""

ELASTIC = 4000
"""Executions of the published workload, the first ones, on 25 machines."""
SEED = 0
PEER_SECONDS = 90.0
GIB = 1024**3


async def measure(figures: Figures, folder: Path) -> None:
    """Simulate the log under both rules, and elastic executions as they are shared by default."""
    if KTH.exists():
        await _log(figures, folder)
    else:
        figures.note(f"left out: there is no {KTH}")
    nodes = machines(5)
    if TRACES.is_dir():
        which = "published workload"
        jobs = generate(tables(TRACES), random.Random(SEED), paper_exact=True)[:ELASTIC]
    else:
        which = "drawn sizes"
        jobs = _drawn()
    for name, sharing in (
        ("published", Sharing(generation="published")),
        ("ours", Sharing()),
        ("ours, fair", Sharing(policy="fair")),
    ):
        _elastic(figures, name, which, jobs, nodes, sharing)


async def _log(figures: Figures, folder: Path) -> None:
    jobs = read_swf(KTH.read_bytes(), KTH.name).jobs
    nodes = read_nodes(NODES)
    for name, peer_name, rule, sharing, known, must, aim in RULES:
        by_the_book = textbook.starts(jobs, len(nodes), rule)
        planner = Planner(sharing)
        wall, processor = time.perf_counter(), time.process_time()
        result = simulate(jobs, nodes, planner)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        started = {one.job.id: one.started for one in result.outcomes}
        wait = sum(one.wait_seconds for one in result.outcomes) / len(jobs)
        others = sum(at != by_the_book[each] for each, at in started.items())
        figures.add(
            f"{name}: mean wait",
            wait,
            "s",
            exact=round(wait, 2),
            expected=known,
            deviation=wait / known - 1,
        )
        figures.add(f"{name}: jobs that start at another time", others, "jobs", must=0)
        peer = await _peer(figures, peer_name, folder)
        detail: dict[str, object] = {"jobs": len(jobs), "nodes": NODES}
        if peer is not None:
            detail |= {"peer": "AccaSim", "peer_mean_wait": peer["mean_wait"]}
        figures.add(
            f"{name}: jobs",
            len(jobs) / processor,
            "1/s",
            baseline=None if peer is None else peer["jobs"] / peer["seconds"],
            must=must,
            aim=aim,
            per_second_of_wall_time=round(len(jobs) / wall),
            **detail,
        )


async def _peer(figures: Figures, name: str, folder: Path) -> dict[str, float] | None:
    """Return what AccaSim found, and its seconds of processor time; None without it."""
    python = os.environ.get("ACCASIM_PYTHON") or sys.executable
    there = await asyncio.create_subprocess_exec(
        python, "-c", "import accasim", stderr=asyncio.subprocess.DEVNULL
    )
    if await there.wait():
        figures.note(
            "AccaSim is left out: install it (pip install accasim) in a Python of its own,"
            " and name that in ACCASIM_PYTHON"
        )
        return None
    log = folder / "log.swf"
    log.write_bytes(gzip.decompress(KTH.read_bytes()))
    own = folder / name
    own.mkdir()
    script = Path(__file__).parents[1] / "accasim_peer.py"
    running = await asyncio.create_subprocess_exec(
        python, str(script), name, str(log), str(own), str(len(read_nodes(NODES))),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(PEER_SECONDS):
            said, errors = await running.communicate()
    except TimeoutError:
        running.kill()
        await running.wait()
        figures.note(f"AccaSim is left out: it took more than {PEER_SECONDS:.0f} s")
        return None
    if running.returncode:
        figures.note(f"AccaSim is left out: {errors.decode(errors='replace').strip()[-300:]}")
        return None
    found: dict[str, float] = json.loads(said)
    return found


def _elastic(
    figures: Figures,
    name: str,
    which: str,
    jobs: Sequence[Job],
    nodes: Sequence[Node],
    sharing: Sharing,
) -> None:
    began = time.process_time()
    result = simulate(jobs, nodes, Planner(sharing))
    seconds = time.process_time() - began
    load = offered_load(jobs, nodes)
    figures.add(
        f"elastic executions, {name}",
        len(jobs) / seconds,
        "1/s",
        must=5_000,
        aim=20_000,
        workload=which,
        executions=len(jobs),
        machines=len(nodes),
        offered_load={"cores": load.cores, "memory": load.memory},
        longest_queue=max(moment.waiting for moment in result.moments),
    )


def _drawn() -> list[Job]:
    """Return elastic and rigid applications that ask for a little more than there is."""
    rng = random.Random(SEED)
    jobs = []
    for number in range(1, ELASTIC + 1):
        essential, elastic = rng.choice(((1, 40), (2, 60), (4, 120), (8, 0)))
        each = Resources(rng.randrange(200, 2000), rng.randrange(GIB // 2, 4 * GIB))
        seconds = rng.expovariate(1 / 600)
        said = seconds * rng.uniform(1, 3)
        arrival = number * 50.0
        jobs.append(
            uniform_job(number, arrival, seconds, essential, elastic, each, run_seconds=said)
        )
    return jobs
