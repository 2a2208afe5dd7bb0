"""The published numbers, exactly, and the traits of the simulator itself."""

from collections.abc import Iterable

import pytest

from zoe.model.resources import Resources
from zoe.scheduler.scheduler import Scheduler
from zoe.sim.simulation import Result, simulate
from zoe.sim.workload import Job, uniform_nodes, uniform_zapp

UNIT = Resources(1000, 1024**3)


def golden_jobs() -> list[Job]:
    return [
        Job(number, 0.0, uniform_zapp(3, elastic, UNIT), 10.0)
        for number, elastic in enumerate((4, 3, 5, 2), 1)
    ]


def ends(result: Result) -> list[float]:
    return [one.ended for one in sorted(result.outcomes, key=lambda one: one.job.id)]


def run(jobs: Iterable[Job], units: int, scheduler: Scheduler, **kwargs: object) -> Result:
    return simulate(jobs, uniform_nodes(1, UNIT * units), scheduler, **kwargs)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("generation", "expected", "mean"),
    [
        ("rigid", [10, 20, 30, 40], 25),
        ("malleable", [10, 15, 22.5, 32.5], 20),
        ("flexible", [10, 15, 165 / 7, 199 / 7], 19.25),
    ],
)
def test_the_published_example_ends_exactly_when_it_was_published_to(
    generation: str, expected: list[float], mean: float
) -> None:
    result = run(golden_jobs(), 10, Scheduler(generation=generation, reclaim=False))
    assert ends(result) == pytest.approx(expected, abs=1e-9, rel=0)
    assert result.mean_turnaround_seconds == pytest.approx(mean, abs=1e-9, rel=0)
    assert result.taken_back == 0
