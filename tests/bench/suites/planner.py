"""The planner alone on large clusters: placements per second, the cost of one event, memory.

Gangs with elastic instances, of forty different requests. What is placed on a small cluster is
compared, instance by instance, with a planner without indexes (tests/slow_planner.py).
"""

import gc
import math
import multiprocessing
import random
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import psutil
from figures import Figures

from rehearsal import execution_of
from slow_planner import SlowPlanner, placed_by
from zoe.model.cluster import Node
from zoe.model.execution import ExecutionStatus
from zoe.model.resources import Resources
from zoe.scheduler.demand import Demand, Need, Shape
from zoe.scheduler.events import ExecutionRestored
from zoe.scheduler.plan import Plan
from zoe.scheduler.planner import Planner
from zoe.scheduler.scheduler import Scheduler
from zoe.scheduler.sharing import Sharing
from zoe.sim.workload import Job

LIMIT_SECONDS = 300.0
SECONDS = 5.0
"""How long each rate is measured, after the first plan."""
NODE = Resources(32_000, 128 * 1024**3, 0)
NODES = 10_000
QUEUED = 100_000
REQUESTS = 40
USERS = 50
ROUNDS = 20
"""How often a queue is made longer again when some of it could start."""
GAP_SECONDS = 0.01
"""Between two arrivals: so short that few of those that run last longer than was believed."""
SMALL_NODES, SMALL_QUEUED, SMALL_STEPS = 100, 1000, 100
QUEUES = (1000, 10_000, 100_000)
EVENTS_NODES = 1000
GIB = 1024**3


async def measure(figures: Figures, folder: Path) -> None:
    """Measure the planner, and, for its memory, the scheduler around it."""
    _check(figures)
    for policy in ("fifo", "fair"):
        _placements(figures, policy)
        _events(figures, policy)
    # A process of its own has nothing in its memory that others have used and freed.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for name, fill in (("planner", _fill_planner), ("scheduler", _fill_scheduler)):
            used = pool.apply(_memory, (fill,))
            figures.add(
                f"memory of the {name} for {QUEUED} queued", used / 1e6, "MB", must=100, aim=40
            )


def _nodes(number_of: int) -> list[Node]:
    return [Node(f"node{number:05}", NODE) for number in range(number_of)]


def _demands(*, is_known: bool = True) -> Iterator[Demand]:
    """Draw applications: 1 to 8 essential, 0 to 16 elastic instances; the same each time.

    Unless ``is_known``, their users say nothing of their run times.
    """
    rng = random.Random(1)
    requests = []
    for _ in range(REQUESTS):
        each = Resources(rng.choice((500, 1000, 2000, 4000)), rng.choice((1, 2, 4, 8, 16)) * GIB)
        sizes = rng.choice((1, 2, 4, 8)), rng.choice((0, 4, 8, 16))
        requests.append((Need("work.worker", Shape(each), *sizes),))
    for number in count(1):
        yield Demand(
            number,
            number * GAP_SECONDS,
            rng.choice(requests),
            f"user{rng.randrange(USERS)}",
            run_seconds=rng.uniform(600, 36_000) if is_known else None,
        )


class _Drive:
    """A planner with some that wait, and events that happen to it."""

    def __init__(self, sharing: Sharing, nodes: int, *, is_known: bool = True) -> None:
        self.planner = Planner(sharing)
        self.planner.set_nodes(_nodes(nodes))
        self.now = 0.0
        self.rng = random.Random(2)
        self.running: list[int] = []
        self.placed = 0
        self._demands = _demands(is_known=is_known)

    def arrive(self) -> Demand:
        """Have one more wait."""
        demand = next(self._demands)
        self.now += GAP_SECONDS
        self.planner.wait(self.planner.add(demand, self.now), self.now)
        return demand

    def fill(self, queued: int) -> None:
        """Have so many wait, on a cluster that is as full as it gets."""
        for _ in range(ROUNDS):
            while len(self.planner.waiting) < queued:
                self.arrive()
            if not self.settle():
                return
        while len(self.planner.waiting) < queued:
            self.arrive()

    def settle(self) -> list[Plan]:
        """Plan, and make it so, until nothing is left to do."""
        plans = []
        while True:
            plan = self.planner.plan(self.now)
            if not plan.grants and not plan.take_back:
                return plans
            plans.append(plan)
            self.planner.commit(plan, self.now)
            for lending, taken, _ in plan.take_back:  # what is taken back has gone at once
                self.planner.gone(lending.contender, lending.need, (lending.node, taken), self.now)
            first = {grant.contender.id: grant for grant in plan.grants if not grant.elastic}
            self.running += first
            self.placed += sum(placed for grant in plan.grants for _, placed in grant.places)
            if plan.is_whole and not plan.take_back:
                return plans

    def end(self) -> int:
        """Have one of those that run end."""
        place = self.rng.randrange(len(self.running))
        self.running[place], self.running[-1] = self.running[-1], self.running[place]
        ended = self.running.pop()
        self.planner.forget(ended, self.now)
        return ended


def _check(figures: Figures) -> None:
    """Compare every placement with that of the slow planner."""
    drive = _Drive(Sharing(reclaim=False), SMALL_NODES, is_known=False)
    slow = SlowPlanner(_nodes(SMALL_NODES))
    for _ in range(SMALL_QUEUED):
        slow.add(drive.arrive())
    ours = slows = 0.0
    others = compared = 0
    for _ in range(SMALL_STEPS):
        began = time.process_time()
        plans = drive.settle()
        ours += time.process_time() - began
        began = time.process_time()
        expected = slow.plan()
        slows += time.process_time() - began
        others += (placed_by(plans) - expected).total() + (expected - placed_by(plans)).total()
        compared += expected.total()
        drive.now += 1.0
        slow.end(drive.end())
    detail = {"nodes": SMALL_NODES, "queued": SMALL_QUEUED}
    figures.add(
        "instances that the slow planner puts elsewhere",
        others,
        "instances",
        must=0,
        compared=compared,
        **detail,
    )
    figures.add("placements, small", compared / ours, "1/s", baseline=compared / slows, **detail)


def _placements(figures: Figures, policy: str) -> None:
    """Fill an empty cluster, then place as executions end and others arrive."""
    drive = _Drive(Sharing(policy=policy, reclaim=False), NODES)
    for _ in range(QUEUED):
        drive.arrive()
    began = time.process_time()
    drive.settle()
    filled, filling = drive.placed, time.process_time() - began
    while len(drive.planner.waiting) < QUEUED:
        drive.arrive()
    drive.placed = 0
    steps = 0
    began = time.process_time()
    while time.process_time() - began < SECONDS:
        drive.now += 1.0
        drive.end()
        drive.settle()
        steps += 1
    seconds = time.process_time() - began
    detail = {"nodes": NODES, "queued": QUEUED, "policy": policy}
    name = f"placements, {policy}"
    figures.add(
        f"{name}, an empty cluster",
        filled / filling, "1/s", must=20_000, aim=100_000, placed=filled, **detail,
    )  # fmt: skip
    figures.add(
        f"{name}, as executions end",
        drive.placed / seconds, "1/s", must=20_000, aim=100_000,
        placed=drive.placed, ends=steps, **detail,
    )  # fmt: skip


def _events(figures: Figures, policy: str) -> None:
    """Measure an arrival and an end on one cluster with shorter and longer queues."""
    costs: dict[str, list[float]] = {"arrival": [], "end": []}
    for queued in QUEUES:
        drive = _Drive(Sharing(policy=policy), EVENTS_NODES)
        drive.fill(queued)
        for name, happen in (("arrival", drive.arrive), ("end", drive.end)):
            costs[name].append(_cost(drive, happen))
    for name, seconds in costs.items():
        for queued, cost in zip(QUEUES, seconds, strict=True):
            figures.add(
                f"an {name}, {policy}, {queued} queued", cost * 1000, "ms", nodes=EVENTS_NODES
            )
        grown = math.log(seconds[-1] / seconds[0]) / math.log(QUEUES[-1] / QUEUES[0])
        figures.add(f"growth of an {name} with the queue, {policy}", grown, "exponent", must=1)


def _cost(drive: _Drive, happen: Callable[[], object]) -> float:
    """Return the mean seconds that an event and the plans after it take."""
    times = []
    until = time.process_time() + SECONDS / 2
    while len(times) < 10 or (time.process_time() < until and len(times) < 500):
        drive.now += 1.0
        began = time.process_time()
        happen()
        drive.settle()
        times.append(time.process_time() - began)
    return statistics.fmean(times)


def _memory(fill: Callable[[], object]) -> int:
    """Return how many bytes this process has grown by."""
    gc.collect()
    before = psutil.Process().memory_info().rss
    filled = fill()
    gc.collect()
    grown: int = psutil.Process().memory_info().rss - before
    del filled
    return grown


def _fill_planner() -> Planner:
    drive = _Drive(Sharing(), 0)
    for _ in range(QUEUED):
        drive.arrive()
    return drive.planner


def _fill_scheduler() -> Scheduler:
    """Each execution has an application of its own, as they come from users."""
    scheduler = Scheduler()
    for demand in islice(_demands(), QUEUED):
        execution = execution_of(Job(demand, 1.0))
        queued = replace(execution, status=ExecutionStatus.QUEUED)
        scheduler.handle(ExecutionRestored(queued), demand.submitted_at)
    return scheduler
