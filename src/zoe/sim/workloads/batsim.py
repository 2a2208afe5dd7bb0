"""Reads the workloads of Batsim (JSON), and the schedules that it and Evalys write (CSV).

A job asks for ``res`` resources and names a profile, which says how long it takes: ``delay``
exactly, a homogeneous parallel profile by its work and the speed of a host. Communication is left
out of that time, and jobs with such profiles are counted as assumed. Profiles of other types need
Batsim itself; their jobs are problems.

The id ``w0!17`` is 17. Ids that hold no number are numbered in the order of the file; their names
are kept.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zoe.model.did_you_mean import suggestion
from zoe.model.errors import Problem
from zoe.model.resources import CORE, Resources
from zoe.scheduler.demand import Demand, Need, Shape
from zoe.sim.workload import Job
from zoe.sim.workloads.numbers import name, number, whole
from zoe.sim.workloads.problems import (
    MAX_JOB_INSTANCES,
    MAX_SECONDS,
    Loaded,
    OnError,
    Reading,
    lines_of,
    shown,
    text_of,
    unreadable,
)

SERVICE = "job.process"
FLOPS_PER_SECOND = 1e9
"""Of one host, unless the caller says what the platform file says."""
MAX_FLOPS = 1e24
NO_COMMUNICATION = "computation only, because communication is not simulated"

_MAX_DEPTH = 16
_MAX_REPEATS = 1_000_000
_MAX_PARTS = 1000
_HOMOGENEOUS = {"parallel_homogeneous", "msg_par_hg"}
_HOMOGENEOUS_TOTAL = {"parallel_homogeneous_total", "msg_par_hg_tot"}
_SEQUENCES = {"composed", "sequential_composition"}
_NEEDED_COLUMNS = ("job_id", "starting_time", "finish_time")


@dataclass(frozen=True, slots=True)
class Slot:
    """When a job ran in somebody's schedule (seconds)."""

    start_seconds: float
    finish_seconds: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule by job id, and what was wrong with the lines that are not in it."""

    slots: Mapping[int, Slot]
    skipped: int = 0
    problems: tuple[Problem, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


def read_batsim(
    source: str | bytes,
    file: str = "workload.json",
    *,
    on_error: OnError = "refuse",
    flops_per_second: float = FLOPS_PER_SECOND,
) -> Loaded:
    """Return the jobs of a workload; ``walltime`` is what their users believe of the run time.

    ``headers["nb_res"]`` is the number of resources the workload is made for. WorkloadInvalid.
    """
    document = _document(source, file)
    jobs, profiles = document.get("jobs"), document.get("profiles")
    if not isinstance(jobs, list) or not isinstance(profiles, dict):
        hint = "a workload of Batsim has nb_res, jobs and profiles"
        raise unreadable(file, "there is no list of jobs, or no table of profiles", hint=hint)
    reading = Reading(file, on_error)
    names: dict[int, str] = {}
    times = _Times(profiles, flops_per_second)
    for place, entry in enumerate(jobs):
        path = f"jobs[{place}]"
        try:
            job, written, is_assumed = _job(entry, times, place)
        except ValueError as error:
            reading.skip(str(error), path=path)
            continue
        if written:
            names[job.id] = written
        if is_assumed:
            reading.assume(NO_COMMUNICATION)
        reading.add(job, path=path)
    headers = {
        key: str(value)
        for key, value in document.items()
        if isinstance(value, str | int) and not isinstance(value, bool) and len(shown(value)) < 40
    }
    return reading.loaded(headers=headers, names=names)


def read_schedule(
    source: str | bytes | Iterable[str],
    file: str = "jobs.csv",
    *,
    on_error: OnError = "refuse",
    names: Mapping[int, str] | None = None,
) -> Schedule:
    """Return when each job of a ``*_jobs.csv`` ran. Jobs that never started are left out.

    ``names`` are those of the workload, if its ids are no numbers. Raises WorkloadInvalid.
    """
    reading = Reading(file, on_error)
    rows = csv.reader(lines_of(source, file), strict=True)
    ids = {written: job_id for job_id, written in (names or {}).items()}
    slots: dict[int, Slot] = {}
    header: list[str] | None = None
    never = 0
    while True:
        try:
            row = next(rows, None)
            if row is None:
                break
            if header is None:
                header = _schedule_header(row, file)
            elif row:
                job_id, slot = _slot(header, row, ids)
                if job_id in slots:
                    raise ValueError(f"job {job_id} is there twice")
                if slot is None:
                    never += 1
                else:
                    slots[job_id] = slot
        except (csv.Error, ValueError) as error:
            reading.skip(str(error), line=rows.line_num)
    if header is None:
        raise unreadable(file, "the schedule is empty", hint="the first line names the columns")
    loaded = reading.loaded()
    left_out = {"never started": never} if never else {}
    return Schedule(slots, loaded.skipped, loaded.problems, left_out)


def _document(source: str | bytes, file: str) -> dict[str, Any]:
    try:
        document = json.loads(text_of(source, file))
    except json.JSONDecodeError as error:
        raise unreadable(
            file, f"it is no JSON: {error.msg}", line=error.lineno, column=error.colno
        ) from None
    except (ValueError, RecursionError) as error:
        raise unreadable(file, f"it is no JSON that can be read: {error}") from None
    if not isinstance(document, dict):
        raise unreadable(file, "the document is no object with nb_res, jobs and profiles")
    return document


def _job(entry: object, times: "_Times", place: int) -> tuple[Job, str, bool]:
    """The job, its name where that is no number, and whether its run time leaves something out."""
    if not isinstance(entry, dict):
        raise ValueError(f"{shown(entry)} is not a job")
    job_id, written = _id(entry.get("id"), place)
    processors = whole(_there(entry, "res"), "res", 1, MAX_JOB_INSTANCES)
    submitted = number(_there(entry, "subtime"), "subtime")
    walltime = entry.get("walltime", -1)
    run_seconds = None if walltime == -1 else number(walltime, "walltime") or None
    profile = name(_there(entry, "profile"), "profile")
    seconds, is_exact = times.of(profile, processors)
    if seconds > MAX_SECONDS:
        raise ValueError(
            f"the run time {seconds:g} of profile {profile} is more than {MAX_SECONDS:,}"
        )
    need = Need(SERVICE, Shape(Resources(CORE)), processors)
    demand = Demand(job_id, submitted, (need,), application=profile, run_seconds=run_seconds)
    return Job(demand, seconds), written, not is_exact


def _there(entry: Mapping[str, object], key: str) -> object:
    if key not in entry:
        raise ValueError(f"{key} is missing")
    return entry[key]


def _id(value: object, place: int) -> tuple[int, str]:
    if isinstance(value, int):
        return whole(value, "id"), ""
    text = name(value, "id")
    digits = text.rpartition("!")[2]
    if digits.isascii() and digits.isdigit():
        return whole(digits, "id"), ""
    if not text:
        raise ValueError("id is empty")
    return place + 1, text


class _Times:
    """How long profiles take; each is looked at once for each number of hosts."""

    def __init__(self, profiles: Mapping[str, object], flops_per_second: float) -> None:
        self._profiles = profiles
        self._speed = flops_per_second
        self._known: dict[tuple[str, int], tuple[float, bool]] = {}

    def of(self, profile: str, hosts: int, depth: int = 0) -> tuple[float, bool]:
        """Return the seconds on so many hosts, and whether nothing is left out of them."""
        key = profile, hosts
        if key not in self._known:
            self._known[key] = self._seconds(profile, hosts, depth)
        return self._known[key]

    def _seconds(self, profile: str, hosts: int, depth: int) -> tuple[float, bool]:
        found = self._profiles.get(profile)
        if not isinstance(found, dict):
            hint = suggestion(profile, self._profiles)
            raise ValueError(
                f"there is no profile {shown(profile)}" + (f": {hint}" if hint else "")
            )
        if depth > _MAX_DEPTH:
            raise ValueError(
                f"the profile {shown(profile)} is made of itself, or of too many others"
            )
        kind = found.get("type")
        what = f"of profile {profile}"
        if not isinstance(kind, str):
            raise ValueError(f"type {what} is not a text")
        if kind == "delay":
            return number(_there(found, "delay"), f"delay {what}"), True
        if kind in _HOMOGENEOUS or kind in _HOMOGENEOUS_TOTAL:
            work = number(found.get("cpu", 0), f"cpu {what}", high=MAX_FLOPS)
            shared_by = hosts if kind in _HOMOGENEOUS_TOTAL else 1
            return work / shared_by / self._speed, not found.get("com")
        if kind == "parallel":
            return _largest(found.get("cpu"), f"cpu {what}") / self._speed, not found.get("com")
        if kind in _SEQUENCES:
            return self._sequence(found, hosts, depth, what)
        raise ValueError(f"type {shown(kind)} {what} cannot be replayed without Batsim")

    def _sequence(
        self, found: Mapping[str, object], hosts: int, depth: int, what: str
    ) -> tuple[float, bool]:
        seq = found.get("seq")
        if not isinstance(seq, list) or not 0 < len(seq) <= _MAX_PARTS:
            raise ValueError(f"seq {what} is not a list of 1 to {_MAX_PARTS:,} profiles")
        repeats = whole(found.get("repeat", 1), f"repeat {what}", 1, _MAX_REPEATS)
        parts = [self.of(name(part, f"seq {what}"), hosts, depth + 1) for part in seq]
        return sum(seconds for seconds, _ in parts) * repeats, all(exact for _, exact in parts)


def _largest(value: object, what: str) -> float:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_JOB_INSTANCES:
        raise ValueError(f"{what} is not a list of numbers")
    return max(number(one, what, high=MAX_FLOPS) for one in value)


def _schedule_header(row: list[str], file: str) -> list[str]:
    header = [cell.strip().lstrip("\ufeff") for cell in row]
    if missing := [column for column in _NEEDED_COLUMNS if column not in header]:
        hint = f"a schedule has the columns {', '.join(_NEEDED_COLUMNS)}"
        raise unreadable(file, f"there is no column {', '.join(missing)}", line=1, hint=hint)
    return header


def _slot(header: list[str], row: list[str], ids: Mapping[str, int]) -> tuple[int, Slot | None]:
    if len(row) != len(header):
        raise ValueError(f"the row has {len(row)} cells, the header has {len(header)}")
    cells = dict(zip(header, row, strict=True))
    written = cells["job_id"].strip()
    job_id = ids[written] if written in ids else whole(written.rpartition("!")[2], "job_id")
    if cells["starting_time"].strip() in {"", "-1"}:
        return job_id, None
    start = number(cells["starting_time"], "starting_time")
    finish = number(cells["finish_time"], "finish_time")
    if finish < start:
        raise ValueError(f"job {job_id} finishes at {finish:g}, before it starts at {start:g}")
    return job_id, Slot(start, finish)
