"""The tutorial as its reader does it: files are written, commands run, output compared."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs/tutorial/first-zapp.md"
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
    """Yield what the reader does, in order; blocks of other languages are only for reading."""
    for language, title, text in FENCE.findall(page):
        if language == "yaml":
            yield File(title, text)
        elif language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                line, *expected = part.splitlines()
                yield Command(line, tuple(expected))


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """The environment of a reader who has run `zoe up` in another terminal."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ZOE_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
        "ZOE_API_PORT": "0",
        "ZOE_MASTER_ENDPOINT": "tcp://127.0.0.1:0",
        "ZOE_PROCESS_CORES": "2",
        "ZOE_PROCESS_MEMORY": "2GiB",
    }
    (tmp_path / "home").mkdir()
    log = tmp_path / "up.log"
    with log.open("wb") as output:
        up = subprocess.Popen(
            ["zoe", "up"], env=environment, cwd=tmp_path, stdout=output, stderr=output
        )
    try:
        until = time.monotonic() + 60
        while subprocess.run(["zoe", "ps"], env=environment, capture_output=True).returncode:
            assert up.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        yield environment
    finally:
        up.terminate()
        up.wait(30)


def test_the_tutorial_does_what_it_says(reader: Mapping[str, str], tmp_path: Path) -> None:
    done = list(steps(PAGE.read_text()))
    assert sum(isinstance(step, Command) for step in done) >= 10
    for step in done:
        match step:
            case File(name=name, text=text):
                (tmp_path / name).write_text(text)
            case Command(line=line, expected=expected):
                ran = subprocess.run(
                    ["bash", "-c", line],
                    env=reader,
                    cwd=tmp_path,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=60,
                    check=False,
                )
                assert ran.returncode == 0, f"$ {line}\n{ran.stdout}"
                for text in expected:
                    assert text in ran.stdout, f"$ {line}\n{ran.stdout}"
