"""Who keeps an execution waiting: the reasons that name others, read from what these hold."""

from collections import Counter
from collections.abc import Iterator
from heapq import nlargest
from operator import attrgetter

from zoe.model.execution import Execution, Reason
from zoe.scheduler import words
from zoe.scheduler.contender import Contender
from zoe.scheduler.gang import lacks
from zoe.scheduler.plan import Plan
from zoe.scheduler.reasons import SHOWN, Holders, why_not
from zoe.scheduler.state import State


def why_no_room(state: State, contender: Contender) -> Reason:
    """Say what an essential set lacks that was not placed a moment ago, and who holds that."""
    needs, fittings = contender.demand.needs, contender.fittings
    fitting_of = {need.service: each for need, each in zip(needs, fittings, strict=True)}
    wanted = [(lack, fitting_of[lack.service]) for lack in lacks(contender)]
    kept = list(_kept(state)) if state.planner.keeping else ()
    return why_not(state.planner.room, wanted, lambda node: _usage(state, node), kept)


def why_clearing(state: State, execution_id: int, imagined: Plan | None = None) -> Reason:
    """Say whose instances have to go before an execution gets the room that is held for it.

    ``imagined`` is a plan that is not carried out.
    """
    planner = state.planner
    held = planner.claims[execution_id]
    going: Counter[int] = Counter()
    for node in {node for _, places in held for node, _ in places}:
        for each in planner.holders.get(node, set()) & planner.stopping:
            going[each] += sum(counts.get(node, 0) for counts in planner.contenders[each].going)
    for one in imagined.take_back if imagined else ():
        if one.for_id == execution_id:
            going[one.lending.contender.id] += one.instances
    said = []
    for each, count in sorted((+going).items()):
        record = state.records[each]
        title = words.title(record.base)
        if record.is_active:
            counted = words.counted(count, "elastic instance")
            said.append(f"{counted} of {title} to be taken back")
        else:
            said.append(f"{title} to stop")
    return Reason("making-room", f"waiting for {words.listed(said or ['room to be cleared'])}")


def _kept(state: State) -> Iterator[tuple[Execution, int]]:
    """Yield who has elastic instances that are not to be taken back, and how many."""
    for execution_id in sorted(state.planner.keeping):
        contender = state.planner.contenders[execution_id]
        has = (sum(counts.values()) for counts in contender.elastic)
        kept = sum(map(min, has, contender.minimum or ()))
        if kept:
            yield state.records[execution_id].base, kept


def _usage(state: State, node: int | None) -> Holders:
    """Say who holds how much on a node, or (with None) anywhere: who holds most is among them."""
    planner, records = state.planner, state.records
    if node is not None:
        there = sorted(planner.holders.get(node, ()))
        return [(records[e].base, planner.contenders[e].holds_on(node)) for e in there], len(there)
    # Only who has something that is being stopped holds more than what works for it.
    admitted = [planner.contenders[each] for each in state.admitted]
    most = nlargest(SHOWN, admitted, key=attrgetter("working"))
    stopping = [planner.contenders[each] for each in sorted(planner.stopping)]
    among = sorted({*most, *stopping}, key=attrgetter("id"))
    return [(records[one.id].base, one.holds()) for one in among], len(admitted)
