"""How long the scheduler takes for an event, driven through virtual time.

On small clusters with executions that come and go; and on large ones that are full, with very many
executions in the queue, restored as after a start of the master.
"""

import contextlib
import gc
import random
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

from figures import Figures, percentile

from rehearsal import execution_of, rehearse
from zoe.model.cluster import Node
from zoe.model.execution import (
    Execution,
    ExecutionStatus,
    Exit,
    ExitReason,
    InstanceStatus,
    ServiceInstance,
)
from zoe.model.quota import Accounts, Quota, User
from zoe.model.resources import Resources
from zoe.scheduler.decisions import StartInstance, StopInstance
from zoe.scheduler.events import (
    Event,
    ExecutionRestored,
    ExecutionSubmitted,
    InstanceReady,
    InstanceStopped,
    NodesObserved,
    SharesSet,
)
from zoe.scheduler.scheduler import Scheduler
from zoe.scheduler.sharing import Sharing
from zoe.sim.workload import Job, uniform_job

LIMIT_SECONDS = 500.0
SECONDS = 5.0
"""How long each rate is measured."""
NODES = 10
EXECUTIONS = 1000
GIB = 1024**3

EACH = Resources(1000, 4 * GIB, 0)

LARGE = ((1000, 10_000, 20, 5), (10_000, 100_000, 100, 10))
"""Nodes, executions in the queue, and the milliseconds that p99 must and may be."""
LARGE_SECONDS = 12.0
USERS = 50
QUOTA_NODES, QUOTA_QUEUED, QUOTA_EVENTS = 250, 2500, 600
"""The cluster on which the cost of quotas is measured, and with how many events."""
LARGE_NODE = Resources(16_000, 64 * GIB, 0)
SLOT = Resources(4000, 16 * GIB, 0)
"""A quarter of a large node."""
ESSENTIAL, ELASTIC = 2, 6
"""Instances of those that run at first."""
SIZES = ((1, 0), (1, 4), (2, 6), (4, 0), (4, 16), (8, 8))
SHAPES = (SLOT, Resources(2000, 8 * GIB, 0), Resources(1000, 12 * GIB, 0))


class _Enough(Exception):
    """The time is over."""


async def measure(figures: Figures, folder: Path) -> None:
    """Measure rates on a small cluster, and the times of single events on large ones."""
    for name, gap_seconds in (("no queue", 10.0), (f"queue of {EXECUTIONS}", 0.0)):
        events, seconds, longest_queue = _drive(gap_seconds)
        figures.add(
            f"events, {name}", events / seconds, "1/s", nodes=NODES, longest_queue=longest_queue
        )
    for nodes, queued, must, aim in LARGE:
        for policy in ("fifo", "fair"):
            _add_large(figures, nodes, queued, policy, must, aim)
    _add_quotas(figures)


def _drive(gap_seconds: float) -> tuple[int, float, int]:
    """Return how many events were handled, in how many seconds, and the longest queue."""
    scheduler = Scheduler()
    events = longest_queue = 0
    began = None

    def watch(now: float, event: Event) -> None:
        nonlocal events, longest_queue, began
        longest_queue = max(longest_queue, len(scheduler.queue()))
        if gap_seconds or longest_queue > EXECUTIONS * 0.8:  # the queue is there
            began = time.perf_counter() if began is None else began
            events += 1
            if time.perf_counter() - began > SECONDS:
                raise _Enough

    nodes = [Node(f"node{n}", Resources(16_000, 64 * GIB, 0)) for n in range(NODES)]
    with contextlib.suppress(_Enough):
        rehearse(_jobs(gap_seconds), nodes, scheduler, watch=watch)
    assert began is not None
    return events, time.perf_counter() - began, longest_queue


def _jobs(gap_seconds: float) -> list[Job]:
    """Return applications of 1-4 essential and 0-12 elastic instances; the same each time."""
    rng = random.Random(1)
    sizes = [(essential, elastic) for essential in (1, 2, 4) for elastic in (0, 12)]
    return [
        uniform_job(number, number * gap_seconds, rng.uniform(20, 120), *rng.choice(sizes), EACH)
        for number in range(1, EXECUTIONS + 1)
    ]


def _add_large(
    figures: Figures, nodes: int, queued: int, policy: str, must: float, aim: float
) -> None:
    large = _Large(nodes, queued, policy)
    first = large.first_plan()
    times = large.run()
    detail = {"nodes": nodes, "queued": queued, "policy": policy}
    name = f"handle, {policy}, {nodes} nodes and {queued} queued"
    every = [seconds for of_kind in times.values() for seconds in of_kind]
    figures.add(f"{name}, p50", percentile(every, 50) * 1000, "ms", events=len(every), **detail)
    figures.add(
        f"{name}, p99",
        percentile(every, 99) * 1000,
        "ms",
        must=must,
        aim=aim,
        longest=round(max(every) * 1000, 1),
        events={kind: len(of_kind) for kind, of_kind in times.items()},
        p50_by_event={
            kind: round(percentile(of_kind, 50) * 1000, 2)
            for kind, of_kind in times.items()
            if len(of_kind) > 1
        },
        p99_by_event={
            kind: round(percentile(of_kind, 99) * 1000, 2)
            for kind, of_kind in times.items()
            if len(of_kind) > 1
        },
        **detail,
    )
    figures.add(f"{name}: the first plan after a start", first, "s")


def _add_quotas(figures: Figures) -> None:
    """Measure what an event costs when everybody has a quota, beside the same with no quotas.

    Wide quotas hold nobody back: the events and the decisions are the same, and the ratio is the
    bookkeeping alone. Tight ones let about half of the users start nothing more.
    """
    share = QUOTA_NODES * LARGE_NODE.cores_milli // USERS
    quotas = {"wide": Quota(cores_milli=100 * share), "tight": Quota(cores_milli=share)}
    for policy in ("fifo", "fair"):
        bare = _per_event(policy, Quota())
        for name, quota in quotas.items():
            figures.add(
                f"one event, {policy}, everybody with a {name} quota",
                _per_event(policy, quota) * 1000,
                "ms",
                baseline=bare * 1000,
                nodes=QUOTA_NODES,
                queued=QUOTA_QUEUED,
                events=QUOTA_EVENTS,
                users=USERS,
            )


def _per_event(policy: str, quota: Quota) -> float:
    """Return the mean seconds of an event; the first plan after the start is not counted."""
    users = {f"user{number}": User(f"user{number}", quota=quota) for number in range(USERS)}
    large = _Large(QUOTA_NODES, QUOTA_QUEUED, policy, Accounts(users))
    large.first_plan()
    times = [each for of_kind in large.run(QUOTA_EVENTS).values() for each in of_kind]
    return sum(times) / len(times)


class _Large:
    """A full cluster with a long queue, and what happens to it."""

    def __init__(
        self, nodes: int, queued: int, policy: str, shares: Accounts | None = None
    ) -> None:
        self._rng = random.Random(3)
        self._scheduler = Scheduler(Sharing(policy=policy))
        self._now = 0.0
        if shares is not None:
            self._scheduler.handle(SharesSet(shares), 0.0)
        there = [Node(f"node{number:05}", LARGE_NODE) for number in range(nodes)]
        self._scheduler.handle(NodesObserved(tuple(there)), 0.0)
        slots = (node.name for node in there for _ in range(4))
        self._next_id = 1
        for _ in range(nodes * 4 // (ESSENTIAL + ELASTIC)):
            self._scheduler.handle(ExecutionRestored(self._running(slots)), self._now)
        for _ in range(queued):
            waiting = replace(self._drawn(), status=ExecutionStatus.QUEUED)
            self._scheduler.handle(ExecutionRestored(waiting), self._now)
        gc.collect()

    def first_plan(self) -> float:
        """Return the seconds that the first event takes after all have been restored."""
        began = time.process_time()
        self._handle(ExecutionSubmitted(self._drawn()))
        return time.process_time() - began

    def run(self, most: int | None = None) -> dict[str, list[float]]:
        """Let executions arrive and end, and elastic instances end; return seconds by event.

        It goes on for LARGE_SECONDS, or for ``most`` events.
        """
        times: dict[str, list[float]] = {}
        following: deque[Event] = deque()
        until = time.process_time() + LARGE_SECONDS
        for number in count():
            if time.process_time() >= until if most is None else number >= most:
                break
            event = following.popleft() if following else self._next_event()
            began = time.process_time()
            decisions = self._handle(event)
            seconds = time.process_time() - began
            times.setdefault(type(event).__name__, []).append(seconds)
            for decision in decisions:
                match decision:
                    case StartInstance(instance):
                        following.append(InstanceReady(instance.id, instance.attempt))
                    case StopInstance(instance_id, attempt):
                        gone = Exit(ExitReason.STOPPED)
                        following.append(InstanceStopped(instance_id, attempt, gone))
                    case _:
                        pass
        return times

    def _handle(self, event: Event) -> list[object]:
        self._now += 0.1
        return list(self._scheduler.handle(event, self._now))

    def _next_event(self) -> Event:
        if self._rng.random() < 0.4:
            return ExecutionSubmitted(self._drawn())
        wants_elastic = self._rng.random() < 0.5
        while True:  # most of those with the lowest ids run
            execution = self._scheduler.executions.get(self._rng.randrange(1, self._next_id))
            if execution is None or execution.status is not ExecutionStatus.RUNNING:
                continue
            for one in execution.instances:
                if one.status is InstanceStatus.RUNNING and (
                    not one.essential if wants_elastic else one.service.endswith(".lead")
                ):
                    return InstanceStopped(one.id, one.attempt, Exit(ExitReason.COMPLETED, code=0))

    def _drawn(self) -> Execution:
        essential, elastic = self._rng.choice(SIZES)
        return self._execution(essential, elastic, self._rng.choice(SHAPES))

    def _execution(self, essential: int, elastic: int, each: Resources) -> Execution:
        number = self._next_id
        self._next_id += 1
        self._now += 0.1
        owner = f"user{self._rng.randrange(USERS)}"
        seconds = self._rng.uniform(3600, 36_000)
        job = uniform_job(
            number, self._now, seconds, essential, elastic, each, owner=owner, run_seconds=seconds
        )
        return execution_of(job)

    def _running(self, slots: Iterator[str]) -> Execution:
        """Return an execution that runs in the next slots with all that it asks for."""
        execution = self._execution(ESSENTIAL, ELASTIC, SLOT)
        instances = [
            ServiceInstance(
                execution.id, service, ordinal, ordinal < of.essential, InstanceStatus.RUNNING,
                next(slots), ready=True, placed_at=self._now, started_at=self._now,
            )
            for service, of in execution.zapp.services()
            for ordinal in range(of.essential + of.elastic)
        ]  # fmt: skip
        return replace(
            execution,
            status=ExecutionStatus.RUNNING,
            instances=tuple(instances),
            started_at=self._now,
        )
