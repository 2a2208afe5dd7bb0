"""What the process back-end ends is the whole tree, whatever its programs do to stay."""

import shlex
import sys

from backend_worlds import (
    ProcessWorld,
    end_of,
    eventually,
    output,
    processes_of,
    start,
)
from zoe.backends.process.backend import ProcessBackend
from zoe.model.execution import ExitReason
from zoe.model.zapp import (
    Service,
)

STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def away(depth):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if depth:
                away(depth - 1)
            else:
                # Nothing of the environment is left, nor of the parents, nor of the session.
                os.execve("/bin/sh", ["sh", "-c", "trap '' TERM; sleep 1000 & wait"], {})
            time.sleep(1000)
        os._exit(0)
away(2)
print("grown", flush=True)
time.sleep(1000)
"""
"""A tree that forks twice, opens sessions, ignores SIGTERM and forgets where it came from."""


async def test_nothing_survives_the_end_of_a_stubborn_tree(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    _, instance = await start(backend, Service("s", command=(sys.executable, "-c", STUBBORN)))
    folder = world.data_dir / "instances"
    await eventually(lambda: output(world, instance) == "grown\n")
    await eventually(lambda: len(processes_of(folder)) >= 4)
    await backend.stop(instance.id, 1, grace_seconds=0.2, shrink=False)
    exit = await end_of(backend, instance)
    assert exit.reason is ExitReason.STOPPED
    assert processes_of(folder) == {}


async def test_nothing_survives_the_main_program(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    tree = f"{sys.executable} -c {shlex.quote(STUBBORN)} >out"
    command = ("sh", "-c", f"{tree} & while ! grep -q grown out; do sleep 0.01; done; exit 4")
    _, instance = await start(backend, Service("s", command=command))
    assert (await end_of(backend, instance)).code == 4
    assert processes_of(world.data_dir / "instances") == {}


async def test_the_rest_of_the_tree_gets_its_grace(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    child = "trap 'sleep 0.2; echo saved >saved; exit' TERM; echo up; while :; do sleep 0.01; done"
    command = ("sh", "-c", f"cd $ZOE_WORKSPACE; setsid sh -c {shlex.quote(child)} & wait")
    _, instance = await start(backend, Service("s", command=command))
    await eventually(lambda: output(world, instance) == "up\n")
    await backend.stop(instance.id, 1, grace_seconds=10, shrink=False)
    await end_of(backend, instance)
    assert (world.data_dir / "workspaces/ada/saved").read_text() == "saved\n"
