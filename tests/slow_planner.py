"""First come, first served with elastic growth, planned one instance at a time: slow, and plain.

What the planner that ships decides is compared with this, where nothing is taken back and nobody's
run time is known (so that nobody overtakes). It keeps no index: for every instance it looks at
every node, and it looks at every execution each time.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from zoe.model.cluster import Node
from zoe.scheduler.demand import Demand, Need
from zoe.scheduler.plan import Plan

Placed = Counter[tuple[int, int, bool, int]]
"""How many instances by execution, need, whether they are elastic, and node."""

Amounts = tuple[int, int, int]


class SlowPlanner:
    """The room of every node, who waits, and who runs; nodes are numbered in the given order."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        capacities = [node.capacity for node in nodes]
        self._empty = [[each.cores_milli, each.memory_bytes, each.gpus] for each in capacities]
        self._free = [list(each) for each in self._empty]
        self._total = [sum(each[number] for each in self._empty) for number in range(3)]
        self._waiting: list[Demand] = []
        self._running: list[Demand] = []
        self._held = Placed()

    def add(self, demand: Demand) -> None:
        """Have an execution wait, behind all others."""
        self._waiting.append(demand)

    def end(self, execution_id: int) -> None:
        """Give back what an execution holds."""
        (demand,) = [one for one in self._running if one.execution_id == execution_id]
        self._running.remove(demand)
        for key in [key for key in self._held if key[0] == execution_id]:
            self._change(key[3], demand.needs[key[1]], -self._held.pop(key))

    def plan(self) -> Placed:
        """Give room, as much as there is, and return it."""
        placed = Placed()
        while self._waiting:
            demand = self._waiting[0]
            gang = self._gang(demand)
            if gang is None and self._could_ever_fit(demand):
                break
            self._waiting.pop(0)
            if gang is not None:
                self._running.append(demand)
                placed += gang
        self._held += placed
        for demand in sorted(self._running, key=lambda one: (one.submitted_at, one.execution_id)):
            for number, need in enumerate(demand.needs):
                has = sum(
                    count
                    for key, count in self._held.items()
                    if key[:3] == (demand.execution_id, number, True)
                )
                for node in self._some(need, need.elastic - has):
                    self._held[demand.execution_id, number, True, node] += 1
                    placed[demand.execution_id, number, True, node] += 1
        return placed

    def _gang(self, demand: Demand) -> Placed | None:
        """Give the whole essential set its room, or nothing."""
        gang = Placed()
        needs = enumerate(demand.needs)
        for number, need in sorted(
            needs, key=lambda one: (-max(self._shares(one[1])), one[1].service)
        ):
            nodes = list(self._some(need, need.essential))
            gang.update((demand.execution_id, number, False, node) for node in nodes)
            if len(nodes) < need.essential:
                for (_, each, _, node), count in gang.items():
                    self._change(node, demand.needs[each], -count)
                return None
        return gang

    def _could_ever_fit(self, demand: Demand) -> bool:
        free, self._free = self._free, [list(each) for each in self._empty]
        gang = self._gang(demand)
        self._free = free
        return gang is not None

    def _some(self, need: Need, count: int) -> Iterator[int]:
        """Take room for up to ``count`` instances, each on the fullest node that it fits on."""
        shares = self._shares(need)
        scarcest = shares.index(max(shares))
        for _ in range(count):
            fitting = [
                (free[scarcest], node)
                for node, free in enumerate(self._free)
                if all(each <= there for each, there in zip(_each(need), free, strict=True))
            ]
            if not fitting:
                return
            node = min(fitting)[1]
            self._change(node, need, 1)
            yield node

    def _shares(self, need: Need) -> list[float]:
        pairs = zip(_each(need), self._total, strict=True)
        return [part / whole if whole else 0.0 for part, whole in pairs]

    def _change(self, node: int, need: Need, count: int) -> None:
        for number, amount in enumerate(_each(need)):
            self._free[node][number] -= amount * count


def placed_by(plans: Iterable[Plan]) -> Placed:
    """Return what the planner that ships gave, in the same terms."""
    placed = Placed()
    for plan in plans:
        for grant in plan.grants:
            for node, count in grant.places:
                placed[grant.contender.id, grant.need, grant.elastic, node] += count
    return placed


def _each(need: Need) -> Amounts:
    each = need.shape.each
    return each.cores_milli, each.memory_bytes, each.gpus
