"""docs/howto/docker.md as its reader does it: one engine, then a second one by ssh."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docker_engine import TestEngine, engine_of_its_own
from ssh_server import ssh_server
from stack import Deployment, deployment_in
from walkthrough import walk_through

PAGE = Path(__file__).parents[3] / "docs/howto/docker.md"
THEIRS = "ssh://zoe@big.example.org cores=2"
pytestmark = [
    pytest.mark.component("docker"),
    pytest.mark.component("ssh"),
    pytest.mark.timeout(600),
]


@pytest.fixture
def reader(tmp_path: Path, engine: TestEngine) -> Iterator[Deployment]:
    """Somebody who has set nothing, but which engine answers."""
    settings = {"ZOE_BACKEND": "", "DOCKER_HOST": engine.url}
    with deployment_in(tmp_path, **settings) as found:
        found.data_dir = tmp_path / ".local/share/zoe"
        yield found


def test_the_page_does_what_it_says(reader: Deployment, engine: TestEngine, tmp_path: Path) -> None:
    before = engine.things()
    with engine_of_its_own() as second, ssh_server(tmp_path / "ssh") as server:
        ours = f"{server.url}{second.socket} cores=2 address={second.address}"
        text = PAGE.read_text()
        assert THEIRS in text
        (tmp_path / "docker.md").write_text(text.replace(THEIRS, ours))
        path = f"{Path(sys.executable).parent}:{server.client}:{os.environ['PATH']}"
        environment = reader.environment | {"PATH": path}
        assert walk_through(tmp_path / "docker.md", tmp_path, environment) >= 12
        assert not second.docker("ps", "-aq")
    assert engine.things() == before
