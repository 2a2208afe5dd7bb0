"""The tutorial as its reader does it: files are written, commands run, output compared."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from walkthrough import walk_through

PAGE = Path(__file__).parents[2] / "docs/tutorial/first-zapp.md"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    """The environment of a reader who has run `zoe up --backend process` in another terminal."""
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
            ["zoe", "up", "--backend", "process"],
            env=environment,
            cwd=tmp_path,
            stdout=output,
            stderr=output,
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
    assert walk_through(PAGE, tmp_path, reader) >= 10
