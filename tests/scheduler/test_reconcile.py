"""What is seen otherwise than recorded, where nodes are not reached."""

from dataclasses import replace

from backend_worlds import make_execution, make_instance
from zoe.model.cluster import Node, NodeStatus, Observation, ObservedInstance
from zoe.model.execution import Exit, ExitReason, InstanceStatus
from zoe.model.resources import Resources
from zoe.model.zapp import Service
from zoe.scheduler.events import InstanceMissing, InstanceStopped
from zoe.scheduler.reconcile import differences

execution = make_execution(Service("s"))
instance = replace(make_instance(execution), status=InstanceStatus.RUNNING)
running = replace(execution, instances=(instance,))


def node(status: NodeStatus) -> Node:
    return Node(instance.node, Resources(1000, 2**30), status=status)


def test_what_is_not_seen_on_a_node_that_nobody_reaches_is_not_missing() -> None:
    away = Observation((node(NodeStatus.UNREACHABLE),), ())
    assert not [each for each in differences([running], away) if isinstance(each, InstanceMissing)]
    there = Observation((node(NodeStatus.READY),), ())
    assert InstanceMissing(instance.id, 1) in differences([running], there)


def test_what_is_seen_to_have_ended_has_ended_wherever_it_was() -> None:
    lost = Exit(ExitReason.LOST, message="the swarm lost its node")
    seen = ObservedInstance(instance.id, 1, instance.node, InstanceStatus.STOPPED, exit=lost)
    away = Observation((node(NodeStatus.UNREACHABLE),), (seen,))
    assert differences([running], away)[1:] == [InstanceStopped(instance.id, 1, lost)]
