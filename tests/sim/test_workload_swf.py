"""The Standard Workload Format, and how every reader says what is wrong."""

import gzip
import heapq
from collections.abc import Sequence

import pytest

import components
from zoe.model.limits import MAX_PROBLEMS
from zoe.model.resources import Resources
from zoe.sim.workload import Job
from zoe.sim.workloads import problems
from zoe.sim.workloads.problems import WorkloadInvalid
from zoe.sim.workloads.swf import ONE_PROCESSOR, read_swf

GOOD = "7 100 5 60 4 -1 -1 4 120 2048 1 12 3 9 -1 -1 -1 -1"


def line(**changes: object) -> str:
    """A good line with some fields replaced."""
    names = ("job", "submit", "wait", "run", "allocated", "cpu", "used", "requested", "limit")
    names += ("memory", "status", "user", "group", "executable")
    fields = GOOD.split()
    for name, value in changes.items():
        fields[names.index(name)] = str(value)
    return " ".join(fields)


def test_a_line_is_a_rigid_job() -> None:
    loaded = read_swf(f"; Version: 2.2\n; MaxProcs: 100\n;\n; Note: a: b\n\n{GOOD}\n")
    (job,) = loaded.jobs
    (need,) = job.demand.needs
    assert (job.id, job.arrival_seconds, job.seconds) == (7, 100.0, 60.0)
    assert (need.service, need.essential, need.elastic) == ("job.process", 4, 0)
    assert need.shape.each == Resources(1000, 2048 * 1024)
    assert (job.demand.owner, job.demand.team, job.demand.application) == ("u12", "g3", "app9")
    assert job.demand.run_seconds == 120.0
    assert loaded.headers == {"Version": "2.2", "MaxProcs": "100", "Note": "a: b"}
    assert loaded.summary == "1 jobs"


def test_what_the_log_does_not_know_is_not_made_up() -> None:
    unknown = line(user=-1, group=-1, executable=-1, limit=-1, memory=-1, requested=-1)
    (job,) = read_swf(unknown).jobs
    assert (job.demand.owner, job.demand.team, job.demand.application) == ("", "", "")
    assert job.demand.run_seconds is None
    assert job.demand.needs[0].shape.each == Resources(1000)
    assert job.demand.instances == 4, "requested is unknown: allocated counts"


def test_jobs_are_in_the_order_of_arrival_then_id() -> None:
    lines = [line(job=3, submit=5), line(job=9, submit=1), line(job=2, submit=5)]
    assert [job.id for job in read_swf(lines).jobs] == [9, 2, 3]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"run": -1}, "its run time is not known"),
        ({"run": 0, "status": 5}, "cancelled before it started"),
        ({"run": -1, "status": 5}, "cancelled before it started"),
    ],
)
def test_what_cannot_be_replayed_is_left_out_and_counted(
    changes: dict[str, object], why: str
) -> None:
    loaded = read_swf(line(**changes))
    assert (loaded.jobs, loaded.left_out, loaded.problem_count) == ((), {why: 1}, 0)
    assert why in loaded.summary


def test_a_run_time_of_nothing_is_kept() -> None:
    assert read_swf(line(run=0)).jobs[0].seconds == 0.0


def test_a_job_that_ran_had_a_processor() -> None:
    loaded = read_swf(line(requested=-1, allocated=-1))
    assert loaded.jobs[0].demand.instances == 1
    assert loaded.assumed == {ONE_PROCESSOR: 1}


def test_which_time_and_which_processors_can_be_chosen() -> None:
    one = line(allocated=2, requested=4, run=60, limit=120)
    assert read_swf(one, seconds_from="requested").jobs[0].seconds == 120.0
    assert read_swf(line(limit=-1), seconds_from="requested").jobs[0].seconds == 60.0
    assert read_swf(one, processors_from="allocated").jobs[0].demand.instances == 2


def test_only_some_statuses_and_only_the_first() -> None:
    lines = [line(job=number, status=number % 2) for number in range(10)]
    loaded = read_swf(lines, statuses=frozenset({1}))
    assert [job.id for job in loaded.jobs] == [1, 3, 5, 7, 9]
    assert loaded.left_out == {"status 0 was not asked for": 5}
    assert len(read_swf(["; MaxRecords: 10", *lines], first=3).jobs) == 3


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("1 2 3", "3 fields, not 18: is it truncated?"),
        (GOOD + " 1", "19 fields"),
        (line(job="x"), "job number 'x' is not a number"),
        (line(job=-3), "job number '-3' is negative"),
        (line(submit="nan"), "submit time 'nan' is not a finite number"),
        (line(submit="1e400"), "is not a finite number"),
        (line(submit=-5), "submit time '-5' is negative"),
        (line(run="inf"), "run time 'inf' is not a finite number"),
        (line(run=-2), "run time '-2' is negative"),
        (line(run="1e15"), "is more than"),
        (line(requested=0), "requested processors are 0"),
        (line(requested=1_000_000), "requested processors '1000000' is more than 100,000"),
        (line(requested="4.5"), "not a whole number"),
        (line(memory="1e300"), "requested memory '1e300' is more than"),
        (line(status=-7), "less than -1"),
        (line(user="\u0661"), "is not a number"),
        (line(run="1_0"), "is not a number"),
    ],
)
def test_a_bad_line_is_named(bad: str, message: str) -> None:
    text = f"; Version: 2\n{line(job=1)}\n{bad}\n"
    with pytest.raises(WorkloadInvalid) as refused:
        read_swf(text, "kth.swf")
    assert str(refused.value).startswith("kth.swf:3:1: ")
    assert message in str(refused.value)
    loaded = read_swf(text, "kth.swf", on_error="skip")
    assert (len(loaded.jobs), loaded.skipped, loaded.problem_count) == (1, 1, 1)
    assert message in loaded.problems[0].message
    assert "1 records skipped because they are wrong" in loaded.summary


def test_the_same_job_twice_is_a_problem() -> None:
    with pytest.raises(WorkloadInvalid, match=r"w:2:1: job 7 was already in line 1"):
        read_swf([GOOD, GOOD], "w")


def test_fewer_records_than_promised_is_a_problem() -> None:
    with pytest.raises(
        WorkloadInvalid, match=r"promises 5 records, there are 1 \(is the file trun"
    ):
        read_swf(f"; MaxRecords: 5\n{GOOD}")
    loaded = read_swf(f"; MaxRecords: 5\n{GOOD}", on_error="skip")
    assert (len(loaded.jobs), loaded.skipped, loaded.problem_count) == (1, 0, 1)


def test_all_problems_are_counted_and_some_listed() -> None:
    with pytest.raises(WorkloadInvalid) as refused:
        read_swf("1 2 3\n" * 250)
    assert (len(refused.value.problems), refused.value.count) == (MAX_PROBLEMS, 250)
    assert str(refused.value).endswith("... and 150 more")


def test_a_gzip_is_unpacked() -> None:
    packed = gzip.compress(GOOD.encode() + b"\n", mtime=0)
    more = gzip.compress(line(job=8).encode(), mtime=0)
    assert [job.id for job in read_swf(packed + more).jobs] == [7, 8]


def test_a_damaged_gzip_is_refused() -> None:
    packed = gzip.compress(GOOD.encode() * 50, mtime=0)
    with pytest.raises(WorkloadInvalid, match="truncated"):
        read_swf(packed[:-9], on_error="skip")
    with pytest.raises(WorkloadInvalid, match="no gzip follows"):
        read_swf(packed + b"x")
    assert read_swf(gzip.compress(GOOD.encode()) + bytes(512)).jobs
    with pytest.raises(WorkloadInvalid, match="corrupt"):
        read_swf(packed[:12] + b"\xff\xff" + packed[14:], on_error="skip")


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "MAX_TEXT_BYTES", 1000)
    with pytest.raises(WorkloadInvalid, match="unpacks to more than"):
        read_swf(gzip.compress(b" " * 100_000))
    with pytest.raises(WorkloadInvalid, match="larger than"):
        read_swf(b" " * 100_000)


def test_too_many_jobs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(problems, "MAX_JOBS", 2)
    with pytest.raises(WorkloadInvalid, match="more than 2 jobs"):
        read_swf([line(job=number) for number in range(3)], on_error="skip")


def strict_fcfs_mean_wait(jobs: Sequence[Job], processors: int) -> float:
    """Nobody starts before everybody who came earlier has."""
    running: list[tuple[float, int]] = []
    free, now, waited = processors, 0.0, 0.0
    for job in jobs:
        now = max(now, job.arrival_seconds)
        while running and (running[0][0] <= now or free < job.demand.instances):
            ended, count = heapq.heappop(running)
            now = max(now, ended)
            free += count
        free -= job.demand.instances
        heapq.heappush(running, (now + job.seconds, job.demand.instances))
        waited += now - job.arrival_seconds
    return waited / len(jobs)


@pytest.mark.component("shared")
def test_the_log_of_kth_is_read_whole() -> None:
    packed = (components.TRACES / "KTH-SP2-1996-2.1-cln.swf.gz").read_bytes()
    loaded = read_swf(packed)
    assert len(loaded.jobs) == 28_476
    assert (loaded.skipped, loaded.problem_count, loaded.left_out) == (0, 0, {})
    assert loaded.assumed == {ONE_PROCESSOR: 1}
    assert loaded.headers["MaxProcs"] == "100"
    assert sum(job.seconds == 0 for job in loaded.jobs) == 8
    assert len({job.demand.owner for job in loaded.jobs}) == 214
    # A known figure of this log on its own 100 processors: it depends on every job being right.
    assert strict_fcfs_mean_wait(loaded.jobs, 100) == pytest.approx(389_838.5, abs=0.05)
