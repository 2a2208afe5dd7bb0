"""Dask of the catalogue with containers; test_wordcount and the demo run the same file without."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from catalogue_world import SHORT_ON_ROOM, bring, catalogue_on, chosen, until_working
from docker_engine import TestEngine
from stack import Deployment, until

pytestmark = [pytest.mark.component("docker"), pytest.mark.timeout(1200)]

WORKER = "dask.worker"


@pytest.fixture
def deployment(engine: TestEngine, tmp_path: Path) -> Iterator[Deployment]:
    # Scheduler, driver, and three workers.
    with catalogue_on(engine, tmp_path, "dask", room="cores=1.3 memory=4GiB") as found:
        yield found


def test_a_worker_is_retired_for_others_and_comes_back(deployment: Deployment) -> None:
    bring(deployment, "dask-wordcount/wordcount.py")
    (deployment.folder / "guest.yaml").write_text(SHORT_ON_ROOM % 0.3)
    choices = chosen("seconds=600", "until=enough")
    deployment.zoe("submit", "dask-wordcount", "--name", "count", *choices)
    with deployment.client() as client:
        until_working(client, "count", WORKER, 3)
        until(lambda: "3 workers" in deployment.zoe("logs", "count", "driver.count"))
        deployment.zoe("submit", "guest.yaml", "--name", "guest")
        until_working(client, "guest", "guest.main", 1)
        until_working(client, "count", WORKER, 2)
        until(lambda: "2 workers" in deployment.zoe("logs", "count", "driver.count"))
        assert "Retired worker" in deployment.zoe("logs", "count", "dask.scheduler")
        (deployment.workspace / "leave").touch()
        until_working(client, "count", WORKER, 3)
    (deployment.workspace / "enough").touch()
    deployment.zoe("wait", "count")
    assert "rounds with equal results" in deployment.zoe("logs", "count", "driver.count")
