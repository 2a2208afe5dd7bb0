"""Where the demo runs its applications: in containers where Docker answers, else as processes."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zoe.cli.engines import engine_finding
from zoe.model.engines import SCHEME, EngineSpec
from zoe.model.zapp_yaml import read_outline

NODE = "demo-node"
CORES, MEMORY = "2", "4GiB"
"""The same room on every machine."""
BUILD_SECONDS = 900.0
LOOK_SECONDS = 60.0
SOCKET = f"{SCHEME}/var/run/docker.sock"


class DemoFailed(Exception):
    """Something did not come as it should."""


@dataclass(frozen=True, slots=True)
class Place:
    """The settings for it, and why it is that one; ``engine`` is empty without containers."""

    settings: Mapping[str, str]
    why: str
    engine: str = ""

    def containers(self, deployment: str) -> list[str]:
        """Return the containers of a deployment that are there, by id."""
        if not self.engine:
            return []
        mine = f"label=zoe.deployment={deployment}"
        found = _docker(self.engine, "ps", "-aq", "--filter", mine, seconds=LOOK_SECONDS)
        if found.returncode:
            raise DemoFailed(f"`docker ps` at {self.engine} failed: {found.stderr.strip()}")
        return found.stdout.split()


def choose(framework: Path) -> Place:
    """Return where to run what needs the image of a framework, which is built if need be."""
    engine = os.environ.get("DOCKER_HOST") or SOCKET
    if not engine.startswith(SCHEME):
        return _processes("DOCKER_HOST is no socket of this machine")
    finding = engine_finding(EngineSpec(NODE, engine))
    if not finding.ok:
        return _processes(finding.found)
    if not shutil.which("docker"):
        return _processes("there is no command `docker` to build an image with")
    file = framework / "framework.yaml"
    parameters = read_outline(file.read_text(), file=str(file)).parameters
    (image,) = [str(one.default) for one in parameters if one.name == "image"]
    if _docker(engine, "image", "inspect", image, seconds=LOOK_SECONDS).returncode:
        print(f"$ docker build -t {image} {framework}   (once, for some minutes)", flush=True)
        built = _docker(engine, "build", "-t", image, str(framework), seconds=BUILD_SECONDS)
        if built.returncode:
            print(built.stdout[-2000:] + built.stderr[-2000:])
            return _processes(f"{image} could not be built")
    settings = {
        "ZOE_BACKEND": "docker",
        "ZOE_DOCKER_ENGINES": f"{NODE} {engine} cores={CORES} memory={MEMORY}",
    }
    return Place(settings, f"in containers: {finding.found}", engine)


def _processes(why: str) -> Place:
    settings = {
        "ZOE_BACKEND": "process",
        "ZOE_PROCESS_NODE": NODE,
        "ZOE_PROCESS_CORES": CORES,
        "ZOE_PROCESS_MEMORY": MEMORY,
    }
    return Place(settings, f"as processes; Docker is not used: {why}")


def _docker(engine: str, *arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run the command; one that takes too long is ended, and has failed."""
    command = ["docker", "-H", engine, *arguments]
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        why = f"`docker {arguments[0]}` took more than {seconds:g} s"
        return subprocess.CompletedProcess(command, returncode=1, stdout="", stderr=why)
