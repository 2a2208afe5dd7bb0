"""Engines on other machines, by ssh: a real engine behind a real ssh server, OpenSSH's client."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend_worlds import (
    SLEEPS,
    Program,
    end_of,
    eventually,
    make_execution,
    make_instance,
    output,
    ready,
    running,
    seen,
    start,
    within,
)
from container_worlds import DockerWorld
from ssh_server import TestSshServer, path_with, ssh_server
from stack import until
from zoe.backends.base import Retryable
from zoe.backends.docker.backend import DockerBackend
from zoe.cli.engines import engine_finding
from zoe.model.cluster import NodeStatus
from zoe.model.engines import EngineSpec, parse_engines
from zoe.model.zapp import CommandCheck, HttpCheck

pytestmark = [pytest.mark.component("docker"), pytest.mark.component("ssh")]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestSshServer]:
    with ssh_server(tmp_path / "ssh") as found:
        monkeypatch.setenv("PATH", path_with(found))
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        yield found
        until(lambda: not list(tmp_path.glob("zoe-ssh-*")), what=lambda: os.listdir(tmp_path))
        assert not clients(tmp_path), "a client outlives who needed it"


def clients(folder: Path) -> list[int]:
    """Return the clients whose sockets are below a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"ssh") and any(os.fsencode(folder) in word for word in words):
                found.append(int(entry.name))
    return found


def spec_of(world: DockerWorld, server: TestSshServer, socket: object = "") -> EngineSpec:
    where = f"{server.url}{socket or world.engine.socket}"
    (spec,) = parse_engines(f"node-a {where} address={world.engine.address}")
    return spec


async def opened(world: DockerWorld, spec: EngineSpec) -> DockerBackend:
    backend = world.backend(engines=[spec])
    await backend.open()
    return backend


async def refusal(world: DockerWorld, spec: EngineSpec) -> str:
    """Return why an engine cannot be used: node, start and doctor say the same."""
    backend = await opened(world, spec)
    (node,) = (await backend.observe()).nodes
    assert node.status is NodeStatus.UNREACHABLE
    execution = make_execution(world.service(SLEEPS))
    with pytest.raises(Retryable, match="node-a") as raised:
        await backend.start(execution, make_instance(execution))
    assert str(raised.value) == node.message
    assert raised.value.hint
    found = engine_finding(spec)
    assert not found.is_usable
    why = node.message.rpartition(f"{spec.url}: ")[2]
    assert found.found == f"{spec.url}: {why}"
    assert found.try_ == raised.value.hint
    await backend.close()
    return f"{why}; {raised.value.hint}"


async def test_an_engine_is_used_by_ssh(world: DockerWorld, server: TestSshServer) -> None:
    spec = spec_of(world, server)
    found = engine_finding(spec)
    assert found.ok, found
    assert f"at {spec.url}" in found.found
    backend = await opened(world, spec)
    let_in = server.let_in
    service = world.service(Program(listens=8000, prints="up"), ready=within(20, HttpCheck(8000)))
    _, instance = await start(backend, service)
    told = await seen(backend, instance, ready)
    assert told.address == world.engine.address
    assert [inside for inside, _ in told.published] == [8000], "its check is asked from here"
    await eventually(lambda: output(world, instance) == "up\n")
    await backend.stop(instance.id, 1, grace_seconds=5, shrink=False)
    assert (await end_of(backend, instance)).signal == 15
    assert server.let_in == let_in, "one client for all"
    await backend.close()


async def test_commands_run_inside_by_ssh(world: DockerWorld, server: TestSshServer) -> None:
    backend = await opened(world, spec_of(world, server))
    check = within(20, CommandCheck(("test", "-d", "/mnt/workspace")))
    _, instance = await start(backend, world.service(SLEEPS, ready=check))
    assert (await seen(backend, instance, ready)).ready
    await backend.close()


async def test_a_connection_that_is_lost_is_regained(
    world: DockerWorld, server: TestSshServer
) -> None:
    backend = await opened(world, spec_of(world, server))
    service = world.service(Program(prints="up"))
    _, instance = await start(backend, service)
    await eventually(lambda: output(world, instance) == "up\n")
    server.stop()
    (node,) = (await backend.observe()).nodes
    assert node.status is NodeStatus.UNREACHABLE
    assert (await backend.observe()).instances == (), "nothing on it is taken for lost"
    server.start()
    assert running(await seen(backend, instance, running))
    (node,) = (await backend.observe()).nodes
    assert node.status is NodeStatus.READY
    await backend.stop(instance.id, 1, grace_seconds=5, shrink=False)
    assert (await end_of(backend, instance)).signal == 15
    assert output(world, instance) == "up\n"
    await backend.close()


async def test_a_client_that_is_killed_is_started_again(
    world: DockerWorld, server: TestSshServer, tmp_path: Path
) -> None:
    backend = await opened(world, spec_of(world, server))
    _, instance = await start(backend, world.service(SLEEPS))
    for client in clients(tmp_path):
        os.kill(client, signal.SIGKILL)
    assert running(await seen(backend, instance, running))
    await backend.close()


async def test_a_server_that_is_not_known_is_refused(
    world: DockerWorld, server: TestSshServer
) -> None:
    server.change_host_key()
    server.start()
    said = await refusal(world, spec_of(world, server))
    assert "its host key is another one than known_hosts says" in said
    assert "ssh-keygen -R" in said
    (server.client.parent / "known_hosts").unlink()
    said = await refusal(world, spec_of(world, server))
    assert "its host key is not known here; as the user who runs Zoe" in said
    assert f"`ssh {server.url}`" in said


async def test_who_is_not_let_in_is_told_so(world: DockerWorld, server: TestSshServer) -> None:
    server.allow_nobody_there_is()
    said = await refusal(world, spec_of(world, server))
    assert "it does not let us in: permission denied; does `ssh -o BatchMode=yes ssh://ada@" in said


async def test_a_socket_that_is_not_there_is_said_so(
    world: DockerWorld, server: TestSshServer, tmp_path: Path
) -> None:
    said = await refusal(world, spec_of(world, server, tmp_path / "none.sock"))
    assert "no engine answers at its socket" in said


async def test_a_server_that_forwards_no_sockets_is_said_so(
    world: DockerWorld, server: TestSshServer
) -> None:
    server.forbids = True
    said = await refusal(world, spec_of(world, server))
    assert "does not let us have the socket; it needs `AllowStreamLocalForwarding yes`" in said


async def test_without_a_client_it_is_said_so(
    world: DockerWorld, server: TestSshServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    said = await refusal(world, spec_of(world, server))
    assert "this machine has no ssh; install OpenSSH's client" in said


async def test_who_fails_leaves_the_machine_alone_for_a_while(
    world: DockerWorld, server: TestSshServer
) -> None:
    server.allow_nobody_there_is()
    backend = await opened(world, spec_of(world, server))
    asked = len(server.connections)
    for _ in range(20):
        await backend.observe()
    assert len(server.connections) - asked < 5, "servers shut out who asks too often"
    await backend.close()


def test_an_alias_that_nobody_else_knows_needs_an_address(
    world: DockerWorld, server: TestSshServer
) -> None:
    config = server.client.parent / "config"
    config.write_text(
        f"Host lab\nHostname 127.0.0.1\nPort {server.port}\nUser ada\n"
        f"HostKeyAlias [127.0.0.1]:{server.port}\nHost *\n{config.read_text()}"
    )
    (spec,) = parse_engines(f"node-a ssh://lab{world.engine.socket}")
    found = engine_finding(spec)
    assert (found.ok, found.needed) == (False, False), found
    assert "ports are told to be at lab" in found.found
    assert "address=" in found.try_
