"""A Docker Swarm of three real engines for the tests; one in each test process.

Each node is an engine in a network namespace with a host name of its own; a bridge joins them to
each other and to this machine: ``10.78.<slot>.0/24``. They see no registry: the base image is on
each. Everything else is as in :mod:`docker_engine`.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping

import pytest

from docker_engine import TestEngine, free_slot

MANAGER, WORKERS = "node-m", ("node-a", "node-b")
UPDATE_SECONDS = 10.0


class TestNode(TestEngine):
    """One engine of the swarm."""

    def __init__(self, slot: int, number: int, name: str) -> None:
        self.name = name
        self.address = f"10.78.{slot}.{10 + number}"
        self._bridge = f"zoeswarm{slot}"
        self.host_address = f"10.78.{slot}.1"
        self._set_places(
            f"swarm-{slot}/{name}", f"zoe-swarm-{slot}-{number}", f"zoesw{slot}n{number}"
        )

    def connect(self) -> None:
        self.disconnect()
        for state in ("swarm", "network"):  # of a swarm that is no more
            shutil.rmtree(self.folder / "data" / state, ignore_errors=True)
        self._enter(self.host_address)
        self._ip("link", "set", self._link, "master", self._bridge)

    def _options(self) -> tuple[str, ...]:
        return ("--default-address-pool", "base=10.97.0.0/16,size=24")

    def _set_up(self) -> str:
        # Nobody answers for names of registries, and says so at once.
        resolver = "/run/resolv.conf"
        return (
            f"hostname {self.name}; echo nameserver 127.0.0.1 > {resolver};"
            f"mount --bind {resolver} /etc/resolv.conf"
        )

    def cut(self) -> None:
        """Take its network away; what runs on it goes on."""
        self._ip("link", "set", self._link, "down")

    def heal(self) -> None:
        """Give its network back."""
        self._ip("link", "set", self._link, "up")


class TestSwarm:
    """A manager, which runs instances, too, and two workers."""

    __test__ = False

    def __init__(self, slot: int) -> None:
        self._bridge = f"zoeswarm{slot}"
        self.host_address = f"10.78.{slot}.1"
        names = (MANAGER, *WORKERS)
        self.nodes: Mapping[str, TestNode] = {
            name: TestNode(slot, number, name) for number, name in enumerate(names)
        }
        self.manager = self.nodes[MANAGER]

    def start(self) -> None:
        """Start the engines, and join them."""
        self._remove_bridge()
        _run("ip", "link", "add", self._bridge, "type", "bridge")
        _run("ip", "addr", "add", f"{self.host_address}/24", "dev", self._bridge)
        _run("ip", "link", "set", self._bridge, "up")
        _run("iptables", "-I", "FORWARD", *self._across)
        for node in self.nodes.values():
            node.connect()
            node.start()
            node.empty()
            node.bring_image()
        self.manager.docker("swarm", "init", "--advertise-addr", self.manager.address)
        token = self.manager.docker("swarm", "join-token", "-q", "worker")
        for name in WORKERS:
            self.nodes[name].docker("swarm", "join", "--token", token, self.manager.address)

    def stop(self) -> None:
        """End everything."""
        for node in self.nodes.values():
            node.stop()

    def disconnect(self) -> None:
        """Remove the namespaces, and the bridge between them."""
        for node in self.nodes.values():
            node.disconnect()
        self._remove_bridge()

    def docker(self, *arguments: str) -> str:
        """Run a command on the manager."""
        return self.manager.docker(*arguments)

    def services(self) -> list[str]:
        """Return the names of the services."""
        return self.docker("service", "ls", "--format", "{{.Name}}").split()

    def things(self) -> set[str]:
        """Return all services, and everything on every node, by name, but for the swarm's own."""
        on_nodes = {
            f"{name}: {thing}"
            for name, node in self.nodes.items()
            for thing in node.things() - {"network ingress", "network docker_gwbridge"}
        }
        return on_nodes | {f"service {name}" for name in self.services()}

    def empty(self) -> None:
        """Remove every service, container and network."""
        if services := self.services():
            self.docker("service", "rm", *services)
        for node in self.nodes.values():
            node.empty()

    def state(self, node: str) -> str:
        """Return what the swarm calls a node: ready, down or unknown."""
        return self.docker("node", "inspect", "--format", "{{.Status.State}}", node)

    def update_node(self, node: str, *options: str) -> None:
        """Change a node, also when the swarm itself is about to."""
        deadline = time.monotonic() + UPDATE_SECONDS
        while True:
            try:
                self.docker("node", "update", *options, node)
            except AssertionError as error:
                if "out of sequence" not in str(error) or time.monotonic() > deadline:
                    raise
            else:
                return

    def task(self, service: str) -> Mapping[str, object]:
        """Return what the swarm says of the newest task of a service."""
        (found,) = json.loads(
            self.docker("inspect", self.docker("service", "ps", "-q", service).split()[0])
        )
        return dict(found)

    @property
    def _across(self) -> tuple[str, ...]:
        return ("-i", self._bridge, "-o", self._bridge, "-j", "ACCEPT")

    def _remove_bridge(self) -> None:
        _try("iptables", "-D", "FORWARD", *self._across)
        _try("ip", "link", "del", self._bridge)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _try(*command: str) -> None:
    subprocess.run(command, check=False, capture_output=True)


@pytest.fixture(scope="session")
def swarm() -> Iterator[TestSwarm]:
    """A swarm with the base image on each node, for all tests of this process."""
    with free_slot("swarm") as slot:
        found = TestSwarm(slot)
        try:
            found.start()
            yield found
            found.stop()
        finally:
            found.disconnect()
