"""The commands about who may have how much, against a real api."""

import json
import re
from pathlib import Path

import pytest
from shell import Shell

from api_serving import DASK
from zoe.model.quota import Quota, Team, User
from zoe.model.resources import Resources

GIB = 2**30


async def test_setting_changes_what_is_said_and_nothing_else(shell: Shell) -> None:
    await shell.zoe("admin", "quota", "set", "default", "cores=4", "memory=16GiB")
    said = await shell.zoe(
        "admin", "quota", "set", "ann", "gpus=0", "run_time=90m", "--weight", "2"
    )
    assert "16GiB" in said
    await shell.zoe("admin", "quota", "set", "ann", "cores=unlimited", "executions=3")
    kept = (await shell.api.store.accounts.read()).users["ann"]
    assert kept == User("ann", (), 2.0, Quota(None, 16 * GIB, 0, 3, None, 5400.0))
    listed = await shell.zoe("admin", "quota", "ls")
    assert "90 minutes" in listed
    assert "default" in listed
    await shell.zoe("admin", "quota", "rm", "ann")
    assert await shell.zoe("admin", "quota", "ls", "-o", "name") == "default\n"


async def test_teams_have_members_and_guaranteed_shares(shell: Shell) -> None:
    for options in (
        ["cores=64", "--guaranteed", "cores=8", "--guaranteed", "memory=32GiB"],
        ["gpus=2", "--weight", "2", "--guaranteed", "gpus=1"],
        ["--add", "ann", "--add", "bob"],
        ["--remove", "bob"],
    ):
        await shell.zoe("admin", "team", "set", "physics", *options)
    accounts = await shell.api.store.accounts.read()
    team = Team("physics", 2.0, Resources(8000, 32 * GIB, 1), Quota(64_000, gpus=2))
    assert accounts.teams == {"physics": team}
    assert accounts.users == {"ann": User("ann", ("physics",)), "bob": User("bob")}
    await shell.zoe("admin", "quota", "set", "bob", "--team", "physics")
    await shell.zoe("admin", "quota", "set", "ann", "--no-team")
    users = (await shell.api.store.accounts.read()).users
    assert (users["ann"].teams, users["bob"].teams) == ((), ("physics",))
    said = await shell.zoe("admin", "team", "ls")
    assert "cores=8 memory=32GiB gpus=1" in said
    (listed,) = json.loads(await shell.zoe("admin", "team", "ls", "--json"))
    assert listed["guaranteed"]["cores_milli"] == 8000
    assert "no team any more" in await shell.zoe("admin", "team", "rm", "physics")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["quota", "set", "ann", "core=1"], 2, "did you mean cores?"),
        (["quota", "set", "ann", "cores"], 2, "is not LIMIT=VALUE"),
        (["quota", "set", "ann", "gpus=some"], 2, "is not a whole number"),
        (["quota", "set", "ann", "cores=lots"], 5, "quota.cores: 'lots' is not a number of cores"),
        (["quota", "set", "ann", "--team", "nobody"], 5, "There is no team 'nobody'"),
        (["quota", "set", "ann", "--team", "x", "--no-team"], 2, "do not go together"),
        (["quota", "rm", "ann"], 4, "No user 'ann' was named"),
        (["team", "set", "t", "--guaranteed", "sessions=1"], 2, "'sessions' is not a limit"),
        (["team", "rm", "t"], 4, "No team 't' was named"),
    ],
)
async def test_what_is_wrong_is_said(
    shell: Shell, arguments: list[str], code: int, said: str
) -> None:
    assert said in await shell.zoe("admin", *arguments, code=code)


async def test_usage_shows_bars(shell: Shell) -> None:
    await shell.zoe("admin", "team", "set", "physics", "executions=4", "--add", "admin")
    await shell.zoe("admin", "quota", "set", "admin", "cores=5", "run_time=2h")
    assert "cores  0     5      [....................]" in await shell.zoe("usage")
    file = shell.write("dask.yaml", DASK)
    await shell.zoe("submit", file, "--name", "night", "--team", "physics")
    await shell.api.master.run(1, elastic=0)
    said = await shell.zoe("usage")
    assert "user admin: time limits up to 2 hours" in said
    assert "[##########..........]" in said  # 2.5 of 5 cores
    assert "team physics" in said
    assert "[#####...............]" in said  # 1 of 4 executions
    assert "by night" in said
    assert "(for physics)" in await shell.zoe("show", "night")


async def test_what_can_never_start_under_a_quota_is_said_at_once(shell: Shell) -> None:
    await shell.zoe("admin", "quota", "set", "admin", "cores=2")
    file = shell.write("dask.yaml", DASK)
    said = await shell.zoe("submit", file, "--name", "night")
    assert said.startswith("night\n")
    assert "note: night waits: admin may use 2 cores at a time; this needs 2.5 cores" in said
    await shell.zoe("admin", "quota", "set", "admin", "cores=unlimited", "run_time=1h")
    said = await shell.zoe("submit", file, code=5)
    assert "may have a time limit of 1 hour at most" in said
    assert "Give it a shorter time_limit" in said
    assert "You are in no team" in await shell.zoe("submit", file, "--team", "x", code=5)


async def test_the_commands_of_the_page_do_what_it_shows(shell: Shell) -> None:
    page = Path(__file__).parents[2] / "docs/howto/share-fairly.md"
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    # An environment of the reader's: "admin" is the only user here, and has to be in the team.
    commands = [each for block in blocks for each in re.split(r"^\$ zoe ", block, flags=re.M)[1:]]
    assert len(commands) >= 8
    for command in commands:
        line, _, shown = command.partition("\n")
        if line.startswith("submit"):
            await shell.zoe("admin", "quota", "set", "admin", "--team", "physics")
        said = await shell.zoe(*line.split())
        if shown:
            wanted = shown.strip().splitlines()
            assert [each for each in said.splitlines() if each in wanted] == wanted
