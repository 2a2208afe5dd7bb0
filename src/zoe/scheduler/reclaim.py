"""Taking elastic instances back for an essential set: whose, how many, and whether it is worth it.

Only as many as needed, those first whose loss is small, and never so that it costs more than it
gives: the sum of the delays of those that shrink must be less than what the other one gains.
"""

from collections.abc import Iterable
from math import inf
from operator import le
from typing import TYPE_CHECKING

from zoe.model.zapp import Kind
from zoe.scheduler.backfill import reserve
from zoe.scheduler.contender import Contender, relative_speed
from zoe.scheduler.gang import Gang, place_gang
from zoe.scheduler.room import Room

if TYPE_CHECKING:
    from zoe.scheduler.plan import Plan
    from zoe.scheduler.planner import Lending, Planner

HOUR = 3600.0
INTERACTIVE_WEIGHT = 10.0
"""A second that somebody sits and waits weighs as much as so many of batch executions."""

Taken = list[tuple["Lending", int]]


def clear(planner: "Planner", contender: Contender, plan: "Plan", now: float) -> Taken:
    """Choose the elastic instances that together make room for an essential set.

    Those that lose least come first, of equal ones the newest. No more than needed, none that would
    be idle, and none at all if not even all of them would do, or if it is not worth it.
    """
    lent, retry_at = _takeable(planner, contender, plan, now)
    chosen: Taken = []
    if lent and _could_do(planner, contender, lent):
        chosen = _least(planner.room, contender, lent)
        taken = sum(one.instances for one in plan.take_back)
        if sum(count for _, count in chosen) > planner.sharing.reclaim_per_plan - taken:
            chosen = []
    if not chosen:
        plan.retry_at = min(plan.retry_at, retry_at)
    elif not _is_worth(planner, contender, chosen, plan, now):
        chosen = []
    for lending, _ in chosen:
        lending.contender.shrunk_at.append(now)
    return chosen


def _takeable(
    planner: "Planner", contender: Contender, plan: "Plan", now: float
) -> tuple[Taken, float]:
    """Return what may be taken back, in order.

    Also when there will be more, because instances have had their time or an hour is over.
    """
    sharing, fairness = planner.sharing, planner.fairness
    taken: dict[int, int] = {}
    for lending, count, _ in plan.take_back:
        taken[id(lending)] = taken.get(id(lending), 0) + count
    retry_at = inf
    lent: list[tuple[float, float, int, Lending, int]] = []
    for one in reversed(planner.lent.values()):
        other = one.contender
        left = one.count - taken.get(id(one), 0)
        if not left or other.is_ending or not planner.room.is_open[one.node]:
            continue
        if fairness is not None and not fairness.may_take(contender, other):
            continue
        while other.shrunk_at and other.shrunk_at[0] <= now - HOUR:
            del other.shrunk_at[0]
        free_at = one.at + sharing.grant_seconds
        if len(other.shrunk_at) >= sharing.reclaim_per_hour:
            free_at = max(free_at, other.shrunk_at[0] + HOUR)
        if free_at > now:
            retry_at = min(retry_at, free_at)
        else:
            lost = _lost_seconds(planner, one, now)
            lent.append((lost, -one.at, len(lent), one, left))
    lent.sort()
    return [(one, left) for _, _, _, one, left in lent], retry_at


def _least(room: Room, contender: Contender, lent: Taken) -> Taken:
    """Return what of the shortest beginning of ``lent`` that is enough is needed, or nothing.

    The search doubles the length, then halves the step; it takes it that more room never hurts.
    """
    too_few, enough = 0, 1
    while enough < len(lent) and _seat_after(room, contender, lent[:enough]) is None:
        too_few, enough = enough, enough * 2
    enough = min(enough, len(lent))
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if _seat_after(room, contender, lent[:middle]) is None:
            too_few = middle
        else:
            enough = middle
    seats = _seat_after(room, contender, lent[:enough])
    if seats is None:
        return []
    short: dict[int, list[int]] = {}
    for need, places in seats:
        fitting = contender.fittings[need]
        for node, count in places:
            lacks_there = short.setdefault(node, [-each for each in room.coming(node)])
            for number, each in enumerate((fitting.cores, fitting.memory, fitting.gpus)):
                lacks_there[number] += each * count
    by_node: dict[int, Taken] = {node: [] for node in short}
    for lending, count in lent[:enough]:
        if lending.node in by_node:
            by_node[lending.node].append((lending, count))
    return [each for node in sorted(short) for each in _enough(by_node[node], short[node])]


def _seat_after(room: Room, contender: Contender, chosen: Taken) -> Gang | None:
    """Say where an essential set would go after these had gone."""
    for one, count in chosen:
        room.expect(one.contender.fittings[one.need], [(one.node, count)])
    seats = place_gang(room, contender, coming=True)
    for need, places in seats or ():
        room.release(contender.fittings[need], places, coming=True)
    for one, count in chosen:
        room.expect(one.contender.fittings[one.need], [(one.node, count)], -1)
    return seats


def _enough(lent: Taken, short: list[int]) -> Taken:
    """Return as few instances of one node as give it what is short there, in their order."""
    chosen = []
    for lending, there in lent:
        fitting = lending.contender.fittings[lending.need]
        each = (fitting.cores, fitting.memory, fitting.gpus)
        helpful = [-(-less // one) for less, one in zip(short, each, strict=True) if less > 0 < one]
        count = min(there, max(helpful, default=0))
        if count:
            chosen.append((lending, count, each))
            short = [less - one * count for less, one in zip(short, each, strict=True)]
    least = []
    for lending, count, each in reversed(chosen):  # a later one may have made it superfluous
        spare = [-less // one for less, one in zip(short, each, strict=True) if one]
        fewer = max(0, min(count, *spare))
        short = [less + one * fewer for less, one in zip(short, each, strict=True)]
        if count > fewer:
            least.append((lending, count - fewer))
    return least[::-1]


def _lost_seconds(planner: "Planner", lending: "Lending", now: float) -> float:
    """Return how much work of one instance is lost at most; none, if it can hand it over."""
    if lending.contender.demand.needs[lending.need].hands_over:
        return 0.0
    return min(now - lending.at, planner.sharing.lost_seconds)


def _is_worth(
    planner: "Planner", contender: Contender, chosen: Taken, plan: "Plan", now: float
) -> bool:
    """Whether it gains more than the others lose, in seconds until each of them has ended.

    It gains the time until it would have its room anyway. An execution that loses ``k`` of ``x``
    instances advances so much more slowly for that time, or until the other one has ended, and does
    again what is lost. When nobody can tell how long it would wait, it is worth it.
    """
    planned: dict[int, Gang] = {}
    for grant in plan.grants:
        planned.setdefault(grant.contender.id, []).append((grant.need, grant.places))
    reservation = reserve(planner, contender, now, planned)
    if reservation is None or reservation.at <= now:
        return True
    gain = reservation.at - now
    needed = inf
    if contender.has_estimate:
        essential = max(1, sum(contender.essential_missing))
        needed = contender.run_seconds * contender.asked / essential
    horizon = min(gain, needed)
    cost = drain = 0.0
    for other, lost in _by_execution(chosen):
        count = sum(instances for _, instances in lost)
        has, asked = other.has, other.asked
        rate = relative_speed(other.speedup, has, asked)
        less = rate - relative_speed(other.speedup, has - count, asked)
        again = sum(_lost_seconds(planner, one, now) * instances for one, instances in lost)
        grace = max(other.demand.needs[one.need].grace_seconds for one, _ in lost)
        drain = max(drain, grace)
        if rate:
            cost += (horizon + grace) * less / rate + again / has
    weight = 1.0 if contender.demand.kind is Kind.BATCH else INTERACTIVE_WEIGHT
    return cost <= (gain - drain) * weight


def _by_execution(chosen: Taken) -> Iterable[tuple[Contender, Taken]]:
    lost: dict[int, Taken] = {}
    for lending, count in chosen:
        lost.setdefault(lending.contender.id, []).append((lending, count))
    return [(lendings[0][0].contender, lendings) for lendings in lost.values()]


def _could_do(planner: "Planner", contender: Contender, lent: Taken) -> bool:
    """Whether there is enough in all, wherever it is."""
    room = planner.room
    there = [max(0, free) for free in room.free]
    for more in room.delta.values():
        for number in range(3):
            there[number] += max(0, more[number])
    for one, count in lent:
        fitting = one.contender.fittings[one.need]
        for number, each in enumerate((fitting.cores, fitting.memory, fitting.gpus)):
            there[number] += each * count
    return room.is_overdrawn or all(map(le, contender.total_missing(), there))
