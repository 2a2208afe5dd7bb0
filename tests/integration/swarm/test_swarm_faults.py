"""Faults of nodes, managers and masters: what can go on does, and nothing runs twice."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from backend_worlds import (
    NODE,
    PATIENCE_SECONDS,
    SLEEPS,
    Program,
    end_of,
    eventually,
    make_execution,
    make_instance,
    node_of,
    output,
    run,
    running,
    seen,
    start,
)
from container_worlds import SwarmWorld, check_stop_across_masters
from docker_engine import IMAGE
from swarm_engines import MANAGER, WORKERS
from zoe.backends.base import Refused, Retryable
from zoe.backends.swarm.backend import SwarmBackend
from zoe.model.cluster import NodeStatus
from zoe.model.engines import EngineSpec
from zoe.model.execution import ExitReason

pytestmark = pytest.mark.component("swarm")


def containers(world: SwarmWorld, node: str) -> list[str]:
    """Return the names of those of our deployment that run on a node."""
    mine = ("--filter", f"name=zoe-{world.deployment}-")
    return world.swarm.nodes[node].docker("ps", "--format", "{{.Names}}", *mine).split()


async def test_what_was_on_a_node_that_is_lost_runs_elsewhere_and_never_twice(
    world: SwarmWorld, backend: SwarmBackend
) -> None:
    execution = make_execution(world.service(Program(prints="here")))
    first = make_instance(execution)
    await backend.start(execution, first)
    await eventually(lambda: output(world, first) == "here\n")
    world.swarm.nodes[NODE].cut()
    try:
        exit = await end_of(backend, first)
        assert exit.reason is ExitReason.LOST
        assert "lost its node" in exit.message
        node = await node_of(backend)
        assert node.status is NodeStatus.UNREACHABLE
        assert "down" in node.message
        await backend.remove(first.id, 1)
        with pytest.raises(Retryable, match=f"does not reach {NODE}"):
            await backend.start(execution, make_instance(execution, attempt=2))
        second = make_instance(execution, attempt=3, node=WORKERS[1])
        await backend.start(execution, second)
        await seen(backend, second, running)
        assert containers(world, NODE), "the cut node does not know yet"
    finally:
        world.swarm.nodes[NODE].heal()
    await eventually(lambda: not containers(world, NODE))
    assert len(containers(world, WORKERS[1])) == 1
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await node_of(backend)).status is not NodeStatus.READY:
            await asyncio.sleep(0.05)
    assert running(await seen(backend, second, running))
    assert output(world, first) == "here\n"


async def test_a_worker_that_is_killed_loses_what_it_ran(
    world: SwarmWorld, backend: SwarmBackend
) -> None:
    _, instance = await run(world, backend)
    world.engine.kill()
    try:
        assert (await end_of(backend, instance)).reason is ExitReason.LOST
    finally:
        world.engine.start()
    await backend.remove(instance.id, 1)
    await eventually(lambda: not containers(world, NODE))


async def test_while_the_manager_is_away_nothing_is_lost(
    world: SwarmWorld, backend: SwarmBackend
) -> None:
    execution, instance = await run(world, backend, Program(prints="up"))
    world.swarm.manager.kill()
    try:
        observation = await backend.observe()
        assert {node.status for node in observation.nodes} == {NodeStatus.UNREACHABLE}
        assert "cannot be reached" in observation.nodes[0].message
        assert observation.nodes[0].capacity.cores_milli, "what it has is remembered"
        assert observation.instances == (), "nobody knows; the master takes none for lost"
        with pytest.raises(Retryable, match="cannot be reached"):
            await backend.start(execution, make_instance(execution, ordinal=1))
        with pytest.raises(Retryable, match="cannot be reached"):
            await backend.stop("7/f.s/0", 1, grace_seconds=1, shrink=False)
        with pytest.raises(Retryable, match="cannot be reached"):
            await world.backend().open()
    finally:
        world.swarm.manager.start()
    assert running(await seen(backend, instance, running))
    await eventually(lambda: output(world, instance) == "up\n")
    await backend.stop(instance.id, 1, grace_seconds=5, shrink=False)
    assert (await end_of(backend, instance)).signal == 15
    assert output(world, instance) == "up\n"


async def test_where_the_engine_of_a_node_is_away_the_swarm_ends_it(world: SwarmWorld) -> None:
    manager = EngineSpec(MANAGER, world.swarm.manager.url)
    backend = world.backend(engines=[manager, EngineSpec(NODE, f"unix://{world.folder}/none")])
    await backend.open()
    _, instance = await run(world, backend)
    await backend.stop(instance.id, 1, grace_seconds=5, shrink=False)
    assert (await end_of(backend, instance)).reason is ExitReason.STOPPED


async def test_an_engine_that_is_no_manager_is_said(world: SwarmWorld) -> None:
    backend = world.backend(engines=[EngineSpec("worker", world.engine.url)])
    with pytest.raises(Retryable, match="not a swarm manager"):
        await backend.open()
    with pytest.raises(Retryable, match="not a swarm manager"):
        await backend.observe()


async def test_a_service_that_is_removed_by_hand_is_lost(
    world: SwarmWorld, backend: SwarmBackend
) -> None:
    _, instance = await run(world, backend)
    world.swarm.docker("service", "rm", world.service_name(instance))
    assert (await end_of(backend, instance)).reason is ExitReason.LOST
    await backend.remove(instance.id, 1)
    assert (await backend.observe()).instances == ()


async def test_the_next_master_goes_on_stopping(world: SwarmWorld, backend: SwarmBackend) -> None:
    await check_stop_across_masters(world, backend)


async def test_what_a_dead_master_created_is_adopted(
    world: SwarmWorld, backend: SwarmBackend
) -> None:
    service = replace(
        world.service(SLEEPS),
        command=("sh", "-c", "echo one; until [ -e $HOME/on ]; do sleep 0.05; done; echo two"),
    )
    execution, instance = await start(backend, service)
    await eventually(lambda: output(world, instance) == "one\n")
    await backend.close()
    heir = world.backend()
    await heir.open()
    await heir.start(execution, instance)
    assert len(containers(world, NODE)) == 1
    (world.data_dir / "workspaces/ada/on").touch()
    assert (await end_of(heir, instance)).reason is ExitReason.COMPLETED
    assert output(world, instance) == "one\ntwo\n"


async def test_the_network_goes_with_the_last_attempt(
    world: SwarmWorld, backend: SwarmBackend
) -> None:
    execution = make_execution(world.service(Program(exit_code=0), essential=2))
    first, second = (
        make_instance(execution, ordinal=ordinal, node=node) for ordinal, node in enumerate(WORKERS)
    )
    await backend.start(execution, first)
    await backend.start(execution, second)
    await end_of(backend, first)
    await end_of(backend, second)
    name = f"zoe-{world.deployment}-{execution.id}"
    await backend.remove(first.id, 1)
    assert name in world.swarm.docker("network", "ls")
    await backend.remove(second.id, 1)
    await eventually(lambda: name not in world.swarm.docker("network", "ls"))


async def test_a_network_that_the_swarm_will_not_let_go_yet_is_tried_again(
    world: SwarmWorld, backend: SwarmBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.unused_seconds = 3600.0
    manager, refused = backend._swarm.manager, asyncio.Event()
    removes = manager.remove_network

    async def remove_network(name: str) -> None:
        try:
            await removes(name)
        except Refused:
            refused.set()
            raise

    monkeypatch.setattr(manager, "remove_network", remove_network)
    execution = make_execution(world.service(Program(exit_code=0)))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    await end_of(backend, instance)
    name, user = f"zoe-{world.deployment}-{execution.id}", f"{world.deployment}-waits"
    nowhere = ("--constraint", "node.hostname==nowhere", "--no-resolve-image")
    world.swarm.docker(
        "service", "create", "-d", "--name", user, "--network", name, *nowhere, IMAGE
    )
    try:
        await backend.remove(instance.id, 1)
        await eventually(refused.is_set)
        assert name in world.swarm.docker("network", "ls")
    finally:
        world.swarm.docker("service", "rm", user)
    await eventually(lambda: name not in world.swarm.docker("network", "ls"))


async def test_a_network_that_another_master_has_just_made_is_left_to_it(
    world: SwarmWorld, backend: SwarmBackend
) -> None:
    backend.unused_seconds = 3600.0
    name = f"zoe-{world.deployment}-7"
    labels = ("--label", f"zoe.deployment={world.deployment}", "--label", "zoe.execution=7")
    world.swarm.docker("network", "create", "-d", "overlay", *labels, name)
    execution = make_execution(world.service(Program(exit_code=0)))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    await end_of(backend, instance)
    await backend.remove(instance.id, 1)
    own = f"zoe-{world.deployment}-{execution.id}"
    await eventually(lambda: own not in world.swarm.docker("network", "ls"))
    assert name in world.swarm.docker("network", "ls")
    backend.unused_seconds = 0.5
    await eventually(lambda: name not in world.swarm.docker("network", "ls"))


async def test_another_deployment_in_the_same_swarm_is_not_touched(
    world: SwarmWorld, backend: SwarmBackend, tmp_path: Path
) -> None:
    _, instance = await run(world, backend)
    other = SwarmWorld(tmp_path / "other", swarm=world.swarm)
    theirs = other.backend()
    await theirs.open()
    assert (await theirs.observe()).instances == ()
    await other.end()
    assert running(await seen(backend, instance, running))
