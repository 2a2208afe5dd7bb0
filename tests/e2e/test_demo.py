"""`make demo`, as its reader sees it. It checks itself; this checks what it shows."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from docker_engine import TestEngine
from docker_images import provide

ROOT = Path(__file__).parents[2]
TOLD = (
    "wordcount  queued",
    "wordcount  starting",
    "wordcount  running",
    "$ zoe why primes",
    "primes     running",
    "primes     terminated",
    "wordcount  terminated",
    "the top 20:",
    "MB/s",
    "primes below",
    "== Timeline",
    "nothing is left",
)
WORKERS = (
    "workers    5 running",
    "$ zoe why primes",
    "workers    4 running, 1 stopping",
    "primes     running",
    "workers    5 running",
    "wordcount  terminated",
)
"""What is told of the workers: they start at a moment of their own."""


@pytest.mark.timeout(400)
def test_the_demo_shows_what_it_promises(tmp_path: Path) -> None:
    said = demo(f"unix://{tmp_path}/none.sock")
    assert "Applications run as processes; Docker is not used: " in said
    left = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline"])
        if str(ROOT / ".demo") in " ".join(process.info["cmdline"] or [])
    ]
    assert not left


@pytest.mark.component("docker")
@pytest.mark.timeout(1200)
def test_it_runs_in_containers_where_docker_answers(engine: TestEngine) -> None:
    provide(engine, "dask")
    before = engine.things()
    assert "Applications run in containers: " in demo(engine.url)
    assert engine.things() == before


def demo(docker_host: str) -> str:
    """Run the demo, which must tell its story in order; return all it said."""
    ran = subprocess.run(
        [sys.executable, str(ROOT / "demo/run.py")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "DOCKER_HOST": docker_host},
    )
    assert ran.returncode == 0, ran.stdout
    for texts in (TOLD, WORKERS):
        position = 0
        for text in texts:
            found = ran.stdout.find(text, position)
            assert found >= 0, f"{text!r} did not come after the earlier ones:\n{ran.stdout}"
            position = found
    return ran.stdout
