"""Reads tables of jobs: CSV with a header line, and Parquet where pyarrow is installed.

The columns are those of :data:`~zoe.sim.workloads.records.COLUMNS`, in any order; amounts are in
human units (``2h30m``, ``500m`` cores, ``16GiB``). Parquet files of OpenDC are known by their
columns: times are milliseconds, memory is megabytes, and each task is one instance of ``cpu_count``
cores. Their submission times are dates, so arrivals are counted from the earliest.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zoe.sim.workloads.numbers import number, whole
from zoe.sim.workloads.problems import (
    MAX_JOBS,
    MAX_SECONDS,
    Loaded,
    OnError,
    Reading,
    WorkloadInvalid,
    lines_of,
    unreadable,
)
from zoe.sim.workloads.records import field_problems, job_of, sentence

OPENDC = ("id", "submission_time", "duration", "cpu_count", "mem_capacity")
"""The columns by which a table of OpenDC is known."""

_MILLI = 1000
_MEGABYTE = 1000**2


def read_csv(
    source: str | bytes | Iterable[str], file: str = "jobs.csv", *, on_error: OnError = "refuse"
) -> Loaded:
    """Return the jobs of a CSV table; raises WorkloadInvalid."""
    reading = Reading(file, on_error)
    rows = csv.reader(lines_of(source, file), strict=True)
    header: list[str] | None = None
    count = 0
    while True:
        try:
            row = next(rows, None)
        except csv.Error as error:
            if header is None:
                raise unreadable(file, f"the header is no CSV: {error}", line=1) from None
            reading.skip(f"the row is no CSV: {error}", line=rows.line_num)
            continue
        if row is None:
            break
        if not any(cell.strip() for cell in row):
            continue
        if header is None:
            header = [cell.strip().lower().lstrip("\ufeff") for cell in row]
            _check_header(header, file, rows.line_num)
            continue
        count += 1
        if len(row) != len(header):
            message = f"the row has {len(row)} cells, the header has {len(header)}"
            reading.skip(message, line=rows.line_num)
            continue
        _take(reading, dict(zip(header, row, strict=True)), count, rows.line_num)
    if header is None:
        raise unreadable(file, "the table is empty", hint="the first line names the columns")
    return reading.loaded()


def read_parquet(
    data: bytes, file: str = "jobs.parquet", *, on_error: OnError = "refuse"
) -> Loaded:
    """Return the jobs of a Parquet table; raises WorkloadInvalid, without pyarrow, too."""
    return read_columns(_parquet_columns(data, file), file, on_error=on_error)


def read_columns(
    columns: Mapping[str, Sequence[object]], file: str = "table", *, on_error: OnError = "refuse"
) -> Loaded:
    """Return the jobs of a table in memory, of equally long columns; raises WorkloadInvalid."""
    names = list(columns)
    if len({len(column) for column in columns.values()}) > 1:
        raise unreadable(file, "the columns are not equally long")
    reading = Reading(file, on_error)
    records: Iterable[Mapping[str, object]] = (
        dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)
    )
    if all(name in columns for name in OPENDC):
        starts = [value for value in columns["submission_time"] if isinstance(value, int)]
        first = min(starts, default=0)
        for count, record in enumerate(records, 1):
            try:
                known = _opendc_record(record, first)
            except ValueError as error:
                reading.skip(str(error), path=f"row {count}")
                continue
            _take(reading, known, count)
        return reading.loaded()
    _check_header(names, file, 0)
    for count, record in enumerate(records, 1):
        _take(reading, record, count)
    return reading.loaded()


def _take(reading: Reading, record: Mapping[str, object], count: int, line: int = 0) -> None:
    path = "" if line else f"row {count}"
    job, problems = job_of(record, count)
    if job is not None:
        reading.add(job, line=line, path=path)
    else:
        reading.skip(sentence(problems), line=line, path=path)


def _check_header(header: list[str], file: str, line: int) -> None:
    problems = [unreadable(file, what, line=line).problems[0] for what in field_problems(header)]
    if problems:
        raise WorkloadInvalid(problems)


def _opendc_record(record: Mapping[str, object], first: int) -> dict[str, object]:
    submitted = whole(record["submission_time"], "submission_time")
    duration = number(record["duration"], "duration", 0, MAX_SECONDS * _MILLI)
    megabytes = whole(record["mem_capacity"], "mem_capacity")
    return {
        "id": record["id"],
        "arrival": (submitted - first) / _MILLI,
        "seconds": duration / _MILLI,
        "cores": record["cpu_count"],
        "memory": megabytes * _MEGABYTE,
    }


def _parquet_columns(data: bytes, file: str) -> dict[str, list[Any]]:
    try:
        # It is no dependency of Zoe and ships no types; whether it is there differs.
        import pyarrow  # type: ignore[import-not-found, import-untyped, unused-ignore]

        # As above: no types, and it may be absent.
        import pyarrow.parquet  # type: ignore[import-not-found, import-untyped, unused-ignore]
    except ImportError:
        raise unreadable(
            file,
            "reading Parquet needs pyarrow, which is not installed",
            hint="pip install pyarrow, or convert the table to CSV",
        ) from None
    try:
        # One thread: a corrupt file must fail in the same way each time.
        source = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data))
        rows = source.metadata.num_rows
        if not 0 <= rows <= MAX_JOBS:
            raise unreadable(file, f"it has {rows:,} rows, more than {MAX_JOBS:,}")
        columns: dict[str, list[Any]] = source.read(use_threads=False).to_pydict()
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        first_line = (str(error).splitlines() or [""])[0][:200]
        raise unreadable(file, f"it is no Parquet table: {first_line}") from None
    return columns
