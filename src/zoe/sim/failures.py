"""Nodes that go away and come back: as a scenario lists them, and drawn by chance."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from zoe.model.cluster import Node
from zoe.model.errors import ZoeError
from zoe.sim.chance import Chance

MAX_FAILURES = 1_000_000


class FailuresInvalid(ZoeError):
    """Failures that cannot be drawn."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A node goes away at ``at`` and comes back at ``repaired_at`` (seconds; None: never)."""

    node: str
    at: float
    repaired_at: float | None = None


@dataclass(frozen=True, slots=True)
class RandomFailures:
    """How long a node works, and how long its repair takes, on average (seconds)."""

    mean_up_seconds: float
    mean_repair_seconds: float


class Change(NamedTuple):
    """A node comes back (``is_up``) or goes."""

    at: float
    is_up: bool
    node: str


def draw_failures(
    nodes: Iterable[Node], model: RandomFailures, until_seconds: float, chance: Chance
) -> tuple[Failure, ...]:
    """Return failures until ``until_seconds``, of which the times between are exponential.

    Raises FailuresInvalid for more than MAX_FAILURES.
    """
    failures: list[Failure] = []
    for node in nodes:
        at = _exponential(model.mean_up_seconds, chance)
        while at < until_seconds:
            if len(failures) == MAX_FAILURES:
                raise FailuresInvalid(
                    f"there would be more than {MAX_FAILURES:,} failures",
                    hint="a longer mean_up, or fewer nodes",
                )
            repaired_at = at + _exponential(model.mean_repair_seconds, chance)
            failures.append(Failure(node.name, at, repaired_at))
            at = repaired_at + _exponential(model.mean_up_seconds, chance)
    return tuple(sorted(failures, key=lambda failure: (failure.at, failure.node)))


def changes(failures: Iterable[Failure]) -> list[Change]:
    """Return what happens to nodes in the order of time; overlapping failures of one are one."""
    by_node: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for failure in failures:
        until = math.inf if failure.repaired_at is None else failure.repaired_at
        by_node[failure.node].append((failure.at, until))
    found: list[Change] = []
    for node, spans in by_node.items():
        down_until = -math.inf
        for begin, end in sorted(spans):
            if begin > down_until:
                found += _repair(node, down_until)
                found.append(Change(begin, False, node))
            down_until = max(down_until, end)
        found += _repair(node, down_until)
    return sorted(found)


def _repair(node: str, at: float) -> list[Change]:
    return [Change(at, True, node)] if math.isfinite(at) else []


def _exponential(mean: float, chance: Chance) -> float:
    return -mean * math.log(1.0 - chance.random())
