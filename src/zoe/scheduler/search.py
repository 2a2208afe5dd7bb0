"""A placement that taking the best node each time misses, found by trying: in small cases only.

A need that is placed first may take the only node that a later one fits on. Where there are few
needs and nodes, other choices are tried in a fixed order, with a bound on the steps.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from zoe.scheduler.fitting import Fitting
from zoe.scheduler.room import Room
from zoe.scheduler.stock import Places

SEARCH_CELLS = 64
"""Needs times nodes; with more of them nothing is tried."""
SEARCH_STEPS = 1000
"""How many times so many instances are tried on a node: in all searches of one plan together."""


class Wanted(NamedTuple):
    """So many instances of a shape, on none of the nodes ``avoid``."""

    fitting: Fitting
    instances: int
    avoid: Collection[int] = ()


def search(
    room: Room, wanted: Sequence[Wanted], *, coming: bool = False, steps: int = SEARCH_STEPS
) -> list[Places] | None:
    """Return places for all that is ``wanted``, in that order, without taking them.

    None: there are none, or there is too much to try. With ``coming``, in what is coming.
    """
    if len(wanted) < 2 or len(wanted) * len(room.nodes) > SEARCH_CELLS:
        return None  # one need alone misses nothing: its instances are all the same
    if room.search_steps is not None:
        steps = min(steps, room.search_steps)
    tried = _Search(room, wanted, coming, steps)
    found = tried.places()
    if room.search_steps is not None:
        room.search_steps -= steps - tried.steps
    return found


class _Search:
    def __init__(self, room: Room, wanted: Sequence[Wanted], coming: bool, steps: int) -> None:
        self._wanted = wanted
        self._nodes = room.ready
        self._free = [
            list(room.coming(node) if coming else _available(room, node)) for node in self._nodes
        ]
        self._left = [each.instances for each in wanted]
        self._chosen: list[Places] = [[] for _ in wanted]
        self.steps = steps
        self._dead: set[object] = set()
        """From where it was found that there is no way on."""
        self._may_use = [
            [
                (each.fitting.allowed is None or node in each.fitting.allowed)
                and node not in each.avoid
                for node in self._nodes
            ]
            for each in wanted
        ]

    def places(self) -> list[Places] | None:
        return self._chosen if self._all_may_fit(0) and self._place(0, 0) else None

    def _place(self, need: int, at: int) -> bool:
        """Place what is left of a need on the nodes from ``at`` on, then all later needs."""
        if not self._left[need]:
            need, at = need + 1, 0
            if need == len(self._wanted):
                return True
            if not self._all_may_fit(need):
                return False
        state = (need, at, self._left[need], tuple(map(tuple, self._free)))
        if state in self._dead or not self._may_fit(need, at):
            return False
        for count in range(min(self._left[need], self._copies(need, at)), -1, -1):
            if not self.steps:
                return False
            self.steps -= 1
            self._take(need, at, count)
            if count:
                self._chosen[need].append((self._nodes[at], count))
            if self._place(need, at + 1):
                return True
            if count:
                self._chosen[need].pop()
            self._take(need, at, -count)
        self._dead.add(state)
        return False

    def _all_may_fit(self, first: int) -> bool:
        """Whether each need from ``first`` on would fit if it were alone."""
        return all(self._may_fit(need, 0) for need in range(first, len(self._wanted)))

    def _may_fit(self, need: int, at: int) -> bool:
        left = self._left[need]
        for node in range(at, len(self._nodes)):
            if left <= 0:
                break
            left -= self._copies(need, node)
        return left <= 0

    def _copies(self, need: int, at: int) -> int:
        if not self._may_use[need][at]:
            return 0
        fitting = self._wanted[need].fitting
        fit = fitting.copies(*self._free[at])
        return min(fit, 1) if fitting.shape.spread else fit

    def _take(self, need: int, at: int, count: int) -> None:
        self._left[need] -= count
        for number, amount in enumerate(self._wanted[need].fitting.size):
            self._free[at][number] -= amount * count


def _available(room: Room, node: int) -> tuple[int, int, int]:
    there = room.available(node)
    return there.cores_milli, there.memory_bytes, there.gpus
