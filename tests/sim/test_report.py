"""Results side by side: the JSON that scripts rely on, CSV, tables, verdicts."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe.model.resources import Resources
from zoe.sim.measures import MEASURES, Better, Measure, Unit, number, of_class, scale, time_unit
from zoe.sim.metrics import Metrics, Shares, measure
from zoe.sim.outcome import Ending, Outcome, Result
from zoe.sim.report import (
    DASH,
    SCHEMA_VERSION,
    Run,
    Verdict,
    comparison,
    differences,
    table,
    to_csv,
    to_json,
)
from zoe.sim.workload import uniform_job

MAKESPAN = (Measure("makespan", Unit.SECONDS, lambda all: all.makespan),)
MINUS = "\N{MINUS SIGN}"
SUMMARY = {"mean", "p50", "p95", "p99", "max"}
EMPTY = measure(Result(()))


def metrics(turnaround: float = 60.0) -> Metrics:
    job = uniform_job(1, 0.0, 30.0, 1, 1, Resources(1000))
    return measure(Result((Outcome(job, 0.0, turnaround),)), offered_load=Shares(1.06, 1.21))


def runs(**makespans: list[float | None]) -> list[Run]:
    return [
        Run(name, seed, replace(EMPTY, makespan=makespan))
        for name, values in makespans.items()
        for seed, makespan in enumerate(values)
    ]


def test_the_json_has_its_shape() -> None:
    value = to_json([Run("flexible", 3, metrics()), Run("nothing", 0, EMPTY)])
    again = json.loads(json.dumps(value, allow_nan=False))
    assert again.keys() == {"schema_version", "results"}
    assert again["schema_version"] == SCHEMA_VERSION == 1
    first, nothing = again["results"]
    assert (first["name"], first["seed"]) == ("flexible", 3)
    assert first["offered_load"] == {"cores": 1.06, "memory": 1.21, "gpus": None}
    for noun in ("wait", "turnaround", "bounded_slowdown", "stretch"):
        assert first[noun].keys() == first["classes"]["elastic"][noun].keys() == SUMMARY
        assert set(nothing[noun].values()) == {None}
    assert first["turnaround"]["p95"] == first["makespan"] == 60.0
    assert first["stretch"]["mean"] == 2.0
    assert first["churn"] == {"taken_back": 0, "lost_work": 0.0}
    assert first["endings"] == {"completed": 1, "time-limit": 0, "lost": 0, "never": 0}
    assert {"allocation", "jain", "jobs_per_second", "never_admitted"} <= first.keys()
    assert first.keys() == nothing.keys()


def test_csv_reads_back() -> None:
    text = to_csv([Run('a, "b"\nc', 1, metrics()), Run("nothing", 2, EMPTY)])
    first, nothing = csv.DictReader(text.splitlines(keepends=True))
    assert first["name"] == 'a, "b"\nc'
    assert first["turnaround.mean"] == "60.0"
    assert first["classes.elastic.jobs"] == "1"
    assert nothing["seed"] == "2"
    assert nothing["turnaround.mean"] == nothing["classes.elastic.jobs"] == ""
    assert to_csv([]) == "\r\n"


def test_a_table_has_means_with_intervals_in_one_unit() -> None:
    made = runs(first=[7200.0, 10800.0, 14400.0], second=[1800.0], third=[None])
    assert table(made, MAKESPAN) == [
        ["", "first", "second", "third"],
        ["seeds", "3", "1", "1"],
        ["makespan (h)", "3.00 ± 2.48", "0.500", DASH],
    ]
    assert table(runs(nothing=[None]), MAKESPAN) == [["", "nothing"], ["seeds", "1"]]
    assert table([]) == [[""], ["seeds"]]


def test_a_comparison_pairs_seeds() -> None:
    made = runs(
        first=[100.0, 200.0, 300.0],
        same=[100.0, 200.0, 300.0],
        less=[90.0, 190.5, 289.5],
        more=[111.0, 210.0, 309.0],
        either=[50.0, 250.0, 300.0],
        one=[50.0],
        none=[None, None, None],
    )
    heading, row = comparison(made, MAKESPAN)
    cells = dict(zip(heading, row, strict=True))
    # Means of the intervals are far apart and overlap; pairs differ by 10, give or take 0.5.
    assert cells == {
        "": "makespan (s)",
        "same": "equal",
        "less": f"{MINUS}10.0 ± 1.2 ({MINUS}5.0 %) better",
        "more": "+10.0 ± 2.5 (+5.0 %) worse",
        "either": "0 ± 124 (0.0 %) unclear",
        "one": f"{MINUS}50 ({MINUS}50.0 %)",
        "none": DASH,
    }


def test_what_is_equal_is_not_compared() -> None:
    assert comparison(runs(first=[1.0, 2.0], second=[1.0, 2.0 + 1e-12]), MAKESPAN) == []
    assert comparison(runs(first=[1.0]), MAKESPAN) == comparison([]) == []


def test_a_change_from_nothing_has_no_percentage() -> None:
    assert comparison(runs(first=[0.0], second=[5.0]), MAKESPAN)[1][1] == "+5"


def test_more_can_be_better() -> None:
    wanted = [replace(MAKESPAN[0], better=Better.HIGHER)]
    (found,) = differences(runs(first=[1.0, 2.0, 3.0], second=[2.0, 3.0, 4.0]), wanted)
    assert found.verdict is Verdict.BETTER
    assert (found.first, found.change.mean, found.change.half) == (2.0, 1.0, 0.0)


def test_seeds_that_only_one_has_are_not_compared() -> None:
    made = [*runs(first=[1.0, 2.0]), Run("second", 7, replace(EMPTY, makespan=9.0))]
    assert differences(made, MAKESPAN) == []


@given(st.lists(st.tuples(st.floats(0, 1e7), st.floats(0, 1e7)), min_size=1, max_size=8))
def test_a_verdict_agrees_with_its_interval(pairs: list[tuple[float, float]]) -> None:
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    (found,) = differences(runs(first=[*first], second=[*second]), MAKESPAN)
    match found.verdict:
        case Verdict.BETTER:
            assert found.change.high < 0
        case Verdict.WORSE:
            assert found.change.low > 0
        case Verdict.EQUAL:
            assert first == pytest.approx(second, rel=1e-6, abs=1e-2)
        case Verdict.UNCLEAR:
            assert len(pairs) == 1 or found.change.low <= 0 <= found.change.high


def test_classes_have_measures_of_their_own() -> None:
    cut = Outcome(uniform_job(2, 0.0, 9.0, 1, 0, Resources(1000)), 0.0, 9.0, Ending.TIME_LIMIT)
    both = measure(Result((cut, Outcome(uniform_job(1, 0.0, 30.0, 1, 1, Resources()), 0.0, 60.0))))
    shown = {row[0]: row[1:] for row in table([Run("a", 0, both)], of_class("elastic"))}
    assert shown["executions"] == ["1"]
    assert shown["turnaround, p99 (s)"] == ["60"]
    assert "turnaround, p99 (s)" not in dict(table([Run("a", 0, both)], of_class("rigid")))
    assert all(one.of(EMPTY) is None for one in of_class("elastic"))


@pytest.mark.parametrize("one", MEASURES, ids=lambda one: one.title)
def test_every_measure_can_be_without_value(one: Measure) -> None:
    assert one.of(EMPTY) in (None, 0)
    assert one.means


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (3.0, "3"),
        (4.7712, "4.77"),
        (0.05234, "0.052"),
        (254.64, "255"),
        (-12.345, f"{MINUS}12.3"),
        (83_249.0, "83\N{THIN SPACE}249"),
        (-0.0001, "0.000"),
        (0.9999999999, "1.00"),
    ],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_numbers_follow_another() -> None:
    assert number(0.31415, like=4.77) == "0.31"
    assert number(2.0, like=100.0, signed=True) == "+2"


def test_units_suit_what_they_measure() -> None:
    assert [time_unit(seconds)[0] for seconds in (0, 179, 180, 10800, 259_200)] == [
        *("s", "s", "min", "h", "d")
    ]
    assert scale(Unit.SECONDS, [5.0, -7200.0]) == ("min", 60.0)
    assert scale(Unit.SHARE, [0.5]) == ("%", 0.01)
    assert scale(Unit.NUMBER, []) == ("", 1.0)


def test_every_key_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/simulator-metrics.md").read_text()
    keys = {
        key.split(".")[0] for key in to_csv([Run("a", 0, metrics())]).split("\r\n")[0].split(",")
    }
    missing = [key for key in keys - {"name", "seed"} if f"`{key}" not in page]
    assert not missing, "say in docs/reference/simulator-metrics.md what these mean"
