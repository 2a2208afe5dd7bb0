"""What the master's changes make of an execution, as the triggers of the database have it, too."""

import dataclasses

from zoe.model.change import SetStatus
from zoe.model.errors import IllegalTransition
from zoe.model.execution import (
    ENDED,
    Execution,
    ExecutionStatus,
    Forecast,
    InstanceStatus,
    ServiceInstance,
    check_execution_transition,
    check_instance_transition,
)

WAITING = frozenset({ExecutionStatus.SUBMITTED, ExecutionStatus.QUEUED})


def with_status(execution: Execution, change: SetStatus) -> Execution:
    """Return the execution in its new status; raises IllegalTransition."""
    check_execution_transition(execution.status, change.status)
    is_starting = change.status is ExecutionStatus.STARTING
    is_waiting = change.status in WAITING
    return dataclasses.replace(
        execution,
        status=change.status,
        started_at=change.at if is_starting else execution.started_at,
        time_limit_seconds=change.time_limit_seconds or execution.time_limit_seconds,
        ended_at=change.at if change.status in ENDED else None,
        end=change.end or execution.end,
        reasons=execution.reasons if is_waiting else (),
        queue_position=execution.queue_position if is_waiting else None,
        forecast=execution.forecast if is_waiting else None,
    )


def with_instance(execution: Execution, instance: ServiceInstance) -> Execution:
    """Return the execution with this record of an instance; raises IllegalTransition."""
    instances = {(each.service, each.ordinal): each for each in execution.instances}
    old = instances.get((instance.service, instance.ordinal))
    if old is None:
        if instance.status not in (InstanceStatus.WAITING, InstanceStatus.STARTING):
            raise IllegalTransition(
                f"an instance begins as waiting or starting, not as {instance.status}"
            )
    else:
        attempt = old.attempt
        if old.status is not instance.status:
            check_instance_transition(old.status, instance.status)
            if instance.status is InstanceStatus.WAITING:
                attempt += 1
        if instance.attempt != attempt:
            raise IllegalTransition(
                f"attempt {instance.attempt} of an instance cannot follow attempt {old.attempt}"
            )
    instances[instance.service, instance.ordinal] = instance
    in_order = tuple(instances[place] for place in sorted(instances))
    return dataclasses.replace(execution, instances=in_order)


def with_forecast(execution: Execution, forecast: Forecast) -> Execution:
    """Return the execution with its newest forecast, if it still waits."""
    if execution.status not in WAITING:
        return execution
    first = execution.first_forecast or (forecast if forecast.is_whole else None)
    return dataclasses.replace(execution, forecast=forecast, first_forecast=first)
