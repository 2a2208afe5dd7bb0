"""Reads the Standard Workload Format of the Parallel Workloads Archive: one rigid job a line.

A line has 18 numbers; -1 means that the log does not know. Comments begin with ``;``, and those of
the form ``; MaxProcs: 100`` describe the log.

What a log leaves open is decided like this:

- A run time of 0 is shorter than the log's clock. The job is kept, and takes no time.
- A run time of -1 cannot be replayed; nor can the job of a user who gave up before it started
  (status 5, no run time). They are left out and counted.
- Processors that are not known under the one name are taken from the other (requested, allocated).
  Known under neither: the job ran, so it had at least one; that is assumed and counted. Asking for
  0 of them is a mistake of the line.
- A requested time of 0 or -1 is none. One that is shorter than the run time is as it was: users
  guess, and some systems let jobs go on.
"""

import re
from collections.abc import Iterable
from typing import Literal

from zoe.model.resources import CORE, Resources
from zoe.scheduler.demand import Demand, Need, Shape
from zoe.sim.workload import Job
from zoe.sim.workloads.numbers import number, whole
from zoe.sim.workloads.problems import (
    MAX_JOB_ID,
    MAX_JOB_INSTANCES,
    MAX_SECONDS,
    Loaded,
    OnError,
    Reading,
    lines_of,
)

SERVICE = "job.process"
ONE_PROCESSOR = "one processor, because the log knows none"
FIELDS = 18
CANCELLED = 5
"""The status of a job that ended because its user or the system cancelled it."""
MAX_KILOBYTES = 1024**4

_ID, _SUBMIT, _RUN, _ALLOCATED = 0, 1, 3, 4
_REQUESTED, _REQUESTED_TIME, _REQUESTED_KILOBYTES = 7, 8, 9
_STATUS, _USER, _GROUP, _EXECUTABLE = 10, 11, 12, 13

_HEADER = re.compile(r";\s*([A-Za-z][A-Za-z0-9]{0,40}):\s*(.*)")

Time = Literal["run", "requested"]
Processors = Literal["requested", "allocated"]


def read_swf(
    source: str | bytes | Iterable[str],
    file: str = "workload.swf",
    *,
    on_error: OnError = "refuse",
    seconds_from: Time = "run",
    processors_from: Processors = "requested",
    statuses: frozenset[int] | None = None,
    first: int | None = None,
) -> Loaded:
    """Return the jobs of a log, given as text, as (gzipped) bytes or as lines.

    ``seconds_from="requested"`` runs each job as long as its user asked for, where that is known.
    ``statuses`` keeps only jobs with one of them (1: completed). ``first`` stops after so many
    jobs. Raises WorkloadInvalid.
    """
    reading = Reading(file, on_error)
    headers: dict[str, str] = {}
    records = 0
    is_whole = True
    for line, text in enumerate(lines_of(source, file), 1):
        text = text.strip()
        if text.startswith(";"):
            if match := _HEADER.fullmatch(text):
                headers.setdefault(match[1], match[2].strip())
            continue
        if not text:
            continue
        if first is not None and len(reading.jobs) >= first:
            is_whole = False
            break
        records += 1
        try:
            found = _job(text.split(), seconds_from, processors_from, statuses)
        except ValueError as error:
            reading.skip(str(error), line=line)
            continue
        if isinstance(found, str):
            reading.leave_out(found)
            continue
        job, is_assumed = found
        if is_assumed:
            reading.assume(ONE_PROCESSOR)
        reading.add(job, line=line)
    promised = headers.get("MaxRecords", "")
    if is_whole and re.fullmatch("[1-9][0-9]{0,11}", promised) and int(promised) != records:
        reading.note(
            f"the header promises {promised} records, there are {records}",
            hint="is the file truncated?",
        )
    return reading.loaded(headers=headers)


def _job(
    fields: list[str],
    seconds_from: Time,
    processors_from: Processors,
    statuses: frozenset[int] | None,
) -> tuple[Job, bool] | str:
    """The job of a line and whether its processors are assumed, or why it is left out.

    ValueError when the line is wrong.
    """
    if len(fields) != FIELDS:
        raise ValueError(f"the line has {len(fields)} fields, not {FIELDS}: is it truncated?")
    job_id = whole(fields[_ID], "job number", 0, MAX_JOB_ID)
    submitted = number(fields[_SUBMIT], "submit time")
    run = _known(fields[_RUN], "run time", 0.0)
    requested_time = _known(fields[_REQUESTED_TIME], "requested time", 0.0) or None
    allocated = _known_count(fields[_ALLOCATED], "allocated processors")
    requested = _known_count(fields[_REQUESTED], "requested processors")
    kilobytes = _known(fields[_REQUESTED_KILOBYTES], "requested memory", 0.0, MAX_KILOBYTES)
    status = whole(fields[_STATUS], "status", -1, 100)
    user, group, executable = (
        whole(fields[place], what, -1)
        for place, what in ((_USER, "user"), (_GROUP, "group"), (_EXECUTABLE, "executable"))
    )
    if statuses is not None and status not in statuses:
        return f"status {status} was not asked for"
    if status == CANCELLED and not run:
        return "cancelled before it started"
    both = (requested, allocated) if processors_from == "requested" else (allocated, requested)
    # An allocation of 0 says that it never had any; a request of 0 is a mistake.
    if requested == 0:
        raise ValueError("requested processors are 0: a job needs at least one")
    processors = both[0] or both[1]
    seconds = run if seconds_from == "run" or requested_time is None else requested_time
    if seconds is None:
        return "its run time is not known"
    each = Resources(CORE, int((kilobytes or 0) * 1024))
    job = Job(
        Demand(
            job_id,
            submitted,
            (Need(SERVICE, Shape(each), processors or 1),),
            owner=f"u{user}" if user >= 0 else "",
            team=f"g{group}" if group >= 0 else "",
            application=f"app{executable}" if executable >= 0 else "",
            run_seconds=requested_time,
        ),
        seconds,
    )
    return job, not processors


def _known(text: str, what: str, low: float, high: float = MAX_SECONDS) -> float | None:
    return None if text == "-1" else number(text, what, low, high)


def _known_count(text: str, what: str) -> int | None:
    return None if text == "-1" else whole(text, what, 0, MAX_JOB_INSTANCES)
