"""The order of executions: the policies, and sorted lists by them."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import heapify, heappop, heapreplace, merge
from math import log2

from zoe.model.zapp import Kind
from zoe.scheduler.contender import Contender, SortKey
from zoe.scheduler.fitting import Fitting
from zoe.scheduler.room import Room

AGEING_SECONDS = 6 * 3600.0
"""How much longer one waits if it is twice as large, under ``fair`` and ``priority``."""
_AFTER_ALL_OTHERS = 2.0**40
"""More than any size or age, and small enough that their differences are not lost."""


def fifo(contender: Contender, now: float) -> float:
    """By submission alone."""
    return 0.0


def sjf(contender: Contender, now: float) -> float:
    """Shortest job first: run time with all it asks for."""
    return contender.run_seconds


def srpt(contender: Contender, now: float) -> float:
    """Shortest remaining run time first, with all it asks for."""
    done = contender.done_seconds + contender.rate * (now - contender.at)
    return max(0.0, contender.run_seconds - done)


def hrrn(contender: Contender, now: float) -> float:
    """Highest response ratio next: (wait + run time) / run time, the highest first."""
    run = max(contender.run_seconds, 1.0)
    return -(now - contender.demand.submitted_at + run) / run


def size2d(contender: Contender, now: float) -> float:
    """Smallest first: run time times the number of instances."""
    return contender.run_seconds * contender.asked


def size3d(contender: Contender, now: float) -> float:
    """Smallest first: run time times, over all instances, cores times memory (GiB) of each."""
    volume = 0.0
    for need in contender.demand.needs:
        each = need.shape.each
        cores, memory = each.cores_milli / 1000, each.memory_bytes / 2**30
        volume += (need.essential + need.elastic) * (cores or 1.0) * (memory or 1.0)
    return contender.run_seconds * volume


def aged_size(contender: Contender, now: float) -> float:
    """Smallest first, where twice the size weighs as much as :data:`AGEING_SECONDS` of waiting."""
    return log2(max(size3d(contender, now), 1.0)) + contender.demand.submitted_at / AGEING_SECONDS


def priority(contender: Contender, now: float) -> float:
    """Who is interactive first, then by size and age."""
    is_batch = contender.demand.kind is Kind.BATCH
    return aged_size(contender, now) + (_AFTER_ALL_OTHERS if is_batch else 0.0)


POLICIES: Mapping[str, Callable[[Contender, float], float]] = {
    "fifo": fifo,
    "sjf": sjf,
    "srpt": srpt,
    "hrrn": hrrn,
    "size2d": size2d,
    "size3d": size3d,
    "priority": priority,
    "fair": aged_size,
}
"""``fair`` orders the executions of one user; whose turn it is, :mod:`.fairness` says."""

CHANGING = frozenset({"srpt", "hrrn"})
"""Policies of which the order changes while executions wait or run."""


class Order:
    """Contenders in the order of their keys; ``contenders`` are all there are, by id."""

    def __init__(self, contenders: Mapping[int, Contender]) -> None:
        self._contenders = contenders
        self.keys: list[SortKey] = []
        self._key_of: dict[int, SortKey] = {}

    def add(self, contender: Contender) -> None:
        """Add it, or move it to its new place."""
        self.discard(contender.id)
        self._key_of[contender.id] = contender.key
        insort(self.keys, contender.key)

    def discard(self, execution_id: int) -> None:
        """Take it out, if it is in."""
        key = self._key_of.pop(execution_id, None)
        if key is not None:
            del self.keys[bisect_left(self.keys, key)]

    def keep(self, contender: Contender, *, wanted: bool) -> None:
        """Have it in, or not, as it is wanted."""
        if wanted != (contender.id in self._key_of):
            if wanted:
                self.add(contender)
            else:
                self.discard(contender.id)

    def position(self, execution_id: int) -> int:
        """Return its place, from 1."""
        return bisect_left(self.keys, self._key_of[execution_id]) + 1

    def moved_from(self, execution_id: int) -> int:
        """Return the first place that may have another holder once this one comes or goes."""
        return self.position(execution_id)

    def positions(self, execution_ids: Iterable[int]) -> list[int]:
        """Return the places of several, from 1."""
        return [self.position(each) for each in execution_ids]

    def part(self, first: int, last: int) -> list[Contender]:
        """Return those at these places, both included."""
        return [self._contenders[key[2]] for key in self.keys[first - 1 : last]]

    def sort(self) -> None:
        """Put all in order again after their keys have changed."""
        self._key_of = {each: self._contenders[each].key for each in self._key_of}
        self.keys = sorted(self._key_of.values())

    def before(self, others: Iterable[Contender]) -> Iterator[Contender]:
        """Yield these and others, which are in their order, in the order of the keys of both."""
        return merge(self, others, key=lambda contender: contender.key)

    def __contains__(self, execution_id: object) -> bool:
        return execution_id in self._key_of

    def __iter__(self) -> Iterator[Contender]:
        for key in self.keys:
            yield self._contenders[key[2]]

    def __len__(self) -> int:
        return len(self.keys)


class Growing(Order):
    """Those that want more elastic instances; it finds who may get some without asking each."""

    def __init__(self, contenders: Mapping[int, Contender]) -> None:
        super().__init__(contenders)
        self._by_fitting: dict[Fitting, list[SortKey]] = {}

    def add(self, contender: Contender) -> None:
        """Add it, or move it to its new place."""
        super().add(contender)
        for fitting in set(contender.fittings):
            insort(self._by_fitting.setdefault(fitting, []), contender.key)

    def discard(self, execution_id: int) -> None:
        """Take it out, if it is in."""
        key = self._key_of.get(execution_id)
        if key is not None:
            for fitting in set(self._contenders[execution_id].fittings):
                keys = self._by_fitting[fitting]
                del keys[bisect_left(keys, key)]
                if not keys:
                    del self._by_fitting[fitting]
        super().discard(execution_id)

    def sort(self) -> None:
        """Put all in order again after their keys have changed."""
        super().sort()
        for keys in self._by_fitting.values():
            keys[:] = sorted(self._key_of[key[2]] for key in keys)

    def that_may_fit(self, room: Room) -> Iterator[Contender]:
        """Yield, in order, those of which an instance may fit when it is their turn.

        A shape that was found to fit nowhere meanwhile is left out, with all who ask for it.
        """
        fittings = list(room.that_may_fit(self._by_fitting))
        groups = [self._by_fitting[fitting] for fitting in fittings]
        heads = [(keys[0], number, 1) for number, keys in enumerate(groups)]
        heapify(heads)
        last = None
        while heads:
            key, number, following = heads[0]
            if room.is_known_full(fittings[number]):
                heappop(heads)
                continue
            if following < len(groups[number]):
                heapreplace(heads, (groups[number][following], number, following + 1))
            else:
                heappop(heads)
            if key != last:  # it may ask for several shapes
                last = key
                yield self._contenders[key[2]]
