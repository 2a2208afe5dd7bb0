"""Spark of the catalogue: words are counted while workers come, go for others, and come back."""

import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import pytest

from catalogue_world import (
    SHORT_ON_ROOM,
    Place,
    bring,
    catalogue_on,
    chosen,
    until_working,
    working,
)
from docker_engine import TestEngine
from stack import Deployment, until
from swarm_engines import TestSwarm
from zoe.client import Zoe
from zoe.model.execution import InstanceStatus
from zoe.model.rest_executions import InstanceView

pytestmark = pytest.mark.timeout(1800)

WORKER = "spark.worker"
SMALL_BYTES = 8_000_000
TEXT_BYTES = int(os.environ.get("ZOE_TEST_TEXT_BYTES", 100_000_000))
SECONDS = 300.0
"""How long a worker may take to come: a dozen Java machines start on few cores."""
GRACE_SECONDS = 60
LOST_SECONDS = 30
"""How long after the loss of a node what it ran may take to run elsewhere."""
CHOICES = chosen("rounds=100000", "until=enough", "worker_cores=0.4")
"""Master 0.2, driver 0.3, four workers of 0.4: 2.1 cores."""
SOURCES = (Path(sys.prefix), Path("/usr/lib"), Path("/usr/share"))


@pytest.fixture
def on_engine(engine: TestEngine, tmp_path: Path) -> Iterator[Deployment]:
    lab, room = Place("docker", engine), "cores=2.1 memory=16GiB"
    with catalogue_on(lab, tmp_path, "spark", room=room) as found:
        yield found


@pytest.fixture
def on_swarm(swarm: TestSwarm, tmp_path: Path) -> Iterator[Deployment]:
    lab, room = Place("swarm", swarm), "cores=1.2 memory=6GiB"
    with catalogue_on(lab, tmp_path, "spark", "mpi", room=room) as found:
        yield found


def write_text(folder: Path, size: int) -> Counter[str]:
    """Gather a text of about ``size`` bytes from this machine; return its words, counted here."""
    folder.mkdir()
    counts: Counter[str] = Counter()
    kinds = (".py", ".txt", ".md", ".html")
    files = [f for one in SOURCES for f in sorted(one.rglob("*")) if f.suffix in kinds]
    written = 0
    with (folder / "one").open("wb") as one, (folder / "two").open("wb") as two:
        for number, source in enumerate(cycle(files)):
            if written >= size:
                break
            if not source.is_file():
                continue
            text = source.read_bytes() + b"\n"
            (one, two)[number % 2].write(text)
            counts.update(re.findall("[A-Za-z]+", text.decode("ascii", "replace")))
            written += len(text)
    return counts


def says(deployment: Deployment, text: str) -> None:
    """Wait until the driver says it."""
    until(
        lambda: text in deployment.zoe("logs", "count", "driver.submit"),
        SECONDS,
        lambda: deployment.zoe("logs", "count")[-6000:],
    )


def check_leaving(deployment: Deployment, client: Zoe) -> None:
    """Two workers have left, and nobody had to end them: what they held was elsewhere in time."""
    master = deployment.zoe("logs", "count", "spark.master")
    assert master.count("Decommissioning worker") == 2, master
    at = {
        (entry.detail["id"], entry.detail["status"]): entry.at
        for entry in client.events("count").items
        if entry.kind == "instance" and entry.detail["service"] == WORKER
    }
    gone = [name for name, status in at if status == "stopped"]
    assert len(gone) == 2
    for name in gone:
        assert (at[name, "stopped"] - at[name, "stopping"]).total_seconds() < GRACE_SECONDS


def check_words(deployment: Deployment, client: Zoe, counts: Counter[str]) -> None:
    """Let it end; its result is what one process has counted."""
    (deployment.workspace / "enough").touch()
    until(lambda: client.show("count").end, SECONDS, lambda: deployment.zoe("logs", "count"))
    deployment.zoe("wait", "count")
    lines = (deployment.workspace / "words.txt").read_text().splitlines()
    assert {word: int(number) for number, word in map(str.split, lines)} == counts


@pytest.mark.component("docker")
def test_workers_leave_for_others_and_the_words_are_right(on_engine: Deployment) -> None:
    bring(on_engine, "spark-wordcount/wordcount.py")
    (on_engine.folder / "guest.yaml").write_text(SHORT_ON_ROOM % 0.8)
    counts = write_text(on_engine.workspace / "text", SMALL_BYTES)
    on_engine.zoe("submit", "spark-wordcount", "--name", "count", *CHOICES)
    with on_engine.client() as client:
        until_working(client, "count", WORKER, 4, SECONDS)
        says(on_engine, "4 executors")
        on_engine.zoe("submit", "guest.yaml", "--name", "guest")
        until_working(client, "guest", "guest.main", 1, SECONDS)
        until_working(client, "count", WORKER, 2, SECONDS)
        says(on_engine, "2 executors")
        check_leaving(on_engine, client)
        (on_engine.workspace / "leave").touch()
        until_working(client, "count", WORKER, 4, SECONDS)
        check_words(on_engine, client, counts)


@pytest.mark.component("swarm")
def test_a_swarm_is_shared_with_mpi_and_loses_a_node(
    on_swarm: Deployment, swarm: TestSwarm
) -> None:
    bring(on_swarm, "spark-wordcount/wordcount.py")
    bring(on_swarm, "mpi-pi/pi.py")
    (on_swarm.folder / "guest.yaml").write_text(SHORT_ON_ROOM % 1.2)
    counts = write_text(on_swarm.workspace / "text", TEXT_BYTES)
    with on_swarm.client() as client:
        for guest in ("first", "second"):  # the third node has room for what is essential
            on_swarm.zoe("submit", "guest.yaml", "--name", guest)
            until_working(client, guest, "guest.main", 1)
        on_swarm.zoe("submit", "spark-wordcount", "--name", "count", *CHOICES)
        until_working(client, "count", "driver.submit", 1, SECONDS)
        assert working(client, "count", WORKER) == 1
        (on_swarm.workspace / "leave").touch()
        until_working(client, "count", WORKER, 4, SECONDS)
        says(on_swarm, "4 executors")

        # Three ranks find room beside the four workers, two do not.
        choices = chosen("ranks=5", "cores=0.4", "strips=3000000")
        on_swarm.zoe("submit", "mpi-pi", "--name", "pi", *choices)
        until(lambda: client.show("pi").end, SECONDS, lambda: on_swarm.zoe("show", "pi"))
        assert "pi is 3.14159265" in on_swarm.zoe("logs", "pi")
        check_leaving(on_swarm, client)
        until_working(client, "count", WORKER, 4, SECONDS)

        lost = node_to_lose(client)
        at = datetime.now(UTC)
        swarm.nodes[lost].cut()
        try:
            until(lambda: len(elsewhere(client, lost)) == 4, SECONDS, lambda: client.show("count"))
            last = max(one.started_at for one in elsewhere(client, lost) if one.started_at)
            assert (last - at).total_seconds() < LOST_SECONDS
            check_words(on_swarm, client, counts)
        finally:
            swarm.nodes[lost].heal()
        until(lambda: swarm.state(lost) == "ready")


def node_to_lose(client: Zoe) -> str:
    """Return the node with most workers of those that have nothing essential."""
    live = [one for one in client.show("count").instances if one.status == "running"]
    essential = {one.node for one in live if one.essential}
    ((node, _),) = Counter(o.node for o in live if o.node not in essential).most_common(1)
    return node


def elsewhere(client: Zoe, lost: str) -> list[InstanceView]:
    """Return the workers that run on other nodes."""
    return [
        one
        for one in client.show("count").instances
        if one.service == WORKER and one.status is InstanceStatus.RUNNING and one.node != lost
    ]
