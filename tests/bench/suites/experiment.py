"""The published experiment: this scheduler beside the published one, on the same executions.

SEEDS (1 unless it is set) seeds from START (0), on 5 * SCALE (5) machines; every simulation has a
process of its own. What is taken back loses all the work that it did.
"""

import multiprocessing
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path

from figures import Figures

from traces import TRACES
from zoe.cli.simulator.inputs import tables
from zoe.scheduler.sharing import Sharing
from zoe.sim.experiment import Experiment, Published, run
from zoe.sim.interval import interval
from zoe.sim.metrics import Metrics, Shares
from zoe.sim.simulation import Physics
from zoe.sim.variant import Variant
from zoe.sim.workloads.paper import machines

LIMIT_SECONDS = 3000.0
SEEDS = int(os.environ.get("SEEDS") or 1)
START = int(os.environ.get("START") or 0)
SCALE = int(os.environ.get("SCALE") or 5)
FAITHFUL_SCALE = 20
"""80,000 executions on 100 machines."""

POLICIES = ("fifo", "sjf", "size3d")
SHARINGS = {
    "published": Sharing(generation="published", patience_seconds=inf),
    "rigid": Sharing(generation="rigid", patience_seconds=inf),
    "malleable": Sharing(generation="malleable", patience_seconds=inf),
    "ours": Sharing(),
}

MEASURES: Mapping[str, Callable[[Metrics], float | None]] = {
    "mean turnaround": lambda metrics: metrics.overall.turnaround.mean,
    "p95 wait": lambda metrics: metrics.overall.wait.p95,
    "mean bounded slowdown": lambda metrics: metrics.overall.bounded_slowdown.mean,
    "mean wait": lambda metrics: metrics.overall.wait.mean,
}
UNITS = {"mean bounded slowdown": "times"}

MUST = {("mean turnaround", "fifo"): 0.9, ("mean turnaround", "sjf"): 0.9}
"""What ours may be of published at most; 1 where nothing is said."""

KNOWN = {
    ("fifo", "rigid"): 508e3, ("fifo", "malleable"): 212e3, ("fifo", "published"): 194e3,
    ("sjf", "rigid"): 83.4e3, ("sjf", "malleable"): 54.8e3, ("sjf", "published"): 47.7e3,
    ("size3d", "rigid"): 53.2e3, ("size3d", "malleable"): 33.7e3, ("size3d", "published"): 32.6e3,
}  # fmt: skip
"""Mean turnarounds of another program on 25 machines, with draws of its own: one seed of it."""


@dataclass(frozen=True, slots=True)
class _Task:
    policy: str
    name: str
    seed: int
    scale: int


@dataclass(frozen=True, slots=True)
class _Answer:
    task: _Task
    metrics: Metrics
    seconds: float
    """Of processor time, the making of the workload included."""


def _simulate(task: _Task) -> _Answer:
    sharing = replace(SHARINGS[task.name], policy=task.policy, lost_seconds=inf)
    variant = Variant(task.name, sharing, machines(task.scale))
    published = Published(tables(TRACES), task.scale, paper_exact=True)
    experiment = Experiment(published, Physics(lost_seconds=inf))
    began = time.process_time()
    made, _ = run(experiment, variant, task.seed, random.Random(task.seed), time.perf_counter)
    return _Answer(task, made.metrics, time.process_time() - began)


async def measure(figures: Figures, folder: Path) -> None:
    """Run every policy and generation with every seed, and compare what belongs together."""
    if not TRACES.is_dir():
        figures.note(f"left out: there is no {TRACES}")
        return
    seeds = range(START, START + SEEDS)
    tasks = [
        _Task(policy, name, seed, SCALE)
        for policy in POLICIES
        for seed in seeds
        for name in SHARINGS
    ]
    faithful = _Task("fifo", "published", START, FAITHFUL_SCALE)
    if faithful not in tasks:
        tasks.insert(0, faithful)
    until = time.monotonic() + LIMIT_SECONDS
    answers: dict[_Task, _Answer] = {}
    # Leaving the pool ends what still runs: nothing goes on after the time is up.
    with multiprocessing.Pool(os.cpu_count(), maxtasksperchild=1) as pool:
        coming = pool.imap_unordered(_simulate, tasks)
        for number in range(1, len(tasks) + 1):
            try:
                answer = coming.next(max(0.0, until - time.monotonic()))
            except multiprocessing.TimeoutError:
                figures.note(f"{len(tasks) - len(answers)} simulations took too long: left out")
                break
            answers[answer.task] = answer
            task = answer.task
            figures.note(
                f"{number} of {len(tasks)}: {task.policy}, {task.name}, seed {task.seed},"
                f" scale {task.scale}: {answer.seconds:.0f} s"
            )
    if faithful in answers:
        _add_speed(figures, answers[faithful])
    for policy in POLICIES:
        whole = {
            name: [answers[task] for task in tasks if _is(task, policy, name) and task in answers]
            for name in SHARINGS
        }
        _add_policy(figures, policy, whole)


def _is(task: _Task, policy: str, name: str) -> bool:
    return (task.policy, task.name, task.scale) == (policy, name, SCALE)


def _add_speed(figures: Figures, answer: _Answer) -> None:
    jobs = answer.metrics.overall.jobs
    figures.add(
        "the faithful experiment, a seed",
        answer.seconds,
        "s",
        must=15,
        executions=jobs,
        executions_per_second=round(jobs / answer.seconds),
        offered_load=_load([answer.metrics.offered_load]),
    )


def _add_policy(figures: Figures, policy: str, by_name: dict[str, list[_Answer]]) -> None:
    for name, answers in by_name.items():
        if not answers:
            continue
        detail = {"seeds": len(answers), "machines": 5 * SCALE}
        for measure_name, of in MEASURES.items():
            found = interval(of(one.metrics) for one in answers)
            assert found is not None
            known = KNOWN.get((policy, name)) if SCALE == 5 else None
            more: dict[str, object] = {}
            if measure_name == "mean turnaround" and known is not None:
                more = {"known": known}
            figures.add(
                f"{measure_name}, {policy}, {name}",
                found.mean,
                UNITS.get(measure_name, "s"),
                half_width=None if found.half is None else float(f"{found.half:.4g}"),
                **more,
                **detail,
            )
        metrics = [one.metrics for one in answers]
        figures.add(
            f"longest wait, {policy}, {name}", max(one.maximum_wait or 0.0 for one in metrics), "s"
        )
        figures.add(
            f"most overtaken, {policy}, {name}", max(one.most_overtaken for one in metrics), "times"
        )
        figures.add(
            f"time of a simulation, {policy}, {name}",
            sum(one.seconds for one in answers) / len(answers),
            "s",
            offered_load=_load([one.offered_load for one in metrics]),
            taken_back=[one.churn.taken_back for one in metrics],
            lost_work=[one.churn.lost_work for one in metrics],
        )
    for other, against in (("ours", "published"), ("ours", "malleable"), ("rigid", "published")):
        _add_ratios(figures, policy, other, by_name[other], against, by_name[against])


def _add_ratios(
    figures: Figures,
    policy: str,
    name: str,
    answers: list[_Answer],
    against: str,
    others: list[_Answer],
) -> None:
    """Print ``answers`` as parts of ``others``, seed by seed: the load of seeds differs much."""
    by_seed = {one.task.seed: one.metrics for one in others}
    for measure_name, of in MEASURES.items():
        ratios = []
        for one in answers:
            value = of(one.metrics)
            other = of(by_seed[one.task.seed]) if one.task.seed in by_seed else None
            if value is not None and other:
                ratios.append(value / other)
        found = interval(ratios)
        if found is None:
            continue
        must = None
        if name == "ours" and not (against == "malleable" and measure_name == "p95 wait"):
            must = MUST.get((measure_name, policy), 1.0) if against == "published" else 1.0
        figures.add(
            f"{measure_name}, {policy}, {name} to {against}",
            found.mean,
            "ratio",
            must=must,
            half_width=None if found.half is None else float(f"{found.half:.4g}"),
            by_seed=[float(f"{ratio:.4g}") for ratio in ratios],
            machines=5 * SCALE,
        )


def _load(loads: list[Shares]) -> dict[str, float]:
    """Return the mean over seeds of what was asked for, as parts of the machines."""
    return {
        name: round(mean.mean, 3)
        for name in ("cores", "memory")
        if (mean := interval(getattr(load, name) for load in loads)) is not None
    }
