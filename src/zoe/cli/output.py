"""How commands answer: tables for people, JSON and YAML for programs, errors in three parts."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from zoe.model.errors import ZoeError
    from zoe.model.execution import ExecutionEnd
    from zoe.model.rest_executions import EndView, ForecastView


T = TypeVar("T")
CLEAR = "\033[H\033[2J"
"""What makes a terminal begin again at its top."""


class ExitCode:
    """The exit codes of every command."""

    OTHER = 1
    USAGE = 2
    NOT_ALLOWED = 3
    NOT_FOUND = 4
    REJECTED = 5
    CONFLICT = 6
    UNREACHABLE = 7
    TIMED_OUT = 8
    STOPPED = 101
    LIMIT = 102
    LOST = 103


class Format(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


OutputOption = Annotated[
    Format, typer.Option("--output", "-o", help="How to write the answer.", show_default=True)
]
JsonOption = Annotated[bool, typer.Option("--json", help="The same as -o json.")]


def show(
    answer: "BaseModel | Sequence[BaseModel]",
    output: Format,
    as_json: bool,
    table: Callable[[], str],
    names: Callable[[], Iterable[object]],
) -> None:
    """Write an answer in the format that was asked for."""
    match Format.JSON if as_json else output:
        case Format.TABLE:
            write(table())
        case Format.NAME:
            write("\n".join(map(str, names())))
        case structured:
            write(as_json_or_yaml(plain(answer), structured))


def plain(answer: "BaseModel | Sequence[BaseModel]") -> Any:
    """Return an answer as JSON values."""
    if isinstance(answer, Sequence):
        return [plain(item) for item in answer]
    return answer.model_dump(mode="json")


def as_json_or_yaml(value: Any, form: Format) -> str:
    """Return a JSON value as JSON or YAML."""
    return _as_yaml(value) if form is Format.YAML else json.dumps(value, indent=2)


def _as_yaml(value: Any) -> str:
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # untyped there
    text = StringIO()
    yaml.dump(value, text)
    return text.getvalue().rstrip("\n")


def write(text: str) -> None:
    """Write an answer to stdout, as far as somebody reads it."""
    if text:
        print(text, flush=True)


def look(
    ask: Callable[[], T], tells: Callable[[T], None], *, pause: float | None, clears: bool
) -> None:
    """Ask, and tell the answer; with a ``pause`` in seconds again and again, for ever.

    A table that people watch ``clears`` the terminal each time.
    """
    while True:
        found = ask()
        if clears and pause is not None:
            write(CLEAR)
        tells(found)
        if pause is None:
            return
        time.sleep(pause)


def tell(text: str) -> None:
    """Write a remark for people to stderr."""
    print(text, file=sys.stderr, flush=True)


def is_colourful(stream: Any = None) -> bool:
    """Whether to colour what goes to ``stream``; that is stdout unless it is given."""
    return bool((stream or sys.stdout).isatty()) and not os.environ.get("NO_COLOR")


def columns(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table: as wide as its content, cut to the terminal if there is one."""
    lines = [headings, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[n]) for line in lines) for n in range(len(headings))]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    if sys.stdout.isatty():
        room = os.get_terminal_size().columns
        text = [line if len(line) <= room else line[: room - 1] + "…" for line in text]
    if is_colourful():
        text[0] = f"\033[1m{text[0]}\033[0m"
    return "\n".join(text)


def printable(value: object) -> str:
    """Return a cell: one line, nothing that moves the cursor, a dash for nothing."""
    text = "-" if value is None or value == "" else str(value)
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def clean(text: str) -> str:
    """Return output of an application without what would harm the terminal, if it is one."""
    if not sys.stdout.isatty():
        return text
    return "".join(c if c.isprintable() or c in "\t\033" else "?" for c in text)


def ago(moment: "datetime | None") -> str:
    """Say how long ago: ``5s``, ``3m``, ``2h``, ``4d``."""
    if moment is None:
        return "-"
    return lasting((datetime.now(UTC) - moment).total_seconds())


def lasting(seconds: float) -> str:
    """Say a duration with one unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"


def counted(count: int, noun: str) -> str:
    """Say a count with its noun: ``1 service``, ``3 services``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def clock(moment: datetime) -> str:
    """Say when, in the local time zone."""
    return moment.astimezone().strftime("%H:%M:%S")


def near(moment: datetime) -> str:
    """Say when, in the local time zone, with the date if that is not today: ``14:05``."""
    there = moment.astimezone()
    today = datetime.now(UTC).astimezone().date()
    return there.strftime("%H:%M" if there.date() == today else "%Y-%m-%d %H:%M")


def expected(forecast: "ForecastView") -> str:
    """Say when an execution is expected to start, or why nobody can tell."""
    if forecast.p50 is None:
        return unknown(forecast)
    if forecast.p90 is None:
        return f"{near(forecast.p50)}, and {unknown(forecast)}"
    return f"{near(forecast.p50)}, by {near(forecast.p90)} at the latest with 9 in 10"


def unknown(forecast: "ForecastView") -> str:
    """Say which time nobody can tell, and why; empty when both are known."""
    if forecast.p50 is not None and forecast.p90 is not None:
        return ""
    missing = "estimate" if forecast.p50 is None else "latest time"
    return f"no {missing}, because {forecast.because}"


def memory(size: int) -> str:
    """Say an amount of memory."""
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= factor:
            return f"{round(size / factor, 1):g}{unit}"
    return f"{size}B"


def exit_code_of_end(end: "EndView | ExecutionEnd | None") -> int:
    """Return the exit code of `run` and `wait` for how an execution ended."""
    from zoe.model.execution import Outcome

    match end.outcome if end else None:
        case None:
            return ExitCode.OTHER
        case Outcome.COMPLETED:
            return 0
        case Outcome.FAILED:
            return (end.exit_code if end else None) or ExitCode.OTHER
        case Outcome.STOPPED:
            return ExitCode.STOPPED
        case Outcome.TIME_LIMIT:
            return ExitCode.LIMIT
        case Outcome.LOST | Outcome.NOT_STARTED:
            return ExitCode.LOST


def report(error: "ZoeError") -> int:
    """Tell an error: what, why, what to try; return the exit code that belongs to it."""
    from zoe.model.errors import ZAppInvalid
    from zoe.settings import SettingsInvalid
    from zoe.sim.workloads.problems import InputInvalid

    mark = "\033[31merror:\033[0m" if is_colourful(sys.stderr) else "error:"
    problems = getattr(error, "errors", None)
    if isinstance(error, ZAppInvalid):
        tell(f"{mark} the application description is not valid\n{indented(str(error))}")
    elif isinstance(error, InputInvalid):
        tell(f"{mark} {error.what} is not valid\n{indented(str(error))}")
    elif problems:
        lines = [problem_line(problem) for problem in problems]
        tell(f"{mark} {error}\n{indented(chr(10).join(lines))}")
    else:
        tell(f"{mark} {error}")
    if error.hint:
        tell(f"  {error.hint}")
    if isinstance(error, SettingsInvalid):
        return ExitCode.USAGE
    if isinstance(error, ZAppInvalid | InputInvalid):
        return ExitCode.REJECTED
    return _code_of_failure(error)


def _code_of_failure(error: "ZoeError") -> int:
    from zoe.cli.document import NoSuchFile

    if isinstance(error, NoSuchFile):
        return ExitCode.NOT_FOUND
    if not type(error).__module__.startswith("zoe.client"):
        return ExitCode.OTHER
    from zoe import client

    codes: dict[type, int] = {
        client.NotAllowed: ExitCode.NOT_ALLOWED,
        client.NotFound: ExitCode.NOT_FOUND,
        client.Rejected: ExitCode.REJECTED,
        client.Conflict: ExitCode.CONFLICT,
        client.Unreachable: ExitCode.UNREACHABLE,
        client.TimedOut: ExitCode.TIMED_OUT,
    }
    return codes.get(type(error), ExitCode.OTHER)


def problem_line(problem: Any) -> str:
    """Say one mistake with its place: ``file:line:column: path: what (hint)``."""
    place = f"{problem.file or '<input>'}:{problem.line}:{problem.column}" if problem.line else ""
    parts = [part for part in (place or problem.file, problem.path, problem.message) if part]
    return ": ".join(parts) + (f" ({problem.hint})" if problem.hint else "")


def indented(text: str) -> str:
    """Return every line two columns further right."""
    return "\n".join(f"  {line}" for line in text.splitlines())
