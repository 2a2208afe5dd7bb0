"""Faults of containers, engines and masters: what runs goes on, and what ended is told."""

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
    output,
    ready,
    run,
    running,
    seen,
    start,
    stopped,
    within,
)
from container_worlds import DockerWorld, check_stop_across_masters
from docker_engine import IMAGE
from zoe.backends.base import Retryable
from zoe.backends.docker.backend import DockerBackend
from zoe.model.cluster import NodeStatus
from zoe.model.execution import Execution, ExitReason, ServiceInstance
from zoe.model.zapp import CommandCheck, Port

pytestmark = pytest.mark.component("docker")


async def test_a_container_that_is_killed_has_failed(
    world: DockerWorld, backend: DockerBackend
) -> None:
    _, instance = await run(world, backend)
    world.engine.docker("kill", world.container(instance))
    exit = await end_of(backend, instance)
    assert (exit.reason, exit.signal) == (ExitReason.FAILED, 9)


async def test_a_container_that_is_removed_is_lost(
    world: DockerWorld, backend: DockerBackend
) -> None:
    _, instance = await run(world, backend)
    world.engine.docker("rm", "-f", world.container(instance))
    exit = await end_of(backend, instance)
    assert exit.reason in (ExitReason.LOST, ExitReason.FAILED)
    await backend.remove(instance.id, 1)
    assert (await backend.observe()).instances == ()


async def test_while_the_engine_is_away_nothing_is_lost(
    world: DockerWorld, backend: DockerBackend
) -> None:
    execution, instance = await run(world, backend, Program(prints="up"))
    world.engine.kill()
    try:
        observation = await backend.observe()
        assert [node.status for node in observation.nodes] == [NodeStatus.UNREACHABLE]
        assert "cannot be reached" in observation.nodes[0].message
        assert observation.nodes[0].capacity.cores_milli, "what it has is remembered"
        assert observation.instances == (), "nobody knows; the master takes none for lost"
        with pytest.raises(Retryable, match="cannot be reached"):
            await backend.start(execution, make_instance(execution, ordinal=1))
        with pytest.raises(Retryable, match="cannot be reached"):
            await backend.stop("7/f.s/0", 1, grace_seconds=1, shrink=False)
    finally:
        world.engine.start()
    assert running(await seen(backend, instance, running))
    (node,) = (await backend.observe()).nodes
    assert node.status is NodeStatus.READY
    await backend.stop(instance.id, 1, grace_seconds=5, shrink=False)
    assert (await end_of(backend, instance)).signal == 15
    assert output(world, instance) == "up\n"


async def test_what_ended_while_the_engine_was_away_is_told(
    world: DockerWorld, backend: DockerBackend
) -> None:
    service = replace(
        world.service(SLEEPS),
        command=("sh", "-c", "until [ -e $ZOE_WORKSPACE/end ]; do sleep 0.05; done; exit 5"),
    )
    _, instance = await start(backend, service)
    await seen(backend, instance, running)
    world.engine.kill()
    (world.data_dir / "workspaces/ada/end").touch()
    world.engine.start()
    exit = await end_of(backend, instance)
    assert exit.reason is not ExitReason.COMPLETED


async def test_an_engine_that_is_away_at_first_is_found_later(world: DockerWorld) -> None:
    first = world.backend()
    await first.open()
    _, instance = await run(world, first)
    await first.close()
    world.engine.kill()
    try:
        backend = world.backend()
        await backend.open()
        (node,) = (await backend.observe()).nodes
        assert node.status is NodeStatus.UNREACHABLE
        with pytest.raises(Retryable):  # it may run there: nobody can say that it never started
            await backend.stop(instance.id, 1, grace_seconds=1, shrink=False)
    finally:
        world.engine.start()
    assert (await seen(backend, instance, running)).address


async def test_the_next_master_goes_on_stopping(world: DockerWorld, backend: DockerBackend) -> None:
    await check_stop_across_masters(world, backend)


async def test_an_engine_that_limits_logs_loses_no_output(world: DockerWorld) -> None:
    """As `log-opts` of a daemon.json do: the copy would miss what is thrown away."""
    world.engine.kill()
    world.engine.start("--log-opt", "max-size=10k", "--log-opt", "max-file=2")
    try:
        lines = 5_000
        last = world.backend()
        await last.open()
        go = world.data_dir / "workspaces/ada/go"
        script = f"seq {lines}; until [ -e $ZOE_WORKSPACE/go ]; do sleep 0.05; done; seq {lines}"
        _, instance = await start(
            last, replace(world.service(SLEEPS), command=("sh", "-c", script))
        )
        await eventually(lambda: output(world, instance).endswith(f"\n{lines}\n"))
        await last.close()
        last = world.backend()
        await last.open()
        go.touch()
        assert (await end_of(last, instance)).code == 0
        assert output(world, instance).split() == [str(n) for n in range(1, lines + 1)] * 2
        await last.remove(instance.id, 1)
    finally:
        world.engine.kill()
        world.engine.start()


async def test_where_every_port_is_taken_a_start_is_tried_again(world: DockerWorld) -> None:
    world.engine.publish_at(50000, 50000)
    world.engine.kill()
    world.engine.start()
    try:
        backend = world.backend(address=world.engine.address)
        await backend.open()
        service = world.service(SLEEPS, essential=2, ports=(Port("page", 8000, "http"),))
        execution, first = await start(backend, service)
        assert (await seen(backend, first, running)).published == ((8000, 50000),)
        second = make_instance(execution, ordinal=1)
        with pytest.raises(Retryable, match="all ports are allocated"):
            await backend.start(execution, second)
        assert len(world.engine.docker("ps", "-aq").split()) == 1, "nothing is left of it"
        await backend.stop(first.id, 1, grace_seconds=5, shrink=False)
        await end_of(backend, first)
        await backend.start(execution, second)
        assert (await seen(backend, second, running)).published == ((8000, 50000),)
    finally:
        world.engine.publish_at(32768, 60999)
        world.engine.kill()
        world.engine.start()


async def test_a_full_disk_is_said_and_passes(world: DockerWorld, backend: DockerBackend) -> None:
    execution = make_execution(world.service(Program(prints="here")))
    instance = make_instance(execution)
    with world.engine.full_disk():
        with pytest.raises(Retryable, match=rf"^{NODE}: .*no space left on device"):
            await backend.start(execution, instance)
        assert (await backend.observe()).instances == ()
    await backend.start(execution, instance)
    await eventually(lambda: output(world, instance) == "here\n")


async def test_a_grace_that_ended_while_no_master_ran_is_over(
    world: DockerWorld, backend: DockerBackend
) -> None:
    _, instance = await run(world, backend, Program(ignores_term=True, prints="up"))
    await eventually(lambda: output(world, instance) == "up\n")
    await backend.stop(instance.id, 1, grace_seconds=600, shrink=False)
    await backend.close()
    (file,) = (world.data_dir / "docker").glob("*.json")
    note = json.loads(file.read_text())
    file.write_text(json.dumps(note | {"kill_at": note["kill_at"] - 1200}))  # as if it were later
    assert world.engine.docker("ps", "-q"), "nobody has sent SIGKILL"
    heir = world.backend()
    await heir.open()
    exit = (await seen(heir, instance, stopped, 20)).exit
    assert exit is not None
    assert (exit.reason, exit.signal) == (ExitReason.STOPPED, 9)


async def test_the_next_master_knows_who_was_stopped_and_who_never_starts(
    world: DockerWorld, backend: DockerBackend
) -> None:
    execution, instance = await run(world, backend)
    never = make_instance(execution, ordinal=1)
    await backend.stop(never.id, 1, grace_seconds=1, shrink=False)
    await backend.stop(instance.id, 1, grace_seconds=5, shrink=False)
    await end_of(backend, instance)
    await backend.close()
    heir = world.backend()
    await heir.open()
    assert (await end_of(heir, instance)).reason is ExitReason.STOPPED
    await heir.start(execution, never)
    assert (await end_of(heir, never)).reason is ExitReason.STOPPED


async def test_who_was_ready_stays_ready_for_the_next_master(
    world: DockerWorld, backend: DockerBackend
) -> None:
    check = within(20, CommandCheck(("rm", "/tmp/once")))  # it passes only once
    service = replace(
        world.service(SLEEPS, ready=check),
        command=("sh", "-c", "touch /tmp/once; exec sleep 1000"),
    )
    _, instance = await start(backend, service)
    await seen(backend, instance, ready)
    await backend.close()
    heir = world.backend()
    await heir.open()
    assert (await seen(heir, instance, running)).ready


@pytest.fixture
async def half_done(world: DockerWorld) -> tuple[Execution, ServiceInstance]:
    """An attempt whose container was created, by a master that died before it started it."""
    backend = world.backend()
    await backend.open()
    execution, instance = await run(world, backend)
    config = world.engine.inspect(world.container(instance))["Config"]
    assert isinstance(config, dict)
    half_done = make_instance(execution, ordinal=1)
    labels = {**config["Labels"], "zoe.instance": half_done.id}
    options = [f"--label={name}={value}" for name, value in labels.items()]
    name = world.container(half_done)
    world.engine.docker("create", "--name", name, *options, IMAGE, "sleep", "1000")
    await backend.close()
    return execution, half_done


async def test_what_was_created_and_not_started_can_be_started(
    world: DockerWorld, half_done: tuple[Execution, ServiceInstance]
) -> None:
    backend = world.backend()
    await backend.open()
    execution, instance = half_done
    assert instance.id not in {one.instance_id for one in (await backend.observe()).instances}
    await backend.start(execution, instance)
    await seen(backend, instance, running)


async def test_what_was_created_long_ago_and_not_started_is_removed(
    world: DockerWorld,
    half_done: tuple[Execution, ServiceInstance],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("zoe.backends.docker.backend.HALF_DONE_SECONDS", -1.0)
    backend = world.backend()
    await backend.open()
    names = world.engine.docker("ps", "-a", "--format", "{{.Names}}").split()
    assert world.container(half_done[1]) not in names


async def test_a_master_that_stands_by_copies_nothing_and_takes_over(
    world: DockerWorld, backend: DockerBackend
) -> None:
    standby = world.backend()
    await standby.open()
    service = replace(
        world.service(SLEEPS),
        command=("sh", "-c", "echo one; until [ -e $HOME/on ]; do sleep 0.05; done; echo two"),
    )
    _, instance = await start(backend, service)
    await eventually(lambda: output(world, instance) == "one\n")
    assert running(await seen(standby, instance, running))
    await backend.close()
    (world.data_dir / "workspaces/ada/on").touch()
    assert (await end_of(standby, instance)).reason is ExitReason.COMPLETED
    assert output(world, instance) == "one\ntwo\n"


async def test_who_stands_by_knows_what_the_leader_stopped(
    world: DockerWorld, backend: DockerBackend
) -> None:
    _, instance = await run(world, backend)
    standby = world.backend()
    await standby.open()
    await backend.stop(instance.id, 1, grace_seconds=5, shrink=False)
    await end_of(backend, instance)
    assert (await end_of(standby, instance)).reason is ExitReason.STOPPED


async def test_a_container_with_half_our_labels_harms_nobody(
    world: DockerWorld, backend: DockerBackend
) -> None:
    label = f"zoe.deployment={world.deployment}"
    stray = world.engine.docker("run", "-d", "--label", label, IMAGE, "sleep", "1000")
    try:
        _, instance = await run(world, backend)
        assert len((await backend.observe()).instances) == 1
        assert instance.id
    finally:
        world.engine.docker("rm", "-f", stray)


async def test_another_deployment_on_the_same_engine_is_not_touched(
    world: DockerWorld, backend: DockerBackend, tmp_path: Path
) -> None:
    _, instance = await run(world, backend)
    other = DockerWorld(tmp_path / "other", world.engine)
    theirs = other.backend()
    await theirs.open()
    assert (await theirs.observe()).instances == ()
    (node,) = (await theirs.observe()).nodes
    assert node.foreign.cores_milli > 0 or node.foreign.memory_bytes > 0
    await other.end()
    assert running(await seen(backend, instance, running))
