"""The synthetic workload with which flexible scheduling was published (CCGrid 2017, TCC 2019).

Two classes, 80 % elastic batch and 20 % rigid MPI, each with a loop of its own::

    t = Q(inter)
    repeat N_class times:
       m = randint(0, 4)
       s times:  T = 30 Q(runtime) until 0 < T < window / 10;   k = ceil(Q(tasks)), batch: 10 k
                 cores = 0.7 Q(cores) until 0 < cores < 6.4;    memory = 0.7 Q(memory) likewise
                 batch: essential max(1, m), elastic k;         MPI: essential k
       t += 100 Q(inter); past half of the window: t = Q(inter)

so with ``s = 5`` there are 4,000 repeats, 20,000 executions and 25 machines; with ``s = 20`` as
many repeats, 80,000 executions and 100 machines. ``Q`` draws from a table of 1,001 quantiles.

**The interpolation.** Between two quantiles the published simulator computes ``below + f * (below +
above)`` where ``below + f * (above - below)`` is meant, so what it draws is about twice too large
on average, and jumps back at each quantile. All its results were obtained with these draws, and
factors such as 30 and 0.7 were chosen with them: ``paper_exact=True`` draws the same. With the
right interpolation the same parameters give about a seventh of the load: run time, tasks and size
all shrink. Choose ``paper_exact``, or fewer machines, to see a queue.

**Units.** The snapshot of the cluster gives each job's sums over its tasks: cores (not shares of a
machine: single tasks use up to 11) and bytes. Memory is divided by 1024**3 in the published
simulator, so its machines have 128 GiB.

**Where the text is not enough.** The order of the draws is that of the text, so the same seed does
not give the figures of another program. Which run times and which window the known loads (1.06 of
the cores, 1.21 of the memory at 25 machines, one seed) are over is not said. Chosen, because their
turnarounds come nearest of what was tried: the run times of all jobs, tasks of the trace's batch
jobs, loads over the half of the window in which executions arrive (:data:`ARRIVAL_SECONDS`), and
executions that do not fit on the machines with all their instances left out (by the experiment).
Five seeds give 1.08 to 1.37 of the cores and 0.85 to 1.37 of the memory with those, and 0.83 to
0.93 and 0.75 to 0.92 without. Over the whole window it is half of it.
A job of the snapshot has a line of type 11; one that ended later has a second line, of type 12 and
without sizes, which says nothing new.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from zoe.model.cluster import Node
from zoe.model.resources import CORE, Resources
from zoe.scheduler.demand import Demand, Need, Shape
from zoe.sim.chance import Chance
from zoe.sim.workload import Job
from zoe.sim.workloads.numbers import number, whole
from zoe.sim.workloads.problems import OnError, Reading, unreadable

WINDOW_SECONDS = 90 * 86_400
ARRIVAL_SECONDS = WINDOW_SECONDS / 2
"""Executions arrive in the first half: the loads of the published experiment are over this time."""
GIBIBYTE = 1024**3
MACHINE = Resources(32 * CORE, 128 * GIBIBYTE)
REPEATS: Mapping[str, int] = {"batch": 3200, "mpi": 800}
MAX_SCALE = 1000

_MAX_REDRAWS = 10_000
_SNAPSHOT_FIELDS = 8
_PRODUCTION_CLASS = 2
_LARGEST_SHARE = 5
"""No instance takes more than this part of a machine."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Quantiles, ascending: of seconds, seconds, the tasks of a job, cores and GiB of a task."""

    inter_arrival: Sequence[float]
    run_time: Sequence[float]
    tasks: Sequence[float]
    cores: Sequence[float]
    memory: Sequence[float]


def quantiles(values: Iterable[float], count: int = 1001) -> tuple[float, ...]:
    """Return ``count`` quantiles from the smallest to the largest value; ValueError for none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("there are no values to take quantiles of")
    last = len(ordered) - 1
    return tuple(ordered[last * place // (count - 1)] for place in range(count))


def task_shapes(
    lines: Iterable[str], file: str = "init-cluster-state.log", *, on_error: OnError = "refuse"
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the quantiles of cores and of GiB of a task, of the batch jobs of a snapshot.

    Batch is what is not both of production and of scheduling class 2 or higher.
    """
    reading = Reading(file, on_error)
    cores: list[float] = []
    memory: list[float] = []
    for line, text in enumerate(lines, 1):
        fields = text.split()
        if not fields or (fields[0] == "12" and len(fields) < _SNAPSHOT_FIELDS):
            continue
        try:
            if len(fields) != _SNAPSHOT_FIELDS:
                raise ValueError(f"the line has {len(fields)} fields, not {_SNAPSHOT_FIELDS}")
            is_production = whole(fields[3], "production", 0, 1)
            scheduling_class = whole(fields[4], "scheduling class", 0, 3)
            tasks = whole(fields[5], "tasks", 1)
            per_task = (
                number(fields[6], "cores") / tasks,
                number(fields[7], "memory", high=1e18) / tasks,
            )
        except ValueError as error:
            reading.skip(str(error), line=line)
            continue
        if not (is_production and scheduling_class >= _PRODUCTION_CLASS):
            cores.append(per_task[0])
            memory.append(per_task[1] / GIBIBYTE)
    reading.check()
    if not cores:
        raise unreadable(file, "there is no batch job with its sizes in it")
    return quantiles(cores), quantiles(memory)


def tables_of(
    google: Mapping[str, object],
    shapes: tuple[Sequence[float], Sequence[float]],
    file: str = "google2011_quantiles.json",
) -> Tables:
    """Return the tables of the experiment: those of the trace, parsed, and the task shapes."""
    return Tables(
        _table(google, "interarrival_all_s", file),
        _table(google, "runtime_all_s", file),
        _table(google, "csizes_batch_first_parts", file),
        *shapes,
    )


def machines(s: int) -> tuple[Node, ...]:
    """Return the 5 * ``s`` machines of 32 cores and 128 GiB."""
    return tuple(Node(f"node{place:03}", MACHINE) for place in range(1, 5 * s + 1))


def generate(
    tables: Tables,
    chance: Chance,
    s: int = 5,
    *,
    paper_exact: bool = False,
    repeats: Mapping[str, int] = REPEATS,
) -> tuple[Job, ...]:
    """Return the executions in the order of their arrival, numbered from 1 in that order.

    WorkloadInvalid when the tables give nothing within the limits of a machine.
    """
    if not 1 <= s <= MAX_SCALE:
        raise unreadable("the generator", f"s is {s}: it must be from 1 to {MAX_SCALE}")
    draws = _Draws(tables, chance, paper_exact)
    drawn: list[tuple[float, str, int, int, float, Resources]] = []
    for kind, count in repeats.items():
        arrival = draws.quantile(tables.inter_arrival)
        for _ in range(count):
            essential = max(1, chance.randint(0, 4))
            for _ in range(s):
                seconds = draws.run_time()
                tasks = math.ceil(draws.quantile(tables.tasks))
                each = draws.each()
                if kind == "mpi":
                    drawn.append((arrival, kind, max(1, tasks), 0, seconds, each))
                else:
                    drawn.append((arrival, kind, essential, 10 * tasks, seconds, each))
            arrival += 100 * draws.quantile(tables.inter_arrival)
            if arrival > ARRIVAL_SECONDS:
                arrival = draws.quantile(tables.inter_arrival)
    drawn.sort(key=lambda one: one[0])  # stable: equal arrivals stay in the order of the draws
    return tuple(_job(number, *one) for number, one in enumerate(drawn, 1))


class _Draws:
    """Draws from the tables, within the limits of the experiment."""

    def __init__(self, tables: Tables, chance: Chance, paper_exact: bool) -> None:
        self._tables = tables
        self._random = chance.random
        self._sign = 1.0 if paper_exact else -1.0

    def quantile(self, table: Sequence[float]) -> float:
        place = self._random() * (len(table) - 1)
        below = int(place)
        part = place - below
        if not part:
            return table[below]
        return table[below] + part * (table[below + 1] + self._sign * table[below])

    def run_time(self) -> float:
        return self._within(self._tables.run_time, 30.0, 0.1 * WINDOW_SECONDS, "run time")

    def each(self) -> Resources:
        most = MACHINE.cores_milli / CORE / _LARGEST_SHARE
        cores = self._within(self._tables.cores, 0.7, most, "cores")
        most = MACHINE.memory_bytes / GIBIBYTE / _LARGEST_SHARE
        memory = self._within(self._tables.memory, 0.7, most, "memory")
        # Room is counted in whole units, and nothing that runs needs none.
        return Resources(max(1, round(cores * CORE)), max(1, round(memory * GIBIBYTE)))

    def _within(self, table: Sequence[float], factor: float, most: float, what: str) -> float:
        for _ in range(_MAX_REDRAWS):
            drawn = factor * self.quantile(table)
            if 0 < drawn < most:
                return drawn
        raise unreadable(
            "the tables", f"no {what} between 0 and {most:g} in {_MAX_REDRAWS:,} draws"
        )


def _job(
    number: int,
    arrival: float,
    kind: str,
    essential: int,
    elastic: int,
    seconds: float,
    each: Resources,
) -> Job:
    need = Need(f"{kind}.worker", Shape(each), essential, elastic)
    return Job(Demand(number, arrival, (need,), application=kind, run_seconds=seconds), seconds)


def _table(google: Mapping[str, object], name: str, file: str) -> tuple[float, ...]:
    found = google.get(name)
    if not isinstance(found, list | tuple) or len(found) < 2:
        raise unreadable(file, f"there is no table {name} of at least two quantiles")
    try:
        table = tuple(number(value, name) for value in found)
    except ValueError as error:
        raise unreadable(file, str(error)) from None
    if list(table) != sorted(table):
        raise unreadable(file, f"the quantiles of {name} do not ascend")
    return table
