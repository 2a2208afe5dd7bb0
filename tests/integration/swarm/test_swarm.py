"""What is special to services of a swarm, on three real nodes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from backend_worlds import (
    NODE,
    SLEEPS,
    Program,
    end_of,
    eventually,
    make_execution,
    make_instance,
    node_of,
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
    SwarmWorld,
    check_memory_that_is_not_enough,
    check_output_across_masters,
    check_peers,
)
from docker_engine import IMAGE
from swarm_engines import MANAGER, WORKERS
from zoe.backends.base import Refused, Retryable
from zoe.backends.ready import probe_http
from zoe.backends.swarm.backend import SwarmBackend
from zoe.model.cluster import NodeStatus
from zoe.model.engines import EngineSpec
from zoe.model.execution import ExitReason
from zoe.model.resources import Resources
from zoe.model.volumes import VolumeSpec
from zoe.model.zapp import CommandCheck, HttpCheck, Port, ShrinkHook, VolumeMount

pytestmark = pytest.mark.component("swarm")
MIB = 2**20


@pytest.fixture
async def alone(world: SwarmWorld) -> SwarmBackend:
    """A back-end that knows a manager, and the engine of no other node."""
    opened = world.backend(engines=[EngineSpec("manager", world.swarm.manager.url)])
    await opened.open()
    return opened


async def test_the_nodes_are_those_of_the_swarm(world: SwarmWorld, backend: SwarmBackend) -> None:
    nodes = {node.name: node for node in (await backend.observe()).nodes}
    assert nodes.keys() == {MANAGER, *WORKERS}
    assert {node.status for node in nodes.values()} == {NodeStatus.READY}
    assert all(node.has_image(IMAGE) for node in nodes.values())
    assert not nodes[NODE].has_image("debian:potato")


async def test_peers_on_different_nodes_reach_each_other_by_name(
    world: SwarmWorld, backend: SwarmBackend
) -> None:
    caller = await check_peers(world, backend, WORKERS[1])
    assert (await seen(backend, caller, stopped)).node == WORKERS[1]


async def test_ports_are_published_by_the_node(world: SwarmWorld, backend: SwarmBackend) -> None:
    service = world.service(
        Program(listens=8000),
        essential=2,
        ports=(Port("page", 8000, "http"),),
        ready=within(20, HttpCheck(8000)),
    )
    execution = make_execution(service)
    reached = set()
    for ordinal, node in enumerate(WORKERS):
        instance = make_instance(execution, ordinal=ordinal, node=node)
        await backend.start(execution, instance)
        found = await seen(backend, instance, ready)
        assert found.address == world.swarm.nodes[node].address
        ((inside, outside),) = found.published
        assert inside == 8000
        assert await probe_http(found.address, outside, "/") == ""
        reached.add((found.address, outside))
    assert len(reached) == 2


async def test_commands_run_inside(world: SwarmWorld, backend: SwarmBackend) -> None:
    service = replace(
        world.service(
            SLEEPS,
            ready=within(20, CommandCheck(("test", "-e", "/tmp/ready"))),
            shrink=ShrinkHook(("sh", "-c", "echo saved > /mnt/workspace/hook")),
        ),
        command=("sh", "-c", "touch /tmp/ready; exec sleep 1000"),
    )
    _, instance = await start(backend, service)
    assert (await seen(backend, instance, ready)).ready
    await backend.stop(instance.id, 1, grace_seconds=20, shrink=True)
    assert (await end_of(backend, instance)).signal == 15
    assert (world.data_dir / "workspaces/ada/hook").read_text() == "saved\n"


async def test_volumes_are_folders_of_the_nodes(world: SwarmWorld, tmp_path: Path) -> None:
    folder = tmp_path / "datasets"
    folder.mkdir()
    (folder / "numbers").write_text("1 2 3\n")
    backend = world.backend(volumes=[VolumeSpec("datasets", str(folder), read_only=True)])
    await backend.open()
    service = world.service(SLEEPS, volumes=(VolumeMount("datasets", "/data"),))
    script = "cat /data/numbers; touch /data/made || echo refused"
    _, instance = await start(backend, replace(service, command=("sh", "-c", script)))
    await end_of(backend, instance)
    assert output(world, instance) == "1 2 3\nrefused\n"


async def test_limits_are_held_and_can_be_changed(world: SwarmWorld, backend: SwarmBackend) -> None:
    service = world.service(
        SLEEPS,
        resources=Resources(500, 64 * MIB),
        limits=Resources(1500, 128 * MIB),
        shm_bytes=16 * MIB,
    )
    service = replace(service, command=("sh", "-c", "df -k /dev/shm; id -u; exec sleep 1000"))
    _, instance = await start(backend, service)
    await eventually(lambda: output(world, instance).count("\n") == 3)
    assert " 16384 " in output(world, instance)
    task = world.swarm.task(world.service_name(instance))
    inside = task["Status"]["ContainerStatus"]["ContainerID"]  # type: ignore[index]  # of JSON
    limits = json.loads(world.engine.docker("inspect", inside))[0]["HostConfig"]
    assert (limits["Memory"], limits["NanoCpus"]) == (128 * MIB, 1_500_000_000)
    assert limits["PidsLimit"] == 4096
    assert limits["CapDrop"] == ["ALL"]
    assert limits["Init"]
    reserved = task["Spec"]["Resources"]["Reservations"]  # type: ignore[index]  # of JSON
    assert reserved == {"NanoCPUs": 500_000_000, "MemoryBytes": 64 * MIB}
    await backend.resize(instance.id, 1, Resources(2000, 256 * MIB))
    limits = json.loads(world.engine.docker("inspect", inside))[0]["HostConfig"]
    assert limits["Memory"] == 256 * MIB


async def test_who_needs_more_memory_is_said_so(world: SwarmWorld, backend: SwarmBackend) -> None:
    await check_memory_that_is_not_enough(world, backend)


async def test_a_missing_image_is_said(world: SwarmWorld, backend: SwarmBackend) -> None:
    with pytest.raises(Retryable, match=f"{NODE} has no image debian:potato"):
        await start(backend, world.service(SLEEPS, image="debian:potato"))
    await eventually(lambda: world.swarm.things() == world.things_before)
    with pytest.raises(Refused, match="no image"):
        await start(backend, world.service(SLEEPS, image=""))


async def test_what_a_node_rejects_is_said_in_the_words_of_the_swarm(
    world: SwarmWorld, alone: SwarmBackend
) -> None:
    assert (await node_of(alone)).images is None, "nobody knows; the swarm gets what it lacks"
    with pytest.raises(Retryable, match=f"{NODE}: No such image: debian:potato"):
        await start(alone, world.service(SLEEPS, image="debian:potato"))
    await eventually(lambda: world.swarm.things() == world.things_before)


async def test_what_fits_nowhere_for_the_swarm_is_said(
    world: SwarmWorld, backend: SwarmBackend
) -> None:
    with pytest.raises(Retryable, match="insufficient resources"):
        await start(backend, world.service(SLEEPS, resources=Resources(1000_000, 64 * MIB)))
    await eventually(lambda: world.swarm.things() == world.things_before)


async def test_without_its_engine_a_node_runs_what_needs_no_commands(
    world: SwarmWorld, alone: SwarmBackend
) -> None:
    service = world.service(
        Program(listens=8000, prints="up"),
        ready=within(30, HttpCheck(8000)),
        shrink=ShrinkHook(("true",), 20.0),
        elastic=1,
    )
    execution, instance = await start(alone, service)
    await seen(alone, instance, ready)
    await eventually(lambda: output(world, instance) == "up\n")
    await alone.stop(instance.id, 1, grace_seconds=20, shrink=True)
    exit = await end_of(alone, instance)
    assert exit.reason is ExitReason.STOPPED
    with pytest.raises(Refused, match="does not run"):
        await alone.resize(instance.id, 1, Resources(1000, 2**28))
    check = replace(service, ready=within(1, CommandCheck(("true",))))
    told = "\n".join(alone.describe(make_execution(check).zapp))
    assert "ready check of f.s is a command" in told
    assert "shrink command of f.s is not run" in told
    assert "swarm_engines" in told
    assert alone.describe(replace(execution.zapp, frameworks=())) == []


async def test_a_command_check_without_an_engine_fails_in_words(
    world: SwarmWorld, alone: SwarmBackend
) -> None:
    service = world.service(SLEEPS, ready=within(0.5, CommandCheck(("true",))))
    _, instance = await start(alone, service)
    exit = await end_of(alone, instance)
    assert exit.reason is ExitReason.NOT_STARTED
    assert "swarm_engines names no engine" in exit.message


async def test_nodes_say_what_the_swarm_says_of_them(
    world: SwarmWorld, backend: SwarmBackend
) -> None:
    node = WORKERS[1]
    labels = ("--label-add", "disk=ssd", "--label-add", "big=true")
    world.swarm.update_node(node, *labels, "--availability", "pause")
    try:
        found = await node_of(backend, node)
        assert found.labels == {"disk=ssd", "big"}
        assert found.status is NodeStatus.CORDONED
        world.swarm.update_node(node, "--availability", "drain")
        found = await node_of(backend, node)
        assert (found.status, found.message) == (
            NodeStatus.DRAINING,
            "its availability is drain",
        )
    finally:
        no_labels = ("--label-rm", "disk", "--label-rm", "big")
        world.swarm.update_node(node, *no_labels, "--availability", "active")
    assert (await node_of(backend, node)).status is NodeStatus.READY


async def test_what_a_drained_node_ran_is_lost(world: SwarmWorld, backend: SwarmBackend) -> None:
    _, instance = await run(world, backend)
    world.swarm.update_node(NODE, "--availability", "drain")
    try:
        exit = await end_of(backend, instance)
        assert exit.reason is ExitReason.LOST
        assert "drained" in exit.message
    finally:
        world.swarm.update_node(NODE, "--availability", "active")


async def test_services_of_others_count_by_what_they_reserve(
    world: SwarmWorld, backend: SwarmBackend
) -> None:
    reserves = (
        "--reserve-cpu",
        "0.5",
        "--reserve-memory",
        "64m",
        "--no-resolve-image",
        "-d",
        "--init",
    )
    where = ("--constraint", f"node.hostname=={NODE}")
    world.swarm.docker(
        "service", "create", "--name", "theirs", *reserves, *where, IMAGE, "sleep", "1000"
    )
    try:
        await run(world, backend)
        found = await node_of(backend)
        assert found.foreign == Resources(500, 64 * MIB)
        await backend.shutdown(grace_seconds=1)
        assert "theirs" in world.swarm.services()
    finally:
        world.swarm.docker("service", "rm", "theirs")


async def test_what_instances_use_is_asked_of_the_engines_of_their_nodes(
    world: SwarmWorld, backend: SwarmBackend, alone: SwarmBackend
) -> None:
    service = replace(
        world.service(SLEEPS),
        command=("perl", "-e", "my $all = 'x' x (64 * 2**20); $| = 1; print qq(up\\n); sleep 1000"),
    )
    _, instance = await start(backend, service)
    await eventually(lambda: output(world, instance) == "up\n")
    found = await backend.sample()
    (sample,) = found.instances
    assert sample.instance_id == instance.id
    assert 64 * MIB < sample.memory_bytes < 256 * MIB
    used = {node.name: node.memory_bytes for node in found.nodes}
    assert used.keys() == {MANAGER, *WORKERS}
    assert sample.memory_bytes <= used[NODE] < 2 * sample.memory_bytes, "it counts once"
    await seen(alone, instance, running)
    assert (await alone.sample()).instances == (), "nobody says what is used there"


async def test_output_is_copied_once_across_masters(
    world: SwarmWorld, backend: SwarmBackend
) -> None:
    await check_output_across_masters(world, backend, 5_000)


async def test_a_name_that_somebody_else_took_is_left_alone(
    world: SwarmWorld, backend: SwarmBackend
) -> None:
    execution = make_execution(world.service(SLEEPS))
    instance = make_instance(execution)
    name = world.service_name(instance)
    world.swarm.docker("service", "create", "-d", "--replicas", "0", "--name", name, IMAGE, "true")
    try:
        with pytest.raises(Refused, match="another service called"):
            await backend.start(execution, instance)
        assert name in world.swarm.services()
    finally:
        world.swarm.docker("service", "rm", name)


async def test_long_names_are_cut_and_told_apart(world: SwarmWorld, backend: SwarmBackend) -> None:
    execution = make_execution(world.service(SLEEPS, name="s" * 60, essential=2))
    instances = [make_instance(execution, f"f.{'s' * 60}", ordinal=n) for n in range(2)]
    for instance in instances:
        await backend.start(execution, instance)
        assert running(await seen(backend, instance, running))
    world.deployment = "a" * 41
    with pytest.raises(Refused, match="too long"):
        await world.backend().open()
    world.deployment = backend._deployment
