"""A swarm with three managers: whichever of them answers is asked, and nothing is lost."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from backend_worlds import (
    NODE,
    PATIENCE_SECONDS,
    SLEEPS,
    end_of,
    eventually,
    make_execution,
    make_instance,
    output,
    running,
    seen,
    start,
)
from container_worlds import SwarmWorld
from stack import until
from swarm_engines import MANAGER, WORKERS, TestSwarm
from zoe.backends.base import Retryable
from zoe.backends.swarm.backend import SwarmBackend
from zoe.cli.engines import swarm_findings
from zoe.model.cluster import NodeStatus
from zoe.model.engines import parse_engines
from zoe.model.execution import ExitReason

pytestmark = pytest.mark.component("swarm")

COUNTS = "i=0; until [ -e $HOME/end ]; do i=$((i+1)); echo $i; sleep 0.2; done"


def tried(swarm: TestSwarm, node: str, *command: str) -> bool:
    """Whether a node can do what only managers can; while a leader is elected none can."""
    try:
        swarm.nodes[node].docker(*command)
    except AssertionError:
        return False
    return True


def manages(swarm: TestSwarm, node: str) -> bool:
    return tried(swarm, node, "node", "ls")


@pytest.fixture(scope="module")
def managers(swarm: TestSwarm) -> Iterator[TestSwarm]:
    """The swarm, with its workers as managers meanwhile."""
    swarm.docker("node", "promote", *WORKERS)
    until(lambda: all(manages(swarm, node) for node in swarm.nodes))
    yield swarm
    until(lambda: tried(swarm, MANAGER, "node", "demote", *WORKERS))
    until(lambda: manages(swarm, MANAGER) and not any(manages(swarm, each) for each in WORKERS))
    until(lambda: all(swarm.state(node) == "ready" for node in swarm.nodes))


async def until_ready(backend: SwarmBackend, *names: str) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            nodes = (await backend.observe()).nodes
            if {node.name for node in nodes if node.status is NodeStatus.READY} >= set(names):
                return
            await asyncio.sleep(0.05)


async def test_when_the_manager_that_is_asked_is_killed_the_next_one_is(
    world: SwarmWorld, managers: TestSwarm
) -> None:
    backend = world.backend()
    await backend.open()
    service = replace(world.service(SLEEPS), command=("sh", "-c", COUNTS))
    execution, instance = await start(backend, service)
    await eventually(lambda: output(world, instance) != "")
    managers.nodes[MANAGER].kill()
    try:
        assert [one.instance_id for one in (await backend.observe()).instances] in (
            [], [instance.id]
        )  # fmt: skip
        await until_ready(backend, *WORKERS)
        seen_before = output(world, instance)
        await eventually(lambda: len(output(world, instance)) > len(seen_before))
        assert running(await seen(backend, instance, running)), "nothing is lost"
        second = make_instance(execution, ordinal=1, node=WORKERS[1])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:  # as the master does
                try:
                    await backend.start(execution, second)
                    break
                except Retryable:
                    await asyncio.sleep(0.05)
        await seen(backend, second, running)
        heir = world.backend()
        await heir.open()
        assert running(await seen(heir, instance, running)), "a new master asks the next, too"
        await heir.close()
        (world.data_dir / "workspaces/ada/end").touch()
        for each in (instance, second):
            assert (await end_of(backend, each)).reason is ExitReason.COMPLETED
    finally:
        managers.nodes[MANAGER].start()
    said = output(world, instance).split()
    assert said == [str(number) for number in range(1, len(said) + 1)], "each line is there once"
    await until_ready(backend, MANAGER, *WORKERS)


def test_doctor_says_which_managers_are_named(managers: TestSwarm) -> None:
    engines = [f"{name} {node.url}" for name, node in managers.nodes.items()]
    (found,) = swarm_findings(parse_engines("; ".join(engines)))
    assert found.ok
    found, *_ = swarm_findings(parse_engines(f"away tcp://127.0.0.1:1 insecure; {engines[1]}"))
    assert (found.ok, found.needed) == (False, False)
    assert f"only {NODE} is named of 3 managers" in found.found


async def test_one_that_is_no_manager_any_more_is_not_asked(
    world: SwarmWorld, managers: TestSwarm
) -> None:
    backend = world.backend()
    await backend.open()
    execution = make_execution(world.service(SLEEPS))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    await seen(backend, instance, running)
    managers.nodes[NODE].docker("node", "demote", MANAGER)
    try:
        await until_ready(backend, MANAGER, *WORKERS)
        assert not manages(managers, MANAGER)
        assert running(await seen(backend, instance, running))
        await backend.stop(instance.id, 1, grace_seconds=5, shrink=False)
        assert (await end_of(backend, instance)).reason is ExitReason.STOPPED
    finally:
        until(lambda: tried(managers, NODE, "node", "promote", MANAGER))
        until(lambda: manages(managers, MANAGER))
