"""The output of instances, read from the files that the back-ends write.

A place in the output of an execution is an offset into each of its files; written as
``dask.worker.0.1.stdout=1234`` joined by commas it is the id of a live event.
"""

import codecs
import io
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from zoe.model.errors import ZoeError
from zoe.model.logs import Stream, log_folder
from zoe.model.rest_executions import LogText

CHUNK_BYTES = 64 * 1024
STREAMS = ("stdout", "stderr")


class BadPlace(ZoeError):
    """There is no such place in the output."""


@dataclass(frozen=True, slots=True, order=True)
class LogFile:
    """One stream of one attempt of an instance."""

    service: str
    ordinal: int
    attempt: int
    stream: str
    path: Path = field(compare=False)

    @property
    def key(self) -> str:
        """The file's name, which says all this."""
        return self.path.name

    def text(self, execution_id: int, text: str) -> LogText:
        """Return a piece of it as REST shows it."""
        return LogText(
            instance=f"{execution_id}/{self.service}/{self.ordinal}",
            attempt=self.attempt,
            stream=cast(Stream, self.stream),
            text=text,
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """Which files: of a service or one of its instances, of a stream; empty: all."""

    service: str = ""
    stream: str = ""

    def matches(self, file: LogFile) -> bool:
        """Whether the file is selected."""
        names = {"", file.service, f"{file.service}.{file.ordinal}"}
        return self.service in names and self.stream in ("", file.stream)


def log_files(logs_dir: Path, execution_id: int, selection: Selection) -> list[LogFile]:
    """Return the files there are now, by service, instance and attempt."""
    try:
        paths = list(Path(log_folder(logs_dir, execution_id)).iterdir())
    except FileNotFoundError:
        return []
    files = (_log_file(path) for path in paths)
    return sorted(file for file in files if file and selection.matches(file))


def delete_logs(logs_dir: Path, execution_id: int) -> None:
    """Delete the output of an execution, as far as there is any."""
    shutil.rmtree(log_folder(logs_dir, execution_id), ignore_errors=True)


def _log_file(path: Path) -> LogFile | None:
    match path.name.rsplit(".", 3):
        case [service, ordinal, attempt, stream] if (
            stream in STREAMS and ordinal.isdecimal() and attempt.isdecimal()
        ):
            return LogFile(service, int(ordinal), int(attempt), stream, path)
        case _:
            return None  # something else that the back-end keeps there


def read_place(text: str) -> dict[str, int]:
    """Read a ``Last-Event-ID``; raises BadPlace."""
    place = {}
    for part in text.split(",") if text else []:
        key, _, offset = part.rpartition("=")
        if not key or not (offset.isascii() and offset.isdecimal()) or len(offset) > 18:
            raise BadPlace(f"{part!r} is no place in the output of an execution.")
        place[key] = int(offset)
    return place


def write_place(place: Mapping[str, int]) -> str:
    """Write a place as the id of an event."""
    return ",".join(f"{key}={offset}" for key, offset in place.items())


def tail_place(files: list[LogFile], lines: int) -> dict[str, int]:
    """Return the place from which at most ``lines`` lines of each file follow."""
    return {file.key: _tail_offset(file.path, lines) for file in files}


def _opened(path: Path) -> BinaryIO:
    """Open a file of output; one that was deleted with its execution meanwhile is empty."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        return io.BytesIO()


def _tail_offset(path: Path, lines: int) -> int:
    with _opened(path) as source:
        end = position = source.seek(0, 2)
        found = 0
        while position > 0:
            begin = max(0, position - CHUNK_BYTES)
            source.seek(begin)
            block = source.read(position - begin)
            at = len(block)
            while (at := block.rfind(b"\n", 0, at)) >= 0:
                if begin + at + 1 == end:
                    continue  # the last line's own end
                found += 1
                if found == lines:
                    return begin + at + 1
            position = begin
    return 0


class Follower:
    """Reads what is new in the files of an execution, again and again.

    A line is sent when it is complete, or when nothing was added to it since the last look (a
    prompt, a progress bar), or when it is longer than a chunk; a character is never cut.
    """

    def __init__(
        self, logs_dir: Path, execution_id: int, selection: Selection, place: dict[str, int]
    ) -> None:
        self._logs_dir = logs_dir
        self._execution_id = execution_id
        self._selection = selection
        self._place = place
        self._sizes: dict[str, int] = {}

    def read(self, *, is_last: bool = False) -> list[tuple[LogText, str]]:
        """Return at most a chunk of each file, with the place after it; blocks on the disk.

        ``is_last``: nothing will be added, so send what is incomplete too.
        """
        found = []
        for file in log_files(self._logs_dir, self._execution_id, self._selection):
            offset = self._place.get(file.key, 0)
            with _opened(file.path) as source:
                source.seek(offset)
                block = source.read(CHUNK_BYTES)
            size = offset + len(block)
            is_settled = is_last or self._sizes.get(file.key) == size
            self._sizes[file.key] = size
            text, length = _complete_text(block, is_settled=is_settled, is_last=is_last)
            if length:
                self._place[file.key] = offset + length
                found.append((file.text(self._execution_id, text), write_place(self._place)))
        return found


def _complete_text(block: bytes, *, is_settled: bool, is_last: bool) -> tuple[str, int]:
    is_full = len(block) == CHUNK_BYTES
    if (is_full and b"\n" in block) or not (is_full or is_settled):
        block = block[: block.rfind(b"\n") + 1]
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(block, final=is_last and not is_full)
    return text, len(block) - len(decoder.getstate()[0])


def whole_text(files: list[LogFile], place: Mapping[str, int]) -> Iterator[str]:
    """Yield the output as lines after ``service.ordinal| ``; the attempt is added from the 2nd."""
    for file in files:
        again = f"#{file.attempt}" if file.attempt > 1 else ""
        label = f"{file.service}.{file.ordinal}{again}| "
        with _opened(file.path) as source:
            source.seek(place.get(file.key, 0))
            is_new_line = True
            while block := source.readline(CHUNK_BYTES):
                text = block.decode("utf-8", "replace")
                yield label + text if is_new_line else text
                is_new_line = text.endswith("\n")
            if not is_new_line:
                yield "\n"


def whole_pieces(
    execution_id: int, files: list[LogFile], place: Mapping[str, int], max_bytes: int
) -> list[LogText]:
    """Return the end of each file from ``place``, at most ``max_bytes`` of each."""
    pieces = []
    for file in files:
        with _opened(file.path) as source:
            size = source.seek(0, 2)
            source.seek(max(place.get(file.key, 0), size - max_bytes))
            text = source.read(max_bytes).decode("utf-8", "replace")
        if text:
            pieces.append(file.text(execution_id, text))
    return pieces
