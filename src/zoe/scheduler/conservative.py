"""Conservative backfilling: everybody who waits has a reservation, and nobody delays anybody.

Each execution, in order, is booked for the earliest time from which its essential set fits for as
long as it is believed to run (Mu'alem and Feitelson, 2001). Who is booked for now starts now. The
bookings are made anew in each plan, so that what ends early lets everybody move up.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from heapq import merge
from math import inf
from typing import TYPE_CHECKING

from zoe.scheduler.backfill import given_back
from zoe.scheduler.contender import Contender
from zoe.scheduler.gang import Gang
from zoe.scheduler.room import Room
from zoe.scheduler.stock import Places

if TYPE_CHECKING:
    from zoe.scheduler.planner import Planner

_Free = list[tuple[int, int, int]]
"""By node: cores, memory and GPUs."""


class Timetable:
    """What will be free from each of ``times`` on, the first of which is now."""

    def __init__(self, room: Room, now: float) -> None:
        self._room = room
        self.times = [now]
        free = zip(room.cores, room.memory, room.gpus, strict=True)
        less = ((node, [min(0, each) for each in more]) for node, more in room.delta.items())
        self._free: list[_Free] = [list(free)]
        for node, held in less:  # what is held for those who wait is nobody else's
            self._add(0, node, (held[0], held[1], held[2]))

    def release(self, at: float, parts: Iterable[tuple[int, tuple[int, int, int]]]) -> None:
        """Count room of nodes as free from ``at`` on; the last such time so far, or a later one."""
        if at > self.times[-1]:
            self.times.append(at)
            self._free.append(list(self._free[-1]))
        for node, more in parts:
            self._add(-1, node, more)

    def book(self, contender: Contender, seconds: float) -> tuple[float, Gang] | None:
        """Book the earliest time from which it fits for so long; None when there is none."""
        for first, begin in enumerate(self.times):
            last = bisect_left(self.times, begin + seconds)
            seats = self._seats(contender, self._least(first, last))
            if seats is not None:
                if begin + seconds < inf:
                    self._split(last, begin + seconds)
                for number in range(first, last):
                    for need, places in seats:
                        each = contender.fittings[need]
                        for node, count in places:
                            taken = (-each.cores * count, -each.memory * count, -each.gpus * count)
                            self._add(number, node, taken)
                return begin, seats
        return None

    def _add(self, number: int, node: int, more: tuple[int, int, int]) -> None:
        cores, memory, gpus = self._free[number][node]
        self._free[number][node] = (cores + more[0], memory + more[1], gpus + more[2])

    def _split(self, number: int, at: float) -> None:
        """Let a stretch of time of its own begin at ``at``, which is before ``times[number]``."""
        if number == len(self.times) or self.times[number] > at:
            self.times.insert(number, at)
            self._free.insert(number, list(self._free[number - 1]))

    def _least(self, first: int, last: int) -> _Free:
        """Return what is free on each node all the time between two times."""
        least = self._free[first]
        for number in range(first + 1, last):
            there = self._free[number]
            least = [
                one
                if one == other
                else (min(one[0], other[0]), min(one[1], other[1]), min(one[2], other[2]))
                for one, other in zip(least, there, strict=True)
            ]
        return least

    def _seats(self, contender: Contender, free: _Free) -> Gang | None:
        taken: dict[int, list[int]] = {}
        gang: Gang = []
        for need, missing in enumerate(contender.essential_missing):
            fitting = contender.fittings[need]
            places: Places = []
            left = missing
            for node in fitting.allowed if fitting.allowed is not None else range(len(free)):
                if not left:
                    break
                if not self._room.is_open[node]:
                    continue
                cores, memory, gpus = free[node]
                less = taken.get(node, (0, 0, 0))
                fit = fitting.copies(cores - less[0], memory - less[1], gpus - less[2])
                count = min(fit, left, 1 if fitting.shape.spread else left)
                if count:
                    there = taken.setdefault(node, [0, 0, 0])
                    there[0] += fitting.cores * count
                    there[1] += fitting.memory * count
                    there[2] += fitting.gpus * count
                    places.append((node, count))
                    left -= count
            if left:
                return None
            if places:
                gang.append((need, places))
        return gang


def timetable(planner: "Planner", now: float, planned: Mapping[int, Gang]) -> Timetable:
    """Return what is free when those that run have ended; ``planned`` have just got their room."""
    contenders = planner.contenders
    table = Timetable(planner.room, now)
    new = sorted(
        (now + contenders[each].run_seconds, each)
        for each in planned
        if not contenders[each].is_admitted and contenders[each].has_estimate
    )
    for end, execution_id in merge(planner.ends.in_order, new):
        parts = (
            (node, (each.cores * count, each.memory * count, each.gpus * count))
            for each, places in given_back(contenders[execution_id], planned.get(execution_id, []))
            for node, count in places
        )
        table.release(max(end, now), parts)
    return table
