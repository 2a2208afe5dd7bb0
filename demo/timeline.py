"""Draws the history of executions as text: one row each, and one for each of their instances."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from zoe.model.rest_executions import ExecutionDetail, HistoryView

WIDTH = 64
LEGEND = "· waiting   ─ starting   █ running   ▒ stopping"
MARKS = {
    "submitted": "·",
    "queued": "·",
    "waiting": "·",
    "starting": "─",
    "running": "█",
    "stopping": "▒",
}


@dataclass(frozen=True)
class Span:
    """A row of the drawing was in ``status`` from ``start`` to ``end`` (seconds since 1970)."""

    row: str
    status: str
    start: float
    end: float


def spans(row: str, marks: Sequence[tuple[float, str]], end: float) -> Iterator[Span]:
    """Turn status changes, (time, new status) in order, into spans; the last lasts to ``end``."""
    ends = [time for time, _ in marks[1:]] + [end]
    for (start, status), until in zip(marks, ends, strict=True):
        if status in MARKS:
            yield Span(row, status, start, until)


def of_execution(execution: ExecutionDetail, history: Sequence[HistoryView]) -> Iterator[Span]:
    """Yield the spans of an execution, then those of its instances in order of appearance."""
    rows: dict[str, list[tuple[float, str]]] = {execution.name: []}
    end = history[-1].at.timestamp()
    for entry in history:
        at = entry.at.timestamp()
        match entry.kind:
            case "submitted":
                rows[execution.name].append((at, "submitted"))
            case "status":
                rows[execution.name].append((at, entry.detail["status"]))
            case "instance":
                name = "  " + entry.detail["id"].partition("/")[2]
                rows.setdefault(name, []).append((at, entry.detail["status"]))
            case _:
                pass
    for row, marks in rows.items():
        yield from spans(row, marks, end)


def draw(found: Sequence[Span]) -> str:
    """Return the drawing: time goes to the right, the left edge is the first moment."""
    first = min(span.start for span in found)
    last = max(span.end for span in found)
    scale = (WIDTH - 1) / max(last - first, 0.001)
    rows: dict[str, list[str]] = {}
    for span in found:
        cells = rows.setdefault(span.row, [" "] * WIDTH)
        begin, end = (round((time - first) * scale) for time in (span.start, span.end))
        for cell in range(begin, max(end, begin + 1)):
            cells[cell] = MARKS[span.status]
    widest = max(len(row) for row in rows)
    axis = f"{'':{widest}} 0 s{last - first:>{WIDTH - 5}.0f} s"
    return "\n".join(
        [axis, *(f"{row:{widest}} {''.join(cells)}" for row, cells in rows.items()), "", LEGEND]
    )
