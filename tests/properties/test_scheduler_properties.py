"""Whatever happens, in whatever order: the scheduler keeps its promises.

A world of users, a back-end and a store plays against the scheduler. Effects are carried out late,
in any order, twice, or never (the message is lost, and the next look at the back-end finds out);
the master crashes, before or after its effects, and starts again from what was recorded: see
``scheduler_world.py`` for what happens, and ``judging_store.py`` for what is judged.
"""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scheduler_world import World


def play(seed: int, options: dict[str, object], steps: int) -> World:
    world = World(seed, options)
    try:
        world.live(steps)
        world.settle()
    except Exception as error:
        error.add_note("\n".join(["the story so far:", *world.story[-60:]]))
        raise
    for execution_id, execution in world.ever.items():
        assert execution.end is not None
        if execution_id not in world.stopped_by_user:
            assert execution.end.outcome.value != "stopped"
    return world


OVERTAKING = {"policy": "size3d", "backfill": "none", "patience_seconds": 20.0}
OPTIONS = [
    {"generation": "flexible", "policy": "fifo"},
    {"policy": "fair", "half_life_seconds": 100.0},
    {"generation": "flexible", "policy": "size2d", "start_attempts": 2, "elastic_attempts": 1},
    {"policy": "srpt", "backfill": "none", "patience_seconds": 60.0},
    OVERTAKING,
    {"policy": "fair", "backfill": "none", "patience_seconds": 20.0},
    {"policy": "hrrn", "reclaim": False, "backfill_depth": 2},
    {"generation": "published"},
    {"generation": "malleable"},
    {"generation": "rigid"},
    {"quotas": True},
    {"reclaim": False, "quotas": True},
    {"backfill": "conservative", "quotas": True},
    {"policy": "fair", "half_life_seconds": 100.0, "quotas": True},
    {"policy": "fair", "grant_seconds": 20.0, "reclaim_per_hour": 2, "quotas": True},
    {"policy": "fair", "quotas": "guarantees"},
    {"scales": True},
    {"policy": "fair", "half_life_seconds": 100.0, "scales": True, "quotas": True},
    {"generation": "published", "quotas": True},
    {"generation": "malleable", "quotas": True},
    {"generation": "rigid", "quotas": True},
    {"gpus": True, "policy": "fifo"},
    {"images": True},
    {"images": True, "gpus": True, "policy": "fair", "quotas": True},
    {"gpus": True, "generation": "published", "start_attempts": 5},
]


EXAMPLES = settings.default.max_examples // 10
"""Each is a world of its own with hundreds of events."""


@pytest.mark.parametrize("options", OPTIONS, ids=lambda each: "-".join(map(str, each.values())))
@given(seed=st.integers(0, 1 << 32), steps=st.integers(0, 200))
@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
def test_every_promise_holds_through_faults_and_crashes(
    options: dict[str, object], seed: int, steps: int
) -> None:
    play(seed, options, steps)


def test_the_world_is_eventful() -> None:
    """The oracle above judges something: most executions run, some fail, some are stopped."""
    wanted = {"completed", "failed", "stopped", "time-limit", "lost", "not-started"}
    ends: list[str] = []
    for seed in range(8):
        ended = [each.end for each in play(seed, OPTIONS[0], 200).ever.values()]
        ends += [end.outcome.value for end in ended if end is not None]
        if wanted <= set(ends):
            break
    assert wanted <= set(ends)
    assert ends.count("completed") > len(ends) / 5


def test_the_same_story_gives_the_same_decisions() -> None:
    assert play(7, OPTIONS[0], 100).story == play(7, OPTIONS[0], 100).story


def test_minimums_hold_others_back() -> None:
    """The oracle of minimums judges something: some are all that others have left."""
    assert any(play(seed, {"scales": True}, 200).kept for seed in range(20))


def test_some_wait_for_longer_than_the_patience() -> None:
    """The oracle of overtaking judges something: some start only when they are overdue."""
    assert any(play(seed, OVERTAKING, 200).overdue for seed in range(5))
