"""The process back-end when its agent or the master is killed, and when records are torn."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backend_worlds import (
    SLEEPS,
    ProcessWorld,
    Program,
    end_of,
    eventually,
    hearing,
    make_execution,
    make_instance,
    make_world,
    output,
    processes_of,
    run,
    running,
    seen,
    start,
    stopped,
)
from zoe.backends.base import Retryable
from zoe.backends.process import connection
from zoe.backends.process.backend import ProcessBackend
from zoe.backends.process.frames import frame, short_path
from zoe.model.execution import ExitReason, InstanceStatus
from zoe.model.zapp import Service

MASTER = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from backend_worlds import *
async def main():
    world = ProcessWorld(Path(sys.argv[2]))
    world.deployment = sys.argv[3]
    backend = world.backend()
    await backend.open()
    execution = make_execution(Service("s", command=("sh", "-c", "echo up; read x < fifo; exit 6")))
    await backend.start(execution, make_instance(execution))
    print("started", flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


async def agent_of(world: ProcessWorld) -> int:
    """Return the process id of the agent, once its start is over."""
    agents: list[int] = []

    def is_one() -> bool:
        agents[:] = [pid for pid, line in processes_of(world.data_dir).items() if "daemon" in line]
        return len(agents) == 1

    await eventually(is_one)
    return agents[0]


@contextmanager
def connected(world: ProcessWorld) -> Iterator[socket.socket]:
    """Give a bare connection to the agent, on which nobody waits for ever."""
    with socket.socket(socket.AF_UNIX) as line:
        with short_path(world.data_dir / "run/agent.sock") as name:
            line.connect(name)
        line.settimeout(30)
        yield line


async def test_what_a_killed_agent_watched_is_ended_and_lost(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    tree = Program(prints="up", ignores_term=True)
    execution, lives = await run(world, backend, tree)
    _, ended = await run(world, backend, Program(prints="x"), id=2)
    await backend.stop(ended.id, 1, grace_seconds=1, shrink=False)
    before = await end_of(backend, ended)
    await eventually(lambda: output(world, lives) == "up\n")
    killed = await agent_of(world)
    async with hearing(backend) as heard:
        os.kill(killed, signal.SIGKILL)
        exit = await end_of(backend, lives)
        await eventually(lambda: any(one.instance_id == lives.id for one in filter(stopped, heard)))
    assert exit.reason is ExitReason.LOST
    assert "killed" in exit.message
    assert await end_of(backend, ended) == before, "ends that were recorded stay"
    assert await agent_of(world) != killed
    left = [line for line in processes_of(world.data_dir).values() if "daemon" not in line]
    assert not left
    again = make_instance(execution, attempt=2)
    await backend.start(execution, again)
    await seen(backend, again, running)


async def test_the_end_of_the_agent_is_noticed_without_a_call(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    await run(world, backend)
    async with hearing(backend) as heard:
        os.kill(await agent_of(world), signal.SIGKILL)
        await eventually(lambda: any(map(stopped, heard)))


async def test_an_agent_killed_again_and_again_leaves_nothing(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    for id in range(1, 6):
        execution = make_execution(world.service(SLEEPS, essential=5), id=id)
        starts = [
            asyncio.ensure_future(backend.start(execution, make_instance(execution, ordinal=n)))
            for n in range(5)
        ]
        await asyncio.wait(starts, return_when=asyncio.FIRST_COMPLETED)
        os.kill(await agent_of(world), signal.SIGKILL)
        await asyncio.gather(*starts)  # repeated on the next agent, by id and attempt
    alive = [one for one in (await backend.observe()).instances if not stopped(one)]
    sleeping = [line for line in processes_of(world.data_dir).values() if "daemon" not in line]
    assert len(sleeping) == len(alive)


async def test_instances_outlive_a_killed_master(world: ProcessWorld) -> None:
    tests = str(Path(__file__).parents[1])
    master = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", MASTER, tests, str(world.folder), world.deployment),
        stdout=asyncio.subprocess.PIPE,
    )
    assert master.stdout is not None
    assert await master.stdout.readline() == b"started\n"
    master.kill()
    await master.communicate()
    heir = world.backend()
    await heir.open()
    instance = make_instance(make_execution(world.service(SLEEPS)))
    exit = await end_of(heir, instance)  # `read` finds no such file, so it goes on to its exit
    assert (exit.reason, exit.code) == (ExitReason.FAILED, 6)
    assert output(world, instance) == "up\n"


async def test_another_version_takes_over_as_the_parent(
    world: ProcessWorld, backend: ProcessBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution = make_execution(
        Service(
            "s", command=("sh", "-c", "trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done")
        )
    )
    instance = make_instance(execution)
    await backend.start(execution, instance)
    await eventually(lambda: output(world, instance) == "up\n")
    await backend.close()
    before = await agent_of(world)
    wanted = connection.__version__
    monkeypatch.setattr(connection, "__version__", "0.0.0")
    older = world.backend()
    with pytest.raises(Retryable, match="another version"):
        await older.open()  # it tried to replace the agent, which is still ours
    monkeypatch.setattr(connection, "__version__", wanted)
    heir = world.backend()
    await heir.open()
    assert await agent_of(world) == before, "the process stays, only its program is replaced"
    assert "is replaced" in (world.logs_dir / "agent.log").read_text()
    assert running(await seen(heir, instance, running))
    await heir.stop(instance.id, 1, grace_seconds=5, shrink=False)
    assert (await end_of(heir, instance)).code == 9, "it is still our child"


async def test_an_idle_agent_ends(world: ProcessWorld) -> None:
    first = world.backend(idle_seconds=0.2)
    await first.open()
    _, instance = await run(world, first)
    await first.close()
    second = world.backend()
    await second.open()
    await second.stop(instance.id, 1, grace_seconds=1, shrink=False)
    await end_of(second, instance)
    await second.close()
    await eventually(lambda: processes_of(world.data_dir) == {})
    third = world.backend()
    await third.open()
    assert (await end_of(third, instance)).reason is ExitReason.STOPPED


async def test_two_that_start_an_agent_get_one(world: ProcessWorld) -> None:
    backends = [world.backend() for _ in range(4)]
    await asyncio.gather(*(backend.open() for backend in backends))
    assert await agent_of(world)


async def test_the_agent_ends_everything_on_sigterm(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    _, instance = await run(world, backend)
    agent = await agent_of(world)
    await backend.close()
    os.kill(agent, signal.SIGTERM)
    await eventually(lambda: processes_of(world.data_dir) == {})
    heir = world.backend()
    await heir.open()
    assert (await end_of(heir, instance)).reason is ExitReason.STOPPED


async def test_a_deep_folder_is_no_problem(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    world = make_world("process", deep)
    assert isinstance(world, ProcessWorld)
    backend = world.backend()
    await backend.open()
    await run(world, backend)
    await world.end()


async def test_the_socket_is_for_its_user_only(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    assert (world.data_dir / "run/agent.sock").stat().st_mode & 0o777 == 0o600
    record = world.data_dir / "instances"
    await run(world, backend)
    assert record.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"\xff\xff\xff\xff",
        b"\0\0\0\2[]",
        b"\0\0\0\3abc",
        frame({"id": 1, "call": "start"}),
        frame({"id": 1, "call": "start", "record": {"instance_id": "../x", "attempt": 1}}),
        frame({"id": 1, "call": "no_such"}),
        frame({"id": 1}),
    ],
)
async def test_garbage_does_not_harm_the_agent(
    world: ProcessWorld, backend: ProcessBackend, garbage: bytes
) -> None:
    _, instance = await run(world, backend)
    agent = await agent_of(world)
    with connected(world) as stranger:
        stranger.sendall(garbage)
        stranger.shutdown(socket.SHUT_WR)
        await asyncio.to_thread(stranger.recv, 1000)
    assert (await seen(backend, instance, running)).ready
    assert await agent_of(world) == agent


async def test_an_agent_that_ended_everything_answers_nobody(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    _, instance = await run(world, backend)
    await backend.stop(instance.id, 1, grace_seconds=0, shrink=False)
    await end_of(backend, instance)
    await backend.close()
    with connected(world) as other:
        calls = [{"id": 1, "call": "shutdown", "grace_seconds": 0}, {"id": 2, "call": "observe"}]
        other.sendall(b"".join(map(frame, calls)))
        answers = await asyncio.to_thread(lambda: b"".join(iter(lambda: other.recv(1000), b"")))
    assert answers == frame({"id": 1, "result": None})


async def test_nothing_starts_while_everything_is_stopped(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    _, instance = await run(world, backend, Program(prints="up", ignores_term=True))
    await eventually(lambda: output(world, instance) == "up\n")
    other = world.backend()
    await other.open()
    ending = asyncio.create_task(other.shutdown(grace_seconds=2))
    await seen(backend, instance, lambda one: one.status is InstanceStatus.STOPPING)
    late = make_execution(world.service(SLEEPS), id=2)
    with pytest.raises(Retryable, match="everything is being stopped"):
        await backend.start(late, make_instance(late))
    await backend.close()
    await ending


async def test_a_torn_record_is_not_believed(world: ProcessWorld, backend: ProcessBackend) -> None:
    _, instance = await run(world, backend)
    torn = world.data_dir / "instances/9.f.s.0.1"
    torn.mkdir()
    (torn / "record.json").write_text('{"instance_id": "9/f.s/0", "att')
    os.kill(await agent_of(world), signal.SIGKILL)
    assert (await end_of(backend, instance)).reason is ExitReason.LOST
    assert not torn.exists()


async def test_records_of_another_boot_are_lost(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    _, instance = await run(world, backend)
    await backend.stop(instance.id, 1, grace_seconds=0, shrink=False)
    await end_of(backend, instance)
    await backend.shutdown(grace_seconds=0)
    path = world.data_dir / "instances/1.f.s.0.1/record.json"
    record = json.loads(path.read_text())
    record |= {"status": "running", "exit": None, "boot": "earlier", "pid": os.getpid()}
    path.write_text(json.dumps(record))
    exit = await end_of(backend, instance)
    assert exit.reason is ExitReason.LOST
    assert "restarted" in exit.message


async def test_what_cannot_start_is_said(world: ProcessWorld) -> None:
    world.data_dir.mkdir()
    (world.data_dir / "logs").write_text("a file where a folder has to be")
    backend = world.backend()
    with pytest.raises(Retryable, match=r"agent could not be started: .*File exists"):
        await backend.open()
    (world.data_dir / "logs").unlink()


async def test_the_agent_obeys_no_master_that_another_one_has_followed(
    world: ProcessWorld,
) -> None:
    zombie, master = world.backend(), world.backend()
    await zombie.open()
    await master.open()
    until = zombie.fence.now() + 3600
    zombie.fence.extend(1, until)  # it sleeps, and believes that it leads
    execution, instance = await start(zombie, world.service(SLEEPS))
    await seen(zombie, instance, running)
    master.fence.extend(2, until)
    other = make_instance(make_execution(world.service(SLEEPS), id=2))
    await master.stop(other.id, 1, grace_seconds=0, shrink=False)
    for act in (
        lambda: zombie.start(execution, make_instance(execution, ordinal=1)),
        lambda: zombie.stop(instance.id, 1, grace_seconds=0, shrink=False),
        lambda: zombie.remove(other.id, 1),
    ):
        with pytest.raises(Retryable, match="a master with epoch 2 leads"):
            await act()
    observed = (await master.observe()).instances
    assert {(each.instance_id, str(each.status)) for each in observed} == {
        (instance.id, "running"),
        (other.id, "stopped"),
    }
    assert "epoch 1 wants to start, and 2 leads" in (world.logs_dir / "agent.log").read_text()
    await master.stop(instance.id, 1, grace_seconds=0, shrink=False)
    await end_of(master, instance)
