"""Where an instance is reached is taken over from what the back-end reports."""

from dataclasses import replace

from zoe.model.cluster import Node, Observation, ObservedInstance
from zoe.model.execution import Execution, InstanceStatus, ServiceInstance
from zoe.model.resources import Resources
from zoe.model.zapp import Framework, Kind, Service, ZApp
from zoe.scheduler.events import (
    ExecutionSubmitted,
    InstanceReady,
    InstanceStarted,
    InstanceStopped,
    NodesObserved,
)
from zoe.scheduler.reconcile import differences
from zoe.scheduler.scheduler import Scheduler

SERVICE = Service("s", resources=Resources(1000), monitor=True)
ZAPP = ZApp("app", Kind.SERVICE, (Framework("f", (SERVICE,)),))
NODE = Node("n", Resources(4000))
PORTS = ((8000, 49153),)
SEEN = ObservedInstance("1/f.s/0", 1, "n", InstanceStatus.RUNNING, address="lab", published=PORTS)


def started() -> Scheduler:
    scheduler = Scheduler()
    scheduler.handle(NodesObserved((NODE,)), 0.0)
    scheduler.handle(ExecutionSubmitted(Execution(1, "e", "ann", ZAPP, 0.0)), 1.0)
    scheduler.handle(InstanceStarted("1/f.s/0", 1, "lab", PORTS), 2.0)
    return scheduler


def instance_of(scheduler: Scheduler) -> ServiceInstance:
    (instance,) = scheduler.executions[1].instances
    return instance


def test_it_is_kept_when_the_instance_gets_ready() -> None:
    scheduler = started()
    scheduler.handle(InstanceReady("1/f.s/0", 1), 3.0)
    instance = instance_of(scheduler)
    assert (instance.address, instance.published, instance.ready) == ("lab", PORTS, True)
    assert instance.port_at_address(8000) == 49153
    assert instance.port_at_address(9000) == 9000


def test_a_look_takes_over_what_has_changed_and_nothing_else() -> None:
    scheduler = started()
    executions = list(scheduler.executions.values())

    def told(seen: ObservedInstance) -> list[object]:
        found = differences(executions, Observation((NODE,), (seen,)))
        return [event for event in found if not isinstance(event, NodesObserved)]

    assert told(SEEN) == []
    moved = replace(SEEN, published=((8000, 50000),))
    assert told(moved) == [InstanceStarted("1/f.s/0", 1, "lab", ((8000, 50000),))]
    assert not any(isinstance(event, InstanceStopped) for event in told(moved))
