"""Workloads and schedules of Batsim, and the choice of a reader."""

import json
from typing import Any

import pytest

import components
from zoe.model.resources import Resources
from zoe.sim.workloads.batsim import NO_COMMUNICATION, Slot, read_batsim, read_schedule
from zoe.sim.workloads.formats import read_workload
from zoe.sim.workloads.problems import WorkloadInvalid

JOB = {"id": 3, "profile": "d", "res": 2, "subtime": 5.5, "walltime": 100}
PROFILES: dict[str, Any] = {
    "d": {"type": "delay", "delay": 42},
    "h": {"type": "parallel_homogeneous", "cpu": 3e9, "com": 0},
    "t": {"type": "parallel_homogeneous_total", "cpu": 8e9, "com": 7},
    "p": {"type": "parallel", "cpu": [1e9, 5e9], "com": [0, 1, 1, 0]},
    "s": {"type": "composed", "seq": ["d", "h", "d"], "repeat": 2},
    "loop": {"type": "composed", "seq": ["loop"]},
    "smpi": {"type": "smpi"},
}
SCHEDULE = "job_id,starting_time,finish_time\n"


def workload(*jobs: object, **more: object) -> str:
    return json.dumps({"nb_res": 32, "jobs": jobs, "profiles": PROFILES, **more})


def test_a_job_is_its_profile_on_its_resources() -> None:
    loaded = read_batsim(workload(JOB))
    (job,) = loaded.jobs
    assert (job.id, job.arrival_seconds, job.seconds) == (3, 5.5, 42.0)
    assert (job.demand.run_seconds, job.demand.application) == (100.0, "d")
    assert (job.demand.instances, job.demand.needs[0].shape.each) == (2, Resources(1000))
    assert loaded.headers == {"nb_res": "32"}


@pytest.mark.parametrize(
    ("profile", "seconds", "assumed"),
    [("d", 42, 0), ("h", 3, 0), ("t", 4, 1), ("p", 5, 1), ("s", 2 * (42 + 3 + 42), 0)],
)
def test_profiles_say_how_long(profile: str, seconds: float, assumed: int) -> None:
    loaded = read_batsim(workload({**JOB, "profile": profile}))
    assert loaded.jobs[0].seconds == seconds
    assert loaded.assumed.get(NO_COMMUNICATION, 0) == assumed


def test_the_speed_of_the_platform_counts() -> None:
    fast = read_batsim(workload({**JOB, "profile": "h"}), flops_per_second=3e9)
    assert fast.jobs[0].seconds == 1.0


def test_a_walltime_of_minus_one_is_none() -> None:
    assert read_batsim(workload({**JOB, "walltime": -1})).jobs[0].demand.run_seconds is None


def test_ids_that_are_no_numbers_get_one() -> None:
    loaded = read_batsim(workload({**JOB, "id": "w0!17"}, {**JOB, "id": "first"}))
    assert {job.id for job in loaded.jobs} == {17, 2}
    assert loaded.names == {2: "first"}
    schedule = read_schedule(SCHEDULE + "first,1,2\nw0!17,3,4\n", names=loaded.names)
    assert schedule.slots == {2: Slot(1, 2), 17: Slot(3, 4)}


@pytest.mark.parametrize(
    ("job", "message"),
    [
        (5, "5 is not a job"),
        ({**JOB, "profile": "dd"}, "there is no profile 'dd': did you mean d?"),
        ({**JOB, "profile": "smpi"}, "cannot be replayed without Batsim"),
        ({**JOB, "profile": "loop"}, "made of itself"),
        ({**JOB, "res": 0}, "res 0 is less than 1"),
        ({**JOB, "res": 10**6}, "more than 100,000"),
        ({**JOB, "subtime": -1}, "negative"),
        ({**JOB, "subtime": True}, "not a number"),
        ({**JOB, "walltime": float("nan")}, "finite"),
        ({**JOB, "id": ""}, "id is empty"),
        ({**JOB, "id": None}, "id None is not a text"),
        ({"id": 3}, "res is missing"),
    ],
)
def test_a_bad_job_is_named(job: object, message: str) -> None:
    text = workload({**JOB, "id": 1}, job)
    with pytest.raises(WorkloadInvalid) as refused:
        read_batsim(text, "w.json")
    assert str(refused.value).startswith("w.json: jobs[1]: ")
    assert message in str(refused.value)
    loaded = read_batsim(text, on_error="skip")
    assert (len(loaded.jobs), loaded.skipped) == (1, 1)


@pytest.mark.parametrize(
    "profile",
    [
        {"type": "delay", "delay": "NaN"},
        {"type": "delay"},
        {"type": ["delay"]},
        {"type": "delay", "delay": 1e12},
        {"type": "parallel", "cpu": []},
        {"type": "parallel", "cpu": ["x"]},
        {"type": "composed", "seq": []},
        {"type": "composed", "seq": [["d"]]},
        {"type": "composed", "seq": ["d"], "repeat": 10**9},
        "delay",
    ],
)
def test_a_bad_profile_is_a_problem_of_its_jobs(profile: object) -> None:
    loaded = read_batsim(workload(JOB, profiles={"d": profile}), on_error="skip")
    assert (loaded.jobs, loaded.skipped) == ((), 1)


def test_profiles_of_profiles_take_no_time_to_read() -> None:
    deep = {f"p{n}": {"type": "composed", "seq": [f"p{n + 1}"] * 9} for n in range(10)}
    deep["p10"] = {"type": "delay", "delay": 1e-3}
    loaded = read_batsim(workload({**JOB, "profile": "p0"}, profiles=deep), on_error="skip")
    assert loaded.jobs[0].seconds == pytest.approx(9**10 / 1000)


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", '{"jobs": 1}', "[" * 100_000, "9" * 9999])
def test_what_is_no_workload_is_refused(text: str) -> None:
    with pytest.raises(WorkloadInvalid):
        read_batsim(text, on_error="skip")


def test_broken_json_has_its_place() -> None:
    with pytest.raises(WorkloadInvalid, match="w:2:8: it is no JSON"):
        read_batsim('{\n  "jobs\n', "w")


def test_a_schedule_says_when_jobs_ran() -> None:
    schedule = read_schedule("finish_time,job_id,starting_time,x\n20.5,4,10,\n-1,5,-1,\n")
    assert schedule.slots == {4: Slot(10.0, 20.5)}
    assert schedule.left_out == {"never started": 1}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,2", "2 cells"),
        ("x,1,2", "job_id"),
        ("1,nan,2", "finite"),
        ("1,5,2", "before it starts"),
        ("9,1,2", "there twice"),
        ('1,"2,3', "end of data"),
    ],
)
def test_a_bad_row_of_a_schedule_is_named(row: str, message: str) -> None:
    text = f"{SCHEDULE}9,0,1\n{row}\n"
    with pytest.raises(WorkloadInvalid, match=rf"s.csv:3:1: .*{message}"):
        read_schedule(text, "s.csv")
    assert read_schedule(text, on_error="skip").skipped == 1


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n"])
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(WorkloadInvalid):
        read_schedule(text, on_error="skip")


def test_the_reader_is_chosen_by_the_name() -> None:
    text = workload(JOB).encode()
    assert read_workload(text, "a.json").jobs == read_workload(text, "a", kind="json").jobs
    assert len(read_workload(b"seconds\n5\n", "A.CSV").jobs) == 1
    assert read_workload(b"; none\n", "a.swf.gz").jobs == ()
    with pytest.raises(WorkloadInvalid, match=r"format 'swv' \(did you mean swf"):
        read_workload(text, "a.swv")
    with pytest.raises(WorkloadInvalid):
        read_workload(b"PAR1", "a.parquet")


@pytest.mark.component("shared")
def test_the_schedules_of_batsim_are_of_its_workload() -> None:
    folder = components.TRACES / "batsim"
    loaded = read_batsim((folder / "evalys_medium_late.json").read_bytes())
    assert len(loaded.jobs) == 801
    assert loaded.headers["nb_res"] == "32"
    for variant, mean_wait in (("easy", 9.52), ("conservative", 9.85)):
        path = folder / f"evalys_medium_late_{variant}_out_jobs.csv"
        slots = read_schedule(path.read_bytes(), path.name).slots
        assert slots.keys() == {job.id for job in loaded.jobs}
        waits = [slots[job.id].start_seconds - job.arrival_seconds for job in loaded.jobs]
        assert sum(waits) / 801 == pytest.approx(mean_wait, abs=0.005)
        for job in loaded.jobs:
            slot = slots[job.id]
            assert slot.finish_seconds - slot.start_seconds == pytest.approx(job.seconds, abs=1e-3)
