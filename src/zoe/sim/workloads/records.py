"""A job or a node as a row of a table or a part of a scenario says it: fields in human units."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from zoe.model.cluster import Node
from zoe.model.did_you_mean import suggestion
from zoe.model.limits import MAX_GPUS, MAX_ITEMS
from zoe.model.resources import CORE, Resources
from zoe.model.units import cores_milli, memory_bytes
from zoe.model.zapp import Kind
from zoe.scheduler.demand import Demand, Need, Shape
from zoe.sim.cluster import MAX_CLUSTER_NODES
from zoe.sim.workload import Job
from zoe.sim.workloads.numbers import moment, name, whole
from zoe.sim.workloads.problems import MAX_JOB_ID, MAX_JOB_INSTANCES, shown

SERVICE = "job.worker"

_LABEL = re.compile(r"[^\s,;|+]{1,200}")


def _seconds(value: object) -> float:
    """A length of time; a number is one of seconds, and may be longer than a year."""
    seconds = moment(value, "seconds")
    if not seconds:
        raise ValueError("must be longer than nothing")
    return seconds


def _amount_of_memory(value: object) -> int:
    return 0 if value in (0, "0") else memory_bytes(_stripped(value))


def _kind(value: object) -> Kind:
    text = name(value, "kind")
    if text not in set(Kind):
        known = ", ".join(Kind)
        raise ValueError(f"{shown(text)} is not a kind: the kinds are {known}")
    return Kind(text)


def _labels(value: object) -> frozenset[str]:
    """A list, or a text with spaces, ``+``, ``;`` or ``|`` between the labels."""
    if not isinstance(value, str | list | tuple):
        raise ValueError(f"{shown(value)} is not a list of labels")
    parts = re.split(r"[\s,;|+]+", value.strip()) if isinstance(value, str) else list(value)
    if len(parts) > MAX_ITEMS:
        raise ValueError(f"there are more than {MAX_ITEMS} labels")
    labels = [name(part, "label") for part in parts if part != ""]
    if wrong := [label for label in labels if not _LABEL.fullmatch(label)]:
        raise ValueError(f"{shown(wrong[0])} is not a label: it has no spaces, commas or +")
    return frozenset(labels)


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


_FIELDS: Mapping[str, Callable[[object], Any]] = {
    "id": lambda value: whole(_stripped(value), "id", 0, MAX_JOB_ID),
    "arrival": lambda value: moment(value, "arrival"),
    "seconds": _seconds,
    "run_seconds": _seconds,
    "owner": lambda value: name(value, "owner"),
    "team": lambda value: name(value, "team"),
    "application": lambda value: name(value, "application"),
    "kind": _kind,
    "cores": lambda value: cores_milli(_stripped(value)),
    "memory": _amount_of_memory,
    "gpus": lambda value: whole(_stripped(value), "gpus", 0, MAX_GPUS),
    "essential": lambda value: whole(_stripped(value), "essential", 0, MAX_JOB_INSTANCES),
    "elastic": lambda value: whole(_stripped(value), "elastic", 0, MAX_JOB_INSTANCES),
    "labels": _labels,
}
ALIASES: Mapping[str, str] = {"submitted": "arrival"}
REQUIRED = ("seconds",)
COLUMNS: tuple[str, ...] = (*_FIELDS, *ALIASES)
"""Every name that a field may have."""


def field_problems(names: list[str]) -> list[str]:
    """Return what is wrong with the names of the fields of a record, or of a whole table."""
    problems = [
        f"there is no column {shown(name)}"
        + (f": {hint}" if (hint := suggestion(name, COLUMNS, "columns")) else "")
        for name in names
        if name not in COLUMNS
    ]
    canonical = [ALIASES.get(name, name) for name in names]
    problems += [
        f"{name} is there twice" + (" (submitted is the same)" if name == "arrival" else "")
        for name in sorted({name for name in canonical if canonical.count(name) > 1})
        if name in _FIELDS
    ]
    problems += [f"{name} is missing" for name in REQUIRED if name not in canonical]
    return problems


def sentence(problems: Iterable[tuple[str, str]]) -> str:
    """Return what is wrong with the fields of a record in one line."""
    said = (what if what.startswith(f"{name} ") else f"{name} {what}" for name, what in problems)
    return "; ".join(said)


def job_of(record: Mapping[str, object], number: int) -> tuple[Job | None, list[tuple[str, str]]]:
    """Return the job of a record, or None and what is wrong, as (field, message).

    A field that is None or an empty text is not set. Without an id the job gets ``number``,
    without an arrival it is there from the beginning; without counts it is one essential instance
    of one core. The names are checked already (:func:`field_problems`).
    """
    values: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    for written, value in record.items():
        if value is None or (isinstance(value, str) and not value.strip()):
            continue
        field = ALIASES.get(written, written)
        try:
            values[field] = _FIELDS[field](value)
        except ValueError as error:
            problems.append((written, str(error)))
    wrong = {ALIASES.get(field, field) for field, _ in problems}
    problems += [(name, "is missing") for name in REQUIRED if name not in {*values, *wrong}]
    if not problems:
        counts = values.get("essential", 1), values.get("elastic", 0)
        if sum(counts) == 0:
            problems.append(("essential", "the job has no instance at all"))
        elif sum(counts) > MAX_JOB_INSTANCES:
            most = f"{MAX_JOB_INSTANCES:,}"
            problems.append(("elastic", f"{sum(counts):,} instances are more than {most}"))
    if problems:
        return None, problems
    each = Resources(values.get("cores", CORE), values.get("memory", 0), values.get("gpus", 0))
    demand = Demand(
        values.get("id", number),
        values.get("arrival", 0.0),
        (Need(SERVICE, Shape(each, values.get("labels", frozenset())), *counts),),
        owner=values.get("owner", ""),
        team=values.get("team", ""),
        kind=values.get("kind", Kind.BATCH),
        application=values.get("application", ""),
        run_seconds=values.get("run_seconds"),
    )
    return Job(demand, values["seconds"]), []


NODE_FIELDS = ("name", "count", "cores", "memory", "gpus", "labels")


def node_of(
    record: Mapping[str, object], number: int
) -> tuple[tuple[Node, ...], list[tuple[str, str]]]:
    """Return the ``count`` (or one) nodes of a record, or none and what is wrong.

    A node without a name, or each of several, is called after its ``number``: node001.
    """
    values: dict[str, Any] = {}
    problems: list[tuple[str, str]] = []
    for field, value in record.items():
        try:
            values[field] = (
                whole(value, "count", 1, MAX_CLUSTER_NODES)
                if field == "count"
                else name(value, "name")
                if field == "name"
                else _FIELDS[field](value)
            )
        except ValueError as error:
            problems.append((field, str(error)))
    count = values.get("count", 1)
    if "cores" not in record:
        problems.append(("cores", "is missing"))
    if values.get("name") == "":
        problems.append(("name", "is empty"))
    if count > 1 and "name" in values:
        problems.append(("name", f"{count:,} nodes cannot have one name: leave it out"))
    if problems:
        return (), problems
    capacity = Resources(values["cores"], values.get("memory", 0), values.get("gpus", 0))
    labels = values.get("labels", frozenset())
    names = [values["name"]] if "name" in values else _node_names(number, count)
    return tuple(Node(one, capacity, labels=labels) for one in names), []


def _node_names(number: int, count: int) -> list[str]:
    return [f"node{place:03}" for place in range(number, number + count)]
