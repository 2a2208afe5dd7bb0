"""What waits for what."""

import pytest

from zoe.model.tree import cycles, requirements, start_order
from zoe.model.zapp import Condition, Framework, Kind, Service, ZApp

TREE = ZApp(
    "a",
    Kind.SERVICE,
    (
        Framework(
            "late",
            (
                Service("b", depends_on={"a": Condition.STARTED}),
                Service("a"),
            ),
            {"early": Condition.READY},
        ),
        Framework("early", (Service("x"), Service("y", depends_on={"x": Condition.COMPLETED}))),
        Framework("alone", (Service("z"),)),
    ),
)


def test_requirements_of_services_and_frameworks() -> None:
    early = (("early.x", Condition.READY), ("early.y", Condition.READY))
    assert requirements(TREE) == {
        "late.b": (*early, ("late.a", Condition.STARTED)),
        "late.a": early,
        "early.x": (),
        "early.y": (("early.x", Condition.COMPLETED),),
        "alone.z": (),
    }


def test_start_order_follows_the_document_where_it_may() -> None:
    assert start_order(TREE) == ("early.x", "early.y", "late.a", "late.b", "alone.z")


@pytest.mark.parametrize(
    ("needs", "found"),
    [
        ({}, ()),
        ({"a": ["b"], "b": []}, ()),
        ({"a": ["a"]}, (("a",),)),
        ({"a": ["nobody"]}, ()),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, (("b", "c"),)),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, ()),
        ({"a": ["b"], "b": ["a"], "c": ["d"], "d": ["c"]}, (("a", "b"), ("c", "d"))),
    ],
)
def test_cycles(needs: dict[str, list[str]], found: tuple[tuple[str, ...], ...]) -> None:
    assert cycles(needs) == found
