"""Elastic instances that make way for those of an execution that comes before them in the order.

An execution that has just got in would otherwise run with its essential set alone until those that
came earlier end, however short it is and however long they run. It takes only what it gains more
from than the others lose, weighed as in :mod:`zoe.scheduler.reclaim`.
"""

from itertools import islice
from math import inf
from typing import TYPE_CHECKING

from zoe.scheduler.contender import Contender
from zoe.scheduler.fitting import Fitting
from zoe.scheduler.lending import Lending
from zoe.scheduler.quota import growth
from zoe.scheduler.reclaim import Taken, lost_seconds, takeable, weight_of

if TYPE_CHECKING:
    from zoe.scheduler.plan import Plan
    from zoe.scheduler.planner import Planner

LOOKED_AT = 1000
"""At how many places elastic instances of others are looked at for one service of one execution."""


def make_way(
    planner: "Planner", contender: Contender, need: int, wanted: int, plan: "Plan", now: float
) -> Taken:
    """Choose what makes way for those of the ``wanted`` elastic instances that the plan leaves out.

    What loses least goes first, of that the newest; nothing of those before it in the order.
    """
    newcomer = _Newcomer(contender, need, wanted, plan)
    retry_at = plan.retry_at
    left = planner.sharing.reclaim_per_plan - sum(one.instances for one in plan.take_back)
    chosen: Taken = []
    gone: dict[int, int] = {}
    """By execution: how many instances of it make way."""
    there: dict[int, list[int]] = {}
    """By node: what is free for the newcomer."""
    may_go = takeable(planner, contender, plan, now) if newcomer.missing else iter(())
    for one, count in islice(may_go, LOOKED_AT):
        if one.contender.key < contender.key or not newcomer.may_use(one.node):
            continue
        if one.node in planner.room.strained:
            continue
        if one.node not in there:
            now_free = planner.room.available(one.node)
            there[one.node] = [now_free.cores_milli, now_free.memory_bytes, now_free.gpus]
        taken = 0
        while newcomer.missing:
            step = _needed(newcomer.fitting, there[one.node], one.size)
            if not step or taken + step > min(count, left):
                break
            free = [a + b * step for a, b in zip(there[one.node], one.size, strict=True)]
            more = newcomer.fit_in(free)
            before = gone.get(one.contender.id, 0)
            cost = _delay(planner, one, before, step, newcomer.seconds_with(more), now)
            if newcomer.gain(more) * weight_of(contender) <= cost:
                break
            newcomer.get(more, one.node)
            gone[one.contender.id] = before + step
            taken += step
            there[one.node] = [
                a - b * more for a, b in zip(free, newcomer.fitting.size, strict=True)
            ]
            if newcomer.fitting.shape.spread:
                break
        if taken:
            chosen.append((one, taken))
            left -= taken
        if not newcomer.missing:
            break
    plan.retry_at = retry_at  # it runs: nobody waits for this
    return chosen


class _Newcomer:
    """How long an execution still runs with what the plan gives it, and with more of one need."""

    def __init__(self, contender: Contender, need: int, wanted: int, plan: "Plan") -> None:
        granted = [grant for grant in plan.grants if grant.contender is contender]
        counts = [(one.need, one.elastic, sum(n for _, n in one.places)) for one in granted]
        self.fitting: Fitting = contender.fittings[need]
        self.missing = wanted - sum(
            count for of, elastic, count in counts if of == need and elastic
        )
        if contender.allowances:
            self.missing = growth(contender, need, self.missing)
        if not contender.has_estimate:
            self.missing = 0
        self._contender = contender
        self._is_sped_up = need == contender.asks.sped_up
        self._has = sum(count for *_, count in counts)
        self._has_sped_up = sum(count for of, _, count in counts if of == contender.asks.sped_up)
        self._used = {node for one in granted if one.need == need for node, _ in one.places}
        self._left = max(0.0, contender.run_seconds - contender.done_seconds)
        self._need = need

    def may_use(self, node: int) -> bool:
        """Whether one more may run on this node, if there is room."""
        if self.fitting.allowed is not None and node not in self.fitting.allowed:
            return False
        return not self.fitting.shape.spread or node not in (
            self._used | self._contender.nodes_of(self._need)
        )

    def fit_in(self, room: list[int]) -> int:
        """Return how many more it gets in so much room of one node."""
        most = 1 if self.fitting.shape.spread else self.missing
        return min(most, self.fitting.copies(*room))

    def seconds_with(self, more: int) -> float:
        """Return how long it still runs with so many instances more."""
        sped_up = self._has_sped_up + more * self._is_sped_up
        rate = self._contender.rate_without(-self._has - more, -sped_up)
        return self._left / rate if rate else inf

    def gain(self, more: int) -> float:
        """Return by how many seconds so many more let it end earlier."""
        return self.seconds_with(0) - self.seconds_with(more)

    def get(self, more: int, node: int) -> None:
        """Take it that it has so many more, on this node."""
        self.missing -= more
        self._used.add(node)
        self._has += more
        self._has_sped_up += more * self._is_sped_up


def _needed(fitting: Fitting, free: list[int], each: tuple[int, int, int]) -> int:
    """Return how many instances of this size have to go so that one fits; 0: that is no help."""
    count = 0
    for wanted, there, size in zip(fitting.size, free, each, strict=True):
        if wanted > there:
            if not size:
                return 0
            count = max(count, -(-(wanted - there) // size))
    return count


def _delay(
    planner: "Planner", one: Lending, before: int, count: int, seconds: float, now: float
) -> float:
    """Return by how many seconds its execution ends later without ``count`` more for ``seconds``.

    It has lost so many ``before``.
    """
    other = one.contender
    rate = other.rate_without(0, 0)
    if not rate:
        return 0.0
    is_sped_up = one.need == other.asks.sped_up
    less = other.rate_without(before, before * is_sped_up) - other.rate_without(
        before + count, (before + count) * is_sped_up
    )
    grace = other.demand.needs[one.need].grace_seconds
    again = lost_seconds(planner, one, now) * count
    return (seconds + grace) * less / rate + again / other.has
