"""`zoe simulate`: answers, files, and whatever is wrong with what it is given."""

import csv
import io
import json
from pathlib import Path

import pytest

from zoe.cli.main import main
from zoe.cli.simulator.inputs import OptionInvalid, seeds_of
from zoe.cli.simulator.runs import Plan, run_all
from zoe.model.cluster import Node
from zoe.model.errors import ZoeError
from zoe.model.limits import MAX_PROBLEMS
from zoe.model.resources import Resources
from zoe.sim.experiment import Experiment, Published
from zoe.sim.report import Run, to_json
from zoe.sim.variant import variants
from zoe.sim.workloads.paper import Tables

SAMPLES = Path(__file__).parents[2] / "docs/samples"
WEEK = f"--workload {SAMPLES}/week.csv --nodes 4x8c32gi"
OTHER, USAGE, NOT_FOUND, REJECTED = 1, 2, 4, 5
HEAD = "arrival,seconds,essential,elastic,cores,memory\n"
TABLES = Tables((1.0, 3.0), (100.0, 200.0), (1.0, 2.0), (1.0, 2.0), (1.0, 2.0))
DRAWN = Experiment(Published(TABLES, 1, repeats=(("batch", 8), ("mpi", 2))))
NODES = (Node("n", Resources(32_000, 128 * 1024**3)),)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def ask(capsys: pytest.CaptureFixture[str], line: str, code: int = 0) -> tuple[str, str]:
    returned = main(["simulate", *line.split()])
    out, err = capsys.readouterr()
    assert returned == code, out + err
    assert "Traceback" not in err
    return out, err


def test_json_has_the_shape_that_programs_expect(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = ask(capsys, f"{WEEK} --compare fifo,sjf --json")
    answer = json.loads(out)
    assert answer["schema_version"] == 1
    assert [result["name"] for result in answer["results"]] == ["fifo", "sjf"]
    assert {
        "name", "seed", "offered_load", "wait", "turnaround", "bounded_slowdown", "stretch",
        "allocation", "makespan", "jain", "churn", "jobs_per_second",
    } <= answer["results"][0].keys()  # fmt: skip
    assert answer["results"][0]["jobs_per_second"] > 0
    assert answer["skipped"] == {"count": 0, "first": []}
    assert "12 jobs" in err
    assert answer["facts"]["machines"] == "4 with 32 cores, 128GiB together"


def test_what_is_not_as_usual_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    options = "--drain 30 --lost-work 60 --saved-work 600 --restarts 1 --load 2 --speedup 0.9"
    facts = json.loads(ask(capsys, f"{WEEK} {options} --json")[0])["facts"]
    assert facts["drain seconds"] == "30"
    assert (facts["lost seconds"], facts["saved seconds"]) == ("60", "600")
    assert facts["restarts"] == "1"
    assert "2 times" in facts["load"]
    assert "0.9 of the work" in facts["speed-up"]


def test_csv_has_a_line_for_each_simulation(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    out, _ = ask(capsys, f"{WEEK} --compare fifo,sjf --csv -")
    lines = list(csv.DictReader(io.StringIO(out)))
    assert [line["name"] for line in lines] == ["fifo", "sjf"]
    assert float(lines[0]["wait.mean"]) > 0
    ask(capsys, f"{WEEK} --csv new/all.csv")
    assert (folder / "new/all.csv").read_text().startswith("name,seed,")


def test_reports_and_drawings_are_files(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    out, err = ask(capsys, f"{WEEK} --report page.html --plots drawings")
    assert "turnaround, mean" in out
    assert "http" not in (folder / "page.html").read_text().replace("http-equiv", "").replace(
        "http://www.w3.org/2000/svg", ""
    )
    names = {path.name for path in (folder / "drawings").iterdir()}
    assert {"turnaround.svg", "wait.svg", "queue.svg", "schedule-1.svg"} <= names
    assert "page.html" in err


def test_a_scenario_may_refer_to_its_workload(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "deep").mkdir()
    (folder / "deep/jobs.csv").write_text(HEAD + "0,10,1,0,1,1GiB\n")
    (folder / "deep/s.toml").write_text(
        'nodes = "2x1c1gi"\nworkload = "jobs.csv"\n[random_failures]\n'
        'mean_up = "1h"\nmean_repair = "1m"\n'
    )
    out, err = ask(capsys, "--scenario deep/s.toml --seeds 0..2 --jobs 1 --json")
    assert [one["seed"] for one in json.loads(out)["results"]] == [0, 1, 2]
    assert "random failures" in err
    ask(capsys, "--scenario deep/s.toml --workload deep/jobs.csv", USAGE)
    (folder / "none.toml").write_text('nodes = "2x1c1gi"\n')
    ask(capsys, "--scenario none.toml", USAGE)
    ask(capsys, "--scenario none.toml --workload deep/jobs.csv")


def test_seeds_that_change_nothing_are_not_simulated(capsys: pytest.CaptureFixture[str]) -> None:
    out, err = ask(capsys, f"{WEEK} --seeds 0..9 --json")
    assert len(json.loads(out)["results"]) == 1
    assert "nothing here is drawn by chance" in err


def test_wrong_records_are_refused_or_counted(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    text = HEAD + "0,10,1,0,1,1GiB\nnan,10,1,0,1,1GiB\n5,10,0,0,1,1GiB\n6,10,1000000,0,1,1GiB\n7,1"
    (folder / "bad.csv").write_text(text)
    _, err = ask(capsys, "--workload bad.csv --nodes 1c1gi", REJECTED)
    for place in ("bad.csv:3:1: arrival", "bad.csv:4:1:", "bad.csv:5:1:", "bad.csv:6:1:"):
        assert place in err
    assert "--on-error skip" in err
    out, err = ask(capsys, "--workload bad.csv --nodes 1c1gi --on-error skip --json")
    answer = json.loads(out)
    assert answer["results"][0]["jobs"] == 1
    assert answer["skipped"]["count"] == 4
    assert "4 records skipped" in err


def test_a_report_counts_all_records_that_were_skipped(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    wrong = "nan,10,1,0,1,1GiB\n" * (MAX_PROBLEMS + 30)
    (folder / "bad.csv").write_text(f"{HEAD}0,10,1,0,1,1GiB\n{wrong}")
    ask(capsys, "--workload bad.csv --nodes 1c1gi --on-error skip --report page.html")
    text = (folder / "page.html").read_text()
    assert f"{MAX_PROBLEMS + 30} could not be used" in text
    assert "and 30 more" in text


def test_what_is_larger_than_any_node_is_counted(
    capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "big.csv").write_text(HEAD + "0,10,1,0,64,1GiB\n0,10,1,0,1,1GiB\n")
    out, _ = ask(capsys, "--workload big.csv --nodes 2x8c32gi --json")
    (result,) = json.loads(out)["results"]
    assert (result["never_admitted"], result["endings"]["never"]) == (1, 1)
    assert result["endings"]["completed"] == 1


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("", USAGE, "what to simulate?"),
        (f"--workload {SAMPLES}/week.csv", USAGE, "say the machines"),
        ("--workload gone.csv --nodes 1c", NOT_FOUND, "gone.csv cannot be read"),
        ("--workload . --nodes 1c", NOT_FOUND, "cannot be read"),
        ("--scenario gone.toml", NOT_FOUND, "gone.toml cannot be read"),
        ("--workload empty.csv --nodes 1c", REJECTED, "the table is empty"),
        ("--workload head.csv --nodes 1c", REJECTED, "there is nothing to simulate"),
        ("--workload binary.swf.gz --nodes 1c", REJECTED, "binary.swf.gz"),
        ("--workload cut.json --nodes 1c", REJECTED, "cut.json"),
        ("--workload picture.png --nodes 1c", REJECTED, "nobody knows the format 'png'"),
        ("--scenario broken.toml", REJECTED, "broken.toml:1:"),
        (f"--scenario {SAMPLES}/failure.toml --nodes 1c", USAGE, "the scenario has its nodes"),
        (f"--workload {SAMPLES}/week.csv --nodes 4x", USAGE, "--nodes:1:3"),
        (f"--workload {SAMPLES}/week.csv --nodes 999999x1c", USAGE, "more than 100,000"),
        (f"{WEEK} --add-node 1q", USAGE, "--add-node:1:1"),
        (f"{WEEK} --policy fastest", USAGE, "'fastest' is no policy"),
        (f"{WEEK} --generation old", USAGE, "'old' is no generation"),
        (f"{WEEK} --backfill all", USAGE, "'all' is no backfill"),
        (f"{WEEK} --patience soon", USAGE, "is not a length of time"),
        (f"{WEEK} --compare fifo,quick", USAGE, "'quick' is no word"),
        (f"{WEEK} --compare fifo,fifo", USAGE, "compared with itself"),
        (f"{WEEK} --seeds x", USAGE, "is no seed"),
        (f"{WEEK} --load 0", USAGE, "is not a number above 0"),
        (f"{WEEK} --load nan", USAGE, "is not a number above 0"),
        (f"{WEEK} --load -1", USAGE, "is not a number above 0"),
        (f"{WEEK} --drain -1", USAGE, "--drain"),
        (f"{WEEK} --drain nan", USAGE, "--drain"),
        (f"{WEEK} --drain inf", USAGE, "must end some day"),
        (f"{WEEK} --lost-work nan", USAGE, "--lost-work"),
        (f"{WEEK} --saved-work nan", USAGE, "--saved-work"),
        (f"{WEEK} --speedup 2", USAGE, "--speedup"),
        (f"{WEEK} --speedup nan", USAGE, "--speedup"),
        (f"{WEEK} --restarts -1", USAGE, "--restarts"),
        (f"{WEEK} --scale 0", USAGE, "--scale"),
        (f"{WEEK} --jobs 9999", USAGE, "--jobs"),
        (f"{WEEK} --on-error ignore", USAGE, "--on-error"),
        (f"{WEEK} --json --csv -", USAGE, "stdout is taken"),
        (f"{WEEK} --csv /dev/null/x.csv", OTHER, "cannot be written"),
        (f"{WEEK} --report /dev/null/x.html", OTHER, "cannot be written"),
        ("--workload paper", NOT_FOUND, "google2011_quantiles.json"),
        ("--workload paper --traces .", NOT_FOUND, "has no google2011_quantiles.json"),
        ("--workload paper --traces tables", REJECTED, "there is no table"),
        ("--workload paper --traces cut", REJECTED, "it is no JSON"),
    ],
)
def test_whatever_is_wrong_is_said(
    line: str, code: int, said: str, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    for name, text in {
        "empty.csv": "",
        "head.csv": HEAD,
        "cut.json": '{"jobs": [',
        "picture.png": "x",
        "broken.toml": "nodes = \n",
        "tables/google2011_quantiles.json": "{}",
        "tables/init-cluster-state.log": "11 0 1 0 0 1 1.0 1073741824\n",
        "cut/google2011_quantiles.json": "{",
        "cut/init-cluster-state.log": "",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "binary.swf.gz").write_bytes(b"\x1f\x8b\x08\x00 cut off")
    out, err = ask(capsys, line, code)
    assert said in err
    assert not out


@pytest.mark.parametrize(
    ("text", "seeds"), [("7", (7,)), ("1,5", (1, 5)), ("0..2, 9", (0, 1, 2, 9))]
)
def test_seeds(text: str, seeds: tuple[int, ...]) -> None:
    assert seeds_of(text) == seeds


@pytest.mark.parametrize("text", ["", "-1", "1..", "3..1", "1,1", "0..3,2", "0..99999", "1.5", "²"])
def test_seeds_that_are_none(text: str) -> None:
    with pytest.raises(OptionInvalid):
        seeds_of(text)


def of(runs: list[Run]) -> object:
    """What must be equal however it was simulated: all but how fast."""
    results = to_json(runs)["results"]
    assert isinstance(results, list)
    return [one | {"jobs_per_second": None} for one in results]


def test_in_processes_it_is_the_same_as_in_this_one() -> None:
    plan = Plan(DRAWN, variants([], NODES, "fifo,sjf"), (3, 1, 2), keeps_results=True)
    done: list[int] = []
    serial, kept = run_all(plan, 1, lambda: done.append(1))
    parallel, kept_there = run_all(plan, 2, lambda: done.append(1))
    assert of(serial) == of(parallel)
    assert [(run.name, run.seed) for run in serial] == [
        (name, seed) for name in ("fifo", "sjf") for seed in (3, 1, 2)
    ]
    assert kept == kept_there
    assert list(kept) == ["fifo", "sjf"]
    assert len(done) == 12


def test_an_error_in_a_process_is_the_error_of_the_command() -> None:
    nothing = Tables((1.0, 3.0), (1e9, 2e9), (1.0, 2.0), (1.0, 2.0), (1.0, 2.0))
    plan = Plan(Experiment(Published(nothing, 1)), variants([], NODES), (1, 2))
    with pytest.raises(ZoeError, match="no run time between"):
        run_all(plan, 2, lambda: None)
