"""What the store has, compared with what the back-end reports, as events.

A restart is nothing but events: :func:`reconcile` makes them once, :func:`differences` again and
again while the master runs.
"""

from collections.abc import Iterable

from zoe.model.cluster import NodeStatus, Observation, ObservedInstance
from zoe.model.execution import (
    ENDED,
    Desired,
    Execution,
    ExecutionStatus,
    Exit,
    ExitReason,
    InstanceStatus,
    ServiceInstance,
)
from zoe.scheduler.events import (
    Event,
    ExecutionRestored,
    ExecutionSubmitted,
    InstanceMissing,
    InstancePrepared,
    InstanceReady,
    InstanceStarted,
    InstanceStopped,
    NodesObserved,
    OrphanObserved,
    TerminationRequested,
    WokeUp,
)


def reconcile(executions: Iterable[Execution], observation: Observation) -> list[Event]:
    """Return what brings a new scheduler up to date, in the order in which it has to learn it.

    Everybody who holds room is restored before anybody is given any.
    """
    known = [execution for execution in executions if execution.status not in ENDED]
    events: list[Event] = [NodesObserved(observation.nodes)]
    new = [each for each in known if each.status is ExecutionStatus.SUBMITTED]
    events.extend(
        ExecutionRestored(each) for each in known if each.status is not ExecutionStatus.SUBMITTED
    )
    events.extend(ExecutionSubmitted(each) for each in new)
    events.extend(
        TerminationRequested(each.id, each.desired_by, each.desired is Desired.DELETE)
        for each in known
        if each.desired is not Desired.RUN
    )
    events.extend(differences(known, observation)[1:])
    events.append(WokeUp())
    return events


def differences(
    executions: Iterable[Execution],
    observation: Observation,
    *,
    ignore: frozenset[str] = frozenset(),
) -> list[Event]:
    """Return what the back-end sees otherwise than recorded, the nodes first.

    ``ignore`` names instances that have calls to the back-end under way: what was seen of them may
    be older than what is known.
    """
    reachable = {
        node.name for node in observation.nodes if node.status is not NodeStatus.UNREACHABLE
    }
    recorded = {
        (instance.id, instance.attempt): instance
        for execution in executions
        for instance in execution.instances
        if instance.status not in (InstanceStatus.WAITING, InstanceStatus.STOPPED)
    }
    observed = {(one.instance_id, one.attempt): one for one in observation.instances}
    events: list[Event] = [NodesObserved(observation.nodes)]
    for key, instance in recorded.items():
        if instance.id in ignore:
            continue
        if (seen := observed.get(key)) is not None:
            events.extend(_difference(instance, seen))
        elif instance.node in reachable:
            events.append(InstanceMissing(*key))
    events.extend(
        OrphanObserved(*key)
        for key, seen in observed.items()
        if key not in recorded
        and seen.instance_id not in ignore
        and seen.status is not InstanceStatus.STOPPED
    )
    return events


def _difference(instance: ServiceInstance, seen: ObservedInstance) -> list[Event]:
    key = (instance.id, instance.attempt)
    if seen.status is InstanceStatus.STOPPED:
        return [InstanceStopped(*key, seen.exit or Exit(ExitReason.LOST))]
    if seen.status is instance.status is InstanceStatus.STARTING and seen.message:
        return [InstancePrepared(*key, seen.message)]
    if seen.status is not InstanceStatus.RUNNING or instance.status is InstanceStatus.STOPPING:
        return []
    events: list[Event] = []
    known = (instance.address, instance.published)
    if instance.status is InstanceStatus.STARTING or (seen.address, seen.published) != known:
        events.append(InstanceStarted(*key, seen.address, seen.published))
    if seen.ready and not instance.ready:
        events.append(InstanceReady(*key))
    return events
