"""What one more instance brings, and who gets no more for it."""

import pytest

from zoe.model.execution import Execution, ExecutionStatus, InstanceStatus, ServiceInstance
from zoe.model.growth import grows_no_further, worthwhile
from zoe.model.zapp import Framework, Kind, Service, Speedup, ZApp
from zoe.model.zapp_yaml import read_zapp

CURVE = Speedup(points=((2, 1.9), (4, 2.5)))


def test_between_two_points_the_speed_is_on_the_line() -> None:
    assert [CURVE.speed(count) for count in (1, 2, 3, 4, 5, 100)] == [1, 1.9, 2.2, 2.5, 2.5, 2.5]
    assert Speedup(points=((3, 2.0),)).speed(2) == 1.5


def test_a_curve_is_read_as_it_is_written() -> None:
    read = read_zapp(
        "{zoe: 4, name: a, kind: service, frameworks: {f: {services: {s: {command: [x],"
        " speedup: {points: [{instances: 2, speed: 1.9}, {instances: 4, speed: 2.5}]}}}}}}"
    )
    assert read.service("f.s").speedup == CURVE


def test_what_one_more_adds() -> None:
    assert [round(CURVE.gain(count), 9) for count in (0, 1, 2, 3, 4)] == [1, 0.9, 0.3, 0.3, 0]
    assert Speedup(0.5).gain(1) == pytest.approx(1 / 3)
    assert Speedup(1.0).gain(7) == pytest.approx(1)


@pytest.mark.parametrize(
    ("has", "more", "least", "expected"),
    [
        (0, 9, 0.5, 2),
        (1, 9, 0.5, 1),
        (2, 9, 0.5, 0),
        (0, 9, 0.2, 4),
        (0, 1, 0.2, 1),
        (0, 0, 0.2, 0),
        (3, 9, 0.0, 9),
    ],
)
def test_instances_are_worth_it_one_after_the_other(
    has: int, more: int, least: float, expected: int
) -> None:
    assert worthwhile(CURVE, has, more, least) == expected


def running(elastic: int, speedup: Speedup | None = CURVE, wanted: int = 5) -> Execution:
    service = Service("s", essential=1, elastic=wanted, speedup=speedup)
    placed = tuple(
        ServiceInstance(1, "f.s", number, not number, InstanceStatus.RUNNING, "n")
        for number in range(elastic + 1)
    )
    zapp = ZApp("a", Kind.SERVICE, (Framework("f", (service,)),))
    return Execution(1, "a", "u", zapp, 0.0, ExecutionStatus.RUNNING, instances=placed)


def test_why_it_grows_no_further_is_said() -> None:
    assert grows_no_further(running(1), 0.5) == [
        "f.s gets no more than 2 instances while others wait: the next one would add 30% of "
        "what the first one does, less than the 50% of the setting growth_gain"
    ]
    assert grows_no_further(running(0), 0.5) == []
    assert grows_no_further(running(1), 0.3 - 1e-9) == []
    assert grows_no_further(running(1, None), 0.5) == []
    assert grows_no_further(running(2, wanted=2), 0.5) == []
