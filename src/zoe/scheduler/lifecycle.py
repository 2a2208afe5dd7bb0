"""What becomes of an execution and its instances once it has its room, until it has ended.

Functions on one record, called for each thing that happens to it. None of them looks for room:
they only give it up, or keep it for another attempt.
"""

from dataclasses import dataclass, replace

from zoe.model.change import Cause, Forget
from zoe.model.cluster import NodeStatus
from zoe.model.execution import (
    Desired,
    ExecutionEnd,
    ExecutionStatus,
    Exit,
    ExitReason,
    InstanceStatus,
    Outcome,
    ServiceInstance,
)
from zoe.model.zapp import Condition
from zoe.scheduler import words
from zoe.scheduler.decisions import StartInstance, StopInstance
from zoe.scheduler.events import InstancePrepared, InstanceReady, InstanceStarted
from zoe.scheduler.record import Record, is_completed
from zoe.scheduler.state import State

LONGEST_BACKOFF_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Rules:
    """How often and how long, where the application does not say it."""

    start_attempts: int = 3
    elastic_attempts: int = 5
    backoff_seconds: float = 1.0
    stop_grace_seconds: float = 10.0


_ALIVE = (InstanceStatus.STARTING, InstanceStatus.RUNNING)
_STATUS_OF_OUTCOME = {
    Outcome.COMPLETED: ExecutionStatus.TERMINATED,
    Outcome.STOPPED: ExecutionStatus.TERMINATED,
}
_OUTCOME_OF_EXIT = {
    ExitReason.LOST: Outcome.LOST,
    ExitReason.STOPPED: Outcome.LOST,
    ExitReason.NOT_STARTED: Outcome.NOT_STARTED,
}


def advance(state: State, rules: Rules, record: Record) -> None:
    """Do what is due: end it, start what may start, note that it runs."""
    if not record.is_active:
        return
    limit = record.base.limit_seconds
    started_at = record.base.started_at
    if limit is not None and started_at is not None and state.now >= started_at + limit:
        said = f"its time limit of {words.duration(limit)} is over"
        end(state, rules, record, ExecutionEnd(Outcome.TIME_LIMIT, said))
        return
    _start_what_may(state, record)
    essential = [one for name in record.services for one in record.essential(name)]
    if _is_complete(record):
        code = 0 if any(service.monitor for service in record.services.values()) else None
        end(state, rules, record, ExecutionEnd(Outcome.COMPLETED, "it has completed", code))
    elif record.base.status is ExecutionStatus.STARTING and all(map(_has_started, essential)):
        state.set_status(record, ExecutionStatus.RUNNING, "all essential instances have started")


def end(state: State, rules: Rules, record: Record, ending: ExecutionEnd) -> None:
    """Decide how the execution ends and stop everything that lives of it."""
    if record.base.status in (ExecutionStatus.SUBMITTED, ExecutionStatus.QUEUED):
        _finish(state, record, ending)
        return
    if record.base.status is ExecutionStatus.STOPPING:
        return
    state.set_status(record, ExecutionStatus.STOPPING, ending.message, ending)
    for instance in record.placed():
        stop(state, record, instance, rules.stop_grace_seconds, ending.message)
    finish_if_stopped(state, record)


def finish_if_stopped(state: State, record: Record) -> None:
    """End an execution that is stopping when nothing of it is alive any more."""
    execution = record.base
    if execution.status is ExecutionStatus.STOPPING and not record.placed():
        _finish(state, record, execution.end or ExecutionEnd(Outcome.STOPPED, "it was stopped"))


def stop(
    state: State,
    record: Record,
    instance: ServiceInstance,
    grace_seconds: float,
    why: str,
    *,
    shrink: bool = False,
    cause: Cause | None = None,
) -> None:
    """Stop an instance; what never started is stopped at once, what is stopping is hastened."""
    if instance.status is InstanceStatus.WAITING:
        exit = Exit(ExitReason.STOPPED, message=why)
        _set_stopped(state, record, instance, exit, why, cause)
        return
    if instance.status is not InstanceStatus.STOPPING:
        stopping = replace(instance, status=InstanceStatus.STOPPING, ready=False)
        state.set_instance(record, stopping, why, cause)
    state.decisions.append(StopInstance(instance.id, instance.attempt, grace_seconds, shrink, why))


def take_back(
    state: State,
    record: Record,
    instance: ServiceInstance,
    why: str,
    cause: Cause | None = None,
) -> None:
    """Have an elastic instance give its room up, with its hook and its grace."""
    grace_seconds = record.services[instance.service].shrink.grace_seconds
    stop(state, record, instance, grace_seconds, why, shrink=True, cause=cause)


def stop_again(state: State, rules: Rules, record: Record, instance: ServiceInstance) -> None:
    """Ask once more to stop an instance that is stopping."""
    if record.is_active:
        take_back(state, record, instance, "asked again to give its room up")
    else:
        grace = rules.stop_grace_seconds
        stop(state, record, instance, grace, "asked again to stop")


def report_started(
    state: State,
    record: Record,
    instance: ServiceInstance,
    event: InstancePrepared | InstanceStarted | InstanceReady,
) -> None:
    """Take over what is done for an instance, that it runs and where, or that it is ready."""
    if instance.status not in _ALIVE:
        return
    if isinstance(event, InstancePrepared):
        if instance.status is InstanceStatus.STARTING and event.message != instance.message:
            state.set_instance(record, replace(instance, message=event.message), event.message)
        return
    was_running = instance.status is InstanceStatus.RUNNING
    reached = (instance.address, instance.published)
    if isinstance(event, InstanceStarted) and event.address:
        reached = (event.address, event.published)
    running = replace(
        instance,
        status=InstanceStatus.RUNNING,
        ready=instance.ready or isinstance(event, InstanceReady),
        address=reached[0],
        published=reached[1],
        started_at=instance.started_at if was_running else state.now,
        message="",
    )
    if running != instance:
        state.set_instance(record, running, "ready" if running.ready else "started")


def report_stopped(
    state: State, rules: Rules, record: Record, instance: ServiceInstance, exit: Exit
) -> None:
    """Take over that an instance is not alive any more, and decide what follows from it."""
    if instance.status in (InstanceStatus.WAITING, InstanceStatus.STOPPED):
        return
    if instance.status is InstanceStatus.STOPPING:
        if exit.reason in (ExitReason.COMPLETED, ExitReason.FAILED):
            exit = replace(exit, reason=ExitReason.STOPPED)
        _set_stopped(state, record, instance, exit, "stopped")
        finish_if_stopped(state, record)
        return
    said = f"{instance.service} {exit.sentence}"
    if exit.reason is ExitReason.COMPLETED:
        _set_stopped(state, record, instance, exit, said)
    elif not instance.essential:
        _stop_and_back_off(state, rules, record, instance, exit, said)
    else:
        restart = record.services[instance.service].restart
        if restart.policy == "on-failure" and instance.failures < restart.attempts:
            pause = backoff(restart.backoff_seconds, instance.failures)
            _try_again(state, record, instance, instance.node, pause, exit, said)
        else:
            _set_stopped(state, record, instance, exit, said)
            end(state, rules, record, _failure(record, instance, exit, said))


def report_start_failure(
    state: State,
    rules: Rules,
    record: Record,
    instance: ServiceInstance,
    message: str,
    other_node: str,
    *,
    retryable: bool,
) -> None:
    """Take over that the back-end could not start an instance; ``other_node`` may have room."""
    if instance.status not in (*_ALIVE, InstanceStatus.STOPPING):
        return
    exit = Exit(ExitReason.NOT_STARTED, message=message)
    if retryable:  # it may have started all the same: the answer, not the call, may have been lost
        state.decisions.append(StopInstance(instance.id, instance.attempt, 0.0, False, message))
    if instance.status is InstanceStatus.STOPPING:
        report_stopped(state, rules, record, instance, exit)
        return
    said = f"{instance.service} could not be started on {instance.node}: {message}"
    if not instance.essential:
        if not retryable:
            instance = replace(instance, failures=rules.elastic_attempts)
        _stop_and_back_off(state, rules, record, instance, exit, said)
        return
    tried = instance.failures + 1
    if retryable and tried < rules.start_attempts:
        pause = backoff(rules.backoff_seconds, instance.failures)
        _try_again(state, record, instance, other_node or instance.node, pause, exit, said)
        return
    if retryable:
        said += f" (tried {words.counted(tried, 'time')})"
    _set_stopped(state, record, instance, exit, said)
    end(state, rules, record, ExecutionEnd(Outcome.NOT_STARTED, said))


def lose(state: State, rules: Rules, record: Record, instance: ServiceInstance) -> None:
    """Take over that the node of an instance is gone, and all on it."""
    exit = Exit(ExitReason.LOST, message=f"its node {instance.node} is gone")
    if instance.status is InstanceStatus.WAITING:
        _set_stopped(state, record, instance, exit, "its room is gone with its node")
    else:
        report_stopped(state, rules, record, instance, exit)


def lose_gpus(state: State, record: Record, instance: ServiceInstance) -> None:
    """Take over that a waiting instance has been given GPUs that its node has no more."""
    left = state.nodes[instance.node].gpu_ids
    gone = words.listed([f"GPU {gpu}" for gpu in instance.gpus if gpu not in left])
    exit = Exit(ExitReason.LOST, message=f"{gone} of {instance.node} is gone")
    _set_stopped(state, record, instance, exit, f"its room is gone with {gone}")


def backoff(first_seconds: float, failures: int) -> float:
    """Return the pause after ``failures`` earlier ones: it doubles, up to a minute."""
    return min(first_seconds * 2.0 ** min(failures, 16), LONGEST_BACKOFF_SECONDS)


def waits_for(record: Record, service: str) -> str:
    """Say what instances of ``service`` wait for; empty when they may start."""
    for needed, condition in record.requires[service]:
        if not all(_meets(instance, condition) for instance in record.essential(needed)):
            return f"waits until {needed} {_STATE_WORDS[condition]}"
    return ""


_STATE_WORDS = {
    Condition.STARTED: "has started",
    Condition.READY: "is ready",
    Condition.COMPLETED: "has completed",
}


def _meets(instance: ServiceInstance | None, condition: Condition) -> bool:
    """Whether an instance is in the required state, or past it."""
    if instance is None:
        return False
    if is_completed(instance):
        return True
    if instance.status is not InstanceStatus.RUNNING:
        return False
    return condition is Condition.STARTED or (condition is Condition.READY and instance.ready)


def _has_started(instance: ServiceInstance | None) -> bool:
    return instance is not None and _meets(instance, Condition.STARTED)


def _is_complete(record: Record) -> bool:
    """Whether the monitor has completed or, where there is none, everything essential has."""
    monitors = [name for name, service in record.services.items() if service.monitor]
    decisive = [one for name in monitors or record.services for one in record.essential(name)]
    return bool(decisive) and all(one is not None and is_completed(one) for one in decisive)


def _start_what_may(state: State, record: Record) -> None:
    waiting = record.placed(InstanceStatus.WAITING)
    may_start = {name: not waits_for(record, name) for name in {one.service for one in waiting}}
    for instance in waiting:
        node = state.nodes.get(instance.node)
        if (
            may_start[instance.service]
            and instance.not_before <= state.now
            and node is not None
            and node.status is not NodeStatus.UNREACHABLE
        ):
            starting = replace(instance, status=InstanceStatus.STARTING)
            state.set_instance(record, starting, "starting")
            state.decisions.append(StartInstance(starting))


def _set_stopped(
    state: State,
    record: Record,
    instance: ServiceInstance,
    exit: Exit,
    why: str,
    cause: Cause | None = None,
) -> None:
    stopped = replace(
        instance, status=InstanceStatus.STOPPED, ready=False, stopped_at=state.now, exit=exit
    )
    state.set_instance(record, stopped, why, cause)


def _stop_and_back_off(
    state: State,
    rules: Rules,
    record: Record,
    instance: ServiceInstance,
    exit: Exit,
    said: str,
) -> None:
    """Give the room of a failed elastic instance up; it is placed anew after a pause, if ever."""
    failures = instance.failures + 1
    if failures > rules.elastic_attempts:
        said += "; it is given up"
        not_before = 0.0
    else:
        not_before = state.now + backoff(rules.backoff_seconds, instance.failures)
        state.wake_at(not_before, record.base.id)
    failed = replace(instance, failures=failures, not_before=not_before)
    _set_stopped(state, record, failed, exit, said)


def _try_again(
    state: State,
    record: Record,
    instance: ServiceInstance,
    node: str,
    pause_seconds: float,
    exit: Exit,
    said: str,
) -> None:
    """Stop an essential instance, and let it wait with room on ``node`` for its next attempt.

    When that node is gone, or a GPU of it, there is no room to keep: it is placed anew when there
    is some.
    """
    not_before = state.now + pause_seconds
    state.wake_at(not_before, record.base.id)
    failed = replace(instance, failures=instance.failures + 1, not_before=not_before)
    _set_stopped(state, record, failed, exit, said)
    gpus = state.gpus_for(record, instance.service, node) if node in state.nodes else None
    if gpus is not None:
        stopped = record.instances[instance.id]
        waiting = next_attempt(stopped, node, gpus, state.now)
        pause = words.duration(round(pause_seconds, 1))
        state.set_instance(record, waiting, f"tried again in {pause}")


def next_attempt(
    stopped: ServiceInstance, node: str, gpus: tuple[str, ...], placed_at: float
) -> ServiceInstance:
    """Return the instance as it waits, on ``node`` with ``gpus`` of it, for its next attempt."""
    return replace(
        stopped,
        status=InstanceStatus.WAITING,
        node=node,
        gpus=gpus,
        attempt=stopped.attempt + 1,
        address="",
        published=(),
        message="",
        placed_at=placed_at,
        started_at=None,
        stopped_at=None,
        exit=None,
        memory_kills=0,
    )


def _failure(record: Record, instance: ServiceInstance, exit: Exit, said: str) -> ExecutionEnd:
    code = None
    if record.services[instance.service].monitor:
        code = exit.code if exit.signal is None else 128 + exit.signal
    return ExecutionEnd(_OUTCOME_OF_EXIT.get(exit.reason, Outcome.FAILED), said, code)


def _finish(state: State, record: Record, ending: ExecutionEnd) -> None:
    status = _STATUS_OF_OUTCOME.get(ending.outcome, ExecutionStatus.FAILED)
    state.set_status(record, status, ending.message, ending)
    if record.base.desired is Desired.DELETE:
        state.decisions.append(Forget(record.base.id))
    state.forget(record.base.id)
