"""What to draw of simulations: curves thinned out to a few hundred points, one for each name."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

from zoe.sim.measures import time_unit
from zoe.sim.metrics import lifetime, percentile, time_means
from zoe.sim.outcome import Ending, Moment, Outcome, Result
from zoe.sim.svg import Axis, Bar, Line, Row, bar_plot, cut, line_plot, round_axis

POINTS = 200
"""How many points a curve has at most; it shows means over time where there is more to show."""

MOST_ROWS = 40
"""A schedule of more executions cannot be read as bars."""

_LOGARITHMIC_TICKS = (
    *((0.01, "10 ms"), (0.1, "100 ms"), (1.0, "1 s"), (10.0, "10 s")),
    *((60.0, "1 min"), (600.0, "10 min"), (3600.0, "1 h"), (6 * 3600.0, "6 h")),
    *((86400.0, "1 d"), (10 * 86400.0, "10 d"), (100 * 86400.0, "100 d")),
    *((1000 * 86400.0, "1000 d"), (1e9, "30 years")),
)


def plots(results: Mapping[str, Result]) -> dict[str, str]:
    """Draw ``results``, one of each name; return SVG texts by a name fit for a file.

    What there is nothing of to draw is left out.
    """
    lives = [life for result in results.values() if (life := lifetime(result.outcomes))]
    if not lives:
        return {}
    begin, end = min(first for first, _ in lives), max(last for _, last in lives)
    time = _time_axis("time", begin, end)
    drawn = {"turnaround": _turnaround(results), "wait": _wait(results)}
    if any(result.moments for result in results.values()):
        drawn["queue"] = _queue(results, time, begin, end)
        for resource, title in _RESOURCES.items():
            if any(getattr(result.capacity, resource) for result in results.values()):
                drawn[title.lower()] = _allocation(results, time, begin, end, resource)
    for number, (name, result) in enumerate(results.items(), 1):
        if result.spans and len(result.outcomes) <= MOST_ROWS:
            drawn[f"schedule-{number}"] = _schedule(name, result, time)
    return {name: svg for name, svg in drawn.items() if svg}


_RESOURCES = {"cores_milli": "Cores", "memory_bytes": "Memory", "gpus": "GPUs"}


def _turnaround(results: Mapping[str, Result]) -> str:
    lines = []
    for name, result in results.items():
        times = sorted(
            one.turnaround_seconds for one in result.outcomes if one.ending is Ending.COMPLETED
        )
        count = min(POINTS, len(times) - 1) or 1
        parts = [part / count for part in range(count + 1)] if times else []
        lines.append(Line(name, [(percentile(times, part), 100 * part) for part in parts]))
    values = [seconds for line in lines for seconds, _ in line.points]
    if not values:
        return ""
    x = _logarithmic_axis("turnaround", min(values), max(values))
    title = "Turnaround: how many had completed by then (%)"
    return line_plot(title, x, round_axis("", 0, 100), lines)


def _wait(results: Mapping[str, Result]) -> str:
    arrivals = [one.job.arrival_seconds for result in results.values() for one in result.outcomes]
    begin, end = min(arrivals), max(arrivals)
    if begin == end:
        return ""
    width = (end - begin) / (POINTS / 2)

    def part(one: Outcome) -> float:
        return (one.job.arrival_seconds - begin) // width

    lines = []
    for name, result in results.items():
        admitted = sorted((one for one in result.outcomes if one.started is not None), key=part)
        points = []
        for index, members in groupby(admitted, part):
            waits = [one.wait_seconds for one in members]
            points.append((min(begin + (index + 0.5) * width, end), sum(waits) / len(waits)))
        lines.append(Line(name, points))
    time = _time_axis("arrival", begin, end)
    return _over_time("Mean wait of those that arrived then", time, lines, seconds=True)


def _queue(results: Mapping[str, Result], time: Axis, begin: float, end: float) -> str:
    lines = [
        Line(name, _curve(result.moments, lambda moment: moment.waiting, begin, end), True)
        for name, result in results.items()
    ]
    return _over_time("Executions waiting", time, lines)


def _allocation(
    results: Mapping[str, Result], time: Axis, begin: float, end: float, resource: str
) -> str:
    lines = []
    for name, result in results.items():
        capacity: int = getattr(result.capacity, resource)

        def used(moment: Moment, capacity: int = capacity) -> float:
            amount: int = getattr(moment.used, resource)
            return 100 * amount / capacity

        points = _curve(result.moments, used, begin, end) if capacity else []
        lines.append(Line(name, points, True))
    return line_plot(f"{_RESOURCES[resource]} given (%)", time, round_axis("", 0, 100), lines)


def _schedule(name: str, result: Result, time: Axis) -> str:
    bars: dict[int, list[Bar]] = {}
    most = max(span.instances for span in result.spans) or 1
    for span in sorted(result.spans, key=lambda span: span.begin):
        tip = f"{span.instances} instances from {span.begin:g} s to {span.end:g} s"
        bar = Bar(span.begin, span.end, span.instances / most, f"{span.execution_id}: {tip}")
        bars.setdefault(span.execution_id, []).append(bar)
    rows = [
        Row(str(one.job.id), one.job.arrival_seconds, bars.get(one.job.id, ()))
        for one in sorted(result.outcomes, key=lambda one: (one.job.arrival_seconds, one.job.id))
    ]
    return bar_plot(f"Schedule of {name}", time, rows)


def _over_time(title: str, time: Axis, lines: Sequence[Line], *, seconds: bool = False) -> str:
    high = max((value for line in lines for _, value in line.points), default=0.0)
    name, unit = time_unit(high) if seconds else ("", 1.0)
    y = round_axis("", 0, max(high, unit), unit)
    return line_plot(f"{title} ({name})" if name else title, time, y, lines)


def _curve(
    moments: Sequence[Moment], value: Callable[[Moment], float], begin: float, end: float
) -> list[tuple[float, float]]:
    """Return steps: the values themselves if they are few, else means over equal times."""
    steps = [(moment.at, value(moment)) for moment in moments if moment.at <= end]
    if len(steps) > POINTS and end > begin:
        width = (end - begin) / POINTS
        means = time_means(steps, begin, end, POINTS)
        steps = [(begin + index * width, mean) for index, mean in enumerate(means)]
    return [*_within(steps, begin), (end, steps[-1][1])] if steps else []


def _within(steps: Iterable[tuple[float, float]], begin: float) -> list[tuple[float, float]]:
    """Return ``steps`` from ``begin`` on, with the value that holds there."""
    earlier = [step for step in steps if step[0] <= begin]
    later = [step for step in steps if step[0] > begin]
    return [(begin, earlier[-1][1]), *later] if earlier else later


def _time_axis(title: str, begin: float, end: float) -> Axis:
    name, unit = time_unit(end - begin)
    high = max(end, begin + unit)
    axis = round_axis(f"{title} ({name})", begin, high, unit)
    near = begin - axis.low < (high - begin) / 20
    return cut(axis, axis.low if near else begin, high)


def _logarithmic_axis(title: str, low: float, high: float) -> Axis:
    """Return an axis over ``low`` to ``high``, of at least two ticks."""
    values = [value for value, _ in _LOGARITHMIC_TICKS]
    first = max((i for i, value in enumerate(values) if value <= low), default=0)
    last = min((i for i, value in enumerate(values) if value >= high), default=len(values) - 1)
    first = min(first, len(values) - 2)
    ticks = _LOGARITHMIC_TICKS[first : max(last, first + 1) + 1]
    return cut(Axis(title, ticks[0][0], ticks[-1][0], ticks, logarithmic=True), low, high)
