"""Whatever is done to a file: a reader returns jobs that are right, or raises its own error."""

import gzip
import json
import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe.sim.cluster import read_nodes
from zoe.sim.workload import Job
from zoe.sim.workloads.batsim import read_batsim, read_schedule
from zoe.sim.workloads.history import read_history
from zoe.sim.workloads.paper import task_shapes
from zoe.sim.workloads.problems import InputInvalid
from zoe.sim.workloads.scenario import read_scenario
from zoe.sim.workloads.swf import read_swf
from zoe.sim.workloads.table import read_csv, read_parquet

SWF = "; MaxRecords: 2\n" + "".join(
    f"{job} 10 5 60 4 -1 -1 4 120 2048 1 12 3 9 -1 -1 -1 -1\n" for job in (1, 2)
)
BATSIM = json.dumps(
    {
        "nb_res": 4,
        "jobs": [{"id": 1, "profile": "s", "res": 2, "subtime": 5.5, "walltime": 100}],
        "profiles": {
            "d": {"type": "delay", "delay": 42},
            "s": {"type": "composed", "seq": ["d", "d"], "repeat": 2},
        },
    }
)
CSV = "id,submitted,seconds,cores,memory,essential,labels\n1,0,2h,500m,4GiB,1,ssd\n2,5,9,,,,\n"
SCENARIO = """nodes = "2x4c8g+ssd"
[[failures]]
node = "node001"
at = "1h"
[[jobs]]
seconds = 10
cores = 0.5
"""
HISTORY = {
    "executions": [
        {
            "id": 1,
            "owner": "ann",
            "status": "terminated",
            "submitted_at": "2024-01-01T00:00:00Z",
            "started_at": 1704067201,
            "ended_at": 1704067301,
            "frameworks": [
                {"services": [{"name": "a.b", "resources": {"cores_milli": 5}, "essential": 1}]}
            ],
        }
    ],
    "events": [
        {
            "id": 1,
            "execution_id": 1,
            "kind": "instance",
            "at": "2024-01-01T00:00:05Z",
            "detail": {"id": "1/a.b/0", "status": "running"},
        }
    ],
}

TEXT_READERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "swf": (SWF, lambda text: read_swf(text, on_error="skip").jobs),
    "swf, strict": (SWF, lambda text: read_swf(text).jobs),
    "batsim": (BATSIM, lambda text: read_batsim(text, on_error="skip").jobs),
    "schedule": (
        "job_id,starting_time,finish_time\n1,2,3\n",
        lambda text: read_schedule(text, on_error="skip") and (),
    ),
    "csv": (CSV, lambda text: read_csv(text, on_error="skip").jobs),
    "scenario": (SCENARIO, lambda text: read_scenario(text).jobs),
    "nodes": ("2x4c8g2gpu+ssd,1c", lambda text: read_nodes(text) and ()),
    "snapshot": ("11 0 1 0 3 2 4.0 2147483648\n", lambda text: task_shapes([text]) and ()),
}

PIECES = st.sampled_from(
    [
        *("-1", "nan", "inf", "1e999", "9" * 400, "0", "", "\n", "\t", ",", '"', "[", "]]", "{"),
        *("\x00", "\ud800", "\u0661", "\u2028", "1_0", "true", "null", "x" * 300, "=", "-"),
        *(".", "1e-300", "#"),
    ]
)


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    """``text`` with a few pieces cut out, put in, repeated or replaced."""
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(text)))
        end = min(len(text), begin + draw(st.integers(0, 12)))
        piece = draw(PIECES | st.text(max_size=5) | st.just(text[begin:end] * 2))
        text = text[:begin] + piece + text[end:]
    return text


def assert_right(jobs: tuple[Job, ...]) -> None:
    for job in jobs:
        assert math.isfinite(job.seconds)
        assert job.seconds >= 0
        assert math.isfinite(job.arrival_seconds)
        assert job.arrival_seconds >= 0
        assert 0 < job.demand.instances <= 100_000
        assert job.demand.run_seconds is None or 0 < job.demand.run_seconds < math.inf
    assert list(jobs) == sorted(jobs, key=lambda job: (job.arrival_seconds, job.id))
    assert len({job.id for job in jobs}) == len(jobs)


def jobs_or_refusal(read: Callable[[], Any]) -> Any:
    """What ``read`` returns; nothing, if it refuses as it should."""
    try:
        return read()
    except InputInvalid as error:
        problems = error.problems
    assert problems
    assert all(len(str(problem)) < 2000 for problem in problems)
    return ()


@pytest.mark.parametrize("reader", TEXT_READERS)
@given(st.data())
def test_a_mutated_text(reader: str, data: st.DataObject) -> None:
    text, read = TEXT_READERS[reader]
    assert_right(read(text))
    changed = data.draw(mutated(text))
    assert_right(jobs_or_refusal(lambda: read(changed)))


@given(st.binary(max_size=40), st.integers(0, 60))
def test_mutated_bytes(piece: bytes, place: int) -> None:
    for data in (gzip.compress(SWF.encode(), mtime=0), b"PAR1" + piece + b"PAR1", CSV.encode()):
        damaged = data[:place] + piece + data[place + len(piece) :]
        for read in (read_swf, read_batsim, read_csv, read_parquet, read_schedule):
            jobs_or_refusal(lambda read=read, damaged=damaged: read(damaged, on_error="skip"))


ODD = st.sampled_from(
    [None, True, -1, 0, 10**400, 1e300, math.nan, "", "x", "running", [], {}, [[]], [{}], "1-1"]
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) inside of a JSON value."""
    items = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value))
        if isinstance(value, list)
        else []
    )
    return [place for key, inner in items for place in [(value, key), *places(inner)]]


@given(st.data())
def test_a_mutated_history(data: st.DataObject) -> None:
    history = json.loads(json.dumps(HISTORY))
    for _ in range(data.draw(st.integers(1, 3))):
        found = places(history)
        container, key = found[data.draw(st.integers(0, len(found) - 1))]
        if container is not history:
            container[key] = deepcopy(data.draw(ODD))
    executions, events = history["executions"], history["events"]
    assert_right(jobs_or_refusal(lambda: read_history(executions, events, on_error="skip").jobs))
