"""Taking elastic instances back for an essential set: whose, how many, and whether it is worth it.

Only as many as needed, those first whose loss is small, and never so that it costs more than it
gives: the sum of the delays of those that shrink must be less than what the other one gains.
"""

from collections.abc import Iterable, Iterator
from math import inf
from operator import add, le
from typing import TYPE_CHECKING

from zoe.model.zapp import Kind
from zoe.scheduler.backfill import reserve
from zoe.scheduler.contender import Contender
from zoe.scheduler.fitting import Fitting
from zoe.scheduler.gang import Gang, place_gang
from zoe.scheduler.lending import Lending
from zoe.scheduler.room import Room

if TYPE_CHECKING:
    from zoe.scheduler.plan import Plan
    from zoe.scheduler.planner import Planner

HOUR = 3600.0
INTERACTIVE_WEIGHT = 10.0
"""A second that somebody sits and waits weighs as much as so many of batch executions."""
JUDGED_AGAIN = 0.1
"""Of what somebody would gain, the part for which others are spared if that is too little."""

Taken = list[tuple[Lending, int]]


def clear(planner: "Planner", contender: Contender, plan: "Plan", now: float) -> Taken:
    """Choose the elastic instances that together make room for an essential set.

    Those that lose least come first, of equal ones the newest. No more than needed, none that would
    be idle, and none at all if not even all of them would do, or if it is not worth it. Who has
    waited for longer than the patience, or is owed a guaranteed share, gets it whatever it costs.
    """
    is_due = _is_due(planner, contender)
    is_overdue = planner.sharing.is_overdue(contender.demand.submitted_at, now)
    is_weighed = not (is_due or is_overdue)
    if not _could_do(planner, contender):
        return []
    if is_weighed and now < contender.spared_until:
        plan.retry_at = min(plan.retry_at, contender.spared_until)
        return []
    retry_at = plan.retry_at
    lent = takeable(planner, contender, plan, now, spares_minimum=not is_due)
    chosen = _least(planner, contender, lent)
    if not chosen:
        return []
    plan.retry_at = retry_at  # there is enough: it is not for want of more that it waits
    taken = sum(one.instances for one in plan.take_back)
    if sum(count for _, count in chosen) > planner.sharing.reclaim_per_plan - taken:
        return []
    if is_weighed and not _is_worth(planner, contender, chosen, plan, now):
        return []
    return chosen


def takeable(
    planner: "Planner",
    contender: Contender,
    plan: "Plan",
    now: float,
    *,
    spares_minimum: bool = True,
) -> Iterator[tuple[Lending, int]]:
    """Yield what may be taken back for an execution, what loses least first.

    Other teams keep what they are guaranteed and, with ``spares_minimum``, all executions the
    minimum that their users have set. When there will be more, the plan is told.
    """
    sharing, fairness = planner.sharing, planner.fairness
    taken: dict[int, int] = {}
    of_teams: dict[str, list[int]] = {}
    spare: dict[tuple[int, int], int] = {}
    """Of executions with a minimum: how many of each need may go."""
    for lending, count, _ in plan.take_back:
        taken[id(lending)] = taken.get(id(lending), 0) + count
        _add(of_teams, lending, count)
        if lending.contender.minimum:
            key = (lending.contender.id, lending.need)
            spare[key] = spare.get(key, lending.contender.spare(lending.need)) - count
    from_when: dict[int, float] = {}
    """Of executions that have been looked at: when they may be shrunk again."""
    for one in planner.lent.cheapest_first():
        other = one.contender
        left = one.count - taken.get(id(one), 0) if taken else one.count
        if not left or other.is_ending or not planner.room.is_open[one.node]:
            continue
        if other.id not in from_when:
            from_when[other.id] = _shrinkable_from(planner, other, now)
            if fairness is not None and not fairness.may_take(contender, other):
                from_when[other.id] = inf
        free_at = max(one.at + sharing.grant_seconds, from_when[other.id])
        if free_at > now:
            plan.retry_at = min(plan.retry_at, free_at)
            continue
        if spares_minimum and other.minimum:
            key = (other.id, one.need)
            left = min(left, max(0, spare.setdefault(key, other.spare(one.need))))
        if fairness is not None and other.demand.team != contender.demand.team:
            known = of_teams.setdefault(other.demand.team, [0, 0, 0])
            left = fairness.spare(other.demand.team, known, one.size, left)
            _add(of_teams, one, left)
        if left:
            if spares_minimum and other.minimum:
                spare[key] -= left
            yield one, left


def _add(of_teams: dict[str, list[int]], one: Lending, count: int) -> None:
    amounts = of_teams.setdefault(one.contender.demand.team, [0, 0, 0])
    for number, amount in enumerate(one.size):
        amounts[number] += amount * count


def _shrinkable_from(planner: "Planner", contender: Contender, now: float) -> float:
    """Return when elastic instances of an execution may be taken back again."""
    while contender.shrunk_at and contender.shrunk_at[0] <= now - HOUR:
        del contender.shrunk_at[0]
    is_full = len(contender.shrunk_at) >= planner.sharing.reclaim_per_hour
    return contender.shrunk_at[0] + HOUR if is_full else now


def _is_due(planner: "Planner", contender: Contender) -> bool:
    """Whether its team has less than it is guaranteed: what others borrow has to be given back."""
    fairness = planner.fairness
    return fairness is not None and fairness.is_below(contender.demand.team)


def _least(
    planner: "Planner", contender: Contender, may_go: Iterable[tuple[Lending, int]]
) -> Taken:
    """Return what of the shortest beginning of what may be taken back is needed, or nothing.

    No beginning is tried that has no room for each shape by itself. From there on the search
    doubles the length, then halves the step; it takes it that more room never hurts.
    """
    room = planner.room
    shapes = _Shapes(room, contender)
    lent: Taken = []
    too_few = next_try = 0
    seats = None
    for one, count in may_go:
        lent.append((one, count))
        if shapes.lacking:
            shapes.let_go(one, count)
        if shapes.lacking:
            too_few = len(lent)
        elif len(lent) >= next_try:
            seats = _seats_without(room, contender, lent)
            if seats is not None:
                break
            too_few, next_try = len(lent), 2 * len(lent)
    if seats is None and len(lent) > too_few:
        seats = _seats_without(room, contender, lent)
    enough = len(lent)
    while seats is not None and enough - too_few > 1:
        middle = (too_few + enough) // 2
        fewer = _seats_without(room, contender, lent[:middle])
        if fewer is None:
            too_few = middle
        else:
            enough, seats = middle, fewer
    return [] if seats is None else _needed_for(room, contender, seats, lent[:enough])


class _Shapes:
    """How many instances of each shape of an essential set have no room, each shape by itself."""

    def __init__(self, room: Room, contender: Contender) -> None:
        self.lacking: dict[Fitting, int] = {}
        self._room = room
        self._coming: dict[int, list[int]] = {}
        """By node that somebody leaves: the cores, memory and GPUs that are free then."""
        self._fit: dict[tuple[Fitting, int], int] = {}
        """How many of a shape fit on such a node."""
        wanted: dict[Fitting, int] = {}
        for fitting, missing in zip(contender.fittings, contender.essential_missing, strict=True):
            wanted[fitting] = wanted.get(fitting, 0) + missing
        for fitting, count in wanted.items():
            places = room.place(fitting, count, coming=True) if count else []
            room.release(fitting, places, coming=True)
            if (left := count - sum(there for _, there in places)) > 0:
                self.lacking[fitting] = left

    def let_go(self, one: Lending, count: int) -> None:
        """Take it that so many instances have gone."""
        node = one.node
        there = self._coming.get(node)
        if there is None:
            there = self._coming[node] = list(self._room.coming(node))
            for fitting in self.lacking:
                self._fit[fitting, node] = fitting.copies(*there)
        cores, memory, gpus = one.size
        there[0] += cores * count
        there[1] += memory * count
        there[2] += gpus * count
        for fitting in list(self.lacking):
            if fitting.allowed is None or node in fitting.allowed:
                fit = fitting.copies(there[0], there[1], there[2])
                self.lacking[fitting] -= fit - self._fit[fitting, node]
                self._fit[fitting, node] = fit
                if self.lacking[fitting] <= 0:
                    del self.lacking[fitting]


def _seats_without(room: Room, contender: Contender, lent: Taken) -> Gang | None:
    """Return where an essential set would go after these had gone."""
    freed: dict[int, list[int]] = {}
    for one, count in lent:
        cores, memory, gpus = one.size
        there = freed.get(one.node)
        if there is None:
            freed[one.node] = [cores * count, memory * count, gpus * count]
        else:
            there[0] += cores * count
            there[1] += memory * count
            there[2] += gpus * count
    room.assume(freed, 1)
    seats = place_gang(room, contender, coming=True)
    for need, places in seats or ():
        room.release(contender.fittings[need], places, coming=True)
    room.assume(freed, -1)
    return seats


def _needed_for(room: Room, contender: Contender, seats: Gang, lent: Taken) -> Taken:
    """Return what has to go so that an essential set fits where it is to go."""
    short: dict[int, list[int]] = {}
    for need, places in seats:
        size = contender.fittings[need].size
        for node, count in places:
            lacks_there = short.setdefault(node, [-each for each in room.coming(node)])
            for number, each in enumerate(size):
                lacks_there[number] += each * count
    by_node: dict[int, Taken] = {node: [] for node, lacks in short.items() if max(lacks) > 0}
    for one, count in lent:
        if one.node in by_node:
            by_node[one.node].append((one, count))
    return [each for node in sorted(by_node) for each in _enough(by_node[node], short[node])]


def _enough(lent: Taken, short: list[int]) -> Taken:
    """Return as few instances of one node as give it what is short there, in their order."""
    short_cores, short_memory, short_gpus = short
    chosen = []
    for lending, there in lent:  # written out: with many nodes, most of the time goes by here
        cores, memory, gpus = lending.size
        count = 0
        if short_cores > 0 < cores:
            count = -(-short_cores // cores)
        if short_memory > 0 < memory:
            count = max(count, -(-short_memory // memory))
        if short_gpus > 0 < gpus:
            count = max(count, -(-short_gpus // gpus))
        if count:
            count = min(count, there)
            chosen.append((lending, count))
            short_cores -= cores * count
            short_memory -= memory * count
            short_gpus -= gpus * count
            if short_cores <= 0 and short_memory <= 0 and short_gpus <= 0:
                break
    least = []
    for lending, count in reversed(chosen):  # a later one may have made it superfluous
        cores, memory, gpus = lending.size
        if short_cores <= -cores and short_memory <= -memory and short_gpus <= -gpus:
            fewer = lending.contender.fittings[lending.need].copies(
                -short_cores, -short_memory, -short_gpus
            )
            fewer = min(count, fewer)
            short_cores += cores * fewer
            short_memory += memory * fewer
            short_gpus += gpus * fewer
            count -= fewer
        if count:
            least.append((lending, count))
    return least[::-1]


def lost_seconds(planner: "Planner", lending: Lending, now: float) -> float:
    """Return how much work of one instance is lost at most; none, if it can hand it over."""
    most = 0.0 if lending.hands_over else planner.sharing.lost_seconds
    return min(now - lending.at, most)


def _is_worth(
    planner: "Planner", contender: Contender, chosen: Taken, plan: "Plan", now: float
) -> bool:
    """Whether it gains more than the others lose, in seconds until each of them has ended.

    It gains the time until it would have its room anyway. An execution that loses ``k`` of ``x``
    instances advances so much more slowly for that time, or until the other one has ended, and does
    again what is lost. When nobody can tell how long it would wait, it is worth it.
    """
    reservation = reserve(planner, contender, now, plan.gangs())
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
        sped_up = sum(instances for one, instances in lost if one.need == other.asks.sped_up)
        rate = other.rate_without(0, 0)
        less = rate - other.rate_without(count, sped_up)
        again = sum(lost_seconds(planner, one, now) * instances for one, instances in lost)
        grace = max(other.demand.needs[one.need].grace_seconds for one, _ in lost)
        drain = max(drain, grace)
        if rate:
            cost += (horizon + grace) * less / rate + again / other.has
    if cost <= (gain - drain) * weight_of(contender):
        return True
    contender.spared_until = now + gain * JUDGED_AGAIN
    return False


def weight_of(contender: Contender) -> float:
    """Return how much a second of it counts, beside one of a batch execution."""
    return 1.0 if contender.demand.kind is Kind.BATCH else INTERACTIVE_WEIGHT


def _by_execution(chosen: Taken) -> Iterable[tuple[Contender, Taken]]:
    lost: dict[int, Taken] = {}
    for lending, count in chosen:
        lost.setdefault(lending.contender.id, []).append((lending, count))
    return [(lendings[0][0].contender, lendings) for lendings in lost.values()]


def _could_do(planner: "Planner", contender: Contender) -> bool:
    """Whether there is enough in all, wherever it is."""
    there = map(add, _coming_in_all(planner.room), planner.lent.total)
    return planner.room.is_overdrawn or all(map(le, contender.total_missing(), there))


def _coming_in_all(room: Room) -> list[int]:
    there = [max(0, free) for free in room.free]
    for more in room.delta.values():
        for number in range(3):
            there[number] += max(0, more[number])
    return there
