"""What *flexible* is compared with, and the choice between them.

*published* is the algorithm of Pace, Venzano, Carra and Michiardi (CCGrid 2017): nothing is taken
back, nobody overtakes, and an execution that would only displace elastic instances waits. *rigid*
and *malleable* are what it was compared with itself.
"""

from collections.abc import Callable, Mapping
from itertools import chain
from typing import TYPE_CHECKING

from zoe.model.execution import Reason
from zoe.scheduler.contender import Contender
from zoe.scheduler.gang import has_all_elastic
from zoe.scheduler.plan import Grant, Plan, extend, flexible, seat
from zoe.scheduler.quota import charge
from zoe.scheduler.room import Room

if TYPE_CHECKING:
    from zoe.scheduler.planner import Planner


def published(planner: "Planner", now: float) -> Plan:
    """The published algorithm, one after the other in the order of the policy."""
    room, plan = planner.room, Plan()
    joined: list[Contender] = []
    tentative = Plan()
    unused = _unused(room)
    _rehouse(planner, plan, now)
    for contender in planner.growing.before(planner.waiting):
        if not contender.is_admitted and planner.is_passed_over(contender):
            continue
        attempt = Plan()
        if not contender.is_admitted and not seat(planner, contender, attempt, now):
            # Room of elastic instances that are only imagined yet is room all the same.
            _give_back(room, tentative)
            if not seat(planner, contender, attempt, now):
                _retake(room, tentative)
                plan.reasons.update(attempt.reasons)
                plan.blocked = contender.id
                break
            attempt.grants, gang = [], attempt.grants
            for each in joined:
                extend(room, each, attempt, plan.grants)
            replaced: Plan | None = tentative
        else:
            gang, attempt.grants, replaced = attempt.grants, [], None
        extend(room, contender, attempt, gang)
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
        if not contender.is_admitted and not seat(planner, contender, plan, now):
            plan.blocked = contender.id
            break
        grown = extend(planner.room, contender, plan)
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
        joined = contender.is_admitted or seat(planner, contender, attempt, now)
        if joined:
            grown = extend(room, contender, attempt)
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
        seat(planner, contender, plan, now)


def _unused(room: Room) -> int:
    """How much of the cluster is unused: free cores times free memory, of which it has any."""
    cores = room.free[0] if room.total.cores_milli else 1
    return cores * room.free[1] if room.total.memory_bytes else cores


def _give_back(room: Room, plan: Plan) -> None:
    for grant in plan.grants:
        room.give(grant.contender.fittings[grant.need], grant.places)
        charge(grant.contender, grant.need, grant.places, -1)


def _retake(room: Room, plan: Plan) -> None:
    for grant in plan.grants:
        room.take(grant.contender.fittings[grant.need], grant.places)
        charge(grant.contender, grant.need, grant.places)
