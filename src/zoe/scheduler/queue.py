"""The queue: waiting executions in the order of a policy."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping

from zoe.model.execution import Execution

DEFAULT_RUN_SECONDS = 3600.0
"""Run time taken for an execution without a time limit."""

SortKey = tuple[float, float, int]
"""Smaller goes first; the last two are the time of submission and the id, so no two are equal."""


def fifo(execution: Execution) -> float:
    """By submission alone."""
    return 0.0


def size(execution: Execution) -> float:
    """Smallest first: run time (the time limit) times the number of instances."""
    run_seconds = execution.zapp.time_limit_seconds or DEFAULT_RUN_SECONDS
    instances = sum(
        service.essential + execution.elastic_count(name)
        for name, service in execution.zapp.services()
    )
    return run_seconds * instances


POLICIES: Mapping[str, Callable[[Execution], float]] = {"fifo": fifo, "size": size}


class Queue:
    """Executions in order, found by place or by id."""

    def __init__(self, policy: str) -> None:
        self._size_of = POLICIES[policy]
        self._keys: dict[int, SortKey] = {}
        self._order: list[SortKey] = []

    def key(self, execution: Execution) -> SortKey:
        """Return what ``execution`` is sorted by, waiting or not."""
        return (self._size_of(execution), execution.submitted_at, execution.id)

    def key_of(self, execution_id: int) -> SortKey:
        """Return what a waiting execution is sorted by."""
        return self._keys[execution_id]

    def add(self, execution: Execution) -> None:
        """Add it, or move it to its new place."""
        self.discard(execution.id)
        key = self.key(execution)
        self._keys[execution.id] = key
        insort(self._order, key)

    def discard(self, execution_id: int) -> None:
        """Take it out, if it is in."""
        if (key := self._keys.pop(execution_id, None)) is not None:
            del self._order[bisect_left(self._order, key)]

    def position(self, execution_id: int) -> int:
        """Return its place, from 1."""
        return bisect_left(self._order, self._keys[execution_id]) + 1

    def part(self, first: int, last: int) -> list[int]:
        """Return the executions at these places, both included."""
        return [execution_id for _, _, execution_id in self._order[first - 1 : last]]

    def __contains__(self, execution_id: object) -> bool:
        return execution_id in self._keys

    def __iter__(self) -> Iterator[int]:
        return (execution_id for _, _, execution_id in self._order)

    def __len__(self) -> int:
        return len(self._order)
