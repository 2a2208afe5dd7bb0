"""Placing the instances of one execution: an essential set all together, elastic ones as they fit.

Small instances placed first may use up the only room that a large one fits in; so those with the
fewest nodes to go to, then the largest, come first. What this misses is looked for in
:mod:`zoe.scheduler.search`, where there is little to try.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zoe.model.cluster import Node
from zoe.model.resources import Resources
from zoe.scheduler.contender import Contender
from zoe.scheduler.demand import Need, Shape
from zoe.scheduler.fitting import Fitting
from zoe.scheduler.quota import charge, growth
from zoe.scheduler.room import Room
from zoe.scheduler.search import Wanted, search
from zoe.scheduler.stock import Places

Gang = list[tuple[int, Places]]
"""By need: the nodes, with how many instances go there."""


@dataclass(frozen=True, slots=True)
class Lack:
    """Essential instances of one service that have no room yet."""

    service: str
    shape: Shape
    count: int

    @property
    def each(self) -> Resources:
        """What one of them takes."""
        return self.shape.each

    @property
    def total(self) -> Resources:
        """What all of them take together."""
        return self.shape.each * self.count


def lacks(contender: Contender, *, all_together: bool = False) -> list[Lack]:
    """Return the essential instances that have no room; ``all_together``, the elastic ones, too."""
    return [
        Lack(need.service, need.shape, missing)
        for need, essential, elastic in zip(
            contender.demand.needs,
            contender.essential_missing,
            contender.elastic_missing,
            strict=True,
        )
        if (missing := essential + elastic * all_together)
    ]


def fits(room: Room, contender: Contender) -> bool:
    """Whether the missing essential instances may fit, as far as what is free in all can tell."""
    cores, memory, gpus = contender.total_missing()
    free = room.free
    # What is free on an overdrawn node is less than nothing, so that the sum says too little.
    return room.is_overdrawn or (cores <= free[0] and memory <= free[1] and gpus <= free[2])


def place_gang(room: Room, contender: Contender, *, coming: bool = False) -> Gang | None:
    """Take room for all missing essential instances, or for none and return None.

    With ``coming``, in what is coming, which holds it.
    """
    if not coming and not fits(room, contender):
        return None
    missing = contender.essential_missing
    gang: Gang = []
    for need in _hardest_first(room, contender):
        avoid = contender.nodes_of(need) if contender.fittings[need].shape.spread else ()
        places = room.place(contender.fittings[need], missing[need], avoid, coming=coming)
        gang.append((need, places))
        if sum(count for _, count in places) < missing[need]:
            for placed, taken in gang:
                room.release(contender.fittings[placed], taken, coming=coming)
            # What does not even fit before anything else has been placed fits in no other way.
            return _searched(room, contender, coming=coming) if len(gang) > 1 else None
    return gang


def _searched(room: Room, contender: Contender, *, coming: bool) -> Gang | None:
    """Take room as :meth:`place_gang` does, where it was missed."""
    order = _hardest_first(room, contender)
    fittings, missing = contender.fittings, contender.essential_missing
    wanted = [
        Wanted(
            fittings[need],
            missing[need],
            contender.nodes_of(need) if fittings[need].shape.spread else (),
        )
        for need in order
    ]
    found = search(room, wanted, coming=coming)
    if found is None:
        return None
    for each, places in zip(wanted, found, strict=True):
        if coming:
            room.expect(each.fitting, places, -1)
        else:
            room.take(each.fitting, places)
    return list(zip(order, found, strict=True))


def grow(
    room: Room,
    contender: Contender,
    wanted: Sequence[int],
    planned: Gang = [],  # noqa: B006 - only read
) -> Gang:
    """Take room for elastic instances, of each need as many as are wanted, as far as they fit.

    They are charged to its quotas, and no more are taken than these leave room for. Those that are
    ``planned`` already are counted where two must not share a node. None goes to a node that is
    under pressure.
    """
    grown: Gang = []
    for need, count in enumerate(wanted):
        if count > 0 and contender.allowances:
            count = growth(contender, need, count)
        if count > 0 and not room.is_known_full(contender.fittings[need]):
            avoid = room.strained
            if contender.fittings[need].shape.spread:
                there = [node for each, places in planned if each == need for node, _ in places]
                avoid = avoid.union(contender.nodes_of(need), there)
            if places := room.place(contender.fittings[need], count, avoid):
                grown.append((need, places))
                charge(contender, need, places)
    return grown


def may_grow(room: Room, contender: Contender) -> bool:
    """Whether there may be room for an elastic instance that is missing: a quick look."""
    for missing, fitting in zip(contender.elastic_missing, contender.fittings, strict=True):
        if missing and room.has_room(fitting):
            return True
    return False


def has_all_elastic(contender: Contender, granted: int) -> bool:
    """Whether ``granted`` more are all the elastic instances that are missing."""
    return granted >= sum(contender.elastic_missing)


def fits_on(nodes: Iterable[Node], wanted: Sequence[Lack]) -> bool:
    """Whether all of ``wanted`` would fit on these nodes if nothing of ours were there."""
    room = Room()
    room.set_nodes(nodes)
    return fits_in(room, wanted)


def fits_in(room: Room, wanted: Sequence[Lack]) -> bool:
    """Whether all of ``wanted`` would fit in what is free; takes none of it."""
    needs = [Need(lack.service, lack.shape, lack.count) for lack in wanted]
    fittings = [room.fitting(need.shape) for need in needs]
    order = sorted(range(len(needs)), key=lambda n: _hardness(room, needs[n], fittings[n]))
    there_is = True
    placed = []
    for number in order:
        places = room.place(fittings[number], needs[number].essential)
        placed.append((fittings[number], places))
        if sum(count for _, count in places) < needs[number].essential:
            there_is = False
            break
    for fitting, places in placed:
        room.give(fitting, places)
    if not there_is and len(placed) > 1:
        tried = [Wanted(fittings[number], needs[number].essential) for number in order]
        there_is = search(room, tried) is not None
    for fitting in fittings:
        room.forget(fitting)
    return there_is


def _hardest_first(room: Room, contender: Contender) -> list[int]:
    missing = contender.essential_missing
    if len(missing) == 1:
        return [0] if missing[0] else []
    needs, fittings = contender.demand.needs, contender.fittings
    some = [number for number, count in enumerate(missing) if count]
    some.sort(key=lambda number: _hardness(room, needs[number], fittings[number]))
    return some


def _hardness(room: Room, need: Need, fitting: Fitting) -> tuple[int, bool, float, str]:
    choices = len(room.nodes) if fitting.allowed is None else len(fitting.allowed)
    return (choices, not need.shape.spread, -fitting.share, need.service)
