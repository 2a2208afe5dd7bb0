"""What a reader of outside data gives, and how it says what is wrong with what it read.

Readers take text, bytes or lines and touch no file: who calls them reads. A record that is corrupt,
truncated or contradicts another is a problem with its place. ``on_error="refuse"`` raises them all
at once after the last record; ``"skip"`` goes on without those records, and says so in what it
returns. What cannot be read at all (no header, broken JSON) is refused in both cases.

A record that is sound, but was not asked for or cannot be replayed, is no problem: it is left out
and counted under the reason.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from zoe.model.errors import Problem, ZoeError
from zoe.model.limits import MAX_PROBLEMS
from zoe.sim.workload import Job

OnError = Literal["skip", "refuse"]

MAX_JOBS = 5_000_000
MAX_JOB_INSTANCES = 100_000
"""Of one job; the largest that the published generator draws has some 24,000."""
MAX_JOB_ID = 2**63 - 1
MAX_SECONDS = 100 * 366 * 86_400
"""Of an arrival and of a run time: a hundred years."""
MAX_TEXT_BYTES = 1024**3
"""Of a file, after decompression."""

_GZIP = b"\x1f\x8b"
_SHOWN = 40


class InputInvalid(ZoeError):
    """Data from outside that cannot be accepted; carries the problems at once.

    ``problems`` lists the first of them, ``count`` counts all, ``what`` says of what.
    """

    what = "the input"

    def __init__(self, problems: Sequence[Problem], count: int = 0) -> None:
        self.problems = tuple(problems)
        self.count = max(count, len(self.problems))
        more = self.count - len(self.problems)
        lines = [str(problem) for problem in self.problems]
        super().__init__("\n".join([*lines, f"... and {more} more"] if more else lines))

    def __reduce__(self) -> tuple[type["InputInvalid"], tuple[tuple[Problem, ...], int]]:
        return type(self), (self.problems, self.count)  # it comes from other processes, too


class WorkloadInvalid(InputInvalid):
    """A workload that cannot be accepted."""

    what = "the workload"


class ClusterInvalid(InputInvalid):
    """A description of nodes that cannot be accepted."""

    what = "the description of nodes"


class ScenarioInvalid(InputInvalid):
    """A scenario that cannot be accepted."""

    what = "the scenario"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The jobs of a workload in the order of (arrival, id), and all that was not taken."""

    jobs: tuple[Job, ...]
    skipped: int = 0
    """How many records were wrong and are not among the jobs."""
    problems: tuple[Problem, ...] = ()
    """What was wrong: the first of them."""
    problem_count: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many sound records are not among the jobs, by the reason."""
    assumed: Mapping[str, int] = field(default_factory=dict)
    """How many jobs have a value that the file does not know, by what was assumed."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the file says about itself."""
    names: Mapping[int, str] = field(default_factory=dict)
    """What the file calls a job, where that is not a number, by the id that it got."""

    @property
    def summary(self) -> str:
        """One sentence for people: how many jobs, and how many not, and why."""
        parts = [f"{len(self.jobs):,} jobs"]
        if self.skipped:
            parts.append(f"{self.skipped:,} records skipped because they are wrong")
        parts += [f"{count:,} with {what}" for what, count in sorted(self.assumed.items())]
        parts += [f"{count:,} left out: {why}" for why, count in sorted(self.left_out.items())]
        return "; ".join(parts)


class Reading:
    """The jobs and the problems of one file while it is read."""

    def __init__(self, file: str, on_error: OnError) -> None:
        self.file = file
        self.jobs: list[Job] = []
        self._refuse = on_error == "refuse"
        self._problems: list[Problem] = []
        self._count = 0
        self._skipped = 0
        self._left_out: dict[str, int] = {}
        self._assumed: dict[str, int] = {}
        self._lines: dict[int, str] = {}

    def note(self, message: str, *, line: int = 0, path: str = "", hint: str = "") -> None:
        """Remember a problem of the file as a whole."""
        self._count += 1
        if len(self._problems) < MAX_PROBLEMS:
            column = 1 if line else 0
            self._problems.append(Problem(message, path, self.file, line, column, hint))

    def skip(self, message: str, *, line: int = 0, path: str = "", hint: str = "") -> None:
        """Remember what is wrong with a record that becomes no job."""
        self._skipped += 1
        self.note(message, line=line, path=path, hint=hint)

    def leave_out(self, why: str, count: int = 1) -> None:
        """Count a sound record that becomes no job."""
        self._left_out[why] = self._left_out.get(why, 0) + count

    def assume(self, what: str) -> None:
        """Count a job with a value that the file does not know."""
        self._assumed[what] = self._assumed.get(what, 0) + 1

    def add(self, job: Job, *, line: int = 0, path: str = "") -> None:
        """Take a job, unless its id is taken."""
        if job.id in self._lines:
            self.skip(f"job {job.id} was already in {self._lines[job.id]}", line=line, path=path)
            return
        if len(self.jobs) >= MAX_JOBS:
            raise unreadable(
                self.file,
                f"there are more than {MAX_JOBS:,} jobs",
                line=line,
                hint="simulate a part of it",
            )
        self._lines[job.id] = f"line {line}" if line else path or "an earlier record"
        self.jobs.append(job)

    def loaded(
        self,
        *,
        headers: Mapping[str, str] | None = None,
        names: Mapping[int, str] | None = None,
    ) -> Loaded:
        """Return what was read; raise WorkloadInvalid when problems are to be refused."""
        self.check()
        jobs = tuple(sorted(self.jobs, key=lambda job: (job.arrival_seconds, job.id)))
        return Loaded(
            jobs,
            self._skipped,
            tuple(self._problems),
            self._count,
            self._left_out,
            self._assumed,
            headers or {},
            names or {},
        )

    def check(self, error: type[InputInvalid] = WorkloadInvalid) -> None:
        """Raise ``error`` if there are problems and they are to be refused."""
        if self._refuse and self._problems:
            raise error(self._problems, self._count)


def unreadable(
    file: str, message: str, *, line: int = 0, column: int = 1, hint: str = ""
) -> WorkloadInvalid:
    """Return the error of a file that as a whole is no workload, to be raised."""
    return WorkloadInvalid([Problem(message, "", file, line, column if line else 0, hint)])


def text_of(source: str | bytes, file: str) -> str:
    """Return the text of a file, decompressed if it is a gzip; WorkloadInvalid when it is none.

    Bytes that are not UTF-8 are replaced: old logs have names in old encodings in their comments.
    """
    if isinstance(source, str):
        return source
    if source.startswith(_GZIP):
        source = _decompressed(source, file)
    if len(source) > MAX_TEXT_BYTES:
        raise unreadable(
            file, f"it is larger than {MAX_TEXT_BYTES:,} bytes", hint="read a part of it"
        )
    return source.decode("utf-8-sig", errors="replace")


def lines_of(source: str | bytes | Iterable[str], file: str) -> Iterable[str]:
    """Return the lines of a text or of the bytes of a file, with their ends, or as they come."""
    if isinstance(source, str | bytes):
        return text_of(source, file).splitlines(keepends=True)
    return source


def shown(value: object) -> str:
    """Return a value as a message quotes it: never longer than a few words."""
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return "that number"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _decompressed(data: bytes, file: str) -> bytes:
    """All members of a gzip; never more than the limit, however small the file is."""
    parts: list[bytes] = []
    room = MAX_TEXT_BYTES
    while data.startswith(_GZIP):
        member = zlib.decompressobj(wbits=31)
        try:
            parts.append(member.decompress(data, room))
        except zlib.error as error:
            message = f"the gzip is corrupt: {error}"
            raise unreadable(file, message, hint="copy the file again") from None
        room -= len(parts[-1])
        if member.unconsumed_tail or room <= 0:
            raise unreadable(file, f"it unpacks to more than {MAX_TEXT_BYTES:,} bytes")
        if not member.eof:
            raise unreadable(file, "the gzip is truncated", hint="copy the file again")
        data = member.unused_data
    if data.strip(b"\0"):  # zeros are padding
        raise unreadable(file, "something that is no gzip follows the gzip")
    return b"".join(parts)
