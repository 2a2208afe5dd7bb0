"""What to do next: a whole plan, made by taking room that is given back if it comes to nothing.

*flexible*, in the steps of docs/explanation/scheduling.md:

1. Essential instances whose node has gone come before everybody who waits.
2. Executions wait in the order of the policy; those that waited too long come first.
3. Each gets room for its whole essential set, or for nothing of it.
   One that is over a quota of its user or team waits for that, and holds up nobody.
4. If it would fit once elastic instances of others had gone, the newest of these are taken back and
   the room is held for it meanwhile.
5. The first that fits neither way is *blocked*. A reservation is made for it: when and where it
   will fit, as far as the ends of others can be told. It keeps others from delaying it.
6. Those behind it may overtake it if they do not delay it (backfilling).
   For those whose quota is filled by elastic instances, some of these are taken back as well.
7. What is left goes to elastic instances, in the order of the policy.
8. Who has just got in and misses elastic instances takes those of others that stand behind it in
   the order, where it gains more than they lose (not under *fair*, which gives them in turns).

What it is compared with is in :mod:`zoe.scheduler.generations`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import chain
from math import inf
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from zoe.model.execution import Reason
from zoe.scheduler.backfill import reserve
from zoe.scheduler.conservative import timetable
from zoe.scheduler.contender import Contender
from zoe.scheduler.fairness import Fairness, Turns
from zoe.scheduler.fitting import Fitting
from zoe.scheduler.gang import Gang, fits, grow, may_grow, place_gang
from zoe.scheduler.make_way import make_way
from zoe.scheduler.quota import charge_start, growth
from zoe.scheduler.reclaim import Taken, clear
from zoe.scheduler.room import Room
from zoe.scheduler.shed import shed
from zoe.scheduler.stock import Places

if TYPE_CHECKING:
    from zoe.scheduler.lending import Lending
    from zoe.scheduler.planner import Planner

CLEARED_AT_ONCE = 20
"""How many executions have room cleared for them at one time; the others wait for their turn."""
PORTION = 1 / 32
"""Share of the cluster that elastic instances of one execution get in one turn (fair)."""


class Grant(NamedTuple):
    """Room for instances of one need of an execution."""

    contender: Contender
    need: int
    places: Places
    elastic: bool


class TakeBack(NamedTuple):
    """Elastic instances to stop, so that the execution ``for_id`` gets their room."""

    lending: "Lending"
    instances: int
    for_id: int


@dataclass(slots=True)
class Plan:
    """What to do: room to give, instances to take back, and why the others wait."""

    grants: list[Grant] = field(default_factory=list)
    take_back: list[TakeBack] = field(default_factory=list)
    reasons: dict[int, Reason] = field(default_factory=dict)
    blocked: int | None = None
    """The first waiting execution that others keep from starting."""
    retry_at: float = inf
    """When more may be taken back, if nothing happens meanwhile."""
    is_whole: bool = True
    """Whether the next plan would find nothing more to give, if nothing happens meanwhile."""

    def gangs(self) -> dict[int, Gang]:
        """Return what has been granted, by execution."""
        gangs: dict[int, Gang] = {}
        for grant in self.grants:
            gangs.setdefault(grant.contender.id, []).append((grant.need, grant.places))
        return gangs


def flexible(planner: "Planner", now: float) -> Plan:
    """Essential sets first, in the order of the policy; see the steps above."""
    plan = Plan()
    for contender in list(planner.homeless):  # step 1
        seat(planner, contender, plan, now)
    behind = planner.queue(now)  # step 2
    known = planner.blocked_at(now)
    admitted: list[Contender] = []
    for contender in behind:
        if contender.id != known and seat(planner, contender, plan, now):  # steps 3, 4
            if contender.id not in planner.claims:
                admitted.append(contender)
        else:
            plan.blocked = contender.id
            charge_start(contender)  # nor may its own user's others use up the quota that it needs
            overtake = BACKFILLS[planner.sharing.backfill]  # steps 5, 6
            admitted += overtake(planner, contender, behind, plan, now)
            break
    if planner.ledger.passed_over and planner.sharing.reclaim:
        _shed(planner, plan, now)
    _grow(planner, admitted, plan, now)  # steps 7, 8
    return plan


def seat(planner: "Planner", contender: Contender, plan: Plan, now: float) -> bool:
    """Give an essential set its room, or have the room cleared and hold it; else say why not."""
    room = planner.room
    gang = place_gang(room, contender)
    if gang is not None:
        plan.grants += (Grant(contender, need, places, False) for need, places in gang)
        _count(planner, contender)
        return True
    if len(planner.claims) < CLEARED_AT_ONCE:
        held = place_gang(room, contender, coming=True) if room.delta else None
        if held is None and planner.sharing.reclaim and planner.sharing.generation == "flexible":
            chosen = clear(planner, contender, plan, now)
            _take_back(room, plan, chosen, contender)
            held = place_gang(room, contender, coming=True) if chosen else None
        if held is not None:
            fittings = contender.fittings
            planner.claims[contender.id] = [(fittings[need], places) for need, places in held]
            _count(planner, contender)
            return True
    if planner.why_not is not None:
        plan.reasons[contender.id] = planner.why_not(contender)
    return False


def _take_back(room: Room, plan: Plan, chosen: Taken, contender: Contender) -> None:
    """Have what was chosen go, for this execution."""
    for lending, count in chosen:
        room.expect(lending.contender.fittings[lending.need], [(lending.node, count)])
        plan.take_back.append(TakeBack(lending, count, contender.id))


def _count(planner: "Planner", contender: Contender) -> None:
    """Count what an essential set is about to get, for quotas and for fairness."""
    if not contender.is_admitted:
        charge_start(contender)
    if planner.fairness is not None:
        planner.fairness.plan_for(contender)


def _nobody(
    planner: "Planner", blocked: Contender, behind: Iterator[Contender], plan: Plan, now: float
) -> list[Contender]:
    """Let nobody overtake."""
    return []


def _backfill(
    planner: "Planner", blocked: Contender, behind: Iterator[Contender], plan: Plan, now: float
) -> list[Contender]:
    """Admit who fits now and ends before the blocked one can start, or leaves its room alone."""
    room = planner.room
    reservation = planner.reservation
    if plan.grants or not (reservation and reservation.still_holds(planner, blocked, now)):
        reservation = None
    planned = plan.gangs()
    admitted = []
    unfit = set()  # room only becomes less here: what did not fit does not fit any more
    unfit_beside: set[object] = set()  # nor does what did not fit beside the reservation
    for _, contender in zip(range(planner.sharing.backfill_depth), behind, strict=False):
        if contender.asks.same in unfit or (reservation and contender.id in reservation.rejected):
            continue
        if not fits(room, contender):
            unfit.add(contender.asks.same)
            continue
        if reservation is None:
            reservation = reserve(planner, blocked, now, planned)
            if reservation is None:  # nobody can tell when it will fit: it must not be delayed
                break
        gang = None
        if contender.has_estimate and now + contender.run_seconds <= reservation.at:
            gang = place_gang(room, contender)
            if gang is None:
                unfit.add(contender.asks.same)
            else:
                reservation.lend(contender, gang)
                unfit_beside.clear()
        elif contender.asks.same not in unfit_beside and reservation.may_leave_room(contender):
            with reservation.kept():
                gang = place_gang(room, contender)
            if gang is None:
                unfit_beside.add(contender.asks.same)
        if gang is not None:
            plan.grants += (Grant(contender, need, places, False) for need, places in gang)
            _count(planner, contender)
            admitted.append(contender)
        else:
            reservation.rejected.add(contender.id)
    planner.reservation = reservation
    return admitted


def _conserve(
    planner: "Planner", blocked: Contender, behind: Iterator[Contender], plan: Plan, now: float
) -> list[Contender]:
    """Admit who fits now and delays none of those before it, each of which has a reservation."""
    table = timetable(planner, now, plan.gangs())
    admitted = []
    waiting = chain([blocked], behind)
    for _, contender in zip(range(planner.sharing.backfill_depth), waiting, strict=False):
        seconds = contender.run_seconds if contender.has_estimate else inf
        booked = table.book(contender, seconds)
        if booked is None:  # nobody can tell when it will fit: it must not be delayed
            break
        if contender is blocked:
            continue
        if booked[0] > now:
            charge_start(contender)  # its quota is reserved, too
        else:
            _count(planner, contender)
            for need, places in booked[1]:
                planner.room.take(contender.fittings[need], places)
                plan.grants.append(Grant(contender, need, places, False))
            admitted.append(contender)
    return admitted


BACKFILLS: Mapping[
    str, Callable[["Planner", Contender, Iterator[Contender], Plan, float], list[Contender]]
] = {"easy": _backfill, "conservative": _conserve, "none": _nobody}


def _shed(planner: "Planner", plan: Plan, now: float) -> None:
    """Have elastic instances leave the quota to essential sets of the same user or team."""
    tried = set()  # the first of each user and team gets a turn: looking takes time
    for execution_id in planner.ledger.passed_over:
        contender = planner.contenders[execution_id]
        if contender.allowances not in tried and planner.ledger.why_never(contender) is None:
            tried.add(contender.allowances)
            for lending, count in shed(planner, contender, plan, now):
                plan.take_back.append(TakeBack(lending, count, execution_id))


def _grow(planner: "Planner", admitted: list[Contender], plan: Plan, now: float) -> None:
    """Give what is left to elastic instances, and have others make way for the ``admitted``."""
    room, sharing = planner.room, planner.sharing
    by_key = attrgetter("key")
    admitted.sort(key=by_key)
    wanting = planner.growing.that_may_fit(room)
    if admitted:
        wanting = merge(wanting, admitted, key=by_key)
    somebody_waits = plan.blocked is not None or planner.claims
    gain = sharing.growth_gain if somebody_waits else 0.0
    if planner.fairness is not None:
        able = [each for each in wanting if may_grow(room, each)]
        _grow_in_turns(planner, planner.fairness, able, plan, gain)
        return
    for contender in wanting:
        if may_grow(room, contender):
            extend(room, contender, plan, gain=gain)
    for contender in admitted if sharing.reclaim else ():
        for need, wanted in enumerate(contender.worthwhile(gain)):
            if wanted:
                chosen = make_way(planner, contender, need, wanted, plan, now)
                _take_back(room, plan, chosen, contender)


def extend(
    room: Room,
    contender: Contender,
    plan: Plan,
    before: Iterable[Grant] = (),
    *,
    gain: float = 0.0,
) -> int:
    """Give as many elastic instances as fit; return how many, with those that a quota forbids.

    It was granted ``before``. ``gain`` is what each has to add, where a speed-up curve tells it.
    """
    granted = 0
    planned = []
    missing = list(contender.elastic_missing)
    if contender.asks.is_spread:
        given = chain(before, plan.grants)
        planned = [(one.need, one.places) for one in given if one.contender is contender]
    for need, places in grow(room, contender, contender.worthwhile(gain), planned):
        plan.grants.append(Grant(contender, need, places, True))
        count = sum(count for _, count in places)
        granted += count
        missing[need] -= count
    if contender.allowances:  # it must not keep others waiting for what it may not have
        granted += sum(
            left - growth(contender, need, left) for need, left in enumerate(missing) if left > 0
        )
    return granted


def _grow_in_turns(
    planner: "Planner",
    fairness: Fairness,
    contenders: Iterable[Contender],
    plan: Plan,
    gain: float,
) -> None:
    """Give elastic instances in small portions, always to those who have least."""
    by_team: dict[str, dict[str, list[Contender]]] = {}
    shapes: set[Fitting] = set()
    """Of which an instance may still fit."""
    for contender in contenders:
        demand = contender.demand
        shapes.update(contender.fittings)
        by_team.setdefault(demand.team, {}).setdefault(demand.owner, []).append(contender)
    wanted: dict[int, list[int]] = {}
    given = plan.gangs()
    turns = Turns(fairness, by_team)
    while shapes and (each := turns.next()) is not None:
        if (missing := wanted.get(each.id)) is None:
            missing = wanted[each.id] = each.worthwhile(gain)
        portion = [
            min(count, max(1, int(PORTION / fitting.share)) if fitting.share else count)
            for count, fitting in zip(missing, each.fittings, strict=True)
        ]
        before = given.setdefault(each.id, [])
        grown = grow(planner.room, each, portion, before)
        before += grown
        got = [0, 0, 0]
        for need, places in grown:
            plan.grants.append(Grant(each, need, places, True))
            count = sum(more for _, more in places)
            missing[need] -= count
            for number, amount in enumerate(each.fittings[need].size):
                got[number] += amount * count
        if not grown:
            shapes.difference_update(f for f in each.fittings if planner.room.is_known_full(f))
        turns.charge(got, again=bool(grown) and any(missing))
