"""What the agent knows of each attempt, kept in its folder so that a killed agent loses nothing."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoe.backends.process import tree
from zoe.backends.process.cgroups import Limits
from zoe.backends.process.spawn import Program


@dataclass
class Record:
    """One attempt: what was asked, what became of it. Statuses and reasons as in the model."""

    instance_id: str
    attempt: int
    status: str = "starting"
    ready: bool = False
    address: str = ""
    command: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    work_dir: str = ""
    stdout: str = ""
    stderr: str = ""
    limits: Limits = field(default_factory=Limits)
    check: dict[str, Any] | None = None
    """The ready check: kind, port, path, command, timeout_seconds, interval_seconds."""
    shrink: list[str] = field(default_factory=list)
    """Command to run before it is taken back."""
    mark: tree.Mark = (0, 0)
    boot: str = ""
    pid: int = 0
    started_ticks: int = 0
    exit: dict[str, Any] | None = None
    gpus: list[str] = field(default_factory=list)
    """The ids of its GPUs: its own while it lives."""
    used: dict[str, Any] | None = None
    """What it has used in all, once it has stopped; see :meth:`Instance.sample`."""

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from all others."""
        return self.instance_id, self.attempt

    @property
    def execution_id(self) -> int:
        """The execution it belongs to."""
        return int(self.instance_id.partition("/")[0])

    @property
    def name(self) -> str:
        """The id and attempt as one name without slashes."""
        return self.instance_id.replace("/", ".") + f".{self.attempt}"

    @property
    def program(self) -> Program:
        """Its main program."""
        return Program(self.command, self.environment, self.work_dir, self.stdout, self.stderr)

    def observed(self) -> dict[str, Any]:
        """Return what the master wants to know of it."""
        return {
            "instance_id": self.instance_id,
            "attempt": self.attempt,
            "status": self.status,
            "ready": self.ready,
            "address": self.address,
            "exit": self.exit,
            "gpus": self.gpus,
            "used": self.used,
        }


class Records:
    """The folder of the records: ``<folder>/<name>/record.json`` beside the working folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder(self, record: Record) -> Path:
        """Return the folder of an attempt: its working folder, its temporary files."""
        return self._folder / record.name

    def load(self) -> Iterator[Record]:
        """Yield what is kept; a folder without a whole record is removed: nothing started in it."""
        for folder in sorted(self._folder.iterdir()):
            if not folder.is_dir():
                continue
            try:
                fields = json.loads((folder / "record.json").read_text())
            except (FileNotFoundError, ValueError):
                shutil.rmtree(folder, ignore_errors=True)
                continue
            fields["limits"] = Limits(*fields["limits"])
            fields["mark"] = tuple(fields["mark"])
            yield Record(**fields)

    def save(self, record: Record) -> None:
        """Keep it; what was kept before is replaced at once or not at all."""
        folder = self.folder(record)
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / "record.json", vars(record))

    def remove(self, record: Record) -> None:
        """Forget it, with its working folder."""
        shutil.rmtree(self.folder(record), ignore_errors=True)

    def load_addresses(self) -> dict[str, int]:
        """Return the allocated addresses."""
        try:
            found: dict[str, int] = json.loads((self._folder / "addresses.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return found

    def save_addresses(self, chunks: dict[str, int]) -> None:
        """Keep the allocated addresses."""
        _replace(self._folder / "addresses.json", chunks)


def _replace(path: Path, value: object) -> None:
    fresh = path.with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(value, file)
    os.replace(fresh, path)
