"""The room on the nodes: what is free now, what is coming, and where instances of a shape fit.

Counts, not instances: "three of this shape on that node". Nodes are numbers here, in the order of
their names. Everything the scheduler plans is taken from here and, if the plan comes to nothing,
given back.

*Free* is free at this moment. *Coming* is free once everything that is being stopped has gone, less
what is held for executions that wait for that. What is placed now needs room in both; what waits
for room that is being cleared needs it in what is coming only.

Two things keep it quick. A shape that was found to fit nowhere is tried again only on nodes that
have more room since (:attr:`Fitting.full_at`). Nodes are searched in blocks of :data:`BLOCK`, of
which each knows a bound of what is free on its nodes; the first blocks that have room are used.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf

from zoe.model.cluster import Node, NodeStatus
from zoe.model.resources import NOTHING, Resources
from zoe.scheduler.demand import Shape
from zoe.scheduler.fitting import LEAST, Fitting
from zoe.scheduler.rank import Rank, pack

BLOCK = 128
"""Nodes that are ranked together; up to so many, the rank is exact over all of them."""
_CLOSED = 1 << 62
"""Taken from what is free on a node that takes nothing: no request is so small that it fits."""
_LOG_LIMIT = 1 << 14

Places = list[tuple[int, int]]
"""Nodes with how many instances go there."""


class Room:
    """Free and coming room of every node."""

    def __init__(self, rank: Rank = pack) -> None:
        self.nodes: tuple[Node, ...] = ()
        self.index: dict[str, int] = {}
        self.total = NOTHING
        """Capacity of all nodes."""
        self.cores: list[int] = []
        self.memory: list[int] = []
        self.gpus: list[int] = []
        self.free = [0, 0, 0]
        """What is free on all nodes that take instances."""
        self.delta: dict[int, list[int]] = {}
        """What is coming on a node, less what is free on it now, where these differ."""
        self.is_overdrawn = False
        """Whether more may be taken on a node than it has: the sums say nothing then."""
        self._is_reserved = False
        self._rank = rank
        self.is_open: list[bool] = []
        """Whether a node takes instances."""
        self._bounds: tuple[list[int], list[int], list[int]] = ([], [], [])
        self.grown = 0
        """How often a node has got more room."""
        self._log: list[int] = []
        """The nodes that got it, the last ones."""
        self._changed_between = (-1, -1)
        self._changed: list[int] | None = None
        """See :meth:`_changed_since`: what it returned for these two counts."""
        self._fittings: dict[Shape, Fitting] = {}
        self._allowed: dict[tuple[frozenset[str], str], Sequence[int] | None] = {}
        """By labels and image: the nodes that have them; None: all."""

    # What there is.

    def set_nodes(self, nodes: Iterable[Node], gone: Iterable[str] = ()) -> None:
        """Begin anew with these nodes, on which nothing of ours is yet.

        ``gone`` are nodes that are not there any more and on which something is still recorded.
        """
        there = sorted(nodes, key=lambda node: node.name)
        names = {node.name for node in there}
        lost = [_lost(name) for name in sorted(set(gone)) if name not in names]
        self.nodes = (*there, *lost)
        self.index = {node.name: number for number, node in enumerate(self.nodes)}
        self.total = sum((node.capacity for node in there), NOTHING)
        self.cores, self.memory, self.gpus, self.is_open = [], [], [], []
        self.free = [0, 0, 0]
        self.delta = {}
        self.is_overdrawn = False
        for node in self.nodes:
            self._add(node)
        blocks = range(0, len(self.nodes), BLOCK)
        self._bounds = (
            [max(self.cores[first : first + BLOCK]) for first in blocks],
            [max(self.memory[first : first + BLOCK]) for first in blocks],
            [max(self.gpus[first : first + BLOCK]) for first in blocks],
        )
        self.grown += 1
        self._log = []
        self._allowed = {}
        for fitting in self._fittings.values():
            self._fit_to_nodes(fitting)

    def number(self, name: str) -> int:
        """Return the number of a node; one that nobody knows is taken to have gone."""
        if name not in self.index:
            node = _lost(name)
            self.nodes = (*self.nodes, node)
            self.index[name] = len(self.nodes) - 1
            self._add(node)
            for bound in self._bounds:
                bound.extend([-_CLOSED] * (self.index[name] // BLOCK + 1 - len(bound)))
        return self.index[name]

    def _add(self, node: Node) -> None:
        left = node.capacity - node.foreign
        is_open = node.status is NodeStatus.READY
        shut = 0 if is_open else _CLOSED
        self.is_open.append(is_open)
        self.cores.append(left.cores_milli - shut)
        self.memory.append(left.memory_bytes - shut)
        self.gpus.append(left.gpus - shut)
        if is_open:
            self.free[0] += left.cores_milli
            self.free[1] += left.memory_bytes
            self.free[2] += left.gpus
            self.is_overdrawn |= not NOTHING.fits_in(left)

    @property
    def ready(self) -> list[int]:
        """The nodes that take instances."""
        return [node for node, is_open in enumerate(self.is_open) if is_open]

    def fitting(self, shape: Shape) -> Fitting:
        """Return what is known of a shape, until :meth:`forget`; equal shapes share it."""
        fitting = self._fittings.get(shape)
        if fitting is None:
            fitting = self._fittings[shape] = Fitting(shape)
            self._fit_to_nodes(fitting)
        fitting.users += 1
        return fitting

    def forget(self, fitting: Fitting) -> None:
        """Take note that one user less asks for a shape."""
        fitting.users -= 1
        if not fitting.users:
            del self._fittings[fitting.shape]

    def available(self, node: int) -> Resources:
        """Return what can be given away on a node now; nothing of it is below zero."""
        more = self.delta.get(node, _NO_DELTA)
        return Resources(  # less than nothing on a node that takes nothing
            max(0, self.cores[node] + min(0, more[0])),
            max(0, self.memory[node] + min(0, more[1])),
            max(0, self.gpus[node] + min(0, more[2])),
        )

    def closest(self, fitting: Fitting) -> int | None:
        """Return the open node that it may use and that has most of what one takes; None: none is.

        What counts is the resource that it has least of, and what is free now and held for nobody.
        """
        if fitting.allowed is not None:
            return self._closest_of(fitting, fitting.allowed)[0]
        best, most = None, -inf
        for block, bound in enumerate(zip(*self._bounds, strict=True)):
            if fitting.part_in(*bound) > most:
                first = block * BLOCK
                nodes = range(first, min(first + BLOCK, len(self.nodes)))
                node, part = self._closest_of(fitting, nodes)
                if part > most:
                    best, most = node, part
        return best

    def _closest_of(self, fitting: Fitting, nodes: Iterable[int]) -> tuple[int | None, float]:
        best, most = None, -inf
        cores, memory, gpus, delta = self.cores, self.memory, self.gpus, self.delta
        for node in nodes:
            if not self.is_open[node]:
                continue
            if node in delta:
                there = self.available(node)
                part = fitting.part_in(there.cores_milli, there.memory_bytes, there.gpus)
            else:
                part = fitting.part_in(cores[node], memory[node], gpus[node])
            if part > most:
                best, most = node, part
        return best, most

    def coming(self, node: int) -> tuple[int, int, int]:
        """Return the cores, memory and GPUs that are free on a node once all has gone."""
        more = self.delta.get(node, _NO_DELTA)
        return (self.cores[node] + more[0], self.memory[node] + more[1], self.gpus[node] + more[2])

    def available_total(self) -> Resources:
        """Return what can be given away on all nodes together."""
        if self.is_overdrawn:
            return sum((self.available(node) for node in self.ready), NOTHING)
        there = list(self.free)
        for node, more in self.delta.items():
            if self.is_open[node]:
                for number in range(3):
                    there[number] += min(0, more[number])
        return Resources(*there)

    # Giving room, and taking it back.

    def take(self, fitting: Fitting, places: Places) -> None:
        """Take the room of these places."""
        cores, memory, gpus, free = self.cores, self.memory, self.gpus, self.free
        taken = 0
        for node, count in places:
            cores[node] -= fitting.cores * count
            memory[node] -= fitting.memory * count
            if fitting.gpus:
                gpus[node] -= fitting.gpus * count
            if self.is_open[node]:
                taken += count
                if cores[node] < 0 or memory[node] < 0 or gpus[node] < 0:
                    self.is_overdrawn = True
        free[0] -= fitting.cores * taken
        free[1] -= fitting.memory * taken
        free[2] -= fitting.gpus * taken

    def give(self, fitting: Fitting, places: Places) -> None:
        """Give the room of these places back."""
        cores, memory, gpus, free = self.cores, self.memory, self.gpus, self.free
        bound_cores, bound_memory, bound_gpus = self._bounds
        log = self._log
        given = 0
        for node, count in places:
            cores[node] += fitting.cores * count
            memory[node] += fitting.memory * count
            if fitting.gpus:
                gpus[node] += fitting.gpus * count
            block = node // BLOCK
            if cores[node] > bound_cores[block]:
                bound_cores[block] = cores[node]
            if memory[node] > bound_memory[block]:
                bound_memory[block] = memory[node]
            if gpus[node] > bound_gpus[block]:
                bound_gpus[block] = gpus[node]
            if self.is_open[node]:
                given += count
            log.append(node)
        self.grown += len(places)
        free[0] += fitting.cores * given
        free[1] += fitting.memory * given
        free[2] += fitting.gpus * given
        if len(log) > _LOG_LIMIT:
            self._log = []

    def expect(self, fitting: Fitting, places: Places, sign: int = 1) -> None:
        """Count the room of these places as coming (or, with -1, as held or no longer coming)."""
        cores, memory, gpus = fitting.size
        for node, count in places:
            count *= sign
            delta = self.delta.get(node)
            if delta is None:
                self.delta[node] = [cores * count, memory * count, gpus * count]
                continue
            if sign > 0 and (delta[0] < 0 or delta[1] < 0 or delta[2] < 0):
                self._log.append(node)  # less of what is free on it is held
                self.grown += 1
            delta[0] += cores * count
            delta[1] += memory * count
            delta[2] += gpus * count
            if not (delta[0] or delta[1] or delta[2]):
                del self.delta[node]

    def take_if_free(self, parts: Sequence[tuple[Fitting, Places]]) -> bool:
        """Take the room of all of these if it is free and held for nobody, else of none."""
        for number, (fitting, places) in enumerate(parts):
            for node, count in places:
                if self._copies(fitting, node, coming=False) < count:
                    for earlier, taken in parts[:number]:
                        self.give(earlier, taken)
                    return False
            self.take(fitting, places)
        return True

    def assume_gone(self, going: Mapping[int, list[int]] | None = None) -> dict[int, list[int]]:
        """Take what is coming for free, and return what that was; with it: undo that."""
        sign = 1 if going is None else -1
        moved = dict(self.delta if going is None else going)
        for node, more in moved.items():
            self.cores[node] += more[0] * sign
            self.memory[node] += more[1] * sign
            self.gpus[node] += more[2] * sign
            if self.is_open[node]:
                for number in range(3):
                    self.free[number] += more[number] * sign
            self._log.append(node)
        self.grown += len(moved)
        self.delta = {} if going is None else moved
        return moved

    def reserve(self, keep: Mapping[int, Sequence[int]], sign: int) -> None:
        """Keep this much of each node from whoever is placed now; with -1 no longer."""
        self._is_reserved = sign > 0
        for node, kept in keep.items():
            delta = self.delta.setdefault(node, [0, 0, 0])
            for number in range(3):
                delta[number] -= kept[number] * sign
            if delta == _NO_DELTA:
                del self.delta[node]

    # Finding room.

    def is_known_full(self, fitting: Fitting) -> bool:
        """Whether it was found to fit nowhere, and nothing has come free since."""
        return fitting.full_at == self.grown

    def that_may_fit(self, fittings: Iterable[Fitting]) -> Iterator[Fitting]:
        """Yield those of which there may be room for one: a quick look, at the best nodes only."""
        grown = self.grown
        since, best = grown, []
        for fitting in fittings:
            if fitting.full_at == grown:
                continue
            if fitting.full_at != since:
                since = fitting.full_at
                best = self._best_since(since)
            cores, memory, gpus = fitting.size
            for most_cores, most_memory, most_gpus in best:
                if cores <= most_cores and memory <= most_memory and gpus <= most_gpus:
                    yield fitting
                    break
            else:
                fitting.full_at = grown

    def has_room(self, fitting: Fitting) -> bool:
        """Whether there is room for one, perhaps held for somebody; labels do not count.

        On a large cluster it may say so and be wrong.
        """
        if fitting.full_at == self.grown:
            return False
        least_cores, least_memory, least_gpus = fitting.least
        cores, memory, gpus = self.cores, self.memory, self.gpus
        among: Iterable[int] | None = self._changed_since(fitting.full_at)
        if among is None:
            if len(self.nodes) > BLOCK:
                return True
            among = range(len(self.nodes))
        for node in among:
            if (
                cores[node] >= least_cores
                and memory[node] >= least_memory
                and gpus[node] >= least_gpus
            ):
                return True
        fitting.full_at = self.grown
        return False

    def place(
        self, fitting: Fitting, wanted: int, avoid: Iterable[int] = (), *, coming: bool = False
    ) -> Places:
        """Take room for as many instances as fit, at most ``wanted``; none of it on ``avoid``.

        With ``coming``, in what is coming: that holds it.
        """
        if not coming and self.is_known_full(fitting):
            return []
        alone = fitting.shape.spread
        shunned = frozenset(avoid)
        places: Places = []
        left = wanted
        for nodes in self._searched(fitting, coming=coming):
            for node in nodes:
                if node in shunned:
                    continue
                fit = 1 if alone else self._copies(fitting, node, coming=coming)
                if fit >= left:
                    places.append((node, left))
                    left = 0
                    break
                if fit:
                    places.append((node, fit))
                    left -= fit
            if not left:
                break
        else:
            if not (coming or alone or shunned or self._is_reserved):
                fitting.full_at = self.grown
        if coming:
            self.expect(fitting, places, -1)
        else:
            self.take(fitting, places)
        return places

    def release(self, fitting: Fitting, places: Places, *, coming: bool = False) -> None:
        """Undo :meth:`place`."""
        if coming:
            self.expect(fitting, places)
        else:
            self.give(fitting, places)

    def _searched(self, fitting: Fitting, *, coming: bool) -> Iterator[list[int]]:
        """Yield, block by block, nodes that have room for one, the best of each block first."""
        if fitting.allowed is not None:
            yield self._ranked(fitting, fitting.allowed, coming=coming)
            return
        changed = self._changed_since(fitting.full_at)
        if not coming and changed is not None:
            yield self._ranked(fitting, changed, coming=False)
            return
        if coming:
            for among in self._blocks_for_coming(fitting):
                found = self._ranked(fitting, among, coming=True)
                if found:
                    yield found
                elif isinstance(among, range):
                    self._tighten(among.start // BLOCK)
            return
        for nodes in self.blocks_for(fitting):
            found = self._ranked(fitting, nodes, coming=False)
            if found:
                yield found
            else:
                self._tighten(nodes.start // BLOCK)

    def _blocks_for_coming(self, fitting: Fitting) -> Iterator[Iterable[int]]:
        """Yield, block by block, the nodes that may have room for one in what is coming."""
        with_delta: dict[int, list[int]] = {}
        for node in sorted(self.delta):
            with_delta.setdefault(node // BLOCK, []).append(node)
        whole = {nodes.start // BLOCK: nodes for nodes in self.blocks_for(fitting)}
        for block in sorted(with_delta.keys() | whole.keys()):
            yield whole.get(block) or with_delta[block]

    def blocks_for(self, fitting: Fitting) -> Iterator[range]:
        """Yield the blocks of nodes that may have room for one: none of the others has."""
        cores, memory, gpus = fitting.size
        count = len(self.nodes)
        bound_cores, bound_memory, bound_gpus = self._bounds
        for block, most in enumerate(bound_cores):
            if most >= cores and bound_memory[block] >= memory and bound_gpus[block] >= gpus:
                first = block * BLOCK
                yield range(first, min(first + BLOCK, count))

    def _ranked(self, fitting: Fitting, among: Iterable[int], *, coming: bool) -> list[int]:
        """Return which of these nodes have room for one, in the order of the rank."""
        cores, memory, gpus, delta = self.cores, self.memory, self.gpus, self.delta
        if coming and delta:
            found = self._that_get_room(fitting, among)
        else:
            least_cores, least_memory, least_gpus = fitting.least
            if fitting.gpus:
                among = [node for node in among if gpus[node] >= least_gpus]
            found = [
                node
                for node in among
                if cores[node] >= least_cores and memory[node] >= least_memory
            ]
            if delta:  # what is held for others decides, too
                found = [
                    node
                    for node in found
                    if node not in delta or self._copies(fitting, node, coming=False)
                ]
        if len(found) > 1:
            free = (cores, memory, gpus)[fitting.rank]
            if coming and delta:  # so that it makes no difference what of it is free already
                rank = fitting.rank
                there = {node: free[node] + delta.get(node, _NO_DELTA)[rank] for node in found}
                self._rank(found, there.__getitem__)
            else:
                self._rank(found, free.__getitem__)
        return found

    def _that_get_room(self, fitting: Fitting, among: Iterable[int]) -> list[int]:
        """Return which of these nodes have room for one once all that is coming has come."""
        cores, memory, gpus = self.cores, self.memory, self.gpus
        least_cores, least_memory, least_gpus = fitting.least
        found = []
        for node in among:
            comes = self.delta.get(node, _NO_DELTA)
            if (
                cores[node] + comes[0] >= least_cores
                and memory[node] + comes[1] >= least_memory
                and gpus[node] + comes[2] >= least_gpus
            ):
                found.append(node)
        return found

    def _copies(self, fitting: Fitting, node: int, *, coming: bool) -> int:
        """How many instances fit on a node."""
        cores, memory, gpus = self.cores[node], self.memory[node], self.gpus[node]
        if self.delta and (more := self.delta.get(node)):
            if coming:
                cores, memory, gpus = cores + more[0], memory + more[1], gpus + more[2]
            else:
                cores = min(cores, cores + more[0])
                memory = min(memory, memory + more[1])
                gpus = min(gpus, gpus + more[2])
        return fitting.copies(cores, memory, gpus) if cores > LEAST else 0

    def _changed_since(self, full_at: int) -> list[int] | None:
        """Return the nodes that have grown since then; None when all have to be looked at."""
        if (full_at, self.grown) == self._changed_between:
            return self._changed
        count = self.grown - full_at
        self._changed_between = (full_at, self.grown)
        self._changed = None
        if full_at < 0 or count > len(self._log) or count * 2 > len(self.nodes):
            return None
        self._changed = sorted(set(self._log[-count:])) if count else []
        return self._changed

    def _best_since(self, full_at: int) -> list[tuple[int, int, int]]:
        """Return what is free on the best nodes that have grown since then.

        The best are those of which no other has more of everything. Of a large cluster it may be
        the bounds of its blocks.
        """
        changed = self._changed_since(full_at)
        if changed is not None:
            free = [(self.cores[node], self.memory[node], self.gpus[node]) for node in changed]
        elif len(self.nodes) <= BLOCK:
            free = list(zip(self.cores, self.memory, self.gpus, strict=True))
        else:
            free = list(zip(*self._bounds, strict=True))
        return _best(free)

    def _tighten(self, block: int) -> None:
        """Make the bounds of a block exact: they promised room that was not there."""
        first = block * BLOCK
        for bound, free in zip(self._bounds, (self.cores, self.memory, self.gpus), strict=True):
            bound[block] = max(free[first : first + BLOCK])

    def _fit_to_nodes(self, fitting: Fitting) -> None:
        labels, image = fitting.shape.labels, fitting.shape.image
        if (labels, image) not in self._allowed:
            having = [
                number
                for number, node in enumerate(self.nodes)
                if labels <= node.labels and node.has_image(image)
            ]
            self._allowed[labels, image] = None if len(having) == len(self.nodes) else having
        fitting.fit_to(self.total, self._allowed[labels, image])


_NO_DELTA = [0, 0, 0]


def _best(free: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Return these without those that an other one has at least as much of everything as."""
    best: list[tuple[int, int, int]] = []
    most_memory = most_gpus = -1  # what is closed has less than nothing
    for one in sorted(free, reverse=True):
        if one[0] >= 0 and (one[1] > most_memory or one[2] > most_gpus):
            best.append(one)
            most_memory, most_gpus = max(most_memory, one[1]), max(most_gpus, one[2])
    return best


def _lost(name: str) -> Node:
    return Node(name, NOTHING, status=NodeStatus.UNREACHABLE, message="it is gone")
