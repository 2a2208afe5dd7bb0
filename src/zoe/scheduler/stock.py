"""What is free on every node now, and what is coming.

Counts, not instances: "three of this shape on that node". Nodes are numbers here, in the order of
their names. Everything the scheduler plans is taken from here and, if the plan comes to nothing,
given back.

*Free* is free at this moment. *Coming* is free once everything that is being stopped has gone, less
what is held for executions that wait for that. What is placed now needs room in both; what waits
for room that is being cleared needs it in what is coming only.
"""

from collections.abc import Iterable, Mapping, Sequence

from zoe.model.cluster import Node, NodeStatus
from zoe.model.resources import NOTHING, Resources
from zoe.scheduler.blocks import BLOCK, CLOSED, Bounds
from zoe.scheduler.demand import Shape
from zoe.scheduler.fitting import LEAST, Fitting

_LOG_LIMIT = 1 << 14

Places = list[tuple[int, int]]
"""Nodes with how many instances go there."""


class Stock:
    """Free and coming room of every node."""

    def __init__(self) -> None:
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
        self.search_steps: int | None = None
        """How many more steps searches may take (:mod:`.search`); None: each as many as it may."""
        self.is_overdrawn = False
        """Whether more may be taken on a node than it has: the sums say nothing then."""
        self.is_open: list[bool] = []
        """Whether a node takes instances."""
        self.strained: frozenset[int] = frozenset()
        """Nodes under pressure, on which nothing elastic is placed."""
        self.bounds = Bounds(0)
        """Of what is free on the nodes."""
        self.coming_bounds = Bounds(0)
        """Of what is coming on those nodes for which that differs from what is free."""
        self.grown = 0
        """How often a node has got more room."""
        self._log: list[int] = []
        """The nodes that got it, the last ones."""
        self.full: list[set[Fitting]] = []
        """By block: what was found to fit on none of its nodes, which have no more room since."""
        self._is_reserved = False
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
        self.bounds, self.coming_bounds = Bounds(0), Bounds(0)
        self.full = []
        for node in self.nodes:
            self._add(node)
        self.strained = frozenset(n for n, node in enumerate(self.nodes) if node.pressure)
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
        return self.index[name]

    def _add(self, node: Node) -> None:
        left = node.capacity - node.foreign
        is_open = node.status is NodeStatus.READY
        shut = 0 if is_open else CLOSED
        self.is_open.append(is_open)
        self.cores.append(left.cores_milli - shut)
        self.memory.append(left.memory_bytes - shut)
        self.gpus.append(left.gpus - shut)
        number = len(self.cores) - 1
        for bounds in (self.bounds, self.coming_bounds):
            bounds.extend(number // BLOCK + 1)
        self.full.extend(set[Fitting]() for _ in range(number // BLOCK + 1 - len(self.full)))
        self.full[number // BLOCK].clear()
        self.bounds.rise(number, self.cores[-1], self.memory[-1], self.gpus[-1])
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
        more = self.delta.get(node, NO_DELTA)
        return Resources(  # less than nothing on a node that takes nothing
            max(0, self.cores[node] + min(0, more[0])),
            max(0, self.memory[node] + min(0, more[1])),
            max(0, self.gpus[node] + min(0, more[2])),
        )

    def coming(self, node: int) -> tuple[int, int, int]:
        """Return the cores, memory and GPUs that are free on a node once all has gone."""
        more = self.delta.get(node, NO_DELTA)
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
        bounds, delta, full = self.bounds, self.delta, self.full
        bound_cores, bound_memory, bound_gpus = bounds.cores, bounds.memory, bounds.gpus
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
            if full[block]:
                full[block].clear()
            if self.is_open[node]:
                given += count
            if delta and node in delta:
                self._rise_coming(node)
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
                if count > 0:
                    self._rise_coming(node)
                continue
            if sign > 0 and (delta[0] < 0 or delta[1] < 0 or delta[2] < 0):
                self._log.append(node)  # less of what is free on it is held
                self.full[node // BLOCK].clear()
                self.grown += 1
            delta[0] += cores * count
            delta[1] += memory * count
            delta[2] += gpus * count
            if not (delta[0] or delta[1] or delta[2]):
                del self.delta[node]
            elif count > 0:
                self._rise_coming(node)

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
            self.full[node // BLOCK].clear()
        self.grown += len(moved)
        self.delta = {} if going is None else moved
        for node in self.delta:
            self._rise_coming(node)
        return moved

    def reserve(self, keep: Mapping[int, Sequence[int]], sign: int) -> None:
        """Keep this much of each node from whoever is placed now; with -1 no longer."""
        self._is_reserved = sign > 0
        self.assume(keep, -sign)

    def assume(self, more: Mapping[int, Sequence[int]], sign: int) -> None:
        """Take it that so much more of each node is coming; with -1 undo that.

        Only for a moment: unlike :meth:`expect`, it does not note that a node has got more room.
        """
        for node, amounts in more.items():
            delta = self.delta.get(node)
            if delta is None:
                delta = self.delta[node] = [0, 0, 0]
            delta[0] += amounts[0] * sign
            delta[1] += amounts[1] * sign
            delta[2] += amounts[2] * sign
            if delta == NO_DELTA:
                del self.delta[node]
            elif sign > 0:
                self._rise_coming(node)

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

    def _rise_coming(self, node: int) -> None:
        more = self.delta[node]
        self.coming_bounds.rise(
            node, self.cores[node] + more[0], self.memory[node] + more[1], self.gpus[node] + more[2]
        )

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


NO_DELTA = [0, 0, 0]
"""Of a node on which just that is coming which is free."""


def _lost(name: str) -> Node:
    return Node(name, NOTHING, status=NodeStatus.UNREACHABLE, message="it is gone")
