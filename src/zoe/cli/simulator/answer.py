"""What `zoe simulate` answers: tables for people, and files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoe.cli.output import columns
from zoe.cli.simulator.inputs import Inputs
from zoe.model.errors import ZoeError
from zoe.sim.html import page
from zoe.sim.outcome import Result
from zoe.sim.plots import plots
from zoe.sim.report import Run, comparison, table, to_json

THIN_SPACE = "\N{THIN SPACE}"
"""Between thousands in reports; a terminal shows a plain one."""


class NotWritten(ZoeError):
    """A file that cannot be written."""


def tables(runs: Sequence[Run]) -> str:
    """Return the means with their intervals, and how they differ from those of the first name."""
    parts = [_table(table(runs))]
    if compared := comparison(runs):
        first = runs[0].name
        parts.append(f"Compared with {first}, seed by seed:\n\n{_table(compared)}")
    return "\n\n".join(parts)


def as_json(runs: Sequence[Run], inputs: Inputs) -> str:
    """Return all metrics, what was simulated, and what was skipped, as JSON."""
    answer: dict[str, Any] = to_json(runs)
    answer |= {
        "facts": inputs.facts,
        "skipped": {"count": inputs.skipped_count, "first": list(inputs.skipped)},
    }
    return json.dumps(answer, indent=2, allow_nan=False)


def report(runs: Sequence[Run], results: Mapping[str, Result], inputs: Inputs) -> str:
    """Return a page of HTML that needs nothing else."""
    title = inputs.title or "Simulation"
    drawn = plots(results)
    return page(title, inputs.facts, runs, drawn, inputs.skipped, inputs.skipped_count)


def write_file(path: Path, text: str) -> None:
    """Write a file, and the folder that it is in. Raises NotWritten."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise NotWritten(f"{path} cannot be written: {error.strerror}") from error


def write_plots(folder: Path, results: Mapping[str, Result]) -> list[Path]:
    """Write a drawing into each file of ``folder``; return the files. Raises NotWritten."""
    drawn = {folder / f"{name}.svg": svg for name, svg in plots(results).items()}
    for path, svg in drawn.items():
        write_file(path, svg)
    return list(drawn)


def _table(rows: Sequence[Sequence[str]]) -> str:
    plain = [[cell.replace(THIN_SPACE, " ") for cell in row] for row in rows]
    return columns(plain[0], plain[1:])
