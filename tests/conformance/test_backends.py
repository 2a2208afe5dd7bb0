"""What every back-end does alike; the master relies on all of it."""

import asyncio

import pytest

from backend_worlds import (
    NODE,
    SLEEPS,
    Program,
    World,
    eventually,
    hearing,
    make_execution,
    make_instance,
    node_of,
    output,
    ready,
    running,
    seen,
    stopped,
    within,
)
from zoe.backends.base import Backend, Refused, Retryable
from zoe.model.execution import ExitReason, InstanceStatus
from zoe.model.resources import Resources
from zoe.model.zapp import TcpCheck


async def test_an_instance_runs_until_it_is_stopped(world: World, backend: Backend) -> None:
    execution = make_execution(world.service(SLEEPS))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    found = await seen(backend, instance, running)
    assert found.ready, "without a check it is ready as soon as it runs"
    assert found.node == NODE
    assert found.address
    await backend.stop(instance.id, 1, grace_seconds=5, shrink=False)
    found = await seen(backend, instance, stopped)
    assert found.exit is not None
    assert (found.exit.reason, found.exit.signal) == (ExitReason.STOPPED, 15)
    assert not found.ready


async def test_the_nodes_are_observed(backend: Backend) -> None:
    node = await node_of(backend)
    assert node.capacity.cores_milli >= 1000
    assert node.capacity.memory_bytes > 2**28


@pytest.mark.parametrize("code", [0, 1, 3, 101])
async def test_the_exit_code_is_told(world: World, backend: Backend, code: int) -> None:
    execution = make_execution(world.service(Program(exit_code=code)))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    exit = (await seen(backend, instance, stopped)).exit
    assert exit is not None
    assert exit.code == code
    assert exit.signal is None
    assert exit.reason is (ExitReason.FAILED if code else ExitReason.COMPLETED)


@pytest.mark.parametrize("number", [9, 11, 15])
async def test_the_signal_is_told(world: World, backend: Backend, number: int) -> None:
    execution = make_execution(world.service(Program(signal=number)))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    exit = (await seen(backend, instance, stopped)).exit
    assert exit is not None
    assert (exit.reason, exit.code, exit.signal) == (ExitReason.FAILED, None, number)


async def test_starting_twice_starts_once(world: World, backend: Backend) -> None:
    execution = make_execution(world.service(Program(prints="once")))
    instance = make_instance(execution)
    await asyncio.gather(*(backend.start(execution, instance) for _ in range(5)))
    await seen(backend, instance, running)
    await eventually(lambda: output(world, instance) != "")
    await backend.start(execution, instance)
    assert len((await backend.observe()).instances) == 1
    assert output(world, instance) == "once\n"


async def test_an_attempt_that_stopped_is_not_started_again(world: World, backend: Backend) -> None:
    execution = make_execution(world.service(Program(exit_code=0, prints="once")))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    before = await seen(backend, instance, stopped)
    await backend.start(execution, instance)
    assert (await backend.observe()).instances == (before,)


async def test_stopping_twice_changes_nothing(world: World, backend: Backend) -> None:
    execution = make_execution(world.service(SLEEPS))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    for _ in range(3):
        await backend.stop(instance.id, 1, grace_seconds=5, shrink=False)
    before = await seen(backend, instance, stopped)
    await backend.stop(instance.id, 1, grace_seconds=0, shrink=False)
    assert (await backend.observe()).instances == (before,)


async def test_stopping_what_has_ended_keeps_its_end(world: World, backend: Backend) -> None:
    execution = make_execution(world.service(Program(exit_code=3)))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    before = await seen(backend, instance, stopped)
    await backend.stop(instance.id, 1, grace_seconds=1, shrink=True)
    assert (await backend.observe()).instances == (before,)
    assert before.exit is not None
    assert before.exit.reason is ExitReason.FAILED


async def test_who_ignores_sigterm_is_killed_after_the_grace(
    world: World, backend: Backend
) -> None:
    execution = make_execution(world.service(Program(ignores_term=True, prints="up")))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    await eventually(lambda: output(world, instance) == "up\n")
    await backend.stop(instance.id, 1, grace_seconds=0.3, shrink=False)
    (found,) = (await backend.observe()).instances
    assert found.status is InstanceStatus.STOPPING
    exit = (await seen(backend, instance, stopped)).exit
    assert exit is not None
    assert (exit.reason, exit.signal) == (ExitReason.STOPPED, 9)


async def test_a_shorter_grace_hastens_the_end(world: World, backend: Backend) -> None:
    execution = make_execution(world.service(Program(ignores_term=True, prints="up")))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    await eventually(lambda: output(world, instance) == "up\n")
    await backend.stop(instance.id, 1, grace_seconds=600, shrink=False)
    await backend.stop(instance.id, 1, grace_seconds=900, shrink=False)
    await backend.stop(instance.id, 1, grace_seconds=0, shrink=False)
    await seen(backend, instance, stopped)


async def test_what_is_stopped_before_it_starts_never_starts(
    world: World, backend: Backend
) -> None:
    execution = make_execution(world.service(Program(prints="never")))
    instance = make_instance(execution)
    await backend.stop(instance.id, 1, grace_seconds=1, shrink=False)
    exit = (await seen(backend, instance, stopped)).exit
    assert exit is not None
    assert exit.reason is ExitReason.STOPPED
    await backend.start(execution, instance)
    assert stopped(*(await backend.observe()).instances)
    assert output(world, instance) == ""


async def test_a_stopped_attempt_is_listed_until_it_is_removed(
    world: World, backend: Backend
) -> None:
    execution = make_execution(world.service(Program(exit_code=0)))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    await seen(backend, instance, stopped)
    await backend.remove(instance.id, 1)
    assert (await backend.observe()).instances == ()
    await backend.remove(instance.id, 1)
    await backend.remove("77/f.s/0", 4)


async def test_what_runs_is_not_removed(world: World, backend: Backend) -> None:
    execution = make_execution(world.service(SLEEPS))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    with pytest.raises(Retryable):
        await backend.remove(instance.id, 1)
    assert len((await backend.observe()).instances) == 1


async def test_a_master_that_may_not_lead_any_more_starts_nothing(
    world: World, backend: Backend
) -> None:
    execution = make_execution(world.service(SLEEPS))
    instance = make_instance(execution)
    backend.fence.extend(1, backend.fence.now() - 1)
    with pytest.raises(Retryable, match="another one may lead"):
        await backend.start(execution, instance)
    assert (await backend.observe()).instances == ()
    backend.fence.extend(1, backend.fence.now() + 3600)
    await backend.start(execution, instance)
    await seen(backend, instance, running)


async def test_logs_stay_when_an_attempt_is_removed(world: World, backend: Backend) -> None:
    execution = make_execution(world.service(Program(exit_code=0, prints="kept")))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    await seen(backend, instance, stopped)
    await backend.remove(instance.id, 1)
    assert output(world, instance) == "kept\n"


async def test_the_output_of_a_forgotten_execution_is_gone(world: World, backend: Backend) -> None:
    executions = [
        make_execution(world.service(Program(exit_code=0, prints="x")), id=n) for n in (1, 2)
    ]
    instances = [make_instance(execution) for execution in executions]
    for execution, instance in zip(executions, instances, strict=True):
        await backend.start(execution, instance)
        await seen(backend, instance, stopped)
        await backend.remove(instance.id, 1)
    await backend.forget(1)
    assert output(world, instances[0]) == ""
    assert output(world, instances[1]) == "x\n"
    await backend.forget(1)
    await backend.forget(77)


async def test_attempts_are_told_apart(world: World, backend: Backend) -> None:
    execution = make_execution(world.service(Program(prints="hello")))
    first, second = (make_instance(execution, attempt=number) for number in (1, 2))
    await backend.start(execution, first)
    with pytest.raises(Retryable):
        await backend.start(execution, second)  # never two living attempts of one instance
    await backend.stop(first.id, 1, grace_seconds=5, shrink=False)
    await seen(backend, first, stopped)
    await backend.start(execution, second)
    await seen(backend, second, running)
    await backend.stop(first.id, 1, grace_seconds=0, shrink=False)  # late, about the old one
    await backend.remove(first.id, 1)
    (found,) = (await backend.observe()).instances
    assert (found.attempt, found.status) == (2, InstanceStatus.RUNNING)
    await eventually(lambda: output(world, second) == "hello\n")


async def test_an_older_attempt_is_refused(world: World, backend: Backend) -> None:
    execution = make_execution(world.service(SLEEPS))
    await backend.start(execution, make_instance(execution, attempt=2))
    with pytest.raises(Refused):
        await backend.start(execution, make_instance(execution, attempt=1))


async def test_another_node_is_refused(world: World, backend: Backend) -> None:
    execution = make_execution(world.service(SLEEPS))
    with pytest.raises(Refused, match="node-z"):
        await backend.start(execution, make_instance(execution, node="node-z"))
    assert (await backend.observe()).instances == ()


async def test_an_instance_gets_ready(world: World, backend: Backend) -> None:
    execution = make_execution(
        world.service(Program(listens=8000), ready=within(20, TcpCheck(8000)))
    )
    instance = make_instance(execution)
    async with hearing(backend) as heard:
        await backend.start(execution, instance)
        await seen(backend, instance, ready)
        await eventually(lambda: any(map(ready, heard)))
    assert not heard[0].ready, "it is not ready as soon as it runs"


async def test_who_does_not_get_ready_is_stopped(world: World, backend: Backend) -> None:
    execution = make_execution(world.service(SLEEPS, ready=within(0.2, TcpCheck(8000))))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    exit = (await seen(backend, instance, stopped)).exit
    assert exit is not None
    assert exit.reason is ExitReason.NOT_STARTED
    assert "0.2 s" in exit.message


async def test_output_is_there_while_it_runs(world: World, backend: Backend) -> None:
    execution = make_execution(world.service(Program(prints="so far")))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    await eventually(lambda: output(world, instance) == "so far\n")
    assert running(*(await backend.observe()).instances)


async def test_a_new_master_finds_what_runs_and_what_ended(world: World, backend: Backend) -> None:
    execution = make_execution(
        world.service(SLEEPS), world.service(Program(exit_code=5), name="done")
    )
    lives, ended = make_instance(execution), make_instance(execution, "f.done")
    await backend.start(execution, lives)
    await backend.start(execution, ended)
    await seen(backend, lives, running)
    await seen(backend, ended, stopped)
    await backend.close()
    heir = world.backend()
    await heir.open()
    assert (await seen(heir, lives, running)).address
    exit = (await seen(heir, ended, stopped)).exit
    assert exit is not None
    assert exit.code == 5
    await heir.start(execution, lives)
    await heir.stop(lives.id, 1, grace_seconds=5, shrink=False)
    await seen(heir, lives, stopped)
    await heir.close()


async def test_instances_know_themselves_and_their_peers(world: World, backend: Backend) -> None:
    tells = Program(prints_environment=True, exit_code=0)
    service = world.service(
        tells,
        essential=2,
        environment={"PEER": "${dns.f.s.1}", "PLAIN": "a b"},
    )
    execution = make_execution(service, id=17)
    first, second = make_instance(execution), make_instance(execution, ordinal=1)
    await backend.start(execution, first)
    await seen(backend, first, stopped)
    await backend.start(execution, second)
    found = await seen(backend, second, stopped)
    lines = output(world, first).splitlines()
    assert f"PEER={world.peer_name(found)}" in lines, "known before the peer was started"
    assert "PLAIN=a b" in lines
    assert "ZOE_EXECUTION_ID=17" in lines
    assert "ZOE_INSTANCE=0" in lines
    assert "ZOE_SERVICE=s" in lines


async def test_instances_have_addresses_of_their_own(world: World, backend: Backend) -> None:
    execution = make_execution(world.service(SLEEPS, essential=3))
    instances = [make_instance(execution, ordinal=n) for n in range(3)]
    for instance in instances:
        await backend.start(execution, instance)
    addresses = {(await seen(backend, one, running)).address for one in instances}
    assert len(addresses) == 3


async def test_changes_are_pushed(world: World, backend: Backend) -> None:
    heard: list[InstanceStatus] = []

    async def listen() -> None:
        async for change in backend.watch():
            heard.append(change.status)

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0)
    execution = make_execution(world.service(SLEEPS))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    await eventually(lambda: InstanceStatus.RUNNING in heard)
    await backend.stop(instance.id, 1, grace_seconds=5, shrink=False)
    await eventually(lambda: InstanceStatus.STOPPED in heard)
    await backend.close()
    await asyncio.wait_for(listening, 5)


async def test_limits_of_the_dead_cannot_be_changed(world: World, backend: Backend) -> None:
    with pytest.raises(Refused):
        await backend.resize("1/f.s/0", 1, Resources(1000, 2**28))


async def test_many_at_once(world: World, backend: Backend) -> None:
    service = world.service(Program(exit_code=0, prints="done"), essential=50)
    execution = make_execution(service)
    instances = [make_instance(execution, ordinal=n) for n in range(50)]
    await asyncio.gather(*(backend.start(execution, one) for one in instances))
    for instance in instances:
        exit = (await seen(backend, instance, stopped)).exit
        assert exit is not None
        assert exit.reason is ExitReason.COMPLETED
        assert output(world, instance) == "done\n"
    await asyncio.gather(*(backend.remove(one.id, 1) for one in instances))
    assert (await backend.observe()).instances == ()
