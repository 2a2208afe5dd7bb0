"""Elastic instances that have room: it is only lent to them, and may be taken back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

from zoe.scheduler.contender import Contender

Key = tuple[int, int, int]


@dataclass(slots=True)
class Lending:
    """Elastic instances of one need on one node, the last of them placed ``at``."""

    contender: Contender
    need: int
    node: int
    count: int
    at: float
    size: tuple[int, int, int]
    """The cores, memory and GPUs of one."""

    @property
    def hands_over(self) -> bool:
        """Whether no work is lost when they are taken back."""
        return self.contender.demand.needs[self.need].hands_over


class Lendings:
    """All of them, by execution, need and node."""

    def __init__(self) -> None:
        self.total = [0, 0, 0]
        """The cores, memory and GPUs of all instances."""
        self._losing: dict[Key, Lending] = {}
        """Those that lose work, the newest last."""
        self._handing_over: dict[Key, Lending] = {}

    def lend(self, contender: Contender, need: int, node: int, count: int, at: float) -> None:
        """Note that so many instances more have room on a node, since ``at``."""
        lending = Lending(contender, need, node, count, at, contender.fittings[need].size)
        lent = self._of(contender, need)
        earlier = lent.pop((contender.id, need, node), None)
        is_newest = not lent or next(reversed(lent.values())).at <= at
        if earlier is not None:
            lending.count, lending.at = earlier.count + count, max(earlier.at, at)
        lent[contender.id, need, node] = lending
        if not is_newest:  # after a restart, what runs is told in any order
            in_order = sorted(lent.items(), key=lambda each: each[1].at)
            lent.clear()
            lent.update(in_order)
        self._count(lending, count)

    def end(self, contender: Contender, need: int, node: int, count: int) -> None:
        """Note that so many instances have it no more."""
        lent = self._of(contender, need)
        lending = lent[contender.id, need, node]
        lending.count -= count
        if not lending.count:
            del lent[contender.id, need, node]
        self._count(lending, -count)

    def renumber(self, number: Callable[[int], int]) -> None:
        """Have other numbers for the nodes."""
        for lent in (self._losing, self._handing_over):
            lendings = list(lent.values())
            lent.clear()
            for one in lendings:
                one.node = number(one.node)
                lent[one.contender.id, one.need, one.node] = one

    def cheapest_first(self) -> Iterator[Lending]:
        """Yield those that lose no work, then those that lose least: the newest first."""
        return chain(reversed(self._handing_over.values()), reversed(self._losing.values()))

    def __getitem__(self, key: Key) -> Lending:
        return self._losing[key] if key in self._losing else self._handing_over[key]

    def __len__(self) -> int:
        return len(self._losing) + len(self._handing_over)

    def _of(self, contender: Contender, need: int) -> dict[Key, Lending]:
        hands_over = contender.demand.needs[need].hands_over
        return self._handing_over if hands_over else self._losing

    def _count(self, lending: Lending, count: int) -> None:
        for number, amount in enumerate(lending.size):
            self.total[number] += amount * count
