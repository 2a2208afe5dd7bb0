"""The page and its plots: well formed, nothing from elsewhere, nobody's markup but ours."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe.model.resources import Resources
from zoe.sim.html import page
from zoe.sim.measures import MEASURES
from zoe.sim.metrics import measure
from zoe.sim.outcome import Ending, Moment, Outcome, Result, Span
from zoe.sim.plots import MOST_ROWS, POINTS, plots
from zoe.sim.report import Run
from zoe.sim.svg import Axis, Bar, Line, Row, bar_plot, cut, line_plot, round_axis
from zoe.sim.workload import uniform_job

HOSTILE = "</svg></style><script>alert('1')</script>\" onload=\"x & <b>"
VOID = {"meta"}
SPACE = "{http://www.w3.org/2000/svg}"


class Outline(HTMLParser):
    """Checks that what opens also closes; keeps the tags and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + "\n"


def result(count: int = 4, slow: float = 1.0) -> Result:
    """Executions one after the other, 10 seconds each, that all arrive in the first second."""
    outcomes, moments, spans = [], [], []
    for n in range(count):
        job = uniform_job(n + 1, n / count, 10.0, 1, n % 2, Resources(1000, 100))
        begin, end = 10.0 * n * slow + 1, 10.0 * (n + 1) * slow + 1
        outcomes.append(Outcome(job, begin, end))
        moments.append(Moment(begin, count - n - 1, 1, Resources(1000, 100)))
        spans.append(Span(n + 1, begin, end, 1 + n % 2))
    moments.append(Moment(10.0 * count * slow + 1, 0, 0, Resources()))
    return Result(tuple(outcomes), Resources(2000, 100), tuple(moments), tuple(spans))


def the_page(results: Mapping[str, Result], skipped: tuple[str, ...] = (), count: int = 0) -> str:
    made = [Run(name, 0, measure(one)) for name, one in results.items()]
    return page("Two ways", {"nodes": "1 of 2 cores"}, made, plots(results), skipped, count)


def test_the_page_has_everything_and_asks_for_nothing() -> None:
    text = the_page({"fast": result(), "slow": result(slow=2.0)}, ("line 3: no user",))
    outline = Outline(text)
    for shown in ("Two ways", "1 of 2 cores", "Compared with fast", "elastic", "line 3: no user"):
        assert shown in outline.text
    assert outline.tags.count("svg") == len(plots({"fast": result()})) + 1
    assert not {"script", "link", "img", "iframe", "base"} & set(outline.tags)
    assert not {"href", "src", "onload"} & {name for name, _ in outline.attributes}
    assert set(re.findall(r"\w+://[^\"\s]*", text)) == {"http://www.w3.org/2000/svg"}
    assert "@import" not in text
    assert "url(" not in text


def test_names_and_lines_are_text() -> None:
    results = {HOSTILE: result(), "other": result()}
    made = [Run(name, 0, measure(one)) for name, one in results.items()]
    one = replace(made[0].metrics, classes={HOSTILE: made[0].metrics.overall})
    made[0] = replace(made[0], metrics=one)
    text = page(HOSTILE, {HOSTILE: HOSTILE}, made, plots(results), (HOSTILE,))
    outline = Outline(text)
    assert "script" not in outline.tags
    assert "b" not in outline.tags
    assert "onload" not in {name for name, _ in outline.attributes}
    assert outline.text.count(HOSTILE) >= 6


def test_the_page_of_nothing() -> None:
    outline = Outline(page("Nothing", {}, [], {}))
    assert "Results" in outline.text
    assert "Compared" not in outline.text
    assert "svg" not in outline.tags


def test_the_page_says_what_the_numbers_mean() -> None:
    text = Outline(the_page({"a": result()})).text
    assert [one.title for one in MEASURES if one.means not in text] == []


def test_seeds_are_named_where_there_are_several() -> None:
    made = [Run("a", seed, measure(result(slow=seed + 1.0))) for seed in range(3)]
    assert "Means over 3 seeds" in page("A", {}, made, {})
    assert "One seed each" in page("A", {}, made[:1], {})


def test_verdicts_are_words_and_colours() -> None:
    made = [
        Run(name, seed, measure(result(slow=slow + seed / 10)))
        for name, slow in (("first", 2.0), ("quick", 1.0), ("slow", 3.0))
        for seed in range(3)
    ]
    text = page("A", {}, made, {})
    assert '<span class="better">better</span></td>' in text
    assert '<span class="worse">worse</span></td>' in text


def test_a_long_legend_wraps_and_keeps_colours() -> None:
    axis = Axis("x", 0.0, 10.0, ((0.0, "0"), (10.0, "10")))
    lines = [Line(f"{'name ' * 20}{n}", [(0, n), (9, n)] if n else []) for n in range(8)]
    root = ET.fromstring(line_plot("T", axis, axis, lines))
    names = [text for text in root.iter(f"{SPACE}text") if text.get("class") == "name"]
    assert len({text.get("y") for text in names}) == 8
    assert all(len(text.text or "") <= 40 for text in names)
    looks = [path.get("class", "") for path in root.iter(f"{SPACE}path")]
    assert [looks.count(f"line c{n % 6} d{n // 6}") for n in range(8)] == [1, *[2] * 7]


def test_many_skipped_lines_are_counted() -> None:
    lines = tuple(f"line {n}: bad" for n in range(100))
    text = the_page({"a": result()}, lines, 107)
    assert "line 99: bad\nand 7 more<" in text
    assert "107 could not be used" in text
    assert "100 could not be used" in the_page({"a": result()}, lines)


def test_plots_are_files_too() -> None:
    drawn = plots({"fast": result(), HOSTILE: result(slow=3.0)})
    names = ["turnaround", "wait", "queue", "cores", "memory", "schedule-1", "schedule-2"]
    assert list(drawn) == names
    for svg in drawn.values():
        root = ET.fromstring(svg)
        assert root.tag == f"{SPACE}svg"
        assert "nan" not in svg
        assert "prefers-color-scheme:dark" in svg


def test_what_there_is_nothing_of_is_not_drawn() -> None:
    job = uniform_job(1, 0.0, 10.0, 1, 0, Resources(1000))
    never = Result((Outcome(job, None, 5.0, Ending.NEVER),))
    assert plots({}) == plots({"never": never}) == {}
    cut_off = Result((Outcome(job, 0.0, 5.0, Ending.TIME_LIMIT),))
    assert plots({"cut off": cut_off}) == {}, "all at one time, none completed, nothing recorded"
    assert "schedule-1" not in plots({"many": result(MOST_ROWS + 1)})


def test_long_runs_are_thinned_out() -> None:
    drawn = plots({"long": result(5000)})
    paths = [
        path.get("d", "")
        for svg in drawn.values()
        for path in ET.fromstring(svg).iter(f"{SPACE}path")
    ]
    assert max(len(re.findall("[MLV]", path)) for path in paths) <= POINTS + 2
    assert sum(map(len, drawn.values())) < 60_000


def test_a_line_is_where_its_numbers_are() -> None:
    axis = Axis("x", 0.0, 10.0, ((0.0, "0"), (10.0, "10")))
    svg = line_plot("T", axis, axis, [Line("a", [(0, 0), (10, 10)]), Line("b", [(5, 5)] * 2, True)])
    root = ET.fromstring(svg)
    grid = [path.get("d", "") for path in root.iter(f"{SPACE}path") if path.get("class") == "grid"]
    drawn = [path.get("d") for path in root.iter(f"{SPACE}path") if "line" in path.get("class", "")]
    bottom, top = (float(line.split()[-1]) for line in grid[2:])
    assert drawn[1] == f"M46.0 {bottom:.1f}L466.0 {top:.1f}"
    assert drawn[3] == f"M256.0 {(bottom + top) / 2:.1f}H256.0V{(bottom + top) / 2:.1f}"


def test_bars_are_as_long_as_they_last() -> None:
    axis = Axis("x", 0.0, 100.0, ((0.0, "0"), (100.0, "100")))
    bars = [Bar(50.0, 100.0, 1.0, "all"), Bar(0.0, 50.0, 0.5, "half")]
    root = ET.fromstring(bar_plot("T", axis, [Row("1", 0.0, bars), Row("2", 0.0, ())]))
    whole, half = root.iter(f"{SPACE}rect")
    assert whole.get("x") == "256.0"
    assert whole.get("width") == half.get("width") == "210.0"
    assert float(whole.get("height", 0)) == 2 * float(half.get("height", 0))


@pytest.mark.parametrize(
    ("low", "high", "unit", "labels"),
    [
        (0, 100, 1, "0 20 40 60 80 100"),
        (0, 7, 1, "0 1 2 3 4 5 6 7"),
        (0, 0.35, 1, "0.00 0.05 0.10 0.15 0.20 0.25 0.30 0.35"),
        (0, 90 * 86400, 86400, "0 20 40 60 80 100"),
        (0, 0, 1, "0.0 0.2"),
    ],
)
def test_ticks_are_round(low: float, high: float, unit: float, labels: str) -> None:
    assert " ".join(label for _, label in round_axis("", low, high, unit).ticks) == labels


@given(st.floats(-1e6, 1e6), st.floats(0, 1e9), st.sampled_from([1.0, 60.0, 86400.0]))
def test_an_axis_holds_what_it_is_for(low: float, width: float, unit: float) -> None:
    axis = round_axis("", low, low + width, unit)
    slack = 1e-6 * (abs(low) + width + 1)
    assert axis.low - slack <= low
    assert axis.high + slack >= low + width
    assert 2 <= len(axis.ticks) <= 10


def test_an_axis_is_cut_where_it_stays_readable() -> None:
    axis = round_axis("", 0, 100)
    shorter = cut(axis, 5, 95)
    assert (shorter.low, shorter.high, len(shorter.ticks)) == (5, 95, 4)
    assert cut(axis, 5, 30) == axis
