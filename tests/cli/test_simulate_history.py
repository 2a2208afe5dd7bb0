"""`zoe simulate --from-history`: what if, on what a deployment really did."""

import json
from typing import Any

import pytest
from shell import Shell

from api_serving import DASK, GIB
from zoe.model.cluster import Node, NodeStatus
from zoe.model.execution import Outcome
from zoe.model.resources import Resources

USAGE, REJECTED, UNREACHABLE = 2, 5, 7


def answer(printed: str) -> dict[str, Any]:
    """The JSON value at the beginning; remarks on stderr follow it."""
    value, _ = json.JSONDecoder().raw_decode(printed)
    assert isinstance(value, dict)
    return value


@pytest.fixture
async def busy(shell: Shell) -> Shell:
    """Two executions ran and ended on two nodes, a third one waits."""
    master = shell.api.master
    await master.nodes(
        Node("a", Resources(8000, 64 * GIB), foreign=Resources(1000)),
        Node("b", Resources(2000, 64 * GIB), labels=frozenset({"ssd"})),
        Node("gone", Resources(2000, 64 * GIB), status=NodeStatus.UNREACHABLE),
    )
    shell.write("dask.yaml", DASK)
    for id in (1, 2, 3):
        await shell.zoe("submit", "dask.yaml", "--name", f"night-{id}")
    for id in (1, 2):
        await master.run(id)
        await shell.end(id, Outcome.COMPLETED)
    return shell


async def test_what_would_have_been_stands_beside_what_was(busy: Shell) -> None:
    line = ("--from-history", "last-30d", "--policy", "sjf", "--add-node", "4x32c128g", "--json")
    printed = await busy.zoe("simulate", *line)
    found = answer(printed)
    names = [result["name"] for result in found["results"]]
    assert names == ["as it was", "flexible+sjf", "flexible+sjf and 4x32c128g"]
    assert [result["jobs"] for result in found["results"]] == [2, 2, 2]
    was, replayed, more = found["results"]
    details = [(await busy.api.store.get(id)) for id in (1, 2)]
    waits = sorted(one.started_at - one.submitted_at for one in details)
    assert was["wait"]["max"] == pytest.approx(waits[-1], abs=2e-6)
    assert was["wait"]["p50"] == pytest.approx(sum(waits) / 2, abs=2e-6)
    assert (more["wait"]["max"], was["jobs_per_second"]) == (0.0, None)
    assert was["offered_load"] == replayed["offered_load"]
    assert found["facts"]["machines"] == "2 with 9 cores, 128GiB together"
    line = ("--from-history", "last-1d", "--nodes", "16c64g", "--seed", "7")
    table = await busy.zoe("simulate", *line)
    assert "wait, p50" in table
    assert "Compared with as it was" in table


async def test_what_is_wrong_is_said(shell: Shell) -> None:
    for wrong in ("yesterday", "last-", "last-x", "last-9999d"):
        assert "--from-history" in await shell.zoe("simulate", "--from-history", wrong, code=USAGE)
    line = ("simulate", "--from-history", "last-1d")
    assert "a workload of its own" in await shell.zoe(*line, "--workload", "x.csv", code=USAGE)
    assert "nothing to simulate" in await shell.zoe(*line, code=REJECTED)
    away = await shell.zoe("--url", "http://127.0.0.1:9", *line, code=UNREACHABLE)
    assert "127.0.0.1:9" in away
