"""The commands against a real api: what they print, and their exit codes."""

import asyncio
import io
import json
import re
import time
from dataclasses import replace
from datetime import datetime

import pytest
from shell import Shell

from api_serving import BROKEN, DASK, machines, write_log
from zoe.model.change import Cause, Defer, Foretell, Forget, SetInstance, SetStatus
from zoe.model.cluster import Node
from zoe.model.execution import (
    ExecutionEnd,
    ExecutionStatus,
    Forecast,
    InstanceStatus,
    Outcome,
    Reason,
    ServiceInstance,
)
from zoe.model.resources import Resources


async def test_submitting_and_looking(shell: Shell) -> None:
    file = shell.write("dask.yaml", DASK)
    said = await shell.zoe("submit", file, "--name", "night", "--set", "workers=1")
    assert said == "night\n"
    (listed,) = json.loads(await shell.zoe("ps", "--json"))
    assert (listed["name"], listed["status"]) == ("night", "submitted")
    assert await shell.zoe("ps", "-o", "name") == "night\n"
    assert "name: night" in await shell.zoe("ps", "-o", "yaml")
    await shell.api.master.run(1)
    shown = await shell.zoe("show", "ni")
    assert "status       running" in shown
    assert "1/dask.worker/1" in shown
    assert (await shell.zoe("show", "1", "--source")).rstrip() == DASK.rstrip()
    assert "It runs" in await shell.zoe("why", "night")
    assert "submitted by admin" in await shell.zoe("events", "night")
    await shell.api.master.nodes(*machines())
    assert "node-2" in await shell.zoe("nodes")


async def test_gpus_are_shown_with_who_holds_them(shell: Shell) -> None:
    await shell.zoe("submit", shell.write("dask.yaml", DASK), "--name", "night")
    await shell.api.master.run(1)
    assert "GPUS" not in await shell.zoe("show", "1")
    await shell.zoe("submit", shell.write("dask.yaml", DASK), "--name", "day")
    first, *_ = await shell.api.master.run(2, gpus=("b", "c"))
    await shell.api.master.nodes(Node("node-1", Resources(8000, 2**35, 2), gpus=("a", "b")))
    shown = await shell.zoe("show", "2")
    assert "GPUS" in shown
    assert " b,c " in shown
    nodes = await shell.zoe("nodes")
    assert f"node-1: {first.id} holds GPU b\n" in nodes
    assert f"node-1: {first.id} holds GPU c, which is gone" in nodes


async def test_what_is_done_for_an_instance_before_it_runs_is_shown(shell: Shell) -> None:
    await shell.zoe("submit", shell.write("dask.yaml", DASK), "--name", "night")
    await shell.api.master.status(1, ExecutionStatus.QUEUED, ExecutionStatus.STARTING)
    said = "waits until lab has pulled dask:1"
    waits = ServiceInstance(1, "dask.worker", 0, True, InstanceStatus.WAITING, "lab")
    starts = replace(waits, status=InstanceStatus.STARTING, message=said)
    await shell.api.master.record(SetInstance(waits, 1.0, ""), SetInstance(starts, 1.0, said))
    assert said in await shell.zoe("show", "1")
    assert f"dask.worker {said}." in await shell.zoe("why", "1")
    (instance,) = json.loads(await shell.zoe("show", "1", "--json"))["instances"]
    assert instance["message"] == said


async def test_output_is_prefixed_by_its_instance(shell: Shell) -> None:
    await shell.zoe("submit", shell.write("dask.yaml", DASK), "--name", "night")
    write_log(shell.api.settings, "1/driver.count/0", "one\ntwo")
    said = await shell.zoe("logs", "night")
    assert said == "driver.count.0| one\ndriver.count.0| two\n"
    assert await shell.zoe("logs", "night", "--bare", "--tail", "1") == "two\n"


@pytest.mark.parametrize(
    ("outcome", "exit_code", "code"),
    [
        (Outcome.COMPLETED, 0, 0),
        (Outcome.FAILED, 3, 3),
        (Outcome.FAILED, 137, 137),
        (Outcome.FAILED, None, 1),
        (Outcome.STOPPED, None, 101),
        (Outcome.TIME_LIMIT, 143, 102),
        (Outcome.LOST, None, 103),
        (Outcome.NOT_STARTED, None, 103),
    ],
)
async def test_the_end_of_an_execution_is_the_exit_code(
    shell: Shell, outcome: Outcome, exit_code: int | None, code: int
) -> None:
    await shell.zoe("submit", shell.write("dask.yaml", DASK), "--name", "night")
    await shell.api.master.run(1)
    await shell.end(1, outcome, exit_code)
    assert "it is over" in await shell.zoe("wait", "night", code=code)


async def test_running_follows_to_the_end(shell: Shell) -> None:
    file = shell.write("dask.yaml", DASK)
    running = asyncio.create_task(shell.zoe("run", file, "--name", "night", code=5))
    async with asyncio.timeout(20):
        while not await shell.api.store.history(None):
            await asyncio.sleep(0.01)
    await shell.api.master.run(1)
    write_log(shell.api.settings, "1/driver.count/0", "counted\n")
    await shell.end(1, Outcome.FAILED, 5)
    said = await running
    assert "driver.count.0| counted\n" in said
    assert "dask.worker grows to 2 instances" in said
    assert "night failed: it is over" in said


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["show", "nothing"], 4, "error:"),
        (["--token", "zoe_wrong", "ps"], 3, "error:"),
        (["submit", "BROKEN"], 5, "BROKEN:8:9"),
        (["validate", "BROKEN"], 5, "did you mean"),
        (["submit", "no-such-file.yaml"], 4, "cannot be read"),
        (["submit", "no-such-app"], 4, "neither a file nor an application"),
        (["submit", "DASK", "--set", "workers"], 2, "NAME=VALUE"),
        (["submit", "DASK", "--set", "workers=99"], 5, "workers"),
        (["submit", "DASK", "--name", "Not A Name"], 5, "name: use 1 to 63 lower-case letters"),
        (["scale", "x", "spark.worker=-1"], 2, "SERVICE=N"),
        (["plan", "DASK"], 7, "master"),
        (["--url", "http://127.0.0.1:1", "ps"], 7, "cannot be reached"),
        (["no-such-command"], 2, "no-such-command"),
    ],
)
async def test_every_error_has_its_exit_code(
    shell: Shell, arguments: list[str], code: int, said: str
) -> None:
    shell.write("BROKEN", BROKEN)
    shell.write("DASK", DASK)
    told = await shell.zoe(*arguments, code=code)
    assert said in told
    assert "Traceback" not in told


async def test_stopping_scaling_and_forgetting(shell: Shell) -> None:
    await shell.zoe("submit", shell.write("dask.yaml", DASK), "--name", "night")
    assert "at most" not in await shell.zoe("scale", "night", "dask.worker=7")
    assert json.loads(await shell.zoe("show", "night", "--json"))["generation"] == 2
    kept = await shell.zoe("scale", "night", "dask.worker=1..7")
    assert "may have 7 elastic instances of dask.worker, and keeps 1 once it has them" in kept
    assert "1..7" in await shell.zoe("show", "night")
    await shell.zoe("scale", "night", "driver.nothing=1", code=5)
    assert "being stopped" in await shell.zoe("stop", "night")
    await shell.zoe("wait", "night", "--timeout", "0", code=8)
    await shell.api.master.status(
        1, ExecutionStatus.TERMINATED, end=ExecutionEnd(Outcome.STOPPED, "admin asked")
    )
    await shell.zoe("scale", "night", "dask.worker=1", code=6)
    assert "has ended already" in await shell.zoe("stop", "night")
    assert "forgotten" in await shell.zoe("rm", "night")
    await shell.zoe("show", "night", code=4)


async def test_a_command_replaces_the_monitors(shell: Shell) -> None:
    file = shell.write("dask.yaml", DASK)
    await shell.zoe("run", file, "--detach", "--name", "night", "--", "python", "-c", "1 < 2")
    shown = json.loads(await shell.zoe("show", "night", "--json"))
    commands = {s["name"]: s["command"] for f in shown["frameworks"] for s in f["services"]}
    assert commands["driver.count"] == ["python", "-c", "1 < 2"]


async def test_login_keeps_a_token_that_works(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Shell(shell.api, shell.folder / "elsewhere")
    monkeypatch.setattr("sys.stdin", io.StringIO(shell.api.token + "\n"))
    assert "You are admin" in await elsewhere.zoe("--url", shell.api.url, "login")
    assert await elsewhere.zoe("ps", "-o", "name") == ""
    monkeypatch.setattr("sys.stdin", io.StringIO("zoe_wrong\n"))
    await elsewhere.zoe("--url", shell.api.url, "login", code=3)


async def test_the_settings_are_shown_without_secrets(shell: Shell) -> None:
    shell.write("zoe.toml", "api_port = 1234\n")
    said = await shell.zoe("--token", "zoe_secret", "config", "show", "--origin")
    assert "zoe_secret" not in said
    assert "zoe.toml:1" in said
    shown = json.loads(await shell.zoe("config", "show", "--origin", "--json"))
    assert shown["api_port"] == {"value": 1234, "origin": f"{shell.folder}/zoe.toml:1"}
    shell.write("zoe.toml", "api_prot = 1234\n")
    assert "did you mean api_port" in await shell.zoe("ps", code=2)


async def test_doctor_says_what_is_wrong(shell: Shell) -> None:
    said = await shell.zoe("--url", shell.api.url, "doctor", code=1)  # this api has no master
    assert "FAIL  master: does not answer" in said
    assert "ok    database: reached" in said
    as_yaml = await shell.zoe("--url", shell.api.url, "doctor", "-o", "yaml", code=1)
    assert "- what: Python\n  ok: true\n" in as_yaml
    assert "FAIL  masters: nobody leads just now; nobody stands by" in said
    names = await shell.zoe("--url", shell.api.url, "doctor", "-o", "name", code=1)
    assert names == "master\nmasters\n"
    await shell.api.store.lead("one:1", 60)
    for name in ("two:2", "three:3"):
        await shell.api.store.lead(name, 60)
    said = await shell.zoe("--url", shell.api.url, "doctor", code=1)
    assert re.search(
        r"ok    masters: one:1 leads since 20[-\d]{8} [:\d]{8} \(epoch 1\); "
        r"three:3, two:2 stand by",
        said,
    )


async def test_the_queue_and_predicted_starts(shell: Shell) -> None:
    for name in ("first", "second", "third"):
        await shell.zoe("submit", shell.write("dask.yaml", DASK), "--name", name)
        await shell.api.master.status(await shell.id(name), ExecutionStatus.QUEUED)
    first, second, third = [await shell.id(name) for name in ("first", "second", "third")]
    noon = datetime(2031, 5, 6, 12, 5).astimezone()
    told = Forecast(time.time(), noon.timestamp(), noon.timestamp() + 2100)
    vague = Forecast(time.time(), None, None, "nobody can tell when 9 (nap) ends")
    half = Forecast(time.time(), noon.timestamp(), None, "it is too far")
    behind = (Reason("behind", "behind 1 execution in the queue"),)
    await shell.api.master.record(
        Defer(second, 1, 1.0, ()),
        Defer(first, 2, 1.0, behind),
        Foretell(((first, told), (second, vague), (third, half))),
    )
    listed = (await shell.zoe("queue")).splitlines()
    assert [line.split()[:3] for line in listed[1:]] == [
        ["1", str(second), "second"],
        ["2", str(first), "first"],
        ["-", str(third), "third"],
    ]
    assert "no estimate, because nobody can tell when 9 (nap) ends" in listed[1]
    assert "2031-05-06 12:05  2031-05-06 12:40  behind 1 execution" in listed[2]
    assert await shell.zoe("queue", "-o", "name", "--limit", "1") == "second\n"
    (queued, *_) = json.loads(await shell.zoe("queue", "--json"))
    assert queued["forecast"]["because"] == vague.because
    said = "2031-05-06 12:05, by 2031-05-06 12:40 at the latest with 9 in 10"
    assert f"Start: {said}." in await shell.zoe("why", "first")
    assert f"starts       {said}" in await shell.zoe("show", "first")
    assert "place 2, expected 2031-05-06 12:05: behind 1" in await shell.zoe("ps")
    no_latest = "no latest time, because it is too far"
    assert f"12:05, and {no_latest}" in await shell.zoe("why", "third")
    assert "2031-05-06 12:05" in listed[3]
    assert listed[3].endswith(f"  {no_latest}")


async def test_why_tells_what_was_taken_back_and_for_whom(shell: Shell) -> None:
    await shell.zoe("submit", shell.write("dask.yaml", DASK), "--name", "night")
    instances = await shell.api.master.run(1)
    (last,) = [each for each in instances if not each.essential]
    stopping = replace(last, status=InstanceStatus.STOPPING, ready=False)
    said = "its room is needed for 2 (urgent)"
    await shell.api.master.record(SetInstance(stopping, 5.0, said, Cause("reclaim", 2)))
    why = await shell.zoe("why", "night")
    assert f"1 elastic instance of {last.service} had to go (rule reclaim): {said}" in why
    await shell.end(1, Outcome.COMPLETED, 0)
    assert "rule reclaim" in await shell.zoe("why", "night")


async def test_what_can_never_start_is_said_at_submission(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoe.cli.executions.LOOK_SECONDS", 20.0)
    submitting = asyncio.create_task(
        shell.zoe("submit", shell.write("dask.yaml", DASK), "--name", "night")
    )
    async with asyncio.timeout(20):
        while not await shell.api.store.history(None):
            await asyncio.sleep(0.01)
    never = Reason("can-never-start", "no node has the label moon: it can never start here")
    await shell.api.master.record(
        SetStatus(1, ExecutionStatus.QUEUED, 1.0, "in the queue"), Defer(1, 1, 1.0, (never,))
    )
    said = await submitting
    assert said.startswith("night\n")
    assert "warning: no node has the label moon: it can never start here; `zoe rm night`" in said


async def test_what_was_submitted_is_a_success_though_nobody_can_look_any_more(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoe.cli.executions.LOOK_SECONDS", 20.0)
    submitting = asyncio.create_task(
        shell.zoe("submit", shell.write("dask.yaml", DASK), "--name", "night")
    )
    async with asyncio.timeout(20):
        while not await shell.api.store.history(None):
            await asyncio.sleep(0.01)
    await shell.api.store.request_delete(1, "admin")  # from elsewhere, and at once
    end = ExecutionEnd(Outcome.STOPPED, "stopped by admin")
    await shell.api.master.record(
        SetStatus(1, ExecutionStatus.TERMINATED, 1.0, "stopped", end), Forget(1)
    )
    assert await submitting == "night\n"
