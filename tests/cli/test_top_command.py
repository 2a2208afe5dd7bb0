"""``zoe top``, and what is used in other commands, while nobody samples: the words, and no more."""

import json

import pytest
from shell import Shell

from api_serving import DASK, machines
from zoe.cli import output, top
from zoe.cli.output import columns
from zoe.model.rest import ResourcesView, as_time
from zoe.model.rest_cluster import NodeUseView, NodeView
from zoe.model.rest_use import InstanceUseView, TopView
from zoe.model.use import InstanceUse

GIB = 2**30


def use(name: str, **fields: object) -> InstanceUseView:
    known = {
        "id": f"17/{name}/0",
        "attempt": 1,
        "execution_id": 17,
        "execution_name": "wordcount",
        "node": "node-1",
        "essential": True,
        "reserved": ResourcesView(cores_milli=2000, memory_bytes=4 * GIB),
        "at": as_time(0.0),
        "cores_milli": 400,
        "memory_bytes": GIB + GIB // 5,
        "peak_bytes": 2 * GIB,
        "core_seconds": 90.0,
    }
    return InstanceUseView.model_validate(known | fields)


def node(name: str, **fields: object) -> NodeView:
    size = ResourcesView(cores_milli=8000, memory_bytes=16 * GIB)
    known = {"name": name, "status": "ready", "capacity": size, "foreign": ResourcesView()}
    return NodeView.model_validate(
        known | {"reserved": ResourcesView(cores_milli=500), "free": size} | fields
    )


def test_the_table_says_what_is_used_of_what() -> None:
    seen = NodeUseView(
        at=as_time(0.0), seconds=10, cores_milli=1500, memory_bytes=2 * GIB, peak_bytes=2 * GIB,
        memory_total_bytes=20 * GIB, memory_stall=12.3,
    )  # fmt: skip
    found = TopView(
        sample_seconds=10,
        nodes=[node("node-1", use=seen, pressure="less than 5% of its memory is free"), node("n2")],
        instances=[use("f.s", disk_bytes=0), use("f.t", reserved=ResourcesView(cores_milli=500))],
    )
    said = top._top(found).splitlines()
    assert said[1].split("  ")[0] == "node-1"
    for words in ("1.5 of 8", "2GiB of 20GiB", "12%", "less than 5% of its memory is free"):
        assert words in said[1]
    assert "ready" in said[2]
    words = "17/f.s/0 wordcount node-1 0.4 of 2 1.2GiB of 4GiB 2GiB 90s - 0B"
    assert " ".join(said[5].split()) == words
    assert " ".join(said[6].split()).endswith("0.4 of 0.5 1.2GiB 2GiB 90s - -")
    assert columns(("A",), []) == "A"


def test_it_says_when_nobody_knows() -> None:
    assert "samples nothing" in top._top(TopView(sample_seconds=0))
    assert "No instance runs" in top._top(TopView(sample_seconds=10))


async def test_without_a_master_the_store_is_shown(shell: Shell) -> None:
    await shell.api.master.nodes(*machines())
    await shell.zoe("submit", shell.write("dask.yaml", DASK), "--name", "x")
    await shell.api.master.run(1, elastic=1)
    assert "Nobody knows" in await shell.zoe("top")
    assert json.loads(await shell.zoe("top", "--json"))["sample_seconds"] == 0
    assert "PEAK" not in await shell.zoe("show", "x")
    kept = InstanceUse("1/driver.count/0", 1, 0.0, 250, GIB, 2 * GIB, 12.0)
    await shell.api.store.uses.put([kept], [], shell.api.master.epoch)
    said = await shell.zoe("show", "x")
    assert "0.2 of 0.5  1GiB of 512MiB  2GiB  12s" in " ".join(said.split(" "))
    assert "IN USE" in await shell.zoe("nodes")


async def test_watching_goes_on_until_it_is_interrupted(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def interrupt(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(output.time, "sleep", interrupt)
    await shell.zoe("top", "-w", code=130)
    assert looks == [top.WATCH_SECONDS] * 2
