"""What is special to containers, on a real engine; what all back-ends promise is in conformance."""

import asyncio
import os
from dataclasses import replace

import pytest

from backend_worlds import (
    NODE,
    PATIENCE_SECONDS,
    SLEEPS,
    Program,
    end_of,
    make_execution,
    make_instance,
    output,
    ready,
    run,
    running,
    seen,
    start,
    stopped,
    within,
)
from container_worlds import (
    DockerWorld,
    check_memory_that_is_not_enough,
    check_output_across_masters,
    check_peers,
)
from docker_engine import IMAGE
from zoe.backends.base import Refused, Retryable
from zoe.backends.docker.backend import DockerBackend
from zoe.backends.ready import probe_http
from zoe.model.execution import ExitReason
from zoe.model.resources import Resources
from zoe.model.zapp import CommandCheck, HttpCheck, Port, ShrinkHook, VolumeMount

pytestmark = pytest.mark.component("docker")
MIB = 2**20


async def test_peers_reach_each_other_by_name(world: DockerWorld, backend: DockerBackend) -> None:
    await check_peers(world, backend)


async def test_ports_are_published_where_people_reach_the_machine(world: DockerWorld) -> None:
    backend = world.backend(address=world.engine.address)
    await backend.open()
    service = world.service(
        Program(listens=8000),
        essential=2,
        ports=(Port("page", 8000, "http"),),
        ready=within(20, HttpCheck(8000)),
    )
    execution = make_execution(service)
    reached = set()
    for ordinal in range(2):
        instance = make_instance(execution, ordinal=ordinal)
        await backend.start(execution, instance)
        found = await seen(backend, instance, ready)
        assert found.address == world.engine.address
        ((inside, outside),) = found.published
        assert inside == 8000
        assert await probe_http(found.address, outside, "/") == ""
        reached.add(outside)
    assert len(reached) == 2, "two instances can listen on the same port"


async def test_the_command_of_a_check_runs_inside(
    world: DockerWorld, backend: DockerBackend
) -> None:
    service = replace(
        world.service(SLEEPS, ready=within(20, CommandCheck(("test", "-e", "/tmp/ready")))),
        command=("sh", "-c", "touch /tmp/ready; exec sleep 1000"),
    )
    _, instance = await start(backend, service)
    assert (await seen(backend, instance, ready)).ready


@pytest.mark.parametrize("closed", ["", ">&- 2>&-"])
async def test_a_check_that_fails_in_the_end_has_failed(
    world: DockerWorld, backend: DockerBackend, closed: str
) -> None:
    check = CommandCheck(("sh", "-c", f"exec {closed}; sleep 0.2; exit 7"))
    _, instance = await start(backend, world.service(SLEEPS, ready=within(1.5, check)))
    exit = await end_of(backend, instance)
    assert exit.reason is ExitReason.NOT_STARTED
    assert "sh exited with 7" in exit.message


async def test_the_shrink_hook_runs_inside(world: DockerWorld, backend: DockerBackend) -> None:
    service = replace(
        world.service(SLEEPS, shrink=ShrinkHook(("sh", "-c", "echo saved > /mnt/workspace/hook"))),
        command=("sleep", "1000"),
    )
    _, instance = await start(backend, service)
    await seen(backend, instance, running)
    await backend.stop(instance.id, 1, grace_seconds=20, shrink=True)
    assert (await end_of(backend, instance)).signal == 15
    assert (world.data_dir / "workspaces/ada/hook").read_text() == "saved\n"


async def test_the_workspace_belongs_to_its_owner(
    world: DockerWorld, backend: DockerBackend
) -> None:
    workspace = world.data_dir / "workspaces/ada"
    workspace.mkdir(parents=True)
    os.chown(workspace, 1234, 2345)
    service = replace(
        world.service(SLEEPS), command=("sh", "-c", "touch $ZOE_WORKSPACE/made; id -u; id -g")
    )
    _, instance = await start(backend, service)
    assert (await end_of(backend, instance)).code == 0
    assert output(world, instance) == "1234\n2345\n"
    made = (workspace / "made").stat()
    assert (made.st_uid, made.st_gid) == (1234, 2345)


async def test_limits_are_held_by_the_engine_and_can_be_changed(
    world: DockerWorld, backend: DockerBackend
) -> None:
    service = world.service(
        SLEEPS,
        resources=Resources(500, 64 * MIB),
        limits=Resources(1500, 128 * MIB),
        shm_bytes=16 * MIB,
    )
    _, instance = await start(backend, service)
    limits = world.engine.inspect(world.container(instance))["HostConfig"]
    assert isinstance(limits, dict)
    assert (limits["Memory"], limits["MemorySwap"]) == (128 * MIB, 128 * MIB)
    assert (limits["CpuShares"], limits["NanoCpus"]) == (512, 1_500_000_000)
    assert limits["ShmSize"] == 16 * MIB
    assert limits["CapDrop"] == ["ALL"]
    await backend.resize(instance.id, 1, Resources(2000, 256 * MIB))
    limits = world.engine.inspect(world.container(instance))["HostConfig"]
    assert isinstance(limits, dict)
    assert (limits["Memory"], limits["CpuShares"]) == (256 * MIB, 2048)


async def test_who_needs_more_memory_is_said_so(world: DockerWorld, backend: DockerBackend) -> None:
    await check_memory_that_is_not_enough(world, backend)


async def test_a_network_that_is_used_for_longer_goes_later(
    world: DockerWorld, backend: DockerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoe.backends.docker.host.NETWORK_TRIES", 1)
    _, instance = await run(world, backend)
    docker = world.engine.docker
    network = f"zoe-{world.deployment}-{instance.execution_id}"
    guest = docker("run", "--detach", "--network", network, IMAGE, "sleep", "1000")
    await backend.stop(instance.id, 1, grace_seconds=0, shrink=False)
    await seen(backend, instance, stopped)
    await backend.remove(instance.id, 1)
    assert network in docker("network", "ls")
    docker("rm", "--force", guest)
    await backend.observe()
    assert network not in docker("network", "ls")


async def test_a_command_that_is_not_there_is_said_so(
    world: DockerWorld, backend: DockerBackend
) -> None:
    service = replace(world.service(SLEEPS), command=("no-such-program",))
    _, instance = await start(backend, service)
    exit = await end_of(backend, instance)
    assert (exit.reason, exit.code) == (ExitReason.FAILED, 127)
    assert "a program was not found" in exit.sentence
    assert "no-such-program" in output(world, instance, "stderr")


async def test_a_missing_image_that_is_never_pulled_is_known_before_and_said(
    world: DockerWorld,
) -> None:
    backend = world.backend(pull="never")
    await backend.open()
    (node,) = (await backend.observe()).nodes
    assert node.has_image(IMAGE)
    assert node.has_image(f"docker.io/library/{IMAGE}")
    assert not node.has_image("debian:potato")
    with pytest.raises(Retryable, match=f"{NODE} has no image debian:potato"):
        await start(backend, world.service(SLEEPS, image="debian:potato"))
    assert world.engine.things() == world.things_before, "no network of what did not start"
    with pytest.raises(Refused, match="no image"):
        await start(backend, world.service(SLEEPS, image=""))


async def test_a_volume_that_nobody_defined_is_refused(
    world: DockerWorld, backend: DockerBackend
) -> None:
    service = world.service(SLEEPS, volumes=(VolumeMount("data", "/data"),))
    with pytest.raises(Refused, match="no volume data that ada may use; there are no volumes"):
        await start(backend, service)


async def test_a_name_that_somebody_else_took_is_left_alone(
    world: DockerWorld, backend: DockerBackend
) -> None:
    execution = make_execution(world.service(SLEEPS))
    instance = make_instance(execution)
    name = world.container(instance)
    world.engine.docker("create", "--name", name, IMAGE, "true")
    try:
        with pytest.raises(Refused, match="another container called"):
            await backend.start(execution, instance)
        assert world.engine.inspect(name)["State"]
    finally:
        world.engine.docker("rm", name)


async def test_containers_of_others_count_as_used_and_are_left_alone(
    world: DockerWorld, backend: DockerBackend
) -> None:
    limits = ("--cpus", "1.5", "--memory", "64m")
    theirs = world.engine.docker("run", "-d", *limits, IMAGE, "sleep", "1000")
    free = world.engine.docker("run", "-d", IMAGE, "sleep", "1000")
    try:
        await run(world, backend)
        (node,) = (await backend.observe()).nodes
        assert node.foreign.cores_milli == 2500, "without a limit by its weight: one core"
        assert 64 * MIB < node.foreign.memory_bytes < 96 * MIB, "without a limit what it uses"
        await backend.shutdown(grace_seconds=1)
        assert world.engine.docker("ps", "-q", "--no-trunc").split() == [free, theirs]
    finally:
        world.engine.docker("rm", "-f", theirs, free)


async def test_output_is_copied_once_across_masters(
    world: DockerWorld, backend: DockerBackend
) -> None:
    await check_output_across_masters(world, backend, 20_000)


async def test_what_reads_any_bytes_writes_them_whole(
    world: DockerWorld, backend: DockerBackend
) -> None:
    long = "x" * 100_000
    service = replace(
        world.service(SLEEPS), command=("perl", "-e", f"print 'x' x {len(long)}, qq(\\nno end)")
    )
    _, instance = await start(backend, service)
    await end_of(backend, instance)
    assert output(world, instance) == f"{long}\nno end"


async def test_a_child_that_is_killed_for_memory_is_told(
    world: DockerWorld, backend: DockerBackend
) -> None:
    greedy = "perl -e '$x = q(x); $x x= (200 << 20); sleep 1000'; exec sleep 1000"
    service = replace(
        world.service(SLEEPS),
        command=("sh", "-c", greedy),
        resources=Resources(100, 64 * MIB),
    )
    _, instance = await start(backend, service)
    await seen(backend, instance, running)

    async def kills() -> int:
        return sum(each.memory_kills for each in (await backend.sample()).instances)

    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await kills():
            await asyncio.sleep(0.1)
    (found,) = (await backend.sample()).instances
    assert (found.instance_id, found.memory_kills) == (instance.id, 1)
    assert found.peak_bytes > 32 * MIB


async def test_an_engine_elsewhere_tells_only_its_containers(
    world: DockerWorld, backend: DockerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, instance = await run(world, backend, Program(holds_mib=32))
    (node,) = (await backend.sample()).nodes
    assert node.is_machine
    monkeypatch.setattr("zoe.backends.docker.stats.socket.gethostname", lambda: "elsewhere")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await backend.sample()
            (node,) = found.nodes
            assert not node.is_machine
            if node.memory_bytes >= 32 * MIB:
                break
            await asyncio.sleep(0.05)
    assert [each.instance_id for each in found.instances] == [instance.id]
    assert node.memory_bytes >= found.instances[0].memory_bytes
