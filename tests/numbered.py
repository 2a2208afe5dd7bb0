"""Backfilling that reserves processors by number, as Batsim does it: it explains what differs.

A textbook reservation is a count: at that time so many processors will be free, whichever they are.
Batsim gives each reservation the free processors with the lowest numbers. Whoever is to run beside
it must find others that are free all the time, and so may have to wait where enough are free.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf, nextafter

from zoe.sim.workload import Job

Numbers = frozenset[int]


@dataclass(frozen=True, slots=True)
class Slot:
    """Processors that somebody has, or has reserved, in a time."""

    start: float
    end: float
    numbers: Numbers


class _Profile:
    """Which processors are free from each time on, until the next."""

    def __init__(self, now: float, processors: int, busy: Iterable[Slot]) -> None:
        slots = list(busy)
        times = {now, *(slot.start for slot in slots), *(slot.end for slot in slots)}
        self._times = sorted(time for time in times if now <= time < inf)
        everything = frozenset(range(processors))
        self._free = [
            everything.difference(*(s.numbers for s in slots if s.start <= time < s.end))
            for time in self._times
        ]

    def first(self, processors: int, seconds: float) -> Slot:
        """Return the earliest slot for so many processors, those with the lowest numbers."""
        for place, time in enumerate(self._times):
            last = bisect_left(self._times, time + seconds)
            free = self._free[place].intersection(*self._free[place:last])
            if len(free) >= processors:
                return Slot(time, time + seconds, frozenset(sorted(free)[:processors]))
        raise ValueError(f"no slot for {processors} processors: somebody's end is not known")


def starts(
    jobs: Iterable[Job], processors: int, rule: str, *, one_by_one: bool = True
) -> dict[int, float]:
    """Return when each job starts, under ``easy`` or ``conservative``.

    Reservations are made anew when a job ends: with ``one_by_one`` each in its turn while the
    others keep theirs, without it all together.
    """
    arrivals = sorted(jobs, key=lambda job: (job.arrival_seconds, job.id), reverse=True)
    running: dict[int, Slot] = {}
    ends: list[tuple[float, int]] = []
    queue: list[Job] = []
    reserved: dict[int, Slot] = {}
    started: dict[int, float] = {}
    while arrivals or ends:
        now = min(ends[0][0] if ends else inf, arrivals[-1].arrival_seconds if arrivals else inf)
        renewed = set[int]()
        while ends and ends[0][0] == now:
            del running[heappop(ends)[1]]
            renewed = {job.id for job in queue}
        while arrivals and arrivals[-1].arrival_seconds == now:
            queue.append(arrivals.pop())
            renewed.add(queue[-1].id)
        if rule == "easy" or not one_by_one:
            renewed = {job.id for job in queue}
            reserved.clear()
        for job in [job for job in queue if job.id in renewed]:
            reserved.pop(job.id, None)
            busy = [*_until_after(now, running), *reserved.values()]
            profile = _Profile(now, processors, busy)
            slot = profile.first(job.demand.instances, _said(job))
            if slot.start <= now or rule == "conservative" or not _waits(reserved, now):
                reserved[job.id] = slot
        for job in [job for job in queue if job.id in reserved and reserved[job.id].start <= now]:
            queue.remove(job)
            running[job.id] = reserved.pop(job.id)
            started[job.id] = now
            heappush(ends, (now + job.seconds, job.id))
    return started


def _said(job: Job) -> float:
    return inf if job.demand.run_seconds is None else job.demand.run_seconds


def _waits(reserved: Mapping[int, Slot], now: float) -> bool:
    return any(slot.start > now for slot in reserved.values())


def _until_after(now: float, running: Mapping[int, Slot]) -> Iterator[Slot]:
    """Yield who runs; one that has run for longer than was said ends in a moment."""
    for slot in running.values():
        yield Slot(slot.start, max(slot.end, nextafter(now, inf)), slot.numbers)
