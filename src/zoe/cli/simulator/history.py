"""What-if on one's own history: the executions that there were, and the nodes that there are."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from zoe.cli.machine import busy
from zoe.cli.session import Session
from zoe.cli.simulator.inputs import Inputs, OptionInvalid, of_jobs
from zoe.model.cluster import Node, NodeStatus
from zoe.model.execution import ExecutionStatus
from zoe.model.resources import Resources
from zoe.model.units import duration_seconds
from zoe.sim.load import offered_load
from zoe.sim.metrics import measure
from zoe.sim.workloads.history import as_it_was, read_history
from zoe.sim.workloads.problems import OnError

if TYPE_CHECKING:
    from zoe.client import Zoe
    from zoe.model.rest import ResourcesView
    from zoe.model.rest_cluster import NodeView
    from zoe.model.rest_executions import ExecutionSummary

MAX_EXECUTIONS = 20_000
"""Of a history; each takes two requests or more."""

_LAST = re.compile(r"last-(.+)", re.ASCII)
_ENDED = (ExecutionStatus.TERMINATED, ExecutionStatus.FAILED)
_PAGE = 500


def of_history(
    current: Session, text: str, nodes: tuple[Node, ...] | None, on_error: OnError
) -> Inputs:
    """Return the executions of this deployment that ``text`` (``last-30d``) names.

    Without ``nodes`` they are simulated on those of the deployment. Raises OptionInvalid, and
    RequestFailed where the api does not answer.
    """
    since = datetime.now(UTC) - timedelta(seconds=length(text))
    with busy("reading the history"), current.zoe() as zoe:
        if nodes is None:
            nodes = tuple(_node(view) for view in zoe.nodes().items if _is_there(view))
        executions: list[dict[str, Any]] = []
        events: list[dict[str, Any]] = []
        for summary in _executions(zoe, since):
            executions.append(zoe.show(summary.id).model_dump(mode="json"))
            events += _events(zoe, summary.id)
    loaded = read_history(executions, events, "the history", on_error=on_error)
    found = of_jobs(loaded, nodes, f"the history, {text}")
    found.title = "What if"
    if len(executions) == MAX_EXECUTIONS:
        found.facts["history"] = f"only the newest {MAX_EXECUTIONS:,} executions are replayed"
    was = as_it_was(executions, loaded.jobs)
    found.happened = measure(was, offered_load=offered_load(loaded.jobs, nodes))
    return found


def length(text: str) -> float:
    """Return the seconds of ``last-30d``. Raises OptionInvalid."""
    match = _LAST.fullmatch(text)
    try:
        if match is None:
            raise ValueError(f"{text[:40]!r} is not understood")
        return duration_seconds(match[1])
    except ValueError as error:
        raise OptionInvalid(f"{error}: write last-30d, or last-12h") from None


def _executions(zoe: "Zoe", since: datetime) -> "Iterator[ExecutionSummary]":
    """Yield those that have ended and were submitted since then, the newest first."""
    cursor, count = "", 0
    while True:
        page = zoe.executions(statuses=_ENDED, all=True, limit=_PAGE, cursor=cursor)
        for summary in page.items:
            if summary.submitted_at < since or count == MAX_EXECUTIONS:
                return
            count += 1
            yield summary
        cursor = page.next_cursor
        if not cursor:
            return


def _events(zoe: "Zoe", execution_id: int) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = zoe.events(execution_id, cursor=cursor)
        events += [event.model_dump(mode="json") for event in page.items]
        cursor = page.next_cursor
        if not cursor:
            return events


def _is_there(view: "NodeView") -> bool:
    return view.status is not NodeStatus.UNREACHABLE


def _node(view: "NodeView") -> Node:
    """Return a node with what it can give to executions: others keep what they use."""
    there, foreign = _resources(view.capacity), _resources(view.foreign)
    left = there - foreign
    room = Resources(max(0, left.cores_milli), max(0, left.memory_bytes), max(0, left.gpus))
    return Node(view.name, room, labels=frozenset(view.labels))


def _resources(view: "ResourcesView") -> Resources:
    return Resources(view.cores_milli, view.memory_bytes, view.gpus)
