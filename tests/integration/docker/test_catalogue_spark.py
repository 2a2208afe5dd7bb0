"""Spark of the catalogue: words are counted while workers come, go for others, and come back."""

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalogue_world import SHORT_ON_ROOM, bring, catalogue_on, chosen, until_working
from docker_engine import TestEngine
from stack import Deployment, until
from zoe.client import Zoe

pytestmark = [pytest.mark.component("docker"), pytest.mark.timeout(1200)]

WORKER = "spark.worker"
TEXT_BYTES = int(os.environ.get("ZOE_TEST_TEXT_BYTES", 8_000_000))
SECONDS = 300.0
"""How long a worker may take to come: a dozen Java machines start on few cores."""


GRACE_SECONDS = 60


@pytest.fixture
def deployment(engine: TestEngine, tmp_path: Path) -> Iterator[Deployment]:
    # Master 0.2, driver 0.3, four workers of 0.4.
    with catalogue_on(engine, tmp_path, "spark", room="cores=2.1 memory=16GiB") as found:
        yield found


def write_text(folder: Path, size: int) -> Counter[str]:
    """Gather a text of about ``size`` bytes from this machine; return its words, counted here."""
    folder.mkdir()
    counts: Counter[str] = Counter()
    sources = sorted(Path("/usr/lib/python3").rglob("*.py")) + sorted(Path("/usr/share").rglob("*"))
    written = 0
    with (folder / "one").open("wb") as one, (folder / "two").open("wb") as two:
        for number, source in enumerate(sources):
            if written >= size:
                break
            if not source.is_file() or source.suffix not in (".py", ".txt", ".md", ".html"):
                continue
            text = source.read_bytes() + b"\n"
            (one, two)[number % 2].write(text)
            counts.update(re.findall("[A-Za-z]+", text.decode("ascii", "replace")))
            written += len(text)
    assert written >= size
    return counts


def seconds_of_leaving(client: Zoe) -> list[float]:
    """Return how long each worker took from being told to go until it was gone."""
    at = {
        (entry.detail["id"], entry.detail["status"]): entry.at
        for entry in client.events("count").items
        if entry.kind == "instance" and entry.detail["service"] == WORKER
    }
    gone = [name for name, status in at if status == "stopped"]
    assert len(gone) == 2
    return [(at[name, "stopped"] - at[name, "stopping"]).total_seconds() for name in gone]


def test_workers_leave_for_others_and_the_words_are_right(deployment: Deployment) -> None:
    bring(deployment, "spark-wordcount/wordcount.py")
    (deployment.folder / "guest.yaml").write_text(SHORT_ON_ROOM % 0.8)
    counts = write_text(deployment.workspace / "text", TEXT_BYTES)
    choices = chosen("rounds=100000", "until=enough", "worker_cores=0.4")
    deployment.zoe("submit", "spark-wordcount", "--name", "count", *choices)

    def says(text: str) -> None:
        until(
            lambda: text in deployment.zoe("logs", "count", "driver.submit"),
            SECONDS,
            lambda: deployment.zoe("logs", "count")[-6000:],
        )

    with deployment.client() as client:
        until_working(client, "count", WORKER, 4, SECONDS)
        says("4 executors")
        deployment.zoe("submit", "guest.yaml", "--name", "guest")
        until_working(client, "guest", "guest.main", 1, SECONDS)
        until_working(client, "count", WORKER, 2, SECONDS)
        says("2 executors")
        master = deployment.zoe("logs", "count", "spark.master")
        assert master.count("Decommissioning worker") == 2, master
        # Nobody had to end them: what they held was elsewhere before their time was over.
        assert all(seconds < GRACE_SECONDS for seconds in seconds_of_leaving(client))
        (deployment.workspace / "leave").touch()
        until_working(client, "count", WORKER, 4, SECONDS)
    (deployment.workspace / "enough").touch()
    deployment.zoe("wait", "count")
    lines = (deployment.workspace / "words.txt").read_text().splitlines()
    assert {word: int(number) for number, word in map(str.split, lines)} == counts
