"""Engines on other machines, by TCP with TLS: a real engine, with certificates of both sides."""

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
    run,
    seen,
    start,
    within,
)
from certificates import make_certificates
from container_worlds import DockerWorld
from docker_engine import TestEngine
from zoe.backends.base import Retryable
from zoe.cli.engines import engine_finding
from zoe.model.cluster import NodeStatus
from zoe.model.engines import EngineSpec, parse_engines
from zoe.model.zapp import CommandCheck, HttpCheck

pytestmark = pytest.mark.component("docker")
PORT, OPEN_PORT = 2376, 2375


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory, engine: TestEngine) -> Path:
    folder = tmp_path_factory.mktemp("tls") / "engine"
    make_certificates(folder, engine.address)
    return folder


@pytest.fixture
def listening(engine: TestEngine, certificates: Path) -> Iterator[TestEngine]:
    """The engine of this process, which meanwhile listens on a port, too."""
    engine.kill()
    engine.start(
        "--tlsverify",
        *("--tlscacert", f"{certificates}/ca.pem"),
        *("--tlscert", f"{certificates}/server-cert.pem"),
        *("--tlskey", f"{certificates}/server-key.pem"),
        *("-H", f"tcp://{engine.address}:{PORT}"),
    )
    yield engine
    engine.kill()
    engine.start()


def spec_of(engine: TestEngine, *words: str) -> EngineSpec:
    (spec,) = parse_engines(f"node-a tcp://{engine.address}:{PORT} {' '.join(words)}")
    return spec


async def refusal(world: DockerWorld, spec: EngineSpec) -> str:
    """Return why an engine cannot be used, which the node says, too."""
    backend = world.backend(engines=[spec])
    await backend.open()
    (node,) = (await backend.observe()).nodes
    assert node.status is NodeStatus.UNREACHABLE
    execution = make_execution(world.service(SLEEPS))
    with pytest.raises(Exception, match="node-a") as raised:
        await backend.start(execution, make_instance(execution))
    assert str(raised.value) == node.message
    assert not engine_finding(spec).ok
    return node.message


async def test_an_engine_is_used_by_tcp(
    world: DockerWorld, listening: TestEngine, certificates: Path
) -> None:
    spec = spec_of(listening, f"tls={certificates}")
    assert engine_finding(spec).ok
    backend = world.backend(engines=[spec])
    await backend.open()
    service = world.service(
        Program(listens=8000, prints="up"), ready=within(20, HttpCheck(8000)), ports=()
    )
    _, instance = await start(backend, service)
    found = await seen(backend, instance, ready)
    assert found.address == listening.address
    assert [inside for inside, _ in found.published] == [8000], "its check is asked from here"
    await eventually(lambda: output(world, instance) == "up\n")
    await backend.stop(instance.id, 1, grace_seconds=5, shrink=False)
    assert (await end_of(backend, instance)).signal == 15


async def test_commands_run_inside_by_tcp(
    world: DockerWorld, listening: TestEngine, certificates: Path
) -> None:
    backend = world.backend(engines=[spec_of(listening, f"tls={certificates}")])
    await backend.open()
    check = within(20, CommandCheck(("test", "-d", "/mnt/workspace")))
    _, instance = await start(backend, world.service(SLEEPS, ready=check))
    assert (await seen(backend, instance, ready)).ready


async def test_a_client_of_another_authority_is_refused(
    world: DockerWorld, listening: TestEngine, certificates: Path, tmp_path: Path
) -> None:
    others = tmp_path / "others"
    make_certificates(others, listening.address)
    assert "certificate is not trusted" in await refusal(world, spec_of(listening, f"tls={others}"))
    (others / "ca.pem").write_bytes((certificates / "ca.pem").read_bytes())
    assert "refuses our certificate" in await refusal(world, spec_of(listening, f"tls={others}"))


async def test_without_certificates_it_is_said_so(
    world: DockerWorld, listening: TestEngine, tmp_path: Path
) -> None:
    said = await refusal(world, spec_of(listening, f"tls={tmp_path}/none"))
    assert f"{tmp_path}/none cannot be used: No such file" in said
    assert "HTTP request to an HTTPS server" in await refusal(world, spec_of(listening, "insecure"))


async def test_another_name_than_that_of_the_certificate_is_refused(
    world: DockerWorld, listening: TestEngine, tmp_path: Path
) -> None:
    certificates = tmp_path / "elsewhere"
    make_certificates(certificates, "10.0.0.9")
    listening.kill()
    listening.start(
        "--tlsverify",
        *("--tlscacert", f"{certificates}/ca.pem"),
        *("--tlscert", f"{certificates}/server-cert.pem"),
        *("--tlskey", f"{certificates}/server-key.pem"),
        *("-H", f"tcp://{listening.address}:{PORT}"),
    )
    said = await refusal(world, spec_of(listening, f"tls={certificates}"))
    assert "IP address mismatch" in said


async def test_without_tls_only_when_that_is_said(world: DockerWorld, engine: TestEngine) -> None:
    engine.kill()
    engine.start("--tls=false", "-H", f"tcp://{engine.address}:{OPEN_PORT}")
    try:
        (spec,) = parse_engines(f"node-a tcp://{engine.address}:{OPEN_PORT} insecure")
        backend = world.backend(engines=[spec])
        await backend.open()
        await run(world, backend)
        found = engine_finding(spec)
        assert (found.ok, found.needed) == (False, False)
        assert "root" in found.found
        await backend.shutdown(grace_seconds=1)
    finally:
        engine.kill()
        engine.start()
    with pytest.raises(Retryable, match="cannot be reached"):
        await backend.stop("7/f.s/0", 1, grace_seconds=1, shrink=False)
