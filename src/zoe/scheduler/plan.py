"""What to place next: a whole plan, made on a private snapshot, before anything is changed.

*flexible* gives essential sets their room in the order of the policy, all or nothing, and stops at
the first that has to wait for others. What is left goes to elastic instances, in the same order.
With ``reclaim``, an essential set that does not fit takes elastic instances of others back; without
it, this is the published algorithm, in which an execution that would only displace elastic
instances waits. *rigid* and *malleable* are what it is compared with.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import merge
from operator import attrgetter

from zoe.model.execution import Reason
from zoe.scheduler.placement import Held, Need, Placement, Snapshot
from zoe.scheduler.queue import SortKey
from zoe.scheduler.reasons import Usage, place_or_why_not

CLEARED_AT_ONCE = 20
"""How many executions have room cleared for them at one time; the others wait for their turn."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What an execution wants: its essential set if that has no room yet, and elastic instances."""

    execution_id: int
    key: SortKey
    essential: Sequence[Need]
    elastic: Sequence[Need]
    is_admitted: bool = False
    never: Reason | None = None
    """Why it could not start even if nothing else ran; it blocks nobody then."""


@dataclass(slots=True)
class Plan:
    """What to do: placements to make, instances to take back, and who waits for what."""

    placements: list[Placement] = field(default_factory=list)
    take_back: dict[str, int] = field(default_factory=dict)
    """Elastic instances to stop, by id, with the execution that gets their room."""
    claims: dict[int, list[Placement]] = field(default_factory=dict)
    """Room that is being cleared, and held, for these executions."""
    reasons: dict[int, Reason] = field(default_factory=dict)
    blocked: int | None = None
    """The first waiting execution that others keep from starting; those behind it wait too."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a plan looks up only when it needs it."""

    usage: Callable[[str], Iterable[Usage]]
    """What every execution holds on a node; on all of them if the name is empty."""
    victims: Callable[[], Sequence[Held]]
    """Elastic instances that may be taken back, in the order in which to take them."""
    still_blocked: int | None = None
    """An execution that the last plan found blocked, if no room has changed since."""


Generation = Callable[[Snapshot, Iterable[Demand], Sequence[Demand], Surroundings], Plan]
"""From a snapshot, the waiting demands and the growing ones, both in the order of the policy."""


def flexible(
    snapshot: Snapshot, waiting: Iterable[Demand], growing: Sequence[Demand], around: Surroundings
) -> Plan:
    """Essential sets first, taking elastic instances back where that makes one fit."""
    plan = Plan()
    for demand in growing:
        if demand.essential:  # its node has gone: it comes before anybody who waits
            _seat(snapshot, demand, around, plan)
    admitted: list[Demand] = []
    for demand in waiting:
        if demand.never is not None:
            plan.reasons[demand.execution_id] = demand.never
        elif demand.execution_id == around.still_blocked or not _seat(
            snapshot, demand, around, plan
        ):
            plan.blocked = demand.execution_id
            break
        elif demand.execution_id not in plan.claims:
            admitted.append(demand)
    by_policy = sorted([*growing, *admitted], key=attrgetter("key"))
    plan.placements.extend(_grow(snapshot, by_policy))
    return plan


def flexible_keeping(
    snapshot: Snapshot, waiting: Iterable[Demand], growing: Sequence[Demand], around: Surroundings
) -> Plan:
    """The published algorithm: nothing that runs is taken back."""
    plan = Plan()
    joined: list[Demand] = []
    tentative: list[Placement] = []
    free = _unused(snapshot)
    for demand in merge(growing, waiting, key=attrgetter("key")):
        if demand.never is not None:
            plan.reasons[demand.execution_id] = demand.never
            continue
        before = tentative
        snapshot.give_back(tentative)
        essential = place_or_why_not(snapshot, demand.essential, around.usage)
        if not isinstance(essential, Reason):
            tentative = list(_grow(snapshot, [*joined, demand]))
            if demand.is_admitted or _unused(snapshot) < free:
                free = _unused(snapshot)
                joined.append(demand)
                plan.placements.extend(essential)
                continue
            snapshot.give_back([*tentative, *essential])
            tentative = before
            essential = Reason("room-in-use", "it would only displace elastic instances of others")
        snapshot.take(tentative)
        plan.reasons[demand.execution_id] = essential
        if not demand.is_admitted:
            plan.blocked = demand.execution_id
            break
    plan.placements.extend(tentative)
    return plan


def malleable(
    snapshot: Snapshot, waiting: Iterable[Demand], growing: Sequence[Demand], around: Surroundings
) -> Plan:
    """One after the other: the next is looked at when the first has all its elastic instances."""
    plan = Plan()
    for demand in merge(growing, waiting, key=attrgetter("key")):
        if demand.never is not None:
            plan.reasons[demand.execution_id] = demand.never
            continue
        essential = place_or_why_not(snapshot, demand.essential, around.usage)
        if isinstance(essential, Reason):
            plan.reasons[demand.execution_id] = essential
            plan.blocked = demand.execution_id
            break
        elastic = list(_grow(snapshot, [demand]))
        plan.placements.extend([*essential, *elastic])
        if len(elastic) < sum(len(need.ordinals) for need in demand.elastic):
            break
    return plan


def rigid(
    snapshot: Snapshot, waiting: Iterable[Demand], growing: Sequence[Demand], around: Surroundings
) -> Plan:
    """Essential and elastic instances together or nothing, one after the other."""
    plan = Plan()
    for demand in merge(growing, waiting, key=attrgetter("key")):
        everything = place_or_why_not(snapshot, [*demand.essential, *demand.elastic], around.usage)
        if isinstance(everything, Reason):
            plan.reasons[demand.execution_id] = everything
            plan.blocked = demand.execution_id
            break
        plan.placements.extend(everything)
    return plan


def _as_room_comes(generation: Generation) -> Generation:
    """Plan as if everything that is being stopped had gone, and make of that what fits already.

    An execution that ends gives its room back piece by piece; otherwise elastic instances would
    take the pieces before an essential set that the whole of it is enough for.
    """

    def plan_ahead(
        snapshot: Snapshot,
        waiting: Iterable[Demand],
        growing: Sequence[Demand],
        around: Surroundings,
    ) -> Plan:
        plan = generation(snapshot.when_cleared(), waiting, growing, around)
        gangs: dict[int, list[Placement]] = {}
        for placement in plan.placements:
            if not placement.need.is_elastic:
                gangs.setdefault(placement.need.execution_id, []).append(placement)
        late = {each for each, gang in gangs.items() if not snapshot.take_if_free(gang)}
        plan.claims.update((each, gangs[each]) for each in late)
        plan.placements = [
            placement
            for placement in plan.placements
            if placement.need.execution_id not in late
            and (not placement.need.is_elastic or snapshot.take_if_free([placement]))
        ]
        return plan

    return plan_ahead


GENERATIONS: Mapping[tuple[str, bool], Generation] = {
    ("flexible", True): flexible,
    ("flexible", False): _as_room_comes(flexible_keeping),
    ("malleable", False): _as_room_comes(malleable),
    ("rigid", False): _as_room_comes(rigid),
}
"""By name and by whether elastic instances are taken back."""


def _seat(snapshot: Snapshot, demand: Demand, around: Surroundings, plan: Plan) -> bool:
    """Give an essential set its room, or have the room cleared and hold it; else say why not."""
    if (placed := snapshot.place_all(demand.essential)) is not None:
        plan.placements.extend(placed)
        return True
    may_claim = len(plan.claims) < CLEARED_AT_ONCE
    held = snapshot.place_all(demand.essential, now=False) if may_claim else None
    if held is None and may_claim:
        victims = [held for held in around.victims() if held.instance_id not in plan.take_back]
        chosen = _fewest(snapshot, demand.essential, victims)
        for victim in chosen:
            snapshot.release(victim)
            plan.take_back[victim.instance_id] = demand.execution_id
        held = snapshot.place_all(demand.essential, now=False) if chosen else None
    if held is None:
        why_not = place_or_why_not(snapshot, demand.essential, around.usage)
        assert isinstance(why_not, Reason), "it did not fit a moment ago"
        plan.reasons[demand.execution_id] = why_not
        return False
    plan.claims[demand.execution_id] = held
    return True


def _fewest(snapshot: Snapshot, needs: Sequence[Need], victims: Sequence[Held]) -> list[Held]:
    """Choose the first of ``victims`` that together make room for ``needs``, without idle ones.

    Empty when not even all of them would. The search doubles the number, then halves the step; it
    takes it that more room never hurts.
    """

    def is_enough(chosen: Iterable[Held]) -> bool:
        chosen = list(chosen)
        for victim in chosen:
            snapshot.release(victim)
        placed = snapshot.place_all(needs, now=False)
        if placed is not None:
            snapshot.give_back(placed, now=False)
        for victim in chosen:
            snapshot.retake(victim)
        return placed is not None

    too_few, enough = 0, 1
    while enough < len(victims) and not is_enough(victims[:enough]):
        too_few, enough = enough, enough * 2
    enough = min(enough, len(victims))
    if not victims or (enough == len(victims) and not is_enough(victims)):
        return []
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if is_enough(victims[:middle]):
            enough = middle
        else:
            too_few = middle
    chosen = list(victims[:enough])
    for spared in reversed(victims[:enough]):
        others = [victim for victim in chosen if victim is not spared]
        if is_enough(others):
            chosen = others
    return chosen


def _grow(snapshot: Snapshot, demands: Iterable[Demand]) -> Iterator[Placement]:
    """Place as many elastic instances as fit, in order: the cascade."""
    for demand in demands:
        for need in demand.elastic:
            yield from snapshot.place_some(need)


def _unused(snapshot: Snapshot) -> int:
    """How much of the cluster is unused: what is free of each resource, multiplied."""
    free, total = snapshot.available_total(), snapshot.total
    pairs = ((free.cores_milli, total.cores_milli), (free.memory_bytes, total.memory_bytes))
    return math.prod(unused for unused, there in pairs if there)
