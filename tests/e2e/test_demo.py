"""`make demo`, as its reader sees it. It checks itself; this checks what it shows."""

import subprocess
import sys
from pathlib import Path

import psutil

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
    "no process is left",
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


def test_the_demo_shows_what_it_promises() -> None:
    ran = subprocess.run(
        [sys.executable, str(ROOT / "demo/run.py")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout
    for texts in (TOLD, WORKERS):
        position = 0
        for text in texts:
            found = ran.stdout.find(text, position)
            assert found >= 0, f"{text!r} did not come after the earlier ones:\n{ran.stdout}"
            position = found
    left = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline"])
        if str(ROOT / ".demo") in " ".join(process.info["cmdline"] or [])
    ]
    assert not left
