"""Turns the history that Zoe keeps of its own executions into jobs to simulate.

An execution is a mapping as ``GET /executions/{id}`` answers (the shape ``ExecutionDetail``), an
event one as ``GET /executions/{id}/events`` answers (``HistoryView``), or a row of
``execution_event``; times are ISO 8601 or seconds since 1970.

The run time with all it asks for follows from the work model: ``x`` of ``n`` instances do ``x / n``
of the work in a unit of time, so it is the integral of the number of running instances, over ``n``.
An execution that was granted everything at once therefore takes what it took.

What the history does not say, so that a replay is not exact:

- labels, ``spread`` and the speed-up of services, unless the applications are given, too
  (``GET /executions/{id}/source``, read);
- elastic counts at the time of submission, if a scale changed the application (the declared ones
  are used), and what an ended execution would still have done had its user not stopped it;
- whether an instance that was running was doing something: work that was lost with an instance
  counts as done, and so does the time in which only some essential instances ran;
- executions that were deleted, with their events.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from zoe.model.limits import MAX_CORES_MILLI, MAX_GPUS, MAX_MEMORY_BYTES
from zoe.model.resources import Resources
from zoe.model.zapp import Kind, ZApp
from zoe.scheduler.demand import Demand, Need, Shape
from zoe.sim.outcome import Outcome, Result
from zoe.sim.workload import Job
from zoe.sim.workloads.numbers import name, number, whole
from zoe.sim.workloads.problems import (
    MAX_JOB_ID,
    MAX_JOB_INSTANCES,
    Loaded,
    OnError,
    Reading,
    shown,
)

LATEST = 253_402_300_799.0
"""The last second of the year 9999."""

_RUNNING = "running"
_ENDED = frozenset({"terminated", "failed"})


def read_history(
    executions: Iterable[Mapping[str, Any]],
    events: Iterable[Mapping[str, Any]],
    file: str = "history",
    *,
    on_error: OnError = "refuse",
    zapps: Mapping[int, ZApp] | None = None,
) -> Loaded:
    """Return a job for each execution that ran and ended; the first arrival is at 0.

    ``zapps`` are the applications by execution id, as far as they are known.
    Executions that have not ended, or never ran, are left out and counted. Raises WorkloadInvalid.
    """
    reading = Reading(file, on_error)
    happened: dict[int, list[tuple[float, int, str, str]]] = defaultdict(list)
    for place, event in enumerate(events):
        try:
            if line := _instance_line(event, place):
                happened[line[0]].append(line[1:])
        except ValueError as error:
            reading.skip(str(error), path=f"events[{place}]")
    jobs: list[tuple[Job, str]] = []
    for place, execution in enumerate(executions):
        path = f"executions[{place}]"
        try:
            found = _job(execution, happened, zapps or {})
        except ValueError as error:
            reading.skip(str(error), path=path)
            continue
        if isinstance(found, str):
            reading.leave_out(found)
        else:
            jobs.append((found, path))
    first = min((job.arrival_seconds for job, _ in jobs), default=0.0)
    for job, path in jobs:
        arrival = job.arrival_seconds - first
        reading.add(replace(job, demand=replace(job.demand, submitted_at=arrival)), path=path)
    return reading.loaded()


def as_it_was(executions: Iterable[Mapping[str, Any]], jobs: Iterable[Job]) -> Result:
    """Return what really became of ``jobs``, which :func:`read_history` made of ``executions``.

    All of them count as completed: the replay does the work that they did.
    """
    by_id = {execution["id"]: execution for execution in executions}
    outcomes = []
    for job in jobs:
        execution = by_id[job.id]
        submitted = _time(execution["submitted_at"], "submitted_at")
        first = submitted - job.arrival_seconds
        started = _time(execution["started_at"], "started_at") - first
        outcomes.append(Outcome(job, started, _time(execution["ended_at"], "ended_at") - first))
    return Result(tuple(outcomes))


def _instance_line(event: Mapping[str, Any], place: int) -> tuple[int, float, int, str, str] | None:
    """Execution, time, order, instance and status of an event about an instance."""
    if not isinstance(event, Mapping):
        raise ValueError(f"{shown(event)} is not an event")
    if event.get("kind") != "instance":
        return None
    detail = event.get("detail")
    if not isinstance(detail, Mapping):
        raise ValueError("the event of an instance has no detail")
    execution_id = whole(event.get("execution_id"), "execution_id", 0, MAX_JOB_ID)
    order = whole(event.get("id", place), "id")
    status = name(detail.get("status"), "status")
    return execution_id, _time(event.get("at"), "at"), order, name(detail.get("id"), "id"), status


def _job(
    execution: Mapping[str, Any],
    happened: Mapping[int, list[tuple[float, int, str, str]]],
    zapps: Mapping[int, ZApp],
) -> Job | str:
    """The job of an execution, or why it is left out."""
    if not isinstance(execution, Mapping):
        raise ValueError(f"{shown(execution)} is not an execution")
    if name(execution.get("status"), "status") not in _ENDED:
        return "it has not ended"
    job_id = whole(execution.get("id"), "id", 1, MAX_JOB_ID)
    submitted = _time(execution.get("submitted_at"), "submitted_at")
    ended = _time(execution.get("ended_at"), "ended_at")
    if ended < submitted:
        raise ValueError("ended_at is before submitted_at")
    if execution.get("started_at") is None:
        return "it never ran"
    needs = _known_needs(zapps[job_id]) if job_id in zapps else _needs(execution.get("frameworks"))
    busy = _busy_seconds(happened.get(job_id, []), ended)
    if not busy:
        return "no instance of it ever ran"
    limit = execution.get("time_limit_seconds")
    kind = name(execution.get("kind", Kind.BATCH), "kind")
    if kind not in set(Kind):
        raise ValueError(f"{shown(kind)} is not a kind")
    demand = Demand(
        job_id,
        submitted,
        needs,
        owner=name(execution.get("owner", ""), "owner"),
        team=name(execution.get("team", ""), "team"),
        kind=Kind(kind),
        application=name(execution.get("application", ""), "application"),
        run_seconds=None if limit is None else number(limit, "time_limit_seconds") or None,
    )
    return Job(demand, busy / demand.instances)


def _busy_seconds(lines: list[tuple[float, int, str, str]], ended: float) -> float:
    """The integral of the number of running instances until the end of the execution.

    An instance runs from the event that says so to its next event with another status.
    """
    since: dict[str, float] = {}
    busy = 0.0
    for at, _, instance, status in sorted(lines):
        at = min(at, ended)
        if status == _RUNNING:
            since.setdefault(instance, at)
        elif instance in since:
            busy += at - since.pop(instance)
    return busy + sum(ended - begin for begin in since.values())


def _known_needs(zapp: ZApp) -> tuple[Need, ...]:
    return tuple(
        Need(
            full_name,
            Shape(service.resources, frozenset(service.labels), service.spread),
            service.essential,
            service.elastic,
            service.speedup,
        )
        for full_name, service in zapp.services()
    )


def _needs(frameworks: object) -> tuple[Need, ...]:
    services: list[object] = []
    for framework in frameworks if isinstance(frameworks, list | tuple) else ():
        found = framework.get("services") if isinstance(framework, Mapping) else None
        if not isinstance(found, list | tuple):
            raise ValueError("a framework has no list of services")
        services += found
    if not services:
        raise ValueError("frameworks has no services: an answer of the list has none, ask for each")
    needs = tuple(_need(service) for service in services)
    if not 0 < sum(need.essential + need.elastic for need in needs) <= MAX_JOB_INSTANCES:
        raise ValueError(f"its services have no instances, or more than {MAX_JOB_INSTANCES:,}")
    return needs


def _need(service: object) -> Need:
    if not isinstance(service, Mapping):
        raise ValueError(f"{shown(service)} is not a service")
    resources = service.get("resources")
    if not isinstance(resources, Mapping):
        raise ValueError("a service has no resources")
    each = Resources(
        whole(resources.get("cores_milli", 0), "cores_milli", 0, MAX_CORES_MILLI),
        whole(resources.get("memory_bytes", 0), "memory_bytes", 0, MAX_MEMORY_BYTES),
        whole(resources.get("gpus", 0), "gpus", 0, MAX_GPUS),
    )
    elastic = service.get("elastic_declared", service.get("elastic", 0))
    return Need(
        name(service.get("name"), "name"),
        Shape(each),
        whole(service.get("essential"), "essential", 0, MAX_JOB_INSTANCES),
        whole(elastic, "elastic", 0, MAX_JOB_INSTANCES),
    )


def _time(value: object, what: str) -> float:
    """Seconds since 1970 of seconds, of an ISO 8601 text or of a time; without a zone it is UTC."""
    if isinstance(value, str) and "-" in value[1:]:
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"{what} {shown(value)} is not a time in ISO 8601") from None
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return number(aware.timestamp(), what, high=LATEST)
    return number(value, what, high=LATEST)
