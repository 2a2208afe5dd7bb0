"""What a master knows of an attempt and its container cannot say, kept for the next master.

One small file an attempt, in a folder of the deployment: labels cannot be changed later.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from zoe.backends.base import Retryable
from zoe.backends.docker.names import Key

_ENGINES = "engines"
"""The file of the engines that were added while a master ran."""


@dataclass
class Note:
    """Whether it got ready, and whether and until when it is being stopped."""

    instance_id: str
    attempt: int
    ready: bool = False
    kill_at: float | None = None
    """When SIGKILL comes, in seconds since 1970; None while nobody stops it."""
    not_ready: str = ""
    """Why it is being stopped, when it did not get ready in time."""
    never_started: bool = False
    """It was stopped before it started: there is no container, and there will be none."""
    memory_kills: int = 0
    """How many of its processes were killed for memory, as far as a master saw it."""

    @property
    def key(self) -> Key:
        """The attempt."""
        return self.instance_id, self.attempt


class Notes:
    """The notes of a deployment."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self) -> dict[Key, Note]:
        """Return all that are kept."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        notes = filter(None, map(_read, self._folder.glob("*.json")))
        return {note.key: note for note in notes}

    def find(self, key: Key) -> Note:
        """Return the note of an attempt, a new one if none is kept.

        Another master may have written it since: the one that leads, while this one stands by.
        """
        return _read(self._path(key)) or Note(*key)

    def save(self, note: Note) -> None:
        """Keep it; what was kept before is replaced at once or not at all. Raises Retryable."""
        self._write(self._path(note.key), json.dumps(asdict(note)))

    def remove(self, key: Key) -> None:
        """Forget the note of an attempt."""
        self._path(key).unlink(missing_ok=True)

    def keep_engines(self, engines: str) -> None:
        """Keep the engines that are used beside those of the settings. Raises Retryable."""
        self._write(self._folder / _ENGINES, engines)

    def engines(self) -> str:
        """Return the engines that were used beside those of the settings: no store is needed."""
        try:
            return (self._folder / _ENGINES).read_text()
        except FileNotFoundError:
            return ""

    def _path(self, key: Key) -> Path:
        return self._folder / f"{key[0].replace('/', '.')}.{key[1]}.json"

    def _write(self, path: Path, text: str) -> None:
        draft = path.with_suffix(f".{os.getpid()}")
        try:
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
            draft.replace(path)
        except OSError as error:
            raise Retryable(f"{path} cannot be written: {error.strerror}") from error


def _read(path: Path) -> Note | None:
    """Return what is kept in a file; None when there is none, or a crash left no whole one."""
    try:
        return Note(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
