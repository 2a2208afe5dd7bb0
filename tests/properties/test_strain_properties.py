"""The promises of the scheduler hold where nodes run short of memory, and some more."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strained_world import StrainedWorld

OPTIONS: list[dict[str, object]] = [
    {"policy": "fifo"},
    {"policy": "fair", "half_life_seconds": 100.0, "scales": True},
    {"rank": "spread", "reclaim": False, "backfill": "conservative"},
    {"generation": "published"},
    {"generation": "malleable", "gpus": True},
]


def play(seed: int, options: dict[str, object], steps: int) -> StrainedWorld:
    world = StrainedWorld(seed, options)
    try:
        world.live(steps)
        world.settle()
    except Exception as error:
        error.add_note("\n".join(["the story so far:", *world.story[-60:]]))
        raise
    return world


@pytest.mark.parametrize("options", OPTIONS, ids=lambda each: "-".join(map(str, each.values())))
@given(seed=st.integers(0, 1 << 32), steps=st.integers(0, 200))
@settings(
    max_examples=settings.default.max_examples // 10,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_every_promise_holds_under_pressure(
    options: dict[str, object], seed: int, steps: int
) -> None:
    play(seed, options, steps)


def test_pressure_takes_something_back() -> None:
    """The oracle judges something."""
    assert any(play(seed, OPTIONS[1], 200).relieved for seed in range(20))
