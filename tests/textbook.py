"""Batch scheduling as textbooks have it, for rigid jobs on equal processors.

Independent of the scheduler that it judges: it knows counts of processors and nothing else, plans
from nothing at every event, and keeps no state but who waits and who runs. Orders and ties are
those of zoe.sim: by submission, then by id; at equal times ends come before arrivals, and all
that happens at one time is planned for together.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from math import inf, nextafter
from typing import NamedTuple

from zoe.sim.workload import Job


class Waiting(NamedTuple):
    """A job that waits: its processors, and how long it runs by what its user said."""

    id: int
    processors: int
    requested: float


class Running(NamedTuple):
    """A job that runs: when it ends by what its user said, and its processors."""

    end: float
    processors: int


Rule = Callable[[list[Waiting], list[Running], int, float], Iterator[Waiting]]
"""Yields which of those that wait start now, given who runs, what is free and the time."""


def starts(jobs: Iterable[Job], processors: int, rule: Rule) -> dict[int, float]:
    """Return when each job starts; one larger than the machine would wait for ever."""
    arrivals = sorted(jobs, key=lambda job: (job.arrival_seconds, job.id), reverse=True)
    seconds = {job.id: job.seconds for job in arrivals}
    started: dict[int, float] = {}
    queue: list[Waiting] = []
    running: dict[int, Running] = {}
    ends: list[tuple[float, int]] = []
    free = processors
    while arrivals or ends:
        now = min(ends[0][0] if ends else inf, arrivals[-1].arrival_seconds if arrivals else inf)
        while ends and ends[0][0] == now:
            free += running.pop(heappop(ends)[1]).processors
        while arrivals and arrivals[-1].arrival_seconds == now:
            job = arrivals.pop()
            said = job.demand.run_seconds
            queue.append(Waiting(job.id, job.demand.instances, inf if said is None else said))
        for one in list(rule(queue, list(running.values()), free, now)):
            queue.remove(one)
            free -= one.processors
            started[one.id] = now
            running[one.id] = Running(now + one.requested, one.processors)
            heappush(ends, (now + seconds[one.id], one.id))
    return started


def fcfs(queue: list[Waiting], running: list[Running], free: int, now: float) -> Iterator[Waiting]:
    """First come, first served: nobody overtakes."""
    for one in queue:
        if one.processors > free:
            return
        free -= one.processors
        yield one


def easy(queue: list[Waiting], running: list[Running], free: int, now: float) -> Iterator[Waiting]:
    """The first that does not fit has a reservation; whoever does not delay it may overtake it."""
    running = list(running)
    behind = iter(queue)
    for head in behind:
        if head.processors > free:
            break
        free -= head.processors
        running.append(Running(now + head.requested, head.processors))
        yield head
    else:
        return
    # A job that has run for longer than was said counts as one that ends now.
    expected = sorted((max(one.end, now), one.processors) for one in running)
    spare, shadow = free, inf
    for end, processors in expected:
        if spare >= head.processors and end > shadow:
            break
        spare, shadow = spare + processors, end
    spare -= head.processors
    if spare < 0 or shadow == inf:  # nobody can tell when it will start
        return
    for one in behind:
        in_time = now + one.requested <= shadow
        if one.processors > free or not (in_time or one.processors <= spare):
            continue
        free -= one.processors
        spare -= 0 if in_time else one.processors
        yield one


def conservative(
    queue: list[Waiting], running: list[Running], free: int, now: float
) -> Iterator[Waiting]:
    """Everybody has a reservation, made anew at each event in the order of the queue."""
    times, room = [now], [free]
    """What is free from each time on, until the next."""
    soon = nextafter(now, inf)  # a job that has run for longer than was said still runs
    for end, processors in sorted((max(one.end, soon), one.processors) for one in running):
        if end == times[-1]:
            room[-1] += processors
        else:
            times.append(end)
            room.append(room[-1] + processors)
    for one in queue:
        first = _earliest(times, room, one)
        if first is None:
            continue
        start = times[first]
        end = start + one.requested
        last = bisect_left(times, end)
        if end < inf and (last == len(times) or times[last] != end):
            times.insert(last, end)
            room.insert(last, room[last - 1])
        for place in range(first, last):
            room[place] -= one.processors
        if start == now:
            yield one


def _earliest(times: list[float], room: list[int], one: Waiting) -> int | None:
    """Return from which time on it has its processors for as long as it asks for."""
    first = None
    for place, free in enumerate(room):
        if free < one.processors:
            first = None
            continue
        if first is None:
            first = place
        following = times[place + 1] if place + 1 < len(times) else inf
        if times[first] + one.requested <= following:
            return first
    return None
