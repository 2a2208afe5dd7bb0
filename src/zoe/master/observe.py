"""What the back-end reports, as events: pushed as it happens, and the whole truth now and then."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from zoe.model.cluster import Observation, ObservedInstance
from zoe.model.execution import Execution, Exit, ExitReason, InstanceStatus
from zoe.scheduler.events import (
    Event,
    InstancePrepared,
    InstanceReady,
    InstanceStarted,
    InstanceStopped,
)


@dataclass(frozen=True, slots=True)
class Look:
    """A full observation, and the mark of the effects when it began (it may miss later ones)."""

    observation: Observation
    mark: int


def events_of(observed: ObservedInstance) -> list[Event]:
    """Return what one pushed report says; the scheduler ignores what it knows already."""
    key, attempt = observed.instance_id, observed.attempt
    if observed.status is InstanceStatus.STOPPED:
        return [InstanceStopped(key, attempt, observed.exit or Exit(ExitReason.LOST))]
    if observed.status is InstanceStatus.STARTING and observed.message:
        return [InstancePrepared(key, attempt, observed.message)]
    events: list[Event] = []
    if observed.status is InstanceStatus.RUNNING:
        events.append(InstanceStarted(key, attempt, observed.address, observed.published))
        if observed.ready:
            events.append(InstanceReady(key, attempt))
    return events


def leftovers(
    observed: Iterable[ObservedInstance], executions: Mapping[int, Execution]
) -> list[tuple[str, int]]:
    """Return the stopped attempts whose end the store has, and that the back-end still keeps."""
    live = {
        (instance.id, instance.attempt)
        for execution in executions.values()
        for instance in execution.instances
        if instance.is_placed
    }
    return [
        (instance.instance_id, instance.attempt)
        for instance in observed
        if instance.status is InstanceStatus.STOPPED
        and (instance.instance_id, instance.attempt) not in live
    ]
