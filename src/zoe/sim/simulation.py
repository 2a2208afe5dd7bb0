"""Drives the scheduler that ships through virtual time.

Work model: an application that asks for ``n`` instances and takes ``T`` seconds with all of them
has work ``T * n``. With ``x`` of them running it advances at ``x / n`` seconds per second, from the
moment on which all essential ones run. Instances start at once; those taken back go after the time
their drain takes, and lose no work.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from zoe.model.change import SetInstance, SetStatus
from zoe.model.cluster import Node
from zoe.model.execution import (
    ENDED,
    ExecutionEnd,
    ExecutionStatus,
    Exit,
    ExitReason,
    InstanceStatus,
)
from zoe.scheduler.decisions import Decision, StartInstance, StopInstance, WakeAt
from zoe.scheduler.events import (
    Event,
    ExecutionSubmitted,
    InstanceReady,
    InstanceStopped,
    NodesObserved,
    WokeUp,
)
from zoe.scheduler.scheduler import Scheduler
from zoe.sim.workload import Job


@dataclass(frozen=True, slots=True)
class Outcome:
    """When an execution arrived, got its room and ended (virtual seconds), and how it ended."""

    job: Job
    started: float | None
    ended: float
    end: ExecutionEnd

    @property
    def wait_seconds(self) -> float:
        """From arrival to admission; to the end, if it was never admitted."""
        return (self.ended if self.started is None else self.started) - self.job.arrival_seconds

    @property
    def turnaround_seconds(self) -> float:
        """From arrival to the end."""
        return self.ended - self.job.arrival_seconds


@dataclass(frozen=True, slots=True)
class Step:
    """One event with what the scheduler decided: the trace is the same for the same input."""

    at: float
    event: Event
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of the executions that ended, and how much was taken back."""

    outcomes: tuple[Outcome, ...]
    taken_back: int
    events: int

    @property
    def mean_turnaround_seconds(self) -> float:
        """The mean over all executions that ended."""
        return sum(one.turnaround_seconds for one in self.outcomes) / len(self.outcomes)


@dataclass(slots=True)
class _Progress:
    job: Job
    remaining_seconds: float
    started: float | None = None
    since: float = 0.0
    rate: float = 0.0
    version: int = 0
    """Grows with each change of the rate: an end expected earlier is void then."""


@dataclass(frozen=True, slots=True)
class _Completion:
    """The expected end of an execution's work, if its rate is still of this version."""

    execution_id: int
    version: int


def simulate(
    jobs: Iterable[Job],
    nodes: Sequence[Node],
    scheduler: Scheduler,
    *,
    drain_seconds: float = 0.0,
    watch: Callable[[Step], None] | None = None,
) -> Result:
    """Run ``jobs`` on ``nodes`` until all have ended, or nothing can happen any more.

    ``drain_seconds`` is how long an instance that is told to stop holds its room; it does no work
    then. ``watch`` sees every step.
    """
    simulation = _Simulation(scheduler, drain_seconds, watch)
    simulation.plan(0.0, NodesObserved(tuple(nodes)))
    for job in sorted(jobs, key=lambda job: (job.arrival_seconds, job.id)):
        simulation.progress[job.id] = _Progress(job, job.seconds)
        simulation.plan(job.arrival_seconds, ExecutionSubmitted(job.execution))
    return simulation.run()


class _Simulation:
    def __init__(
        self, scheduler: Scheduler, drain_seconds: float, watch: Callable[[Step], None] | None
    ) -> None:
        self.progress: dict[int, _Progress] = {}
        self._scheduler = scheduler
        self._drain_seconds = drain_seconds
        self._watch = watch
        self._outcomes: list[Outcome] = []
        self._taken_back = 0
        self._number = count()
        self._agenda: list[tuple[float, int, Event | _Completion]] = []

    def plan(self, at: float, item: Event | _Completion) -> None:
        """Have ``item`` happen at ``at``, after what is planned for that time already."""
        heapq.heappush(self._agenda, (at, next(self._number), item))

    def run(self) -> Result:
        """Let everything happen that is planned, and what follows from it."""
        handled = 0
        while self._agenda:
            now, _, item = heapq.heappop(self._agenda)
            for event in self._complete(item, now) if isinstance(item, _Completion) else [item]:
                handled += 1
                decisions = self._scheduler.handle(event, now)
                if self._watch is not None:
                    self._watch(Step(now, event, tuple(decisions)))
                self._carry_out(decisions, now)
        return Result(tuple(self._outcomes), self._taken_back, handled)

    def _carry_out(self, decisions: Sequence[Decision], now: float) -> None:
        changed = set()
        for decision in decisions:
            match decision:
                case StartInstance(instance):
                    self.plan(now, InstanceReady(instance.id, instance.attempt))
                case StopInstance(instance_id, attempt, shrink=shrink):
                    self._taken_back += shrink
                    gone = InstanceStopped(instance_id, attempt, Exit(ExitReason.STOPPED))
                    self.plan(now + self._drain_seconds, gone)
                case SetInstance(instance):
                    changed.add(instance.execution_id)
                case SetStatus():
                    self._note_status(decision, now)
                case WakeAt(time):
                    self.plan(max(time, now), WokeUp())
                case _:
                    pass
        for execution_id in sorted(changed):
            self._set_rate(execution_id, now)

    def _note_status(self, status: SetStatus, now: float) -> None:
        progress = self.progress[status.execution_id]
        if status.status is ExecutionStatus.STARTING:
            progress.started = now
        elif status.status in ENDED and status.end is not None:
            del self.progress[status.execution_id]
            self._outcomes.append(Outcome(progress.job, progress.started, now, status.end))

    def _set_rate(self, execution_id: int, now: float) -> None:
        """Account for the work done so far, and expect the end at the rate from now on."""
        progress = self.progress.get(execution_id)
        if progress is None:
            return
        progress.remaining_seconds -= progress.rate * (now - progress.since)
        progress.since = now
        progress.version += 1
        progress.rate = self._rate(execution_id, progress.job)
        if progress.rate:
            end = now + max(progress.remaining_seconds, 0.0) / progress.rate
            self.plan(end, _Completion(execution_id, progress.version))

    def _rate(self, execution_id: int, job: Job) -> float:
        execution = self._scheduler.executions[execution_id]
        if execution.status is not ExecutionStatus.RUNNING:
            return 0.0
        statuses = [each.status for each in execution.instances if each.is_placed]
        return statuses.count(InstanceStatus.RUNNING) / job.asked

    def _complete(self, completion: _Completion, now: float) -> list[Event]:
        """Let what decides the end of an execution exit, now that its work is done."""
        progress = self.progress.get(completion.execution_id)
        if progress is None or progress.version != completion.version:
            return []
        execution = self._scheduler.executions[completion.execution_id]
        services = dict(execution.zapp.services())
        has_monitor = any(service.monitor for service in services.values())
        return [
            InstanceStopped(each.id, each.attempt, Exit(ExitReason.COMPLETED, code=0))
            for each in execution.instances
            if each.essential and (services[each.service].monitor or not has_monitor)
        ]
