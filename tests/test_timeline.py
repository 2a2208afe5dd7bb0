"""The drawing at the end of the demo."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from timeline import LEGEND, Span, draw, of_execution, spans

from zoe.model.rest_executions import ExecutionDetail, HistoryView


def entry(at: float, kind: str, **detail: Any) -> HistoryView:
    moment = datetime.fromtimestamp(at, UTC)
    return HistoryView(id=1, execution_id=7, at=moment, kind=kind, message="", detail=detail)


def test_changes_become_spans() -> None:
    found = list(spans("a", [(1.0, "queued"), (3.0, "running"), (4.0, "terminated")], 9.0))
    assert found == [Span("a", "queued", 1.0, 3.0), Span("a", "running", 3.0, 4.0)]


def test_history_becomes_rows() -> None:
    history = [
        entry(10, "submitted"),
        entry(11, "deferred", reasons=[]),
        entry(12, "status", status="running"),
        entry(12, "instance", id="7/dask.worker/1", status="running"),
        entry(15, "instance", id="7/dask.worker/1", status="stopped"),
        entry(17, "instance", id="7/dask.worker/1", status="running"),
        entry(20, "status", status="terminated"),
    ]
    execution = cast(ExecutionDetail, SimpleNamespace(name="count"))
    found = list(of_execution(execution, history))
    assert [(span.row, span.status, span.start, span.end) for span in found] == [
        ("count", "submitted", 10, 12),
        ("count", "running", 12, 20),
        ("  dask.worker/1", "running", 12, 15),
        ("  dask.worker/1", "running", 17, 20),
    ]


def test_the_drawing_has_a_gap_where_nothing_ran() -> None:
    rows = draw([Span("w", "running", 0, 4), Span("w", "running", 6, 10)]).splitlines()
    assert rows[0].endswith("10 s")
    assert rows[1].startswith("w ████")
    assert "█   " in rows[1]
    assert rows[-1] == LEGEND
