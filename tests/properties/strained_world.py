"""A world in which nodes come under pressure, and others use memory of them."""

from dataclasses import replace

from scheduler_world import GIB, World

from zoe.model.cluster import Node, with_loads
from zoe.model.execution import InstanceStatus, ServiceInstance
from zoe.model.load import NodeLoad
from zoe.scheduler.events import LoadsObserved


class StrainedWorld(World):
    """Whenever the master looks around, it also hears how loaded the nodes are."""

    def __init__(self, seed: int, options: dict[str, object]) -> None:
        self.loads: dict[str, NodeLoad] = {}
        self.relieved = 0
        """How often an instance was taken back for want of memory."""
        super().__init__(seed, options)

    def look(self) -> None:
        super().look()
        if self.faults:
            self.hear([self.strained(node) for node in self.nodes])

    def settle(self) -> None:
        """All is well again."""
        self.faults = False
        self.hear([])
        super().settle()

    def crash(self) -> None:
        """A new master knows nothing of loads before its first sample."""
        self.loads = {}
        super().crash()

    def strained(self, node: Node) -> NodeLoad:
        """Make a load up: sometimes the node is short of memory, seldom others use much of it."""
        load = NodeLoad(node.name, self.lot.randrange(8))
        if self.lot.random() < 0.2:
            load = NodeLoad(node.name, load.level, self.lot.randint(1, 8) * GIB)
        if self.lot.random() < 0.5:
            return load
        alive = [key[0] for key, each in self.containers.items() if each.node == node.name]
        most = tuple((key, self.lot.choice((GIB, 2 * GIB))) for key in sorted(set(alive)))
        some = most if self.lot.random() < 0.6 else ()
        return NodeLoad(node.name, load.level, load.outside_bytes, "it is full", some)

    def hear(self, loads: list[NodeLoad]) -> None:
        self.loads = {load.name: load for load in loads}
        self.shrunk |= {node.name for node in self.nodes if self.is_overdrawn(node)}
        before = self.alive()
        self.tell(LoadsObserved(tuple(loads)))
        gone = [before[key] for key in before.keys() - self.alive().keys()]
        for instance in gone:
            assert not instance.essential
            if self.loads[instance.node].hungriest:
                self.relieved += 1

    def overdrawn(self, node: Node) -> set[str]:
        """What others use is not there either."""
        (loaded,) = with_loads([node], self.loads)
        return super().overdrawn(replace(node, capacity=node.capacity - loaded.foreign))

    def alive(self) -> dict[tuple[str, int], ServiceInstance]:
        return {
            (one.id, one.attempt): one
            for execution in self.store.values()
            for one in execution.instances
            if one.status in (InstanceStatus.STARTING, InstanceStatus.RUNNING)
        }

    def record_instance(self, instance: ServiceInstance) -> None:
        """Nothing elastic comes to a node that is under pressure."""
        known = {
            (one.id, one.attempt): one.node for one in self.store[instance.execution_id].instances
        }
        if instance.is_placed and (instance.id, instance.attempt) not in known:
            (node,) = (each for each in self.scheduler.nodes if each.name == instance.node)
            assert instance.essential or not node.pressure
        super().record_instance(instance)
