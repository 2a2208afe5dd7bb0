"""The catalogue on real engines, as its user has it: images built, scripts brought."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from docker_engine import TestEngine
from docker_images import CATALOGUE, provide
from stack import Deployment, deployment_in, until
from swarm_engines import TestSwarm
from zoe.client import Zoe
from zoe.model.execution import InstanceStatus

OWNER = 4711
"""Who owns the workspace: a number that no image knows."""
SHORT_ON_ROOM = """\
zoe: 4
name: guest
kind: batch
frameworks:
  guest:
    services:
      main:
        image: debian:bookworm-slim
        command: [sh, -c, "until [ -e ${workspace}/leave ]; do sleep 0.1; done"]
        resources: {cores: %s, memory: 32MiB}
        monitor: true
"""
"""Somebody else's application; it ends when its workspace has the file `leave`."""


@dataclass(frozen=True)
class Place:
    """Where a test has the catalogue: on one engine, or on the nodes of a swarm."""

    backend: str
    whole: TestEngine | TestSwarm

    @property
    def nodes(self) -> Mapping[str, TestEngine]:
        return self.whole.nodes if isinstance(self.whole, TestSwarm) else {"lab": self.whole}

    def settings(self, room: str) -> dict[str, str]:
        """Return what gives away so much of each node: ``cores=2 memory=4GiB``."""
        nodes = self.nodes.items()
        engines = "; ".join(f"{name} {e.url} {room} address={e.address}" for name, e in nodes)
        return {"ZOE_BACKEND": self.backend, f"ZOE_{self.backend.upper()}_ENGINES": engines}


@contextmanager
def catalogue_on(
    place: Place, folder: Path, *images: str, room: str, owner: int = OWNER
) -> Iterator[Deployment]:
    """Give a deployment with these images, whose data folder is the user's own; it is up.

    ``room`` says how much of each node is given away: ``cores=2 memory=4GiB``. When all that it ran
    has ended, nothing of it may be left.
    """
    for node in place.nodes.values():
        provide(node, *images)
    before = place.whole.things()
    try:
        with catalogue_up(folder, owner, **place.settings(room)) as deployment:
            yield deployment
            until(
                lambda: place.whole.things() == before,
                what=lambda: place.whole.things() ^ before,
            )
    finally:
        place.whole.empty()


@contextmanager
def catalogue_up(folder: Path, owner: int = OWNER, **settings: str) -> Iterator[Deployment]:
    """Give a deployment with these settings, whose data folder is the user's own; it is up."""
    name = f"test-{folder.name[:20]}".replace("_", "-").lower().rstrip("-")
    (folder / "zapps").symlink_to(CATALOGUE)
    with deployment_in(folder, ZOE_DEPLOYMENT=name, **settings) as found:
        found.data_dir = folder / ".local/share/zoe"
        found.workspace = found.data_dir / "workspaces/admin"
        found.workspace.mkdir(parents=True)
        os.chown(found.workspace, owner, owner)
        found.zoe("up", "--detach")
        yield found


def bring(deployment: Deployment, script: str) -> None:
    """Copy a script of the catalogue into the workspace."""
    shutil.copy(CATALOGUE / script, deployment.workspace)


def chosen(*choices: str) -> list[str]:
    """Return the words of a command line that set parameters: ``chosen("ranks=3")``."""
    return [word for choice in choices for word in ("--set", choice)]


def working(client: Zoe, name: str, service: str) -> int:
    """Count the instances of a service that do their work."""
    return sum(
        one.service == service and one.ready and one.status is InstanceStatus.RUNNING
        for one in client.show(name).instances
    )


def until_working(client: Zoe, name: str, service: str, count: int, seconds: float = 90) -> None:
    """Wait until so many instances of a service do their work."""
    until(
        lambda: working(client, name, service) == count,
        seconds,
        lambda: (working(client, name, service), client.show(name)),
    )
