"""The measures that reports compare by: where each is found, which way is better, its unit."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from math import floor, isfinite, log10

from zoe.sim.metrics import Metrics
from zoe.sim.outcome import Ending


class Better(Enum):
    """Which way a measure improves."""

    LOWER = -1
    HIGHER = 1


class Unit(Enum):
    """What a measure counts."""

    SECONDS = "seconds"
    """Shown in seconds, minutes, hours or days, whichever suits."""
    SHARE = "share"
    """1 is all of it; shown in percent."""
    NUMBER = "number"


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of the metrics, as reports show it; ``means`` says what it is."""

    title: str
    unit: Unit
    of: Callable[[Metrics], float | None]
    means: str = ""
    better: Better = Better.LOWER


MEASURES = (
    Measure(
        "turnaround, mean",
        Unit.SECONDS,
        lambda all: all.overall.turnaround.mean,
        "from arrival to the end, of those that completed",
    ),
    Measure(
        "turnaround, p50",
        Unit.SECONDS,
        lambda all: all.overall.turnaround.p50,
        "half of those that completed took no longer",
    ),
    Measure(
        "turnaround, p95",
        Unit.SECONDS,
        lambda all: all.overall.turnaround.p95,
        "95 of 100 that completed took no longer",
    ),
    Measure(
        "wait, mean",
        Unit.SECONDS,
        lambda all: all.overall.wait.mean,
        "from arrival to admission, of those that were admitted",
    ),
    Measure(
        "wait, p50",
        Unit.SECONDS,
        lambda all: all.overall.wait.p50,
        "half of those that were admitted waited no longer",
    ),
    Measure(
        "wait, p95",
        Unit.SECONDS,
        lambda all: all.overall.wait.p95,
        "95 of 100 that were admitted waited no longer",
    ),
    Measure(
        "wait, longest",
        Unit.SECONDS,
        lambda all: all.maximum_wait,
        "the longest of all, those never admitted with them",
    ),
    Measure(
        "slowdown, mean",
        Unit.NUMBER,
        lambda all: all.overall.bounded_slowdown.mean,
        "turnaround over run time when all is granted; short runs count as 10 s, none below 1",
    ),
    Measure(
        "stretch, mean",
        Unit.NUMBER,
        lambda all: all.overall.stretch.mean,
        "from admission to the end, over run time when all is granted",
    ),
    Measure(
        "cores offered",
        Unit.SHARE,
        lambda all: all.offered_load.cores,
        "offered load: the work of all that arrived, over what the cores give until the last does",
    ),
    Measure(
        "memory offered",
        Unit.SHARE,
        lambda all: all.offered_load.memory,
        "the same of memory",
    ),
    Measure(
        "GPUs offered",
        Unit.SHARE,
        lambda all: all.offered_load.gpus,
        "the same of GPUs",
    ),
    Measure(
        "cores given",
        Unit.SHARE,
        lambda all: all.allocation.cores,
        "mean over time, without the first and the last twentieth of the makespan",
        Better.HIGHER,
    ),
    Measure(
        "memory given",
        Unit.SHARE,
        lambda all: all.allocation.memory,
        "the same of memory",
        Better.HIGHER,
    ),
    Measure(
        "GPUs given",
        Unit.SHARE,
        lambda all: all.allocation.gpus,
        "the same of GPUs",
        Better.HIGHER,
    ),
    Measure(
        "makespan",
        Unit.SECONDS,
        lambda all: all.makespan,
        "from the first arrival to the last end",
    ),
    Measure(
        "fairness",
        Unit.NUMBER,
        lambda all: all.jain,
        "Jain's index over the owners of their mean slowdown; 1 is equal",
        Better.HIGHER,
    ),
    Measure(
        "most overtaken",
        Unit.NUMBER,
        lambda all: all.most_overtaken,
        "how many that came later got their room before the unluckiest one",
    ),
    Measure(
        "taken back",
        Unit.NUMBER,
        lambda all: all.churn.taken_back,
        "elastic instances that had to go so that others had room",
    ),
    Measure(
        "lost work",
        Unit.SHARE,
        lambda all: all.churn.lost_work,
        "work that was done again, over the work of those that completed",
    ),
    Measure(
        "cut off",
        Unit.NUMBER,
        lambda all: all.endings[Ending.TIME_LIMIT] + all.endings[Ending.LOST],
        "ended by their time limit, or lost; they are in no turnaround",
    ),
    Measure(
        "never admitted",
        Unit.NUMBER,
        lambda all: all.overall.never_admitted,
        "never got their room; they are in no mean",
    ),
    Measure(
        "simulated per second",
        Unit.NUMBER,
        lambda all: all.jobs_per_second,
        "executions in a second of wall time: how fast the simulator was",
        Better.HIGHER,
    ),
)
"""In the order of the rows."""


def of_class(name: str) -> tuple[Measure, ...]:
    """Return the measures of one class of executions (``elastic``, ``batch``, ...)."""

    def jobs(all: Metrics) -> float | None:
        return all.classes[name].jobs if name in all.classes else None

    found = [Measure("executions", Unit.NUMBER, jobs)]
    for noun, title, unit in _SUMMARIES:
        for part in ("mean", "p50", "p95", "p99", "max"):

            def value(all: Metrics, noun: str = noun, part: str = part) -> float | None:
                if name not in all.classes:
                    return None
                amount: float | None = getattr(getattr(all.classes[name], noun), part)
                return amount

            found.append(Measure(f"{title}, {part}", unit, value))
    return tuple(found)


_SUMMARIES = (
    ("turnaround", "turnaround", Unit.SECONDS),
    ("wait", "wait", Unit.SECONDS),
    ("bounded_slowdown", "slowdown", Unit.NUMBER),
    ("stretch", "stretch", Unit.NUMBER),
)

_TIMES = (("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0))


def time_unit(seconds: float) -> tuple[str, float]:
    """Return the unit in which amounts up to ``seconds`` read well, and its seconds."""
    fitting = [unit for unit in _TIMES if unit[1] * 3 <= seconds]
    return fitting[-1] if fitting else _TIMES[0]


def scale(unit: Unit, values: Iterable[float]) -> tuple[str, float]:
    """Return the name and the size of the one unit in which all ``values`` are shown."""
    match unit:
        case Unit.SECONDS:
            return time_unit(max(map(abs, values), default=0.0))
        case Unit.SHARE:
            return "%", 0.01
        case Unit.NUMBER:
            return "", 1.0


def number(value: float, like: float | None = None, *, signed: bool = False) -> str:
    """Return ``value`` with three significant digits, or as many decimals as ``like`` gets.

    The minus is a real one; ``signed`` adds a plus.
    """
    model = abs(value if like is None else like)
    digits = 2 - floor(log10(model) + 1e-9) if model > 0 and isfinite(model) else 0
    text = f"{abs(value):,.{min(max(digits, 0), 3)}f}".replace(",", "\N{THIN SPACE}")
    if "." in text and like is None and value == round(value):
        text = text.split(".")[0]
    if not any(digit in text for digit in "123456789"):
        return text
    return ("\N{MINUS SIGN}" if value < 0 else "+" if signed else "") + text
