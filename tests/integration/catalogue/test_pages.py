"""The pages about the catalogue, done as they say, with the images that they say how to build."""

import os
import re
import sys
from pathlib import Path

import pytest

from catalogue_world import Place, catalogue_on
from docker_engine import TestEngine
from docker_images import image_of
from walkthrough import walk_through

HOWTO = Path(__file__).parents[3] / "docs/howto"
BUILD = re.compile(r"^docker build -t (\S+) zapps/(\S+)$", re.MULTILINE)
COMMAND_SECONDS = 400
pytestmark = [pytest.mark.component("docker"), pytest.mark.timeout(1200)]


@pytest.mark.parametrize("name", ["dask", "jupyter", "mpi", "spark"])
def test_a_page_does_what_it_says(name: str, engine: TestEngine, tmp_path: Path) -> None:
    page = HOWTO / f"{name}.md"
    builds = {entry: image for image, entry in BUILD.findall(page.read_text())}
    assert name in builds
    assert builds == {entry: image_of(entry) for entry in builds}
    lab = Place("docker", engine)
    # What is only read about of a page is tried elsewhere.
    with catalogue_on(lab, tmp_path, name, room="cores=2 memory=8GiB") as deployment:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = deployment.environment | {"PATH": path}
        assert walk_through(page, tmp_path, environment, COMMAND_SECONDS) >= 3
