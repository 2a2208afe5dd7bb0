"""Reads scenarios: a cluster, what fails on it, and its jobs, in one TOML file.

::

    nodes = "25x32c128g,4x64c256g8gpu+ssd"      # or [[nodes]] with name, cores, memory, ...
    workload = "kth.swf.gz"                     # or [[jobs]]

    [[failures]]
    node = "node003"
    at = "2h"
    repaired_at = "3h"                          # never, when it is left out

    [random_failures]                           # drawn by who runs it: draw_failures
    mean_up = "30d"
    mean_repair = "4h"

    [[jobs]]
    arrival = 0
    seconds = "10m"
    essential = 3
    elastic = 5

The workload is a reference: who calls reads it, and passes it to its reader.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoe.model.cluster import Node
from zoe.model.did_you_mean import suggestion
from zoe.model.errors import Problem
from zoe.sim.cluster import MAX_CLUSTER_NODES, read_nodes
from zoe.sim.failures import Failure, RandomFailures
from zoe.sim.workload import Job
from zoe.sim.workloads.numbers import moment, name
from zoe.sim.workloads.places import Places
from zoe.sim.workloads.problems import ClusterInvalid, Reading, ScenarioInvalid, shown
from zoe.sim.workloads.records import NODE_FIELDS, field_problems, job_of, node_of

_TABLES = ("name", "nodes", "workload", "failures", "random_failures", "jobs")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What to simulate. Either ``jobs`` are here, or ``workload`` says where they are."""

    nodes: tuple[Node, ...]
    jobs: tuple[Job, ...] = ()
    workload: str = ""
    failures: tuple[Failure, ...] = ()
    random_failures: RandomFailures | None = None
    name: str = ""


def read_scenario(text: str, file: str = "scenario.toml") -> Scenario:
    """Return the scenario; ScenarioInvalid with every problem, its line and its path."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ScenarioInvalid([_syntax(error, file)]) from None
    except (ValueError, RecursionError) as error:
        raise ScenarioInvalid([Problem(f"it is no TOML: {error}", "", file)]) from None
    return _Document(document, Places(text), file).scenario()


def _syntax(error: tomllib.TOMLDecodeError, file: str) -> Problem:
    """The place is only in the words of the error: ``... (at line 3, column 5)``."""
    message, _, place = str(error).partition(" (at line ")
    line, _, column = place.rstrip(")").partition(", column ")
    if line.isdigit() and column.isdigit():
        return Problem(message, "", file, int(line), int(column))
    return Problem(str(error), "", file)


class _Document:
    """A parsed file while it is checked."""

    def __init__(self, document: Mapping[str, Any], places: Places, file: str) -> None:
        self._document = document
        self._places = places
        self._reading = Reading(file, "refuse")

    def scenario(self) -> Scenario:
        for key in self._document:
            if key not in _TABLES:
                self._wrong(key, f"there is no {shown(key)}", suggestion(key, _TABLES, "keys"))
        nodes = self._nodes()
        failures = self._failures({node.name for node in nodes})
        random_failures = self._random_failures()
        jobs = self._jobs()
        title = self._name("name")
        workload = self._name("workload")
        if workload and "jobs" in self._document:
            self._wrong("workload", "there are jobs, too", "leave one of both out")
        self._reading.check(ScenarioInvalid)
        return Scenario(nodes, jobs, workload, failures, random_failures, title)

    def _wrong(self, path: str, message: str, hint: str = "") -> None:
        self._reading.note(message, line=self._places.line(path), path=path, hint=hint)

    def _name(self, key: str) -> str:
        try:
            return name(self._document.get(key, ""), key, 1000)
        except ValueError as error:
            self._wrong(key, str(error))
            return ""

    def _tables(self, key: str) -> list[tuple[str, Mapping[str, object]]]:
        """The tables of ``[[key]]`` with their paths."""
        found = self._document.get(key, [])
        if not isinstance(found, list):
            self._wrong(key, f"is not a list of tables: write [[{key}]]")
            return []
        tables: list[tuple[str, Mapping[str, object]]] = []
        for place, table in enumerate(found):
            path = f"{key}[{place}]"
            if isinstance(table, dict):
                tables.append((path, table))
            else:
                self._wrong(path, f"{shown(table)} is not a table")
        return tables

    def _nodes(self) -> tuple[Node, ...]:
        written = self._document.get("nodes")
        if written is None:
            self._wrong("nodes", "is missing", 'write nodes = "25x32c128g", or [[nodes]]')
            return ()
        if isinstance(written, str):
            try:
                return read_nodes(written)
            except ClusterInvalid as error:
                for problem in error.problems:
                    self._wrong("nodes", f"at character {problem.column}: {problem.message}")
                return ()
        nodes: dict[str, Node] = {}
        for path, table in self._tables("nodes"):
            if self._has_unknown(path, table, NODE_FIELDS):
                continue
            found, problems = node_of(table, len(nodes) + 1)
            for field, message in problems:
                self._wrong(f"{path}.{field}", message)
            for node in found:
                if node.name in nodes:
                    self._wrong(f"{path}.name", f"there is a node {node.name} already")
                nodes[node.name] = node
            if len(nodes) > MAX_CLUSTER_NODES:
                self._wrong(path, f"there are more than {MAX_CLUSTER_NODES:,} nodes")
                break
        return tuple(nodes.values())

    def _failures(self, names: set[str]) -> tuple[Failure, ...]:
        failures: list[Failure] = []
        for path, table in self._tables("failures"):
            if self._has_unknown(path, table, ("node", "at", "repaired_at")):
                continue
            node, at = table.get("node"), self._time(path, table, "at")
            repaired_at = self._time(path, table, "repaired_at") if "repaired_at" in table else None
            if not isinstance(node, str):
                self._wrong(f"{path}.node", "is missing" if node is None else "is not a text")
            elif names and node not in names:
                hint = suggestion(node, names)
                self._wrong(f"{path}.node", f"there is no node {shown(node)}", hint)
            elif repaired_at is not None and at is not None and repaired_at <= at:
                self._wrong(f"{path}.repaired_at", "the repair must be later than the failure")
            elif at is not None:
                failures.append(Failure(node, at, repaired_at))
        return tuple(sorted(failures, key=lambda failure: (failure.at, failure.node)))

    def _random_failures(self) -> RandomFailures | None:
        path = "random_failures"
        table = self._document.get(path)
        if table is None:
            return None
        if not isinstance(table, dict):
            self._wrong(path, f"{shown(table)} is not a table: write [{path}]")
            return None
        if self._has_unknown(path, table, ("mean_up", "mean_repair")):
            return None
        up, repair = self._time(path, table, "mean_up"), self._time(path, table, "mean_repair")
        for key, value in (("mean_up", up), ("mean_repair", repair)):
            if value == 0:
                self._wrong(f"{path}.{key}", "must be longer than nothing")
        return RandomFailures(up, repair) if up and repair else None

    def _jobs(self) -> tuple[Job, ...]:
        jobs: dict[int, Job] = {}
        for number, (path, table) in enumerate(self._tables("jobs"), 1):
            if wrong := field_problems(list(table)):
                for message in wrong:
                    self._wrong(path, message)
                continue
            job, problems = job_of(table, number)
            for field, message in problems:
                self._wrong(f"{path}.{field}", message)
            if job is not None and job.id in jobs:
                self._wrong(f"{path}.id", f"there is a job {job.id} already")
            elif job is not None:
                jobs[job.id] = job
        return tuple(sorted(jobs.values(), key=lambda job: (job.arrival_seconds, job.id)))

    def _has_unknown(self, path: str, table: Mapping[str, object], known: tuple[str, ...]) -> bool:
        unknown = [key for key in table if key not in known]
        for key in unknown:
            hint = suggestion(key, known, "keys")
            self._wrong(f"{path}.{key}", f"there is no {shown(key)}", hint)
        return bool(unknown)

    def _time(self, path: str, table: Mapping[str, object], key: str) -> float | None:
        try:
            if key not in table:
                raise ValueError("is missing")
            return moment(table[key], key)
        except ValueError as error:
            self._wrong(f"{path}.{key}", str(error))
            return None
