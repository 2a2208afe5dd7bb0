"""Which reader a file is for: the one place that knows all formats by their names."""

from collections.abc import Mapping
from typing import Protocol

from zoe.model.did_you_mean import suggestion
from zoe.sim.workloads.batsim import read_batsim
from zoe.sim.workloads.problems import Loaded, OnError, unreadable
from zoe.sim.workloads.swf import read_swf
from zoe.sim.workloads.table import read_csv, read_parquet


class Reader(Protocol):
    """Reads files of one format."""

    def __call__(self, data: bytes, file: str, /, *, on_error: OnError) -> Loaded:
        """Return the jobs of a file of which this is the content; raises WorkloadInvalid."""
        ...


FORMATS: Mapping[str, Reader] = {
    "swf": read_swf,
    "json": read_batsim,
    "csv": read_csv,
    "parquet": read_parquet,
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
    return reader(data, file, on_error=on_error)
