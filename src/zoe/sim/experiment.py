"""Simulations side by side: every variant with every seed, on the same executions.

What is drawn by chance (the published workload, failures) is drawn anew for each simulation from
the chance that comes in: the same seed gives every variant the same executions and failures.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from zoe.model.cluster import Node
from zoe.model.zapp import Speedup
from zoe.scheduler.gang import Lack, fits_in
from zoe.scheduler.planner import Planner
from zoe.scheduler.room import Room
from zoe.sim.chance import Chance
from zoe.sim.failures import Failure, RandomFailures, draw_failures
from zoe.sim.load import offered_load, scaled
from zoe.sim.metrics import measure
from zoe.sim.outcome import Result
from zoe.sim.plots import MOST_ROWS
from zoe.sim.report import Run
from zoe.sim.simulation import Physics, simulate
from zoe.sim.variant import Variant
from zoe.sim.workload import Job
from zoe.sim.workloads.paper import REPEATS, Tables, generate


@dataclass(frozen=True, slots=True)
class Published:
    """The workload of the published experiment, still to be drawn."""

    tables: Tables
    scale: int = 5
    paper_exact: bool = False
    repeats: tuple[tuple[str, int], ...] = tuple(REPEATS.items())


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is the same in all simulations that are compared."""

    workload: tuple[Job, ...] | Published
    physics: Physics = field(default_factory=Physics)
    load_factor: float = 1.0
    speedup: Speedup | None = None
    """Of elastic services of which the workload does not know it."""
    failures: tuple[Failure, ...] = ()
    random_failures: RandomFailures | None = None

    @property
    def is_drawn(self) -> bool:
        """Whether seeds make a difference."""
        return isinstance(self.workload, Published) or self.random_failures is not None


def run(
    experiment: Experiment, variant: Variant, seed: int, chance: Chance, clock: Callable[[], float]
) -> tuple[Run, Result]:
    """Simulate one variant with one seed; ``clock`` tells seconds of wall time."""
    jobs = jobs_of(experiment, chance, variant.nodes)
    failures = failures_of(experiment, jobs, variant.nodes, chance)
    began = clock()
    result = simulate(
        jobs,
        variant.nodes,
        Planner(variant.sharing),
        physics=experiment.physics,
        failures=failures,
        keep_spans=len(jobs) <= MOST_ROWS,
    )
    wall_seconds = clock() - began
    load = offered_load(jobs, variant.nodes)
    metrics = measure(result, offered_load=load, wall_seconds=wall_seconds)
    return Run(variant.name, seed, metrics), result


def jobs_of(experiment: Experiment, chance: Chance, nodes: Iterable[Node]) -> tuple[Job, ...]:
    """Return the jobs of one simulation.

    Of the published workload those that fit on ``nodes`` with all their instances: the published
    simulator leaves the others out, of which one would stand at the head for ever.
    """
    workload = experiment.workload
    if isinstance(workload, Published):
        jobs = generate(
            workload.tables,
            chance,
            workload.scale,
            paper_exact=workload.paper_exact,
            repeats=dict(workload.repeats),
        )
        empty = Room()
        empty.set_nodes(nodes)
        jobs = tuple(job for job in jobs if fits_in(empty, _whole(job)))
    else:
        jobs = workload
    if experiment.load_factor != 1.0:
        jobs = scaled(jobs, experiment.load_factor)
    if experiment.speedup is not None:
        jobs = tuple(_with_speedup(job, experiment.speedup) for job in jobs)
    return jobs


def _whole(job: Job) -> list[Lack]:
    needs = job.demand.needs
    return [Lack(need.service, need.shape, need.essential + need.elastic) for need in needs]


def failures_of(
    experiment: Experiment, jobs: Iterable[Job], nodes: Iterable[Node], chance: Chance
) -> tuple[Failure, ...]:
    """Return the failures of one simulation: those that are listed, and those drawn."""
    if experiment.random_failures is None:
        return experiment.failures
    nodes, jobs = tuple(nodes), tuple(jobs)
    until = horizon(jobs, nodes)
    return experiment.failures + draw_failures(nodes, experiment.random_failures, until, chance)


def horizon(jobs: tuple[Job, ...], nodes: tuple[Node, ...]) -> float:
    """Return until when failures are drawn: twice the time that all the work takes at best.

    That is after the last arrival, and with the longest run time of all in addition.
    """
    if not jobs:
        return 0.0
    load = offered_load(jobs, nodes, 1.0)
    work = max((share for share in (load.cores, load.memory, load.gpus) if share), default=0.0)
    last = max(job.arrival_seconds for job in jobs)
    return last + 2 * (work + max(job.seconds for job in jobs))


def with_nodes(variants: Iterable[Variant], added: tuple[Node, ...], name: str) -> list[Variant]:
    """Return all variants, each followed by the same one with the nodes ``added``."""
    found = []
    for variant in variants:
        taken = {node.name for node in variant.nodes}
        more = [replace(node, name=_free(f"added-{node.name}", taken)) for node in added]
        nodes = (*variant.nodes, *more)
        found += [variant, replace(variant, name=f"{variant.name} and {name}", nodes=nodes)]
    return found


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "-"
    return name


def _with_speedup(job: Job, speedup: Speedup) -> Job:
    needs = tuple(
        replace(need, speedup=speedup) if need.elastic and need.speedup is None else need
        for need in job.demand.needs
    )
    return replace(job, demand=replace(job.demand, needs=needs))
