"""What bounds an instance: control groups, limits of one process, and the rights of a user."""

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

import zoe
from backend_worlds import (
    ProcessWorld,
    end_of,
    eventually,
    groups_of,
    make_execution,
    make_instance,
    make_world,
    output,
    processes_of,
    run,
)
from zoe.backends.base import Refused
from zoe.model.execution import ExitReason
from zoe.model.resources import Resources
from zoe.model.zapp import Service


@pytest.mark.component("cgroups")
async def test_memory_above_the_limit_is_recognised(tmp_path: Path) -> None:
    world = make_world("process", tmp_path)
    assert isinstance(world, ProcessWorld)
    backend = world.backend()
    await backend.open()
    greedy = (sys.executable, "-c", "x = bytearray(200_000_000)\nprint(len(x))")
    service = Service("s", command=greedy, resources=Resources(100, 50 * 2**20))
    roomy = Service(
        "t", command=greedy, resources=Resources(100, 50 * 2**20), limits=Resources(0, 2**30)
    )
    execution = make_execution(service, roomy)
    small, large = make_instance(execution), make_instance(execution, "f.t")
    await backend.start(execution, small)
    await backend.start(execution, large)
    exit = await end_of(backend, small)
    assert exit.reason is ExitReason.OUT_OF_MEMORY
    assert "50 MiB" in exit.message
    assert (await end_of(backend, large)).reason is ExitReason.COMPLETED
    await world.end()
    assert not groups_of(world.deployment)


@pytest.mark.component("cgroups")
async def test_a_fork_bomb_is_bounded(tmp_path: Path) -> None:
    world = make_world("process", tmp_path)
    assert isinstance(world, ProcessWorld)
    backend = world.backend()
    await backend.open()
    bomb = "import os\nfor n in range(20):\n  try: os.fork()\n  except OSError: pass\nos.abort()"
    service = Service("s", command=("sh", "-c", f"{sys.executable} -c '{bomb}'; exec sleep 1000"))
    execution = make_execution(service)
    instance = make_instance(execution)
    await backend.start(execution, instance)
    limits = [group / "1.f.s.0.1/pids.max" for group in groups_of(world.deployment)]
    assert [int(path.read_text()) for path in limits if path.exists()] == [4096]
    await backend.stop(instance.id, 1, grace_seconds=0, shrink=False)
    await end_of(backend, instance)
    await world.end()


@pytest.mark.component("cgroups")
async def test_limits_can_be_changed_while_it_runs(tmp_path: Path) -> None:
    world = make_world("process", tmp_path)
    assert isinstance(world, ProcessWorld)
    backend = world.backend()
    await backend.open()
    _, instance = await run(world, backend)
    for amount in (2**28, 2**27, 2**29):
        await backend.resize(instance.id, 1, Resources(500, amount))
        files = [
            path
            for group in groups_of(world.deployment)
            for name in ("memory.limit_in_bytes", "memory.max")
            if (path := group / "1.f.s.0.1" / name).exists()
        ]
        assert [int(path.read_text()) for path in files] == [amount]
    await world.end()


@pytest.mark.component("root")
async def test_a_normal_user_is_enough() -> None:
    # The agent itself is what needs no rights, and no packages: the system's Python will do.
    nobody = 65534
    with tempfile.TemporaryDirectory() as shared:
        folder = Path(shared)
        world = make_world("process", folder)
        assert isinstance(world, ProcessWorld)
        shutil.copytree(Path(zoe.__file__).parent, folder / "code/zoe")
        for path in (folder, world.data_dir, world.data_dir / "run"):
            path.mkdir(exist_ok=True)
            os.chown(path, nobody, nobody)
        agent = await asyncio.create_subprocess_exec(
            *("setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups"),
            *("/usr/bin/python3", "-P", "-m", "zoe.backends.process.daemon"),
            *("--deployment", world.deployment, "--data-dir", str(world.data_dir)),
            env={"PYTHONPATH": str(folder / "code"), "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert await agent.wait() == 0
        backend = world.backend(path="/usr/bin:/bin")
        await backend.open()
        os.chmod(world.data_dir / "workspaces", 0o755)
        script = "id -u; (trap '' TERM; setsid sleep 1000 & setsid sleep 1000 & wait) & sleep 1000"
        service = Service("s", command=("sh", "-c", script), work_dir="/")
        execution = make_execution(service)
        instance = make_instance(execution)
        await backend.start(execution, instance)
        await eventually(lambda: output(world, instance) == f"{nobody}\n")
        (node,) = (await backend.observe()).nodes
        assert "each process" in node.message
        await backend.stop(instance.id, 1, grace_seconds=0.1, shrink=False)
        assert (await end_of(backend, instance)).reason is ExitReason.STOPPED
        left = [line for line in processes_of(world.data_dir).values() if "daemon" not in line]
        assert not left
        await world.end()


async def test_limits_stay_without_control_groups(tmp_path: Path) -> None:
    world = make_world("process-rlimits", tmp_path)
    assert isinstance(world, ProcessWorld)
    backend = world.backend()
    await backend.open()
    _, instance = await run(world, backend)
    with pytest.raises(Refused, match="control groups"):
        await backend.resize(instance.id, 1, Resources(500, 2**28))
    await world.end()


async def test_one_process_without_control_groups_is_limited_too(tmp_path: Path) -> None:
    world = make_world("process-rlimits", tmp_path)
    assert isinstance(world, ProcessWorld)
    backend = world.backend()
    await backend.open()
    greedy = (sys.executable, "-c", "bytearray(900_000_000)")
    service = Service("s", command=greedy, resources=Resources(100, 50 * 2**20))
    execution = make_execution(service)
    instance = make_instance(execution)
    await backend.start(execution, instance)
    assert (await end_of(backend, instance)).code == 1
    assert "MemoryError" in output(world, instance, "stderr")
    (node,) = (await backend.observe()).nodes
    assert "each process" in node.message
    await world.end()
