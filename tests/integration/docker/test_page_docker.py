"""The pages about Docker Engines as their reader does it: one engine, and a second one by ssh."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docker_engine import TestEngine
from ssh_server import ssh_server
from stack import Deployment, deployment_in
from walkthrough import walk_through

HOWTO = Path(__file__).parents[3] / "docs/howto"
THEIRS = "ssh://zoe@big.example.org cores=2"
pytestmark = [pytest.mark.component("docker"), pytest.mark.timeout(600)]


@pytest.fixture
def reader(tmp_path: Path, engine: TestEngine) -> Iterator[Deployment]:
    """Somebody who has set nothing, but which engine answers."""
    settings = {"ZOE_BACKEND": "", "DOCKER_HOST": engine.url}
    with deployment_in(tmp_path, **settings) as found:
        found.data_dir = tmp_path / ".local/share/zoe"
        yield found


def test_the_page_about_one_engine(reader: Deployment, engine: TestEngine, tmp_path: Path) -> None:
    before = engine.things()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = reader.environment | {"PATH": path}
    assert walk_through(HOWTO / "docker.md", tmp_path, environment) >= 11
    assert engine.things() == before


@pytest.mark.component("ssh")
def test_the_page_about_several_engines(
    reader: Deployment, second_engine: TestEngine, tmp_path: Path
) -> None:
    with ssh_server(tmp_path / "ssh") as server:
        ours = f"{server.url}{second_engine.socket} cores=2 address={second_engine.address}"
        text = (HOWTO / "several-docker-engines.md").read_text()
        assert THEIRS in text
        (tmp_path / "page.md").write_text(text.replace(THEIRS, ours))
        path = f"{Path(sys.executable).parent}:{server.client}:{os.environ['PATH']}"
        environment = reader.environment | {"PATH": path}
        assert walk_through(tmp_path / "page.md", tmp_path, environment) >= 7
