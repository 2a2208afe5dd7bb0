"""Dask of the catalogue with containers; test_wordcount and the demo run the same file without."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalogue_world import SHORT_ON_ROOM, Place, bring, catalogue_on, chosen, until_working
from stack import Deployment, until

pytestmark = pytest.mark.timeout(1200)

WORKER = "dask.worker"
ROOM = {"docker": "cores=1.3 memory=4GiB", "swarm": "cores=0.7 memory=2GiB"}
"""Of each node, for the scheduler, the driver, and the workers; then there is none for others."""
WORKERS = {"docker": 3, "swarm": 5}


@pytest.fixture
def deployment(place: Place, tmp_path: Path) -> Iterator[Deployment]:
    with catalogue_on(place, tmp_path, "dask", room=ROOM[place.backend]) as found:
        yield found


def test_a_worker_is_retired_for_others_and_comes_back(
    deployment: Deployment, place: Place
) -> None:
    workers = WORKERS[place.backend]
    bring(deployment, "dask-wordcount/wordcount.py")
    (deployment.folder / "guest.yaml").write_text(SHORT_ON_ROOM % 0.3)
    choices = chosen("seconds=600", "until=enough")
    deployment.zoe("submit", "dask-wordcount", "--name", "count", *choices)
    with deployment.client() as client:
        until_working(client, "count", WORKER, workers)
        until(lambda: f"{workers} workers" in deployment.zoe("logs", "count", "driver.count"))
        deployment.zoe("submit", "guest.yaml", "--name", "guest")
        until_working(client, "guest", "guest.main", 1)
        until_working(client, "count", WORKER, workers - 1)
        until(lambda: f"{workers - 1} workers" in deployment.zoe("logs", "count", "driver.count"))
        assert "Retired worker" in deployment.zoe("logs", "count", "dask.scheduler")
        (deployment.workspace / "leave").touch()
        until_working(client, "count", WORKER, workers)
    (deployment.workspace / "enough").touch()
    deployment.zoe("wait", "count")
    assert "rounds with equal results" in deployment.zoe("logs", "count", "driver.count")
