"""The reservation of the first blocked execution, which those behind it must not delay.

EASY backfilling (Lifka, 1995; Mu'alem and Feitelson, 2001): when enough of what runs is believed to
have ended, the blocked one will fit, at the *shadow time*. Who fits now may overtake it if it ends
by then, or if it uses only what is left over then. An execution that runs for longer than was
believed counts as ending now; each plan makes the reservation anew, so that a wrong belief corrects
itself.
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
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

    def __init__(self, at: float, blocked: Contender, future: "Future", state: int) -> None:
        self.at = at
        self.rejected: set[int] = set()
        """Those that would delay it: as long as nobody gets or gives room, they still would."""
        self._blocked = blocked
        self._future = future
        self._keep: Amounts | None = None
        """What it needs of what is free now; None: not known yet."""
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
    new = [
        (now + contenders[each].run_seconds, each)
        for each in planned
        if not contenders[each].is_admitted and contenders[each].has_estimate
    ]
    ends = planner.ends.in_order.copy() if new else planner.ends.in_order
    for each in new:
        insort(ends, each)
    last = len(ends) - 1
    tried, step, wait = 0, 1, 0
    for number, (end, execution_id) in enumerate(ends):
        future.expect(contenders[execution_id], planned.get(execution_id, []))
        following = ends[number + 1][0] if number < last else inf
        if following <= end or following <= now:
            continue  # what ends at the same time has come free at that time, too
        wait -= 1
        if not future.may_fit(blocked) or (wait > 0 and following < inf):
            continue
        if future.fits(blocked):
            return Reservation(max(end, now), blocked, future, planner.changes)
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
        self._expected: list[tuple[Contender, Gang]] = []
        """Who ends by then, but has not been asked yet on which nodes it gives back what."""
        self._most = [0, 0, 0]
        """What is released and expected in all, on whatever nodes."""

    def expect(self, contender: Contender, planned: Gang) -> None:
        """Count what an execution has, and what it is planned to get, as free by then."""
        self._expected.append((contender, planned))
        most, working = self._most, contender.working
        most[0] += working[0]
        most[1] += working[1]
        most[2] += working[2]
        for need, places in planned:
            for number, amount in enumerate(contender.fittings[need].size):
                most[number] += amount * sum(count for _, count in places)

    def _release_expected(self) -> None:
        released, total, is_open = self.released, self.released_total, self.room.is_open
        for contender, planned in self._expected:  # :meth:`release`, written out: it is much
            for fitting, places in given_back(contender, planned):
                cores, memory, gpus = fitting.size
                for node, count in places:
                    if not is_open[node]:
                        continue
                    there = released.get(node)
                    if there is None:
                        released[node] = [cores * count, memory * count, gpus * count]
                    else:
                        there[0] += cores * count
                        there[1] += memory * count
                        there[2] += gpus * count
                    total[0] += cores * count
                    total[1] += memory * count
                    total[2] += gpus * count
        self._expected.clear()
        self._most = list(total)

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
        for total in (self.released_total, self._most):
            total[0] += cores
            total[1] += memory
            total[2] += gpus

    def may_fit(self, blocked: Contender) -> bool:
        """Whether it may fit by then, as far as the sums can tell."""
        if self.room.is_overdrawn:
            return True
        wanted, free, more = blocked.total_missing(), self.room.free, self._most
        return (
            wanted[0] <= free[0] + more[0]
            and wanted[1] <= free[1] + more[1]
            and wanted[2] <= free[2] + more[2]
        )

    def fits(self, blocked: Contender) -> bool:
        """Whether it fits by then."""
        self._release_expected()
        if not self.may_fit(blocked):
            return False
        missing = [need for need, count in enumerate(blocked.essential_missing) if count]
        if len(missing) > 1 or blocked.asks.is_spread:
            return self.claim(blocked) is not None
        return all(
            self._has_room(blocked.fittings[need], blocked.essential_missing[need])
            for need in missing
        )

    def _has_room(self, fitting: Fitting, wanted: int) -> bool:
        """Whether so many instances of one shape fit, on whatever nodes."""
        room, released, allowed = self.room, self.released, fitting.allowed
        free_cores, free_memory, free_gpus = room.cores, room.memory, room.gpus
        cores, memory, gpus = fitting.size
        others = (node for node in room.nodes_with_room(fitting) if node not in released)
        for node in chain(released, others):
            if allowed is not None and node not in allowed:
                continue
            comes = released.get(node, _NOTHING)
            fit = wanted  # written out: with many nodes, most of the time goes by here
            if cores:
                fit = (free_cores[node] + comes[0]) // cores
            if memory and fit > 0:
                fit = min(fit, (free_memory[node] + comes[1]) // memory)
            if gpus and fit > 0:
                fit = min(fit, (free_gpus[node] + comes[2]) // gpus)
            if fit > 0 and room.is_open[node]:
                wanted -= fit
                if wanted <= 0:
                    return True
        return False

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
        self, fitting: Fitting, wanted: int, first: Iterable[int], claimed: Amounts
    ) -> bool:
        """Claim room for instances of one shape; whether there was enough."""
        room, released = self.room, self.released
        cores, memory, gpus = fitting.size
        free_cores, free_memory, free_gpus = room.cores, room.memory, room.gpus
        others = (node for node in room.nodes_with_room(fitting) if node not in released)
        others = (node for node in others if room.is_open[node])
        for node in chain(first, others):
            if fitting.allowed is not None and node not in fitting.allowed:
                continue
            comes, taken = released.get(node, _NOTHING), claimed.get(node, _NOTHING)
            count = 1 if fitting.shape.spread else wanted
            if cores:  # written out: with many nodes, most of the time goes by here
                fit = (free_cores[node] + comes[0] - taken[0]) // cores
                count = fit if fit < count else count
            if memory:
                fit = (free_memory[node] + comes[1] - taken[1]) // memory
                count = fit if fit < count else count
            if gpus:
                fit = (free_gpus[node] + comes[2] - taken[2]) // gpus
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


def given_back(
    contender: Contender, planned: Gang
) -> Iterator[tuple[Fitting, Iterable[tuple[int, int]]]]:
    """Yield the shape, and nodes with counts, of everything that it gives back when it ends."""
    fittings = contender.fittings
    for need, places in planned:
        yield fittings[need], places
    for held in (contender.essential, contender.elastic):
        for need, counts in enumerate(held):
            if counts:
                yield fittings[need], counts.items()


_NOTHING = [0, 0, 0]
