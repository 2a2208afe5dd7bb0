"""What only the process back-end promises: real programs, whole trees, a folder and an address."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from backend_worlds import (
    NODE,
    SERVE,
    SLEEPS,
    ProcessWorld,
    Program,
    end_of,
    eventually,
    make_execution,
    make_instance,
    output,
    processes_of,
    ready,
    running,
    seen,
    start,
    within,
)
from zoe.backends.base import Refused
from zoe.backends.process.backend import ProcessBackend
from zoe.model.execution import ExitReason
from zoe.model.resources import Resources
from zoe.model.zapp import (
    CommandCheck,
    HttpCheck,
    ReadyCheck,
    Service,
    ShrinkHook,
    TcpCheck,
    VolumeMount,
)


def python(script: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script, *arguments)


async def test_the_shrink_hook_runs_inside_before_sigterm(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    main = 'trap "cat drained; exit 0" TERM; echo up; while :; do sleep 0.01; done'
    hook = ("sh", "-c", 'echo "drained $ZOE_INSTANCE" > drained')
    service = Service("s", command=("sh", "-c", main), shrink=ShrinkHook(hook))
    _, instance = await start(backend, service)
    await eventually(lambda: output(world, instance) == "up\n")
    await backend.stop(instance.id, 1, grace_seconds=10, shrink=True)
    await end_of(backend, instance)
    assert output(world, instance) == "up\ndrained 0\n"


async def test_variables_of_the_check_and_of_the_hook_are_resolved(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    main = ("sh", "-c", "echo > here.0; trap 'cat hooked; exit' TERM; while :; do sleep 0.01; done")
    check = CommandCheck(("test", "-e", "here.${instance.ordinal}"))
    hook = ("sh", "-c", "echo ${execution.name} > hooked")
    service = Service("s", command=main, ready=within(20, check), shrink=ShrinkHook(hook))
    execution, instance = await start(backend, service)
    await seen(backend, instance, ready)
    await backend.stop(instance.id, 1, grace_seconds=10, shrink=True)
    await end_of(backend, instance)
    assert output(world, instance) == f"{execution.name}\n"


async def test_a_shrink_hook_that_hangs_ends_with_the_grace(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    service = Service("s", command=("sleep", "1000"), shrink=ShrinkHook(("sleep", "999")))
    _, instance = await start(backend, service)
    await backend.stop(instance.id, 1, grace_seconds=0.2, shrink=True)
    assert (await end_of(backend, instance)).reason is ExitReason.STOPPED
    assert processes_of(world.data_dir / "instances") == {}


async def test_without_shrink_the_hook_is_not_run(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    service = Service("s", command=("sleep", "1000"), shrink=ShrinkHook(("touch", "$HOME/hooked")))
    _, instance = await start(backend, service)
    await backend.stop(instance.id, 1, grace_seconds=5, shrink=False)
    await end_of(backend, instance)
    assert list((world.data_dir / "workspaces/ada").iterdir()) == []


@pytest.mark.parametrize("check", [HttpCheck(8080, "/"), TcpCheck(8080)], ids=["http", "tcp"])
async def test_checks_ask_the_instances_own_address(
    backend: ProcessBackend, check: HttpCheck | TcpCheck
) -> None:
    service = Service("s", command=python(SERVE, "8080"), ready=within(20, check))
    _, instance = await start(backend, service)
    await seen(backend, instance, ready)


async def test_an_http_check_wants_a_good_answer(backend: ProcessBackend) -> None:
    service = Service(
        "s", command=python(SERVE, "8080"), ready=within(2, HttpCheck(8080, "/missing"))
    )
    _, instance = await start(backend, service)
    exit = await end_of(backend, instance)
    assert exit.reason is ExitReason.NOT_STARTED
    assert "404" in exit.message


async def test_a_command_checks_from_inside(world: ProcessWorld, backend: ProcessBackend) -> None:
    main = ("sh", "-c", "sleep 0.1; echo $ZOE_INSTANCE > here; sleep 1000")
    check = CommandCheck(("grep", "-q", "0", "here"))
    _, instance = await start(backend, Service("s", command=main, ready=within(20, check)))
    await seen(backend, instance, ready)


async def test_the_first_checks_follow_quickly(backend: ProcessBackend) -> None:
    main = ("sh", "-c", "sleep 0.1; touch here; sleep 1000")
    check = ReadyCheck(CommandCheck(("test", "-e", "here")), 120, interval_seconds=100)
    _, instance = await start(backend, Service("s", command=main, ready=check))
    await seen(backend, instance, ready)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("false",), "false exited with 1"),
        (("sleep", "1000"), "sleep took too long"),
        (("no-such-check",), "no-such-check was not found"),
    ],
)
async def test_a_check_that_fails_is_told(
    backend: ProcessBackend, command: tuple[str, ...], words: str
) -> None:
    service = Service("s", command=("sleep", "1000"), ready=within(2, CommandCheck(command)))
    _, instance = await start(backend, service)
    exit = await end_of(backend, instance)
    assert exit.reason is ExitReason.NOT_STARTED
    assert words in exit.message


async def test_who_ends_while_it_is_checked_is_not_late(backend: ProcessBackend) -> None:
    service = Service("s", command=("sh", "-c", "exit 7"), ready=within(60, TcpCheck(8080)))
    _, instance = await start(backend, service)
    exit = await end_of(backend, instance)
    assert (exit.reason, exit.code) == (ExitReason.FAILED, 7)


async def test_two_instances_have_the_same_port(backend: ProcessBackend) -> None:
    service = Service(
        "s",
        command=python(SERVE, "8080"),
        essential=2,
        ready=within(20, HttpCheck(8080)),
    )
    execution = make_execution(service)
    places = set()
    for ordinal in (0, 1):
        instance = make_instance(execution, ordinal=ordinal)
        await backend.start(execution, instance)
        found = await seen(backend, instance, ready)
        reader, writer = await asyncio.open_connection(found.address, 8080)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert b"200" in await reader.readline()
        writer.close()
        await writer.wait_closed()
        places.add(found.address)
    assert len(places) == 2
    assert all(place.startswith("127.") for place in places)


async def test_both_streams_are_kept_apart_and_whole(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    script = "i=0; while [ $i -lt 2000 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done"
    _, instance = await start(backend, Service("s", command=("sh", "-c", script)))
    await end_of(backend, instance)
    assert output(world, instance).splitlines() == [f"out {n}" for n in range(2000)]
    assert output(world, instance, "stderr").splitlines() == [f"err {n}" for n in range(2000)]


async def test_an_instance_has_a_clean_place(world: ProcessWorld, backend: ProcessBackend) -> None:
    script = """
import os, sys, resource
print(os.getcwd(), os.environ["TMPDIR"], os.environ["HOME"], os.environ["ZOE_WORKSPACE"], sep="|")
print(sorted(os.listdir("/proc/self/fd"))[:4], os.readlink("/proc/self/fd/0"))
print(resource.getrlimit(resource.RLIMIT_CORE)[0], os.getsid(0) == os.getpid())
print(sorted(os.environ))
"""
    _, instance = await start(backend, Service("s", command=python(script)))
    await end_of(backend, instance)
    places, descriptors, limits, names = output(world, instance).splitlines()
    own = world.data_dir / "instances/1.f.s.0.1"
    workspace = str(world.data_dir / "workspaces/ada")
    assert places.split("|") == [str(own / "work"), str(own / "tmp"), workspace, workspace]
    assert descriptors == "['0', '1', '2', '3'] /dev/null"  # 3 lists the folder
    assert limits == "0 True"
    assert "'HOME'" in names
    assert "PYTEST" not in names
    await backend.remove(instance.id, 1)
    assert not own.exists()
    assert (world.data_dir / "workspaces/ada").exists()


async def test_the_working_folder_can_be_chosen(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    _, instance = await start(backend, Service("s", command=("pwd",), work_dir="${workspace}"))
    await end_of(backend, instance)
    assert output(world, instance) == f"{world.data_dir}/workspaces/ada\n"


@pytest.mark.parametrize(
    ("service", "words"),
    [
        (Service("s", image="apache/spark:3.5.6"), "only a container image"),
        (Service("s", command=("no-such-program",)), "no-such-program was not found"),
        (Service("s", command=("/no/such",)), "does not exist"),
        (Service("s", command=("/etc/passwd",)), "not an executable"),
        (Service("s", command=("pwd",), work_dir="/no/folder"), "/no/folder does not exist"),
        (Service("s", command=("echo", "x" * 200_000)), "list too long"),
        (Service("s", command=("pwd",), volumes=(VolumeMount("big", "/data"),)), "volume big"),
    ],
)
async def test_what_cannot_run_here_is_refused_in_words(
    backend: ProcessBackend, service: Service, words: str
) -> None:
    with pytest.raises(Refused, match=words):
        await start(backend, service)
    assert (await backend.observe()).instances == ()


async def test_the_process_command_is_preferred(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    service = Service("s", command=("/opt/x",), process_command=("echo", "here"))
    _, instance = await start(backend, service)
    await end_of(backend, instance)
    assert output(world, instance) == "here\n"


async def test_one_user_only_unless_shared(world: ProcessWorld, backend: ProcessBackend) -> None:
    service = Service("s", command=("true",))
    await start(backend, service, owner="ada")
    with pytest.raises(Refused, match="no isolation") as refusal:
        await start(backend, service, owner="bob", id=2)
    assert "process_shared" in refusal.value.hint
    shared = world.backend(shared=True)
    await shared.open()
    await start(shared, service, owner="bob", id=2)


async def test_owners_do_not_leave_their_folder(backend: ProcessBackend) -> None:
    with pytest.raises(Refused, match="workspace"):
        await start(backend, Service("s", command=("true",)), owner="../up")


async def test_what_differs_is_described(backend: ProcessBackend) -> None:
    zapp = make_execution(
        Service("s", image="apache/spark:3.5.6"),
        Service("t", command=("true",)),
        Service("u", command=("true",), resources=Resources(gpus=1)),
    ).zapp
    notes = "\n".join(backend.describe(zapp))
    assert "apache/spark:3.5.6 is not used" in notes
    assert "without isolation" in notes
    assert "f.s cannot run here" in notes
    assert "f.t" not in notes
    assert "f.u: its GPUs are told to it" in notes


async def test_addresses_are_stable_and_given_back(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    execution, instance = await start(backend, world.service(SLEEPS, essential=40))
    address = (await seen(backend, instance, running)).address
    late = make_instance(execution, ordinal=39)
    await backend.start(execution, late)
    await backend.stop(instance.id, 1, grace_seconds=1, shrink=False)
    await end_of(backend, instance)
    await backend.remove(instance.id, 1)
    again = make_instance(execution, attempt=2)
    await backend.start(execution, again)
    assert (await seen(backend, again, running)).address == address
    for one in (late, again):
        await backend.stop(one.id, one.attempt, grace_seconds=1, shrink=False)
        await end_of(backend, one)
        await backend.remove(one.id, one.attempt)
    assert (world.data_dir / "instances/addresses.json").read_text() == "{}"


async def test_a_thousand_quick_instances_leave_nothing(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    service = Service("s", command=("true",), essential=100)
    (agent,) = [pid for pid, line in processes_of(world.data_dir).items() if "daemon" in line]

    async def run_hundred(id: int) -> None:
        execution = make_execution(service, id=id)
        instances = [make_instance(execution, ordinal=n) for n in range(100)]
        await asyncio.gather(*(backend.start(execution, one) for one in instances))
        for one in instances:
            assert (await end_of(backend, one)).code == 0
            await backend.remove(one.id, 1)

    def uses() -> tuple[int, int, int]:
        fields = Path(f"/proc/{agent}/statm").read_text().split()
        threads = len(list(Path(f"/proc/{agent}/task").iterdir()))
        return len(list(Path(f"/proc/{agent}/fd").iterdir())), threads, int(fields[1])

    await run_hundred(1)
    before = uses()
    for id in range(2, 4):
        await run_hundred(id)
    after = uses()
    assert after[:2] == before[:2]
    assert after[2] - before[2] < 512, "pages"
    assert [path.name for path in (world.data_dir / "instances").iterdir()] == ["addresses.json"]


async def test_an_instance_that_is_killed_is_told(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    _, instance = await start(backend, world.service(Program(prints="up")))
    await eventually(lambda: output(world, instance) == "up\n")
    (pid,) = processes_of(world.data_dir / "instances")
    os.kill(pid, signal.SIGKILL)
    exit = await end_of(backend, instance)
    assert (exit.reason, exit.signal) == (ExitReason.FAILED, 9)
    assert "SIGKILL" in exit.message
    assert (await backend.observe()).instances[0].node == NODE
