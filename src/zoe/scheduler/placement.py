"""Where instances go: a private copy of the cluster to plan on, and best fit on it.

A node passes when it is ready, has the labels, has room for one instance, and, for a service that
is spread, has none of the service's instances yet. Of those that pass, the one with the least room
left of the resource that the instance needs most of comes first (`pack`): big rooms stay whole.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from zoe.model.cluster import Node, NodeStatus
from zoe.model.resources import NOTHING, Resources

PLENTY = 1 << 62
"""How many instances that need nothing fit in any room."""


@dataclass(frozen=True, slots=True)
class Need:
    """Instances of one service of one execution that want room."""

    execution_id: int
    service: str
    ordinals: tuple[int, ...]
    each: Resources
    labels: frozenset[str] = frozenset()
    spread: bool = False
    is_elastic: bool = False

    @property
    def total(self) -> Resources:
        """What all of them take together."""
        return self.each * len(self.ordinals)


@dataclass(frozen=True, slots=True)
class Placement:
    """Room for one instance on one node."""

    need: Need
    ordinal: int
    node: str


@dataclass(frozen=True, slots=True)
class Held:
    """The room that an instance has on a node now."""

    instance_id: str
    execution_id: int
    service: str
    node: str
    each: Resources
    spread: bool = False


def copies(each: Resources, room: Resources) -> int:
    """How many instances of size ``each`` fit in ``room``, which may be overdrawn."""
    fit = PLENTY
    if each.cores_milli:
        fit = room.cores_milli // each.cores_milli
    if each.memory_bytes:
        fit = min(fit, room.memory_bytes // each.memory_bytes)
    if each.gpus:
        fit = min(fit, room.gpus // each.gpus)
    return max(fit, 0)


class Snapshot:
    """A private copy of what is free on each node.

    ``free`` is free at this moment. ``coming`` is free once everything that is being stopped has
    gone, less what is held for executions that wait for that. Something placed now needs room in
    both; something that waits for room that is being cleared needs it in ``coming`` only.
    """

    def __init__(
        self,
        nodes: Iterable[Node],
        free: Mapping[str, Resources],
        coming: Mapping[str, Resources] | None = None,
        held: Iterable[Held] = (),
    ) -> None:
        self.nodes = {node.name: node for node in nodes}
        self.free = dict(free)
        self.coming = dict(free if coming is None else coming)
        self.total = sum((node.capacity for node in self.nodes.values()), NOTHING)
        self.ready = [
            node
            for _, node in sorted(self.nodes.items())
            if node.status is NodeStatus.READY and node.name in self.free
        ]
        self._spread: dict[tuple[int, str], dict[str, int]] = {}
        for instance in held:
            if instance.spread:
                self._count(instance.execution_id, instance.service, instance.node, 1)
        self._full: set[tuple[Resources, frozenset[str], bool]] = set()

    @classmethod
    def empty(cls, nodes: Iterable[Node], *, ready_only: bool) -> "Snapshot":
        """Return the cluster without anything of ours on it.

        With ``ready_only`` as the nodes are, else as if all were ready and nobody else used them.
        """
        if ready_only:
            chosen = list(nodes)
            return cls(chosen, {node.name: node.capacity - node.foreign for node in chosen})
        chosen = [Node(node.name, node.capacity, labels=node.labels) for node in nodes]
        return cls(chosen, {node.name: node.capacity for node in chosen})

    def when_cleared(self) -> "Snapshot":
        """Return the cluster as it will be when everything that is being stopped has gone."""
        cleared = Snapshot(self.nodes.values(), self.coming)
        cleared._spread = {key: dict(nodes) for key, nodes in self._spread.items()}
        return cleared

    def place_all(self, needs: Sequence[Need], *, now: bool = True) -> list[Placement] | None:
        """Take room for every instance of ``needs``, or for none and return None.

        With ``now=False`` in what is coming, which holds it for them.
        """
        placed: list[Placement] = []
        for need in sorted(needs, key=self._hardest_first):
            found = self.place_some(need, now=now)
            placed.extend(found)
            if len(found) < len(need.ordinals):
                self.give_back(placed, now=now)
                return None
        return placed

    def place_some(self, need: Need, *, now: bool = True) -> list[Placement]:
        """Take room for as many instances of ``need`` as fit, in the order of their ordinals."""
        shape = (need.each, need.labels, now)
        if shape in self._full or not need.ordinals:
            return []
        placed: list[Placement] = []
        for node, count in self._choices(need, now=now):
            for ordinal in need.ordinals[len(placed) : len(placed) + count]:
                placed.append(Placement(need, ordinal, node))
            if len(placed) == len(need.ordinals):
                break
        else:
            if not need.spread:
                self._full.add(shape)
        self.take(placed, now=now)
        return placed

    def take(self, placements: Iterable[Placement], *, now: bool = True) -> None:
        """Take the room of these placements, which must be there."""
        for placement in placements:
            self._take(placement, 1, now=now)

    def take_if_free(self, placements: Sequence[Placement]) -> bool:
        """Take the room of all of these placements now if it is there, else of none."""
        self.take(placements)
        nodes = {placement.node for placement in placements}
        if all(NOTHING.fits_in(self.free[node]) for node in nodes):
            return True
        self.give_back(placements)
        return False

    def give_back(self, placements: Iterable[Placement], *, now: bool = True) -> None:
        """Undo placements."""
        for placement in placements:
            self._take(placement, -1, now=now)
            self._full.clear()

    def release(self, instance: Held) -> None:
        """Add the room of an instance that is to be stopped to what is coming."""
        self._move(instance.node, instance.each * -1, now=False)
        if instance.spread:
            self._count(instance.execution_id, instance.service, instance.node, -1)
        self._full.clear()

    def retake(self, instance: Held) -> None:
        """Undo :meth:`release`."""
        self._move(instance.node, instance.each, now=False)
        if instance.spread:
            self._count(instance.execution_id, instance.service, instance.node, 1)

    def available(self, node: str) -> Resources:
        """What is free on a node now and held for nobody, nothing of it below zero."""
        free, coming = self.free[node], self.coming[node]
        return Resources(
            max(0, min(free.cores_milli, coming.cores_milli)),
            max(0, min(free.memory_bytes, coming.memory_bytes)),
            max(0, min(free.gpus, coming.gpus)),
        )

    def available_total(self) -> Resources:
        """What is available on all ready nodes together."""
        return sum((self.available(node.name) for node in self.ready), NOTHING)

    def share(self, resources: Resources) -> float:
        """The largest share of the whole cluster that ``resources`` takes in any dimension."""
        return max(
            (part / whole for part, whole in _dimensions(resources, self.total) if whole),
            default=0.0,
        )

    def _hardest_first(self, need: Need) -> tuple[int, bool, float, str]:
        """Order needs so that those with the fewest nodes to go to, then the largest, come first.

        Placing small instances first may use up the only room that a large one fits in.
        """
        choices = sum(need.labels <= node.labels for node in self.ready)
        return (choices, not need.spread, -self.share(need.each), need.service)

    def _choices(self, need: Need, *, now: bool) -> Iterator[tuple[str, int]]:
        """Yield nodes with how many instances fit, best fit first.

        Filling one node before the next is what choosing the best fit for each instance in turn
        would do: the node that was best has even less room afterwards.
        """
        rank = self._dominant(need.each)
        used = self._spread.get((need.execution_id, need.service), {})
        found = []
        for node in self.ready:
            if not need.labels <= node.labels or (need.spread and used.get(node.name)):
                continue
            fit = copies(need.each, self.coming[node.name])
            if now and fit:
                fit = min(fit, copies(need.each, self.free[node.name]))
            if fit:
                free = (self.free if now else self.coming)[node.name]
                found.append((getattr(free, rank), node.name, 1 if need.spread else fit))
        found.sort()
        return ((name, fit) for _, name, fit in found)

    def _dominant(self, each: Resources) -> str:
        """Name the resource of which ``each`` takes the largest share of the cluster."""
        names = ("cores_milli", "memory_bytes", "gpus")
        pairs = list(_dimensions(each, self.total))
        shares = [part / whole if whole else 0.0 for part, whole in pairs]
        return names[shares.index(max(shares))]

    def _take(self, placement: Placement, sign: int, *, now: bool) -> None:
        need = placement.need
        self._move(placement.node, need.each * sign, now=now)
        if need.spread:
            self._count(need.execution_id, need.service, placement.node, sign)

    def _move(self, node: str, taken: Resources, *, now: bool) -> None:
        self.coming[node] -= taken
        if now:
            self.free[node] -= taken

    def _count(self, execution_id: int, service: str, node: str, by: int) -> None:
        nodes = self._spread.setdefault((execution_id, service), {})
        nodes[node] = nodes.get(node, 0) + by


def _dimensions(part: Resources, whole: Resources) -> Iterator[tuple[int, int]]:
    yield part.cores_milli, whole.cores_milli
    yield part.memory_bytes, whole.memory_bytes
    yield part.gpus, whole.gpus
