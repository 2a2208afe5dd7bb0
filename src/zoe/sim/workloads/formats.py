"""Which reader a file is for: the one place that knows all formats by their names."""

from collections.abc import Callable, Mapping

from zoe.model.did_you_mean import suggestion
from zoe.sim.workloads.batsim import read_batsim
from zoe.sim.workloads.problems import Loaded, OnError, unreadable
from zoe.sim.workloads.swf import read_swf
from zoe.sim.workloads.table import read_csv, read_parquet


def _swf(data: bytes, file: str, on_error: OnError) -> Loaded:
    return read_swf(data, file, on_error=on_error)


def _batsim(data: bytes, file: str, on_error: OnError) -> Loaded:
    return read_batsim(data, file, on_error=on_error)


def _csv(data: bytes, file: str, on_error: OnError) -> Loaded:
    return read_csv(data, file, on_error=on_error)


def _parquet(data: bytes, file: str, on_error: OnError) -> Loaded:
    return read_parquet(data, file, on_error=on_error)


FORMATS: Mapping[str, Callable[[bytes, str, OnError], Loaded]] = {
    "swf": _swf,
    "json": _batsim,
    "csv": _csv,
    "parquet": _parquet,
}
"""The reader of each format, by the ending of its files (before ``.gz``)."""


def read_workload(
    data: bytes, file: str, *, kind: str = "", on_error: OnError = "refuse"
) -> Loaded:
    """Return the jobs of a file by the ending of its name, or of the format ``kind``."""
    ending = kind or file.lower().removesuffix(".gz").rpartition(".")[2]
    reader = FORMATS.get(ending)
    if reader is None:
        hint = suggestion(ending, FORMATS, "formats") or "name the format"
        raise unreadable(file, f"nobody knows the format {ending[:40]!r}", hint=hint)
    return reader(data, file, on_error)
