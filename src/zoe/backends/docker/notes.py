"""What a master knows of an attempt and its container cannot say, kept for the next master.

One small file an attempt, in a folder of the deployment: labels cannot be changed later.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from zoe.backends.docker.names import Key


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
        notes = [Note(**json.loads(path.read_text())) for path in self._folder.glob("*.json")]
        return {note.key: note for note in notes}

    def save(self, note: Note) -> None:
        """Keep it; what was kept before is replaced at once or not at all."""
        path = self._path(note.key)
        draft = path.with_suffix(".new")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(note), file)
        draft.replace(path)

    def remove(self, key: Key) -> None:
        """Forget the note of an attempt."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: Key) -> Path:
        return self._folder / f"{key[0].replace('/', '.')}.{key[1]}.json"
