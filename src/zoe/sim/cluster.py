"""Reads the nodes of a simulated cluster from one line: ``25x32c128g,4x64c256g8gpu+ssd``.

Parts are separated by commas. Each is a count (1 when it is left out), cores, then, as wished,
memory, GPUs and labels::

    100x1c               100 nodes of one core, of no memory: for logs that know none
    25x32c128g           32 cores and 128 GB each; 128gi is GiB
    4x64c256g8g+ssd+fast 256 GB and 8 GPUs (8gpu, 8gpus), with the labels ssd and fast

Nodes are named node001, node002, ... in the order of the parts.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from zoe.model.cluster import Node
from zoe.model.errors import Problem
from zoe.model.limits import MAX_GPUS, MAX_PROBLEMS
from zoe.model.resources import Resources
from zoe.model.units import cores_milli, memory_bytes
from zoe.sim.workloads.problems import ClusterInvalid

MAX_CLUSTER_NODES = 100_000
EXAMPLE = "such as 25x32c128g or 4x64c256g8gpu+ssd"

_COUNT = re.compile(r"([0-9]+) ?[xX*] ?", re.ASCII)
_CORES = re.compile(r"([0-9]+(?:\.[0-9]+)?)c", re.ASCII)
_MEMORY = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:[kmgtp]i?b?))(?!pu)", re.ASCII | re.IGNORECASE)
_GPUS = re.compile(r"([0-9]+)(?:gpus?|g)", re.ASCII)
_LABEL = re.compile(r"\+([A-Za-z0-9][A-Za-z0-9_.=/-]{0,62})", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Part:
    """So many equal nodes."""

    count: int
    capacity: Resources
    labels: frozenset[str]


class _Wrong(Exception):
    """What is wrong, and at which offset of the part."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset = offset


def read_nodes(text: str, file: str = "nodes") -> tuple[Node, ...]:
    """Return the nodes that ``text`` describes; ClusterInvalid with every problem's column."""
    parts: list[_Part] = []
    problems: list[Problem] = []
    column = 1
    total = 0
    for written in text.split(","):
        offset = column + len(written) - len(written.lstrip())
        column += len(written) + 1
        try:
            part = _part(written.strip())
            total += part.count
            if total > MAX_CLUSTER_NODES:
                raise _Wrong(0, f"there are {total:,} nodes, more than {MAX_CLUSTER_NODES:,}")
        except _Wrong as error:
            problems.append(Problem(str(error), "", file, 1, offset + error.offset))
            continue
        parts.append(part)
    if problems:
        raise ClusterInvalid(problems[:MAX_PROBLEMS], len(problems))
    return _named(parts)


def _named(parts: Iterable[_Part]) -> tuple[Node, ...]:
    nodes: list[Node] = []
    for part in parts:
        for _ in range(part.count):
            name = f"node{len(nodes) + 1:03}"
            nodes.append(Node(name, part.capacity, labels=part.labels))
    return tuple(nodes)


def _part(text: str) -> _Part:
    if not text:
        raise _Wrong(0, f"nothing is written here: nodes are written {EXAMPLE}")
    place = 0
    count = 1
    if match := _COUNT.match(text):
        count = _count(match[1], "nodes", MAX_CLUSTER_NODES, 0)
        place = match.end()
    match = _CORES.match(text, place)
    if match is None:
        raise _Wrong(place, f"the cores are missing at {text[place:][:30]!r}: write {EXAMPLE}")
    try:
        cores = cores_milli(match[1])
    except ValueError as error:
        raise _Wrong(place, str(error)) from None
    place = match.end()
    memory = gpus = 0
    if match := _MEMORY.match(text, place):
        try:
            memory = memory_bytes(match[1])
        except ValueError as error:
            raise _Wrong(place, str(error)) from None
        place = match.end()
    if match := _GPUS.match(text, place):
        gpus = _count(match[1], "GPUs", MAX_GPUS, place)
        place = match.end()
    labels: set[str] = set()
    while match := _LABEL.match(text, place):
        labels.add(match[1])
        place = match.end()
    if place < len(text):
        raise _Wrong(place, f"{text[place:][:30]!r} is not understood: nodes are written {EXAMPLE}")
    return _Part(count, Resources(cores, memory, gpus), frozenset(labels))


def _count(digits: str, what: str, most: int, place: int) -> int:
    if len(digits) > 12 or int(digits) > most:
        raise _Wrong(place, f"{digits[:20]} {what} are more than {most:,}")
    if int(digits) == 0:
        raise _Wrong(place, f"0 {what}: at least one is needed where they are named")
    return int(digits)
