"""What to do next: a whole plan, made by taking room that is given back if it comes to nothing.

*flexible*, in the steps of docs/explanation/scheduling.md:

1. Essential instances whose node has gone come before everybody who waits.
2. Executions wait in the order of the policy; those that waited too long come first.
3. Each gets room for its whole essential set, or for nothing of it.
4. If it would fit once elastic instances of others had gone, the newest of these are taken back and
   the room is held for it meanwhile.
5. The first that fits neither way is *blocked*. A reservation is made for it: when and where it
   will fit, as far as the ends of others can be told. It keeps others from delaying it.
6. Those behind it may overtake it if they do not delay it (backfilling).
7. What is left goes to elastic instances, in the order of the policy.

*published* is the algorithm of Pace, Venzano, Carra and Michiardi (CCGrid 2017): nothing is taken
back, nobody overtakes, and an execution that would only displace elastic instances waits. *rigid*
and *malleable* are what it is compared with.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from math import inf
from typing import TYPE_CHECKING, NamedTuple

from zoe.model.execution import Reason
from zoe.scheduler.backfill import reserve
from zoe.scheduler.contender import Contender
from zoe.scheduler.fairness import Fairness, Turns
from zoe.scheduler.gang import Gang, fits, grow, has_all_elastic, place_gang
from zoe.scheduler.reclaim import clear
from zoe.scheduler.room import Places, Room

if TYPE_CHECKING:
    from zoe.scheduler.planner import Lending, Planner

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


def flexible(planner: "Planner", now: float) -> Plan:
    """Essential sets first, in the order of the policy; see the steps above."""
    plan = Plan()
    for contender in list(planner.homeless):  # step 1
        _seat(planner, contender, plan, now)
    behind = planner.queue(now)  # step 2
    known = planner.blocked_at(now)
    admitted: list[Contender] = []
    for contender in behind:
        if contender.id != known and _seat(planner, contender, plan, now):  # steps 3, 4
            if contender.id not in planner.claims:
                admitted.append(contender)
        else:
            plan.blocked = contender.id
            if planner.sharing.backfill == "easy":
                admitted += _backfill(planner, contender, behind, plan, now)  # steps 5, 6
            break
    if planner.fairness is not None:  # step 7
        _grow_in_turns(planner, planner.fairness, chain(planner.growing, admitted), plan)
    else:
        by_policy = planner.growing.among(admitted) if admitted else planner.growing
        for contender in by_policy:
            _grow(planner.room, contender, plan)
    return plan


def _seat(planner: "Planner", contender: Contender, plan: Plan, now: float) -> bool:
    """Give an essential set its room, or have the room cleared and hold it; else say why not."""
    room = planner.room
    gang = place_gang(room, contender)
    if gang is not None:
        plan.grants += (Grant(contender, need, places, False) for need, places in gang)
        return True
    if len(planner.claims) < CLEARED_AT_ONCE:
        held = place_gang(room, contender, coming=True) if room.delta else None
        if held is None and planner.sharing.reclaim and planner.sharing.generation == "flexible":
            chosen = clear(planner, contender, plan, now)
            for lending, count in chosen:
                fitting = lending.contender.fittings[lending.need]
                room.expect(fitting, [(lending.node, count)])
                plan.take_back.append(TakeBack(lending, count, contender.id))
            held = place_gang(room, contender, coming=True) if chosen else None
        if held is not None:
            fittings = contender.fittings
            planner.claims[contender.id] = [(fittings[need], places) for need, places in held]
            return True
    if planner.why_not is not None:
        plan.reasons[contender.id] = planner.why_not(contender)
    return False


def _backfill(
    planner: "Planner", blocked: Contender, behind: Iterator[Contender], plan: Plan, now: float
) -> list[Contender]:
    """Admit who fits now and ends before the blocked one can start, or leaves its room alone."""
    room = planner.room
    reservation = planner.reservation
    if plan.grants or not (reservation and reservation.still_holds(planner, blocked, now)):
        reservation = None
    planned: dict[int, Gang] = {}
    for grant in plan.grants:
        planned.setdefault(grant.contender.id, []).append((grant.need, grant.places))
    admitted = []
    unfit = set()  # room only becomes less here: what did not fit does not fit any more
    for _, contender in zip(range(planner.sharing.backfill_depth), behind, strict=False):
        if contender.request in unfit or (reservation and contender.id in reservation.rejected):
            continue
        if not fits(room, contender):
            unfit.add(contender.request)
            continue
        if reservation is None:
            reservation = reserve(planner, blocked, now, planned)
            if reservation is None:  # nobody can tell when it will fit: it must not be delayed
                break
        gang = None
        if contender.has_estimate and now + contender.run_seconds <= reservation.at:
            gang = place_gang(room, contender)
            if gang is None:
                unfit.add(contender.request)
            else:
                reservation.lend(contender, gang)
        elif reservation.may_leave_room(contender):
            with reservation.kept():
                gang = place_gang(room, contender)
        if gang is not None:
            plan.grants += (Grant(contender, need, places, False) for need, places in gang)
            admitted.append(contender)
        else:
            reservation.rejected.add(contender.id)
    planner.reservation = reservation
    return admitted


def published(planner: "Planner", now: float) -> Plan:
    """The published algorithm, one after the other in the order of the policy."""
    room, plan = planner.room, Plan()
    joined: list[Contender] = []
    tentative = Plan()
    unused = _unused(room)
    _rehouse(planner, plan, now)
    for contender in planner.growing.before(planner.waiting):
        if not contender.is_admitted and planner.is_excluded(contender):
            continue
        attempt = Plan()
        if not contender.is_admitted and not _seat(planner, contender, attempt, now):
            # Room of elastic instances that are only imagined yet is room all the same.
            _give_back(room, tentative)
            if not _seat(planner, contender, attempt, now):
                _retake(room, tentative)
                plan.reasons.update(attempt.reasons)
                plan.blocked = contender.id
                break
            attempt.grants, gang = [], attempt.grants
            for each in joined:
                _grow(room, each, attempt, plan.grants)
            replaced: Plan | None = tentative
        else:
            gang, attempt.grants, replaced = attempt.grants, [], None
        _grow(room, contender, attempt, gang)
        if _unused(room) >= unused:
            _give_back(room, attempt)
            for grant in gang:
                room.give(grant.contender.fittings[grant.need], grant.places)
            if replaced is not None:
                _retake(room, replaced)
            if not contender.is_admitted:
                planner.release_claim(contender.id)
                plan.blocked = contender.id
                said = "it would only displace elastic instances of others"
                plan.reasons[contender.id] = Reason("room-in-use", said)
            break
        plan.grants += gang
        if replaced is not None:
            tentative = attempt
        else:
            tentative.grants += attempt.grants
        unused = _unused(room)
        joined.append(contender)
    plan.grants += tentative.grants
    plan.is_whole = not plan.grants
    return plan


def malleable(planner: "Planner", now: float) -> Plan:
    """One after the other: the next is looked at when the first has all its elastic instances."""
    plan = Plan()
    _rehouse(planner, plan, now)
    for contender in chain(list(planner.growing), planner.queue(now)):
        if not contender.is_admitted and not _seat(planner, contender, plan, now):
            plan.blocked = contender.id
            break
        grown = _grow(planner.room, contender, plan)
        if not has_all_elastic(contender, grown):
            break
    return plan


def rigid(planner: "Planner", now: float) -> Plan:
    """Essential and elastic instances together or nothing, one after the other."""
    room, plan = planner.room, Plan()
    _rehouse(planner, plan, now)
    for contender in chain(list(planner.growing), planner.queue(now)):
        attempt = Plan()
        grown = 0
        joined = contender.is_admitted or _seat(planner, contender, attempt, now)
        if joined:
            grown = _grow(room, contender, attempt)
        if not joined or not has_all_elastic(contender, grown):
            _give_back(room, attempt)
            plan.reasons.update(attempt.reasons)
            if contender.is_admitted:
                continue
            if joined and planner.why_not is not None:
                said = "its essential and elastic instances do not fit together"
                plan.reasons[contender.id] = Reason("not-enough-room", said)
            planner.release_claim(contender.id)
            plan.blocked = contender.id
            break
        plan.grants += attempt.grants
    return plan


Generation = Callable[["Planner", float], Plan]


def _as_room_comes(generation: Generation) -> Generation:
    """Plan as if everything that is being stopped had gone, and make of that what fits already.

    An execution that ends gives its room back piece by piece; otherwise elastic instances would
    take the pieces before an essential set that the whole of it is enough for.
    """

    def plan_ahead(planner: "Planner", now: float) -> Plan:
        room = planner.room
        going = room.assume_gone()
        plan = generation(planner, now)
        if not going:
            return plan
        _give_back(room, plan)
        room.assume_gone(going)
        gangs: dict[int, list[Grant]] = {}
        for grant in plan.grants:
            if not grant.elastic:
                gangs.setdefault(grant.contender.id, []).append(grant)
        granted = []
        for execution_id, gang in gangs.items():
            parts = [(one.contender.fittings[one.need], one.places) for one in gang]
            if room.take_if_free(parts):
                granted += gang
            else:
                planner.claims[execution_id] = parts
                for fitting, places in parts:
                    room.expect(fitting, places, -1)
        for grant in plan.grants:
            if grant.elastic and grant.contender.id not in planner.claims:
                fitting = grant.contender.fittings[grant.need]
                for place in grant.places:
                    if room.take_if_free([(fitting, [place])]):
                        granted.append(grant._replace(places=[place]))
        plan.grants = granted
        return plan

    return plan_ahead


GENERATIONS: Mapping[str, Generation] = {
    "flexible": flexible,
    "published": _as_room_comes(published),
    "malleable": _as_room_comes(malleable),
    "rigid": _as_room_comes(rigid),
}


def _rehouse(planner: "Planner", plan: Plan, now: float) -> None:
    for contender in list(planner.homeless):
        _seat(planner, contender, plan, now)


def _grow(room: Room, contender: Contender, plan: Plan, before: Iterable[Grant] = ()) -> int:
    """Give as many elastic instances as fit; return how many. It was granted ``before``."""
    granted = 0
    planned = []
    if any(fitting.shape.spread for fitting in contender.fittings):
        given = chain(before, plan.grants)
        planned = [(one.need, one.places) for one in given if one.contender is contender]
    for need, places in grow(room, contender, contender.elastic_missing, planned):
        plan.grants.append(Grant(contender, need, places, True))
        granted += sum(count for _, count in places)
    return granted


def _grow_in_turns(
    planner: "Planner", fairness: Fairness, contenders: Iterable[Contender], plan: Plan
) -> None:
    """Give elastic instances in small portions, always to those who have least."""
    by_team: dict[str, dict[str, list[Contender]]] = {}
    for contender in sorted(contenders, key=lambda each: each.key):
        demand = contender.demand
        by_team.setdefault(demand.team, {}).setdefault(demand.owner, []).append(contender)
    wanted: dict[int, list[int]] = {}
    given: dict[int, Gang] = {}
    for grant in plan.grants:
        given.setdefault(grant.contender.id, []).append((grant.need, grant.places))
    turns = Turns(fairness, by_team)
    while (each := turns.next()) is not None:
        missing = wanted.setdefault(each.id, list(each.elastic_missing))
        portion = [
            min(count, max(1, int(PORTION / fitting.share)) if fitting.share else count)
            for count, fitting in zip(missing, each.fittings, strict=True)
        ]
        before = given.setdefault(each.id, [])
        grown = grow(planner.room, each, portion, before)
        before += grown
        share = 0.0
        for need, places in grown:
            plan.grants.append(Grant(each, need, places, True))
            count = sum(more for _, more in places)
            missing[need] -= count
            share += each.fittings[need].share * count
        turns.charge(share, again=bool(grown) and any(missing))


def _unused(room: Room) -> int:
    """How much of the cluster is unused: free cores times free memory, of which it has any."""
    cores = room.free[0] if room.total.cores_milli else 1
    return cores * room.free[1] if room.total.memory_bytes else cores


def _give_back(room: Room, plan: Plan) -> None:
    for grant in plan.grants:
        room.give(grant.contender.fittings[grant.need], grant.places)


def _retake(room: Room, plan: Plan) -> None:
    for grant in plan.grants:
        room.take(grant.contender.fittings[grant.need], grant.places)
