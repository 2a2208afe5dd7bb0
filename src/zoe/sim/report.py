"""Results of simulations side by side: as JSON, as CSV, and as tables for people.

A run is one simulation of one seed; runs of the same name are the same set-up with other seeds.
Everything is compared with the name that comes first, seed by seed: the same seed gives the same
executions, so the difference says more than two means do.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from zoe.sim.interval import Interval, interval
from zoe.sim.measures import MEASURES, Measure, number, scale
from zoe.sim.metrics import Metrics

SCHEMA_VERSION = 1

DASH = "\N{EN DASH}"
"""Stands where there is no value."""

_NOISE = 1e-9
"""Relative; the same sum in another order is another float."""


@dataclass(frozen=True, slots=True)
class Run:
    """The metrics of one simulation; ``name`` says what was simulated, ``seed`` which chance."""

    name: str
    seed: int
    metrics: Metrics


class Verdict(StrEnum):
    """What a difference means."""

    BETTER = "better"
    WORSE = "worse"
    EQUAL = "equal"
    UNCLEAR = "unclear"
    """The interval holds 0, or there are too few seeds for one."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more or less of ``measure`` a name has than the first one, over common seeds."""

    name: str
    measure: Measure
    first: float
    """The mean of the first name over the common seeds."""
    change: Interval
    verdict: Verdict


def to_json(runs: Sequence[Run]) -> dict[str, object]:
    """Return all metrics as a JSON value; times in seconds, null where there is no value."""
    return {"schema_version": SCHEMA_VERSION, "results": [_json(run) for run in runs]}


def to_csv(runs: Sequence[Run]) -> str:
    """Return one line for each run under a heading; columns are paths as in the JSON value."""
    lines = [dict(_flat(_json(run))) for run in runs]
    columns = list(dict.fromkeys(column for line in lines for column in line))
    cells = [columns, *([_plain(line.get(column)) for column in columns] for line in lines)]
    return "".join(",".join(map(_quoted, row)) + "\r\n" for row in cells)


def table(runs: Sequence[Run], measures: Sequence[Measure] = MEASURES) -> list[list[str]]:
    """Return a heading of names and a row for each measure: mean over seeds, 95 % interval.

    A measure that has no value for any name is left out.
    """
    by_name = _by_name(runs)
    rows = [["", *by_name], ["seeds", *(str(len(seeds)) for seeds in by_name.values())]]
    for measure in measures:
        means = [interval(map(measure.of, seeds.values())) for seeds in by_name.values()]
        known = [mean.mean for mean in means if mean is not None]
        if known:
            unit, size = scale(measure.unit, known)
            rows.append([_title(measure, unit), *(_with_half(mean, size) for mean in means)])
    return rows


def comparison(runs: Sequence[Run], measures: Sequence[Measure] = MEASURES) -> list[list[str]]:
    """Return a heading of all names but the first, and a row of differences for each measure.

    A cell with a verdict ends with it. A measure in which all are equal is left out, and the
    result is empty when there is nothing to compare.
    """
    _, *names = _by_name(runs) or [""]
    rows = [["", *names]]
    for measure in measures:
        found = {one.name: one for one in differences(runs, [measure])}
        if any(one.verdict is not Verdict.EQUAL for one in found.values()):
            unit, size = scale(measure.unit, (one.change.mean for one in found.values()))
            changes = (_change(found[name], size) if name in found else DASH for name in names)
            rows.append([_title(measure, unit), *changes])
    return rows if len(rows) > 1 else []


def differences(runs: Sequence[Run], measures: Sequence[Measure] = MEASURES) -> list[Difference]:
    """Compare every name with the first one in every measure that both have a value of."""
    by_name = _by_name(runs)
    base = next(iter(by_name.values()), {})
    found = []
    for name, seeds in list(by_name.items())[1:]:
        for measure in measures:
            pairs = [
                (mine, theirs)
                for seed in sorted(seeds.keys() & base.keys())
                if (mine := measure.of(seeds[seed])) is not None
                and (theirs := measure.of(base[seed])) is not None
            ]
            change = interval(mine - theirs for mine, theirs in pairs)
            if change is not None:
                before = sum(theirs for _, theirs in pairs) / len(pairs)
                verdict = _verdict(change, measure, before)
                found.append(Difference(name, measure, before, change, verdict))
    return found


def _verdict(change: Interval, measure: Measure, before: float) -> Verdict:
    if max(abs(change.low), abs(change.high)) <= _NOISE * abs(before):
        return Verdict.EQUAL
    if change.half is None or change.low <= 0 <= change.high:
        return Verdict.UNCLEAR
    return Verdict.BETTER if change.mean * measure.better.value > 0 else Verdict.WORSE


def _by_name(runs: Iterable[Run]) -> dict[str, dict[int, Metrics]]:
    """Return the metrics by name, in the order of the names, and seed."""
    found: dict[str, dict[int, Metrics]] = {}
    for run in runs:
        found.setdefault(run.name, {})[run.seed] = run.metrics
    return found


def _title(measure: Measure, unit: str) -> str:
    return f"{measure.title} ({unit})" if unit else measure.title


def _with_half(mean: Interval | None, size: float, *, signed: bool = False) -> str:
    """Return the mean and half of the interval, with three digits of the greater one."""
    if mean is None:
        return DASH
    value = mean.mean / size
    if not mean.half or mean.half <= _NOISE * abs(mean.mean):
        return number(value, signed=signed)
    half = mean.half / size
    like = max(abs(value), half)
    return f"{number(value, like, signed=signed)} ± {number(half, like)}"


def _change(one: Difference, size: float) -> str:
    if one.verdict is Verdict.EQUAL:
        return one.verdict.value
    text = _with_half(one.change, size, signed=True)
    if one.first:
        text += f" ({number(100 * one.change.mean / one.first, like=10, signed=True)} %)"
    return text if one.change.half is None else f"{text} {one.verdict.value}"


def _json(run: Run) -> dict[str, object]:
    all = run.metrics
    return {
        "name": run.name,
        "seed": run.seed,
        "offered_load": asdict(all.offered_load),
        **asdict(all.overall),
        "allocation": asdict(all.allocation),
        "makespan": all.makespan,
        "jain": all.jain,
        "owners": all.owners,
        "owners_without": all.owners_without,
        "maximum_wait": all.maximum_wait,
        "most_overtaken": all.most_overtaken,
        "churn": asdict(all.churn),
        "endings": {ending.value: count for ending, count in all.endings.items()},
        "classes": {name: asdict(group) for name, group in all.classes.items()},
        "jobs_per_second": all.jobs_per_second,
    }


def _flat(value: Mapping[str, object], path: str = "") -> Iterable[tuple[str, object]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{path}{key}.")
        else:
            yield f"{path}{key}", inner


def _plain(value: object) -> str:
    return "" if value is None else str(value)


def _quoted(cell: str) -> str:
    if any(character in cell for character in ',"\r\n'):
        return '"' + cell.replace('"', '""') + '"'
    return cell
