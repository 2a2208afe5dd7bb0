"""Elastic instances taken back for an essential set of the same user or team.

A quota that elastic instances have filled must not keep the essential part of another application
of the same people waiting: they come before elastic ones, as everywhere. Nobody else's are touched.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from zoe.scheduler.contender import Contender
from zoe.scheduler.gang import place_gang
from zoe.scheduler.lending import Lending
from zoe.scheduler.quota import Allowance, charge_start, taken_to_start
from zoe.scheduler.reclaim import Taken, takeable

if TYPE_CHECKING:
    from zoe.scheduler.plan import Plan
    from zoe.scheduler.planner import Planner

Size = tuple[int, int, int]
Shortage = dict[Allowance, list[float]]
"""Cores, memory and GPUs that each allowance is short of; at most zero: it is not."""


def shed(planner: "Planner", contender: Contender, plan: "Plan", now: float) -> Taken:
    """Choose elastic instances whose end lets an execution in that others of its users keep out.

    Those that lose least go, no more than needed, those below a minimum only if the others are not
    enough, and none unless it then has its room, too: that is held for it, and its quota kept,
    until the next plan.
    """
    shortage = _shortage(planner, contender, plan)
    if shortage is None:
        return []
    chosen = _choose(shortage, takeable(planner, contender, plan, now))
    if chosen is None and planner.keeping:  # what a quota leaves no room for is not kept
        lent = takeable(planner, contender, plan, now, spares_minimum=False)
        chosen = _choose(shortage, lent)
    taken = sum(one.instances for one in plan.take_back)
    if chosen is None or sum(count for _, count in chosen) + taken > (
        planner.sharing.reclaim_per_plan
    ):
        return []
    room, fittings = planner.room, contender.fittings
    for one, count in chosen:
        room.expect(one.contender.fittings[one.need], [(one.node, count)])
    held = place_gang(room, contender, coming=True)
    if held is None:
        for one, count in chosen:
            room.expect(one.contender.fittings[one.need], [(one.node, count)], -1)
        return []
    planner.claims[contender.id] = [(fittings[need], places) for need, places in held]
    charge_start(contender)
    return chosen


def _choose(shortage: Shortage, lent: Iterable[tuple[Lending, int]]) -> Taken | None:
    """Return as few of ``lent`` as end the shortage; None: not even all of them do."""
    shortage = {allowance: list(short) for allowance, short in shortage.items()}
    chosen: Taken = []
    for one, left in lent if _is_short(shortage) else ():
        count = 0
        while count < left and _helps(shortage, one):
            _add(shortage, one.contender, one.size, -1)
            count += 1
        if count:
            chosen.append((one, count))
            if not _is_short(shortage):
                break
    if _is_short(shortage):
        return None
    needed: Taken = []
    for one, most in reversed(chosen):  # what came first may not be needed beside what came later
        count = most
        while count:
            _add(shortage, one.contender, one.size, 1)
            if _is_short(shortage):
                _add(shortage, one.contender, one.size, -1)
                break
            count -= 1
        if count:
            needed.append((one, count))
    return needed


def _shortage(planner: "Planner", contender: Contender, plan: "Plan") -> Shortage | None:
    """Return what is missing once all that is being stopped has gone; None: no room would help."""
    wanted = taken_to_start(contender)
    if any(each.short_of((0, 0, 0, *wanted[3:])) is not None for each in contender.allowances):
        return None
    shortage: Shortage = {
        allowance: [
            allowance.used[number] + allowance.planned[number] + amount - allowance.limits[number]
            if amount
            else 0
            for number, amount in enumerate(wanted[:3])
        ]
        for allowance in contender.allowances
    }
    for execution_id in planner.ledger.charged:
        other = planner.contenders[execution_id]
        for need, counts in enumerate(other.going):
            if counts:
                fitting = other.fittings[need]
                size = (fitting.cores, fitting.memory, fitting.gpus)
                _add(shortage, other, size, -sum(counts.values()))
    for lending, count, _ in plan.take_back:
        _add(shortage, lending.contender, lending.size, -count)
    return shortage


def _helps(shortage: Shortage, one: Lending) -> bool:
    return any(
        short > 0 and amount
        for allowance in one.contender.allowances
        for short, amount in zip(shortage.get(allowance, ()), one.size, strict=False)
    )


def _add(shortage: Shortage, contender: Contender, size: Size, count: int) -> None:
    for allowance in contender.allowances:
        for number in range(len(shortage.get(allowance, ()))):
            shortage[allowance][number] += size[number] * count


def _is_short(shortage: Shortage) -> bool:
    return any(short > 0 for each in shortage.values() for short in each)
