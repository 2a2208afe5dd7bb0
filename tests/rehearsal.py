"""Drives the whole scheduler, instance by instance, through virtual time: slow, and thorough.

The simulator drives the planner alone, with counts; what it says is compared with this.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields, replace
from itertools import count

from zoe.model.change import SetInstance, SetStatus
from zoe.model.cluster import Node
from zoe.model.execution import (
    ENDED,
    Execution,
    ExecutionStatus,
    Exit,
    ExitReason,
    InstanceStatus,
)
from zoe.model.zapp import Framework, Kind, Service, ZApp
from zoe.scheduler.decisions import StartInstance, StopInstance, WakeAt
from zoe.scheduler.events import (
    Event,
    ExecutionSubmitted,
    InstanceReady,
    InstanceStopped,
    NodesObserved,
    WokeUp,
)
from zoe.scheduler.scheduler import Scheduler
from zoe.scheduler.sharing import Sharing
from zoe.sim.workload import Job


def execution_of(job: Job) -> Execution:
    """Return the execution that a job is, as a user submits it."""
    frameworks: dict[str, list[Service]] = {}
    for number, need in enumerate(job.demand.needs):
        framework, _, name = need.service.partition(".")
        services = frameworks.setdefault(framework, [])
        each = Service(
            name,
            resources=need.shape.each,
            essential=need.essential,
            elastic=need.elastic,
            labels=tuple(need.shape.labels),
            spread=need.shape.spread,
        )
        if number == 0:  # the first instance decides when it ends
            services.append(replace(each, name="lead", essential=1, elastic=0, monitor=True))
            each = replace(each, essential=need.essential - 1)
        services.append(each)
    parts = tuple(Framework(name, tuple(services)) for name, services in frameworks.items())
    zapp = ZApp("job", Kind.BATCH, parts, job.demand.run_seconds)
    return Execution(job.id, f"job-{job.id}", job.demand.owner, zapp, job.arrival_seconds)


def scheduler_of(**rules: object) -> Scheduler:
    """Return a scheduler with these fields of Sharing and these rules of the lifecycle."""
    sharing = {field.name for field in fields(Sharing)} & rules.keys()
    others = {name: value for name, value in rules.items() if name not in sharing}
    chosen = Sharing(**{name: rules[name] for name in sharing})  # type: ignore[arg-type] # any rule
    return Scheduler(chosen, **others)  # type: ignore[arg-type] # any rule


def rehearse(
    jobs: Iterable[Job],
    nodes: Sequence[Node],
    scheduler: Scheduler,
    *,
    drain_seconds: float = 0.0,
    watch: Callable[[float, Event], None] | None = None,
) -> dict[int, tuple[float, float]]:
    """Run ``jobs``; return when each that ended was admitted and ended."""
    rehearsal = _Rehearsal(scheduler, drain_seconds, watch)
    rehearsal.plan(0.0, NodesObserved(tuple(nodes)))
    for job in sorted(jobs, key=lambda job: (job.arrival_seconds, job.id)):
        rehearsal.left[job.id] = job.seconds
        rehearsal.plan(job.arrival_seconds, ExecutionSubmitted(execution_of(job)))
    rehearsal.run()
    return rehearsal.ended


class _Rehearsal:
    def __init__(
        self,
        scheduler: Scheduler,
        drain_seconds: float,
        watch: Callable[[float, Event], None] | None,
    ) -> None:
        self.left: dict[int, float] = {}
        self.ended: dict[int, tuple[float, float]] = {}
        self._scheduler = scheduler
        self._drain_seconds = drain_seconds
        self._watch = watch
        self._started: dict[int, float] = {}
        self._rate: dict[int, tuple[float, float]] = {}
        self._expected: dict[int, float] = {}
        self._number = count()
        self._agenda: list[tuple[float, int, Event | int]] = []

    def plan(self, at: float, item: Event | int) -> None:
        heapq.heappush(self._agenda, (at, next(self._number), item))

    def run(self) -> None:
        while self._agenda:
            now, _, item = heapq.heappop(self._agenda)
            for event in self._complete(item, now) if isinstance(item, int) else [item]:
                self._handle(event, now)

    def _handle(self, event: Event, now: float) -> None:
        changed = set()
        for decision in self._scheduler.handle(event, now):
            match decision:
                case StartInstance(instance):
                    self.plan(now, InstanceReady(instance.id, instance.attempt))
                case StopInstance(instance_id, attempt):
                    gone = InstanceStopped(instance_id, attempt, Exit(ExitReason.STOPPED))
                    self.plan(now + self._drain_seconds, gone)
                case SetInstance(instance):
                    changed.add(instance.execution_id)
                case SetStatus(execution_id, status) if status in ENDED:
                    started = self._started.pop(execution_id, now)
                    self.ended[execution_id] = (started, now)
                case SetStatus(execution_id, ExecutionStatus.STARTING):
                    self._started[execution_id] = now
                case WakeAt(time):
                    self.plan(max(time, now), WokeUp())
                case _:
                    pass
        for execution_id in sorted(changed):
            self._set_rate(execution_id, now)
        if self._watch is not None:
            self._watch(now, event)

    def _set_rate(self, execution_id: int, now: float) -> None:
        rate, since = self._rate.get(execution_id, (0.0, now))
        self.left[execution_id] -= rate * (now - since)
        execution = self._scheduler.executions.get(execution_id)
        if execution is None:
            return
        asked = sum(s.essential + s.elastic for _, s in execution.zapp.services())
        running = sum(one.status is InstanceStatus.RUNNING for one in execution.instances)
        rate = running / asked if execution.status is ExecutionStatus.RUNNING else 0.0
        self._rate[execution_id] = (rate, now)
        if rate:
            end = now + max(self.left[execution_id], 0.0) / rate
            self._expected[execution_id] = end
            self.plan(end, execution_id)

    def _complete(self, execution_id: int, now: float) -> list[Event]:
        execution = self._scheduler.executions.get(execution_id)
        if execution is None or self._expected.get(execution_id) != now:
            return []
        return [
            InstanceStopped(one.id, one.attempt, Exit(ExitReason.COMPLETED, code=0))
            for one in execution.instances
            if one.service.endswith(".lead") and one.status is InstanceStatus.RUNNING
        ]
