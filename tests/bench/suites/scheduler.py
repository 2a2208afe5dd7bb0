"""Events that the scheduler handles per second, driven through virtual time."""

import contextlib
import random
import time
from pathlib import Path

from figures import Figures

from rehearsal import rehearse
from zoe.model.cluster import Node
from zoe.model.resources import Resources
from zoe.scheduler.events import Event
from zoe.scheduler.scheduler import Scheduler
from zoe.sim.workload import Job, uniform_job

SECONDS = 5.0
"""How long each figure is measured."""
NODES = 10
EXECUTIONS = 1000
GIB = 1024**3

EACH = Resources(1000, 4 * GIB, 0)


class _Enough(Exception):
    """The time is over."""


async def measure(figures: Figures, folder: Path) -> None:
    """Measure with executions that arrive as others end, and with all of them waiting at once."""
    for name, gap_seconds in (("no queue", 10.0), (f"queue of {EXECUTIONS}", 0.0)):
        events, seconds, longest_queue = _drive(gap_seconds)
        figures.add(
            f"events, {name}", events / seconds, "1/s", nodes=NODES, longest_queue=longest_queue
        )


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
