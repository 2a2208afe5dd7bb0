"""Reads the traces of Gavel: deep-learning jobs that ask for GPUs, one a line.

A line has seven fields between tabs: job type, command, the option that takes the steps, whether
it needs its data, steps, arrival in seconds, GPUs. How long a job takes depends on the machine, so
the caller says how many steps a second each job type does on one GPU (as the authors measured, or
an assumption of one speed for all). Several GPUs are that many essential instances, of which each
does its share of the steps.
"""

import math
from collections.abc import Iterable, Mapping

from zoe.model.did_you_mean import suggestion
from zoe.model.limits import MAX_GPUS
from zoe.model.resources import CORE, Resources
from zoe.scheduler.demand import Demand, Need, Shape
from zoe.sim.workload import Job
from zoe.sim.workloads.numbers import name, number, whole
from zoe.sim.workloads.problems import (
    MAX_SECONDS,
    Loaded,
    OnError,
    Reading,
    lines_of,
    shown,
    unreadable,
)

SERVICE = "job.worker"
FIELDS = 7
MAX_STEPS = 10**15

_TYPE, _STEPS, _ARRIVAL, _GPUS = 0, 4, 5, 6
_EACH = Resources(CORE, 0, 1)


def read_gavel(
    source: str | bytes | Iterable[str],
    steps_per_second: float | Mapping[str, float],
    file: str = "gavel.trace",
    *,
    on_error: OnError = "refuse",
) -> Loaded:
    """Return the jobs of a trace, numbered from 1 by line; raises WorkloadInvalid."""
    speeds = steps_per_second if isinstance(steps_per_second, Mapping) else {"": steps_per_second}
    if wrong := [speed for speed in speeds.values() if not (math.isfinite(speed) and speed > 0)]:
        raise unreadable(file, f"{shown(wrong[0])} steps a second are no speed")
    reading = Reading(file, on_error)
    for line, text in enumerate(lines_of(source, file), 1):
        if not text.strip():
            continue
        try:
            reading.add(_job(text.rstrip("\r\n").split("\t"), line, speeds), line=line)
        except ValueError as error:
            reading.skip(str(error), line=line)
    return reading.loaded()


def _job(fields: list[str], job_id: int, speeds: Mapping[str, float]) -> Job:
    if len(fields) != FIELDS:
        raise ValueError(f"the line has {len(fields)} fields, not {FIELDS}: is it truncated?")
    kind = name(fields[_TYPE], "job type")
    speed = speeds.get(kind, speeds.get(""))
    if speed is None:
        hint = suggestion(kind, speeds, "job types")
        raise ValueError(f"nobody said how fast {shown(kind)} is: {hint}")
    gpus = whole(fields[_GPUS], "GPUs", 1, MAX_GPUS)
    seconds = whole(fields[_STEPS], "steps", 1, MAX_STEPS) / speed / gpus
    if seconds > MAX_SECONDS:
        raise ValueError(
            f"{fields[_STEPS]} steps take {seconds:g} seconds, more than {MAX_SECONDS:,}"
        )
    need = Need(SERVICE, Shape(_EACH), gpus)
    return Job(
        Demand(job_id, number(fields[_ARRIVAL], "arrival"), (need,), application=kind), seconds
    )
