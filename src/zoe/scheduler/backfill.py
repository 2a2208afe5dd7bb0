"""The reservation of the first blocked execution, which those behind it must not delay.

EASY backfilling (Lifka, 1995; Mu'alem and Feitelson, 2001): when enough of what runs is believed to
have ended, the blocked one will fit, at the *shadow time*. Who fits now may overtake it if it ends
by then, or if it uses only what is left over then. An execution that runs for longer than was
believed counts as ending now; each plan makes the reservation anew, so that a wrong belief corrects
itself.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from heapq import merge
from itertools import chain
from math import inf
from typing import TYPE_CHECKING

from zoe.scheduler.contender import Contender
from zoe.scheduler.fitting import Fitting
from zoe.scheduler.gang import Gang
from zoe.scheduler.room import Room

if TYPE_CHECKING:
    from zoe.scheduler.planner import Planner

_STEP_AFTER = 16
"""Times at which a set of several needs is tried one by one; then the step doubles."""

Amounts = dict[int, list[int]]
"""By node: cores, memory and GPUs."""


class Reservation:
    """From ``at`` on a blocked execution fits, if some of what is free now is left alone."""

    def __init__(
        self, at: float, blocked: Contender, future: "Future", keep: "Amounts", state: int
    ) -> None:
        self.at = at
        self.rejected: set[int] = set()
        """Those that would delay it: as long as nobody gets or gives room, they still would."""
        self._blocked = blocked
        self._future = future
        self._keep: Amounts | None = keep
        self._state = state

    def still_holds(self, planner: "Planner", blocked: Contender, now: float) -> bool:
        """Whether nothing has changed since it was made, but that some have arrived."""
        return self._blocked is blocked and self._state == planner.changes and now <= self.at

    def may_leave_room(self, contender: Contender) -> bool:
        """Whether it may fit beside what has to be kept, as far as the sums can tell."""
        future, room = self._future, self._future.room
        if room.is_overdrawn:
            return True
        for wanted, free, blocked, released in zip(
            contender.total_missing(),
            room.free,
            self._blocked.total_missing(),
            future.released_total,
            strict=True,
        ):
            if wanted > free - max(0, blocked - released):
                return False
        return True

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep the room from whoever is placed meanwhile."""
        if self._keep is None:
            self._keep = self._future.claim(self._blocked) or {}
        room = self._future.room
        room.reserve(self._keep, 1)
        try:
            yield
        finally:
            room.reserve(self._keep, -1)

    def lend(self, contender: Contender, gang: Gang) -> None:
        """Let somebody use the room who gives it back in time: less of the rest has to be kept."""
        self._keep = None
        for need, places in gang:
            each = contender.fittings[need]
            for node, count in places:
                self._future.release(
                    node, each.cores * count, each.memory * count, each.gpus * count
                )


def reserve(
    planner: "Planner", blocked: Contender, now: float, planned: Mapping[int, Gang]
) -> Reservation | None:
    """Return when and where it will fit; None when the ends of others do not tell.

    ``planned`` have got their room in the present plan, by id.
    """
    future = Future(planner.room)
    for node, more in planner.room.delta.items():
        future.release(node, *more)
    contenders = planner.contenders
    new = sorted(
        (now + contenders[each].run_seconds, each)
        for each in planned
        if not contenders[each].is_admitted and contenders[each].has_estimate
    )
    ends = [*merge(planner.ends, new)] if new else planner.ends
    tried, step, wait = 0, 1, 0
    for number, (end, execution_id) in enumerate(ends):
        for each, node, count in held_until_end(contenders[execution_id], planned):
            future.release(node, each.cores * count, each.memory * count, each.gpus * count)
        following = ends[number + 1][0] if number + 1 < len(ends) else inf
        if following <= end or following <= now:
            continue  # what ends at the same time has come free at that time, too
        wait -= 1
        if not future.may_fit(blocked) or (wait > 0 and following < inf):
            continue
        keep = future.claim(blocked)
        if keep is not None:
            return Reservation(max(end, now), blocked, future, keep, planner.changes)
        tried += 1
        if tried > _STEP_AFTER:
            step *= 2
        wait = step
    return None


class Future:
    """What is free now, and what will have come free at some time."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.released: Amounts = {}
        self.released_total = [0, 0, 0]
        """On nodes that take instances."""

    def release(self, node: int, cores: int, memory: int, gpus: int) -> None:
        """Count room of a node as free by then."""
        if not self.room.is_open[node]:
            return
        there = self.released.get(node)
        if there is None:
            self.released[node] = [cores, memory, gpus]
        else:
            there[0] += cores
            there[1] += memory
            there[2] += gpus
        total = self.released_total
        total[0] += cores
        total[1] += memory
        total[2] += gpus

    def may_fit(self, blocked: Contender) -> bool:
        """Whether it may fit by then, as far as the sums can tell."""
        (free_cores, free_memory, free_gpus) = self.room.free
        cores, memory, gpus = blocked.total_missing()
        more = self.released_total
        return self.room.is_overdrawn or (
            cores <= free_cores + more[0]
            and memory <= free_memory + more[1]
            and gpus <= free_gpus + more[2]
        )

    def claim(self, blocked: Contender) -> Amounts | None:
        """Place it in what is free by then, and say what it needs of what is free now.

        Nodes on which most comes free are used first: so the least has to be kept.
        """
        released = self.released
        first = sorted(released, key=lambda node: (-released[node][0], node))
        claimed: Amounts = {}
        for fitting, missing in zip(blocked.fittings, blocked.essential_missing, strict=True):
            left = missing
            if left and not self._claim_some(fitting, left, first, claimed):
                return None
        keep = {}
        for node, there in claimed.items():
            comes = released.get(node, _NOTHING)
            if there[0] > comes[0] or there[1] > comes[1] or there[2] > comes[2]:
                keep[node] = [max(0, there[n] - max(0, comes[n])) for n in range(3)]
        return keep

    def _claim_some(
        self, fitting: Fitting, wanted: int, first: list[int], claimed: Amounts
    ) -> bool:
        """Claim room for instances of one shape; whether there was enough."""
        room, released = self.room, self.released
        cores, memory, gpus = fitting.size
        others = (n for n, is_open in enumerate(room.is_open) if is_open and n not in released)
        for node in chain(first, others):
            if fitting.allowed is not None and node not in fitting.allowed:
                continue
            comes, taken = released.get(node, _NOTHING), claimed.get(node, _NOTHING)
            count = 1 if fitting.shape.spread else wanted
            if cores:  # written out: with many nodes, most of the time goes by here
                fit = (room.cores[node] + comes[0] - taken[0]) // cores
                count = fit if fit < count else count
            if memory:
                fit = (room.memory[node] + comes[1] - taken[1]) // memory
                count = fit if fit < count else count
            if gpus:
                fit = (room.gpus[node] + comes[2] - taken[2]) // gpus
                count = fit if fit < count else count
            if count <= 0:
                continue
            claimed[node] = [
                taken[0] + cores * count, taken[1] + memory * count, taken[2] + gpus * count
            ]  # fmt: skip
            wanted -= count
            if not wanted:
                return True
        return False


def held_until_end(
    contender: Contender, planned: Mapping[int, Gang]
) -> Iterator[tuple[Fitting, int, int]]:
    """Yield the shape, the node and the count of everything that it gives back when it ends."""
    for need, places in planned.get(contender.id, ()):
        for node, count in places:
            yield contender.fittings[need], node, count
    for held in (contender.essential, contender.elastic):
        for need, counts in enumerate(held):
            for node, count in counts.items():
                yield contender.fittings[need], node, count


_NOTHING = [0, 0, 0]
