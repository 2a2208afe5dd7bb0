"""A page of the documentation as its reader does it: files are written, commands run, and compared.

A fence with a title is a file; one of ``console`` has commands, each with what must be
in its output, line by line. Fences of other languages are only for reading.
"""

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class File:
    """A file that the reader writes."""

    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command, and what must be in its output, line by line."""

    line: str
    expected: tuple[str, ...]


def steps(page: str) -> Iterator[File | Command]:
    """Yield what the reader does, in order."""
    for language, title, text in FENCE.findall(page):
        if title:
            yield File(title, text)
        elif language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, *expected = part.splitlines()
                yield Command(line, tuple(expected))


def walk_through(
    page: Path, folder: Path, environment: Mapping[str, str], seconds: float = 60
) -> int:
    """Do what a page says, in a folder; return how many commands ran. None takes longer."""
    ran = 0
    for step in steps(page.read_text()):
        match step:
            case File(name=name, text=text):
                (folder / name).write_text(text)
            case Command(line=line, expected=expected):
                done = subprocess.run(
                    ["bash", "-c", line],
                    env=environment,
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=seconds,
                    check=False,
                )
                assert done.returncode == 0, f"$ {line}\n{done.stdout}"
                for text in expected:
                    assert text in done.stdout, f"$ {line}\n{done.stdout}"
                ran += 1
    return ran
