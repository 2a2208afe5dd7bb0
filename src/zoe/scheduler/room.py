"""Finding room: where instances of a shape fit, which is taken, or held where it is coming.

Two things keep it quick. A shape that was found to fit nowhere is tried again only on nodes that
have more room since (:attr:`Fitting.full_at`). Nodes are searched in blocks of :data:`BLOCK`, of
which each knows a bound of what is free on its nodes, and what was found not to fit on any of them;
the first blocks that have room are used.
"""

from collections.abc import Iterable, Iterator, Mapping
from math import inf

from zoe.scheduler.blocks import BLOCK
from zoe.scheduler.fitting import Fitting
from zoe.scheduler.rank import Rank, pack
from zoe.scheduler.stock import NO_DELTA, Places, Stock


class Room(Stock):
    """The room on the nodes, and the search in it."""

    def __init__(self, rank: Rank = pack) -> None:
        super().__init__()
        self._rank = rank
        self._levels: dict[str, int] = {}
        """How loaded nodes really are, by name; empty where nobody knows, or all are the same."""
        self._changed_between = (-1, -1)
        self._changed: list[int] | None = None
        """See :meth:`_changed_since`: what it returned for these two counts."""

    def set_levels(self, levels: Mapping[str, int]) -> None:
        """Take over how loaded nodes really are: of equal ones the least loaded comes first."""
        self._levels = dict(levels) if len(set(levels.values())) > 1 else {}

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
        blocks: Iterable[int] = self.bounds.with_room(fitting)
        if coming and self.delta:
            blocks = sorted({*blocks, *self.coming_bounds.with_room(fitting)})
        full = self.full
        for block in blocks:
            if not coming and fitting in full[block]:
                continue
            found = self._ranked(fitting, self._nodes_of(block), coming=coming)
            if found:
                yield found
                continue
            self._tighten(block, coming=coming)
            if not (coming or self._is_reserved):
                full[block].add(fitting)

    def nodes_with_room(self, fitting: Fitting) -> Iterator[int]:
        """Yield the nodes of all blocks that may have room for one."""
        for block in self.bounds.with_room(fitting):
            if fitting not in self.full[block]:
                yield from self._nodes_of(block)

    def _nodes_of(self, block: int) -> range:
        first = block * BLOCK
        return range(first, min(first + BLOCK, len(self.nodes)))

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
            if levels := self._levels:  # the rank leaves those that it finds equal in this order
                nodes = self.nodes
                found.sort(key=lambda node: levels.get(nodes[node].name, 0))
            if image := fitting.shape.image:  # which costs more to wait for than others cost it
                found.sort(key=lambda node: not self.nodes[node].holds_image(image))
            free = (cores, memory, gpus)[fitting.rank]
            if coming and delta:  # so that it makes no difference what of it is free already
                rank = fitting.rank
                there = {node: free[node] + delta.get(node, NO_DELTA)[rank] for node in found}
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
            comes = self.delta.get(node, NO_DELTA)
            if (
                cores[node] + comes[0] >= least_cores
                and memory[node] + comes[1] >= least_memory
                and gpus[node] + comes[2] >= least_gpus
            ):
                found.append(node)
        return found

    def closest(self, fitting: Fitting) -> int | None:
        """Return the open node that it may use and that has most of what one takes; None: none is.

        What counts is the resource that it has least of, and what is free now and held for nobody.
        """
        if fitting.allowed is not None:
            return self._closest_of(fitting, fitting.allowed)[0]
        best, most = None, -inf
        bounds = self.bounds
        for block, bound in enumerate(zip(bounds.cores, bounds.memory, bounds.gpus, strict=True)):
            if fitting.part_in(*bound) > most:
                node, part = self._closest_of(fitting, self._nodes_of(block))
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
            bounds = self.bounds
            free = list(zip(bounds.cores, bounds.memory, bounds.gpus, strict=True))
        return _best(free)

    def _tighten(self, block: int, *, coming: bool) -> None:
        """Make the bounds of a block exact: they promised room that was not there."""
        nodes = self._nodes_of(block)
        part = slice(nodes.start, nodes.stop)
        self.bounds.tighten(block, self.cores[part], self.memory[part], self.gpus[part])
        if coming:
            there = [self.coming(node) for node in nodes if node in self.delta]
            self.coming_bounds.tighten(block, *([one[n] for one in there] for n in range(3)))


def _best(free: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Return these without those that an other one has at least as much of everything as."""
    best: list[tuple[int, int, int]] = []
    most_memory = most_gpus = -1  # what is closed has less than nothing
    for cores, memory, gpus in sorted(free, reverse=True):
        if cores >= 0 and (memory > most_memory or gpus > most_gpus):
            # What is overdrawn has none of it, which is enough for who needs none.
            best.append((cores, max(0, memory), max(0, gpus)))
            most_memory, most_gpus = max(most_memory, memory), max(most_gpus, gpus)
    return best
