"""Tables of jobs: CSV, and Parquet with and without pyarrow."""

import sys
from collections.abc import Callable
from importlib.util import find_spec

import pytest

import components
from zoe.model.resources import Resources
from zoe.model.zapp import Kind
from zoe.sim.workloads.problems import WorkloadInvalid
from zoe.sim.workloads.table import read_columns, read_csv, read_parquet

HAS_PYARROW = find_spec("pyarrow") is not None
FULL = (
    "id,submitted,seconds,owner,team,application,cores,memory,gpus,essential,elastic,run_seconds,"
    "kind,labels\n"
    "4,1h,2h30m,ann,blue,spark,500m,16GiB,1,2,3,3h,interactive,ssd fast\n"
)


def test_a_row_says_all_of_a_job() -> None:
    (job,) = read_csv(FULL).jobs
    demand = job.demand
    (need,) = demand.needs
    assert (job.id, job.arrival_seconds, job.seconds) == (4, 3600.0, 9000.0)
    assert (demand.owner, demand.team, demand.application) == ("ann", "blue", "spark")
    assert (demand.run_seconds, demand.kind) == (10800.0, Kind.INTERACTIVE)
    assert (need.essential, need.elastic) == (2, 3)
    assert need.shape.each == Resources(500, 16 * 1024**3, 1)
    assert need.shape.labels == {"ssd", "fast"}


def test_what_is_not_said_has_a_plain_meaning() -> None:
    one, two = read_csv("seconds\n10\n\n20\n").jobs
    assert (one.id, two.id, one.arrival_seconds) == (1, 2, 0.0)
    assert one.demand.needs[0].shape.each == Resources(1000)
    assert (one.demand.instances, one.demand.run_seconds) == (1, None)
    (elastic,) = read_csv("seconds,essential,elastic,memory\n10,0,5,0\n").jobs
    assert (elastic.demand.instances, elastic.demand.needs[0].essential) == (5, 0)


def test_a_mark_of_byte_order_and_quotes_are_no_problem() -> None:
    (job,) = read_csv('\ufeffid, SECONDS ,owner\r\n1,5,"a, b"\r\n'.encode()).jobs
    assert job.demand.owner == "a, b"


@pytest.mark.parametrize("kind", [str, str.encode], ids=["text", "bytes"])
def test_a_line_that_breaks_within_quotes_is_not_joined(kind: Callable[[str], str | bytes]) -> None:
    with pytest.raises(WorkloadInvalid, match=r"owner 'a.nb' has characters"):
        read_csv(kind('seconds,owner\n5,"a\nb"\n'))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("id,secnds", "t.csv:1:1: there is no column 'secnds': did you mean seconds?"),
        ("id,zzzz,seconds", "the columns are id, arrival"),
        ("id,owner", "seconds is missing"),
        ("seconds,id,id", "id is there twice"),
        ("seconds,arrival,submitted", "arrival is there twice (submitted is the same)"),
    ],
)
def test_a_bad_header_is_refused(header: str, message: str) -> None:
    with pytest.raises(WorkloadInvalid) as refused:
        read_csv(f"{header}\n1,2,3\n", "t.csv", on_error="skip")
    assert message in str(refused.value)


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(WorkloadInvalid, match="the table is empty"):
        read_csv("\n \n")
    assert read_csv("seconds\n").jobs == ()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("id", "-1", "negative"),
        ("id", "1.5", "whole"),
        ("arrival", "nan", "finite"),
        ("arrival", "-1", "negative"),
        ("arrival", "1x", "not a number"),
        ("owner", "a" * 201, "longer than 200"),
        ("owner", "a\x00b", "cannot be shown"),
        ("cores", "0", "at least 1m"),
        ("cores", "inf", "not a number of cores"),
        ("memory", "-5", "not an amount"),
        ("memory", "12", "less than 1MiB"),
        ("memory", "9999PiB", "more than"),
        ("gpus", "99999", "more than 1,024"),
        ("essential", "1000000", "essential '1000000' is more than 100,000"),
        ("essential", "0", "no instance at all"),
        ("run_seconds", "0", "longer than nothing"),
        ("kind", "daemon", "the kinds are batch, interactive, service"),
        ("labels", "a" * 300, "longer than 200"),
    ],
)
def test_a_bad_cell_is_named(column: str, value: str, message: str) -> None:
    text = f"seconds,{column}\n5,1\n6,{value}\n".replace("5,1", "5,")
    with pytest.raises(WorkloadInvalid) as refused:
        read_csv(text, "t.csv")
    assert str(refused.value).startswith(f"t.csv:3:1: {column} ")
    assert message in str(refused.value)
    loaded = read_csv(text, on_error="skip")
    assert (len(loaded.jobs), loaded.skipped) == (1, 1)


@pytest.mark.parametrize("seconds", ["", "0", "nan", "-5", "inf", "1e30", "5q", "9999999d"])
def test_every_job_takes_some_time(seconds: str) -> None:
    with pytest.raises(WorkloadInvalid, match=r"t\.csv:2:1: seconds"):
        read_csv(f"seconds,id\n{seconds},1\n", "t.csv")


def test_all_that_is_wrong_with_a_row_is_said() -> None:
    with pytest.raises(WorkloadInvalid, match=r"cores 'x' .*; gpus '-1' is negative"):
        read_csv("seconds,cores,gpus\n1,x,-1\n")
    with pytest.raises(WorkloadInvalid, match="120,000 instances are more than 100,000"):
        read_csv("seconds,essential,elastic\n1,60000,60000\n")


def test_rows_that_are_no_rows_are_named() -> None:
    with pytest.raises(WorkloadInvalid, match=r":2:1: the row has 1 cells, the header has 2"):
        read_csv("seconds,id\n5\n")
    with pytest.raises(WorkloadInvalid, match="the row is no CSV"):
        read_csv('seconds,owner\n5,"a\n')
    with pytest.raises(WorkloadInvalid, match="the header is no CSV"):
        read_csv('"seconds')
    with pytest.raises(WorkloadInvalid, match="job 1 was already in line 2"):
        read_csv("seconds,id\n5,1\n5,1\n")


def test_columns_in_memory_are_a_table() -> None:
    (job, other) = read_columns({"seconds": [5, "1m"], "cores": [0.5, None]}).jobs
    assert (job.seconds, job.demand.needs[0].shape.each) == (5.0, Resources(500))
    assert (other.seconds, other.demand.needs[0].shape.each) == (60.0, Resources(1000))
    with pytest.raises(WorkloadInvalid, match="row 2: seconds -1 is negative"):
        read_columns({"seconds": [5, -1]})
    with pytest.raises(WorkloadInvalid, match="not equally long"):
        read_columns({"seconds": [5], "id": []})
    with pytest.raises(WorkloadInvalid, match="did you mean seconds"):
        read_columns({"second": [5]})


def test_columns_of_opendc_are_milliseconds_and_megabytes() -> None:
    columns: dict[str, list[object]] = {
        "id": [8, 9, 10, 11],
        "submission_time": [1_665_093_602_500, 1_665_093_600_000, None, 1_665_093_600_000],
        "duration": [1500, 2000, 5, 0],
        "cpu_count": [2, 1, 1, 1],
        "cpu_capacity": [2.0, 2.0, 2.0, 2.0],
        "mem_capacity": [4, 0, 5, 5],
    }
    loaded = read_columns(columns, on_error="skip")
    assert [(job.id, job.arrival_seconds, job.seconds) for job in loaded.jobs] == [
        (9, 0.0, 2.0),
        (8, 2.5, 1.5),
    ]
    assert loaded.jobs[1].demand.needs[0].shape.each == Resources(2000, 4 * 1000**2)
    assert [problem.path for problem in loaded.problems] == ["row 3", "row 4"]


def test_without_pyarrow_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(WorkloadInvalid, match=r"needs pyarrow.*\(pip install pyarrow"):
        read_parquet(b"PAR1")


def test_what_is_no_parquet_is_refused() -> None:
    with pytest.raises(WorkloadInvalid, match="no Parquet table" if HAS_PYARROW else "pyarrow"):
        read_parquet(b"PAR1 and nothing")


@pytest.mark.component("shared")
def test_a_week_of_opendc_is_read_whole() -> None:
    packed = (components.TRACES / "opendc" / "surf_week.tasks.parquet").read_bytes()
    if not HAS_PYARROW:
        with pytest.raises(WorkloadInvalid, match="pip install pyarrow"):
            read_parquet(packed)
        return
    jobs = read_parquet(packed).jobs
    assert len(jobs) == 6295
    assert jobs[0].arrival_seconds == 0.0
    assert jobs[-1].arrival_seconds == pytest.approx(7 * 86400, rel=0.01)
    assert {job.demand.needs[0].shape.each for job in jobs} == {Resources(16_000, 100 * 1000**3)}
    assert min(job.seconds for job in jobs) == 30.0
