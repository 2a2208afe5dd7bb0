"""Plots as SVG text: lines and bars in a frame with round ticks and a legend.

A plot is complete in itself, as a file and inside a page. It follows the reader's light or dark
scheme. Colours are told apart by the colour-blind, too, and past their number by the dashes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 480, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 466, 30, 40
_LEGEND_ROW = 16
_ROW = 16
_MARGIN = 8.0
_CHARACTER = 5.9
"""About the width of a character of the legend."""
_LONGEST_NAME = 40
_COLOURS = 6

STYLE = """
.zoe-plot{--back:#fff;--ink:#1c2430;--soft:#5b6675;--grid:#e3e7ec;--c0:#0072b2;--c1:#d55e00;
--c2:#00856a;--c3:#b8558f;--c4:#a87400;--c5:#3b9ad6;background:var(--back);display:block;
width:100%;height:auto;font:11px system-ui,sans-serif;font-variant-numeric:tabular-nums}
@media (prefers-color-scheme:dark){.zoe-plot{--back:#171b21;--ink:#e6eaf0;--soft:#9aa5b4;
--grid:#2b323c;--c0:#56a8e8;--c1:#ff8a4c;--c2:#2ec4a0;--c3:#e394c4;--c4:#e6b13a;--c5:#a5d8ff}}
.zoe-plot text{fill:var(--soft)}
.zoe-plot .title{fill:var(--ink);font-size:13px;font-weight:600}
.zoe-plot .name{fill:var(--ink)}
.zoe-plot .grid{stroke:var(--grid)}
.zoe-plot .axis{stroke:var(--soft)}
.zoe-plot .line{fill:none;stroke-width:1.6;stroke-linejoin:round}
.zoe-plot .d1{stroke-dasharray:6 3}
.zoe-plot .d2{stroke-dasharray:2 2.5}
.zoe-plot .bar{fill:var(--c0)}
.zoe-plot .wait{stroke:var(--c1);stroke-width:1.5;stroke-dasharray:2 3}
""" + "".join(f".zoe-plot .c{index}{{stroke:var(--c{index})}}\n" for index in range(_COLOURS))


@dataclass(frozen=True, slots=True)
class Axis:
    """What is along one side: from ``low`` to ``high``, with ``ticks`` and their labels."""

    title: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    logarithmic: bool = False

    def place(self, value: float, begin: float, end: float) -> float:
        """Return where between ``begin`` and ``end`` the ``value`` is."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = log10(low), log10(high), log10(max(value, low))
        return begin + (end - begin) * (value - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Line:
    """Points to join; with ``steps`` each value holds until the next point."""

    name: str
    points: Sequence[tuple[float, float]]
    steps: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """One stretch of a row, up to the whole height of it (``thickness`` 1)."""

    begin: float
    end: float
    thickness: float
    tip: str
    """Shown when pointed at."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of bars; from ``waits`` on until the first one it waits."""

    name: str
    waits: float
    bars: Sequence[Bar]


def round_axis(title: str, low: float, high: float, unit: float = 1.0) -> Axis:
    """Return an axis with ticks at round numbers of ``unit``; it ends at a tick."""
    span = (high - low) / unit
    rough = (span if span > 1e-6 else 1.0) / 7
    power = 10 ** floor(log10(rough))
    step = next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999) * power
    first, last = floor(low / unit / step + 1e-9), ceil(high / unit / step - 1e-9)
    decimals = max(0, -floor(log10(step * 1.001)))
    numbers = [tick * step for tick in range(first, max(last, first + 1) + 1)]
    ticks = tuple(
        (number * unit, f"{number:,.{decimals}f}".replace(",", " ")) for number in numbers
    )
    return Axis(title, ticks[0][0], ticks[-1][0], ticks)


def cut(axis: Axis, low: float, high: float) -> Axis:
    """Return ``axis`` from ``low`` to ``high`` exactly, if two ticks are left to read it by."""
    ticks = tuple(tick for tick in axis.ticks if low <= tick[0] <= high)
    return replace(axis, low=low, high=high, ticks=ticks) if len(ticks) > 1 else axis


def line_plot(title: str, x: Axis, y: Axis, lines: Sequence[Line]) -> str:
    """Draw ``lines``; a line keeps its place in the order of colours where it has no points."""
    places = _legend_places([line.name for line in lines])
    top = _TOP + _LEGEND_ROW * (places[-1][1] + 1 if places else 0)
    bottom = top + HEIGHT - _BOTTOM - _TOP - _LEGEND_ROW
    parts = [_vertical_ticks(x, top, bottom)]
    for value, label in y.ticks:
        at = y.place(value, bottom, top)
        parts.append(
            _stroke("grid", _LEFT, at, _RIGHT, at) + _text(label, _LEFT - 6, at + 4, "end")
        )
    parts.append(_stroke("axis", _LEFT, bottom, _RIGHT, bottom))
    for index, line in enumerate(lines):
        look = f"line c{index % _COLOURS} d{index // _COLOURS % 3}"
        at, row = places[index]
        level = _TOP + _LEGEND_ROW * row + 2
        parts.append(_stroke(look, at, level, at + 18, level))
        parts.append(_text(_shortened(line.name), at + 23, level + 4, "start", "name"))
        placed = [(x.place(a, _LEFT, _RIGHT), y.place(b, bottom, top)) for a, b in line.points]
        if placed:
            parts.append(f'<path class="{look}" d="{_path(placed, line.steps)}"/>')
    return _frame(title, bottom + _BOTTOM, parts)


def bar_plot(title: str, x: Axis, rows: Sequence[Row]) -> str:
    """Draw ``rows`` of bars from the top down."""
    top, bottom = _TOP, _TOP + _ROW * len(rows)
    parts = [_vertical_ticks(x, top, bottom), _stroke("axis", _LEFT, bottom, _RIGHT, bottom)]
    for index, row in enumerate(rows):
        middle = top + _ROW * (index + 0.5)
        parts.append(_text(_shortened(row.name, 7), _LEFT - 6, middle + 4, "end"))
        first = x.place(min((bar.begin for bar in row.bars), default=x.high), _LEFT, _RIGHT)
        parts.append(_stroke("wait", x.place(row.waits, _LEFT, _RIGHT), middle, first, middle))
        for bar in row.bars:
            left, right = x.place(bar.begin, _LEFT, _RIGHT), x.place(bar.end, _LEFT, _RIGHT)
            height = max(1.5, (_ROW - 3) * bar.thickness)
            parts.append(
                f'<rect class="bar" x="{left:.1f}" y="{middle - height / 2:.1f}" '
                f'width="{max(right - left, 0.5):.1f}" height="{height:.1f}">'
                f"<title>{escape(bar.tip)}</title></rect>"
            )
    return _frame(title, bottom + _BOTTOM, parts)


def _frame(title: str, height: float, parts: Iterable[str]) -> str:
    name = escape(title)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="zoe-plot" role="img" aria-label="{name}" '
        f'viewBox="0 0 {WIDTH} {height:.0f}"><style>{STYLE}</style>'
        f"{_text(_shortened(title, 60), _MARGIN, 18, 'start', 'title')}{''.join(parts)}</svg>"
    )


def _vertical_ticks(x: Axis, top: float, bottom: float) -> str:
    parts = [_text(x.title, (_LEFT + _RIGHT) / 2, bottom + 33, "middle")]
    for value, label in x.ticks:
        at = x.place(value, _LEFT, _RIGHT)
        parts.append(_stroke("grid", at, top, at, bottom) + _text(label, at, bottom + 16, "middle"))
    return "".join(parts)


def _legend_places(names: Sequence[str]) -> list[tuple[float, int]]:
    """Return where each name of the legend begins, and in which row."""
    places, at, row = list[tuple[float, int]](), _MARGIN, 0
    for name in names:
        width = 34 + _CHARACTER * len(_shortened(name))
        if at > _MARGIN and at + width > WIDTH:
            at, row = _MARGIN, row + 1
        places.append((at, row))
        at += width
    return places


def _path(points: Sequence[tuple[float, float]], steps: bool) -> str:
    (x, y), *others = points
    parts = [f"M{x:.1f} {y:.1f}"]
    parts += [f"H{x:.1f}V{y:.1f}" if steps else f"L{x:.1f} {y:.1f}" for x, y in others]
    return "".join(parts)


def _stroke(look: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path class="{look}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>'


def _text(text: str, x: float, y: float, anchor: str, look: str = "label") -> str:
    return (
        f'<text class="{look}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _shortened(text: str, most: int = _LONGEST_NAME) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
