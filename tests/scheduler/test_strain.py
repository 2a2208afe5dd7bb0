"""What samples of a node mean: thresholds with two sides, and steps that noise does not change."""

from dataclasses import replace

from zoe.model.cluster import Node
from zoe.model.load import NodeLoad
from zoe.model.resources import Resources
from zoe.scheduler.strain import LEVELS, Judge, Limits, Use

GIB = 2**30
NODE = Node("n1", Resources(8000, 16 * GIB))
WELL = Use(4 * GIB, 20 * GIB)
SHORT = replace(WELL, memory_bytes=19 * GIB + GIB // 2)
BETTER = replace(WELL, memory_bytes=18 * GIB + GIB // 2)


def judged(judge: Judge, use: Use, at: float = 0.0, node: Node = NODE) -> NodeLoad:
    (load,) = judge.judge([node], {node.name: use}, at)
    return load


def test_a_node_is_short_until_there_is_clearly_more_and_then_for_a_while() -> None:
    judge = Judge(Limits(free_memory=0.05, pause_seconds=60))
    assert not judged(judge, WELL).pressure
    assert not judged(judge, BETTER).pressure
    assert judged(judge, SHORT).pressure == "less than 5% of its memory is free"
    assert judged(judge, BETTER, 10).pressure  # more than a part in twenty, less than one in ten
    assert judged(judge, WELL, 11).pressure
    assert judged(judge, WELL, 69).pressure
    assert not judged(judge, WELL, 70).pressure
    assert not judged(judge, BETTER, 71).pressure


def test_each_threshold_has_its_own_other_side() -> None:
    judge = Judge(Limits(free_memory=0.05, cpu_stall=80, pause_seconds=0))
    assert judged(judge, replace(WELL, cpu_stall=80)).pressure
    assert not judged(judge, BETTER, 1).pressure, "of memory it was not short"


def test_a_pause_outlasts_a_sample_that_is_missing() -> None:
    judge = Judge(Limits(free_memory=0.05, pause_seconds=60))
    assert judged(judge, SHORT).pressure
    assert judge.judge([NODE], {}, 10) == []
    assert judged(judge, WELL, 20).pressure == "less than 5% of its memory is free"
    assert not judged(judge, WELL, 60).pressure


def test_a_threshold_of_nothing_is_none() -> None:
    more_than_there_is = replace(WELL, instances=[("1/a.b/0", 17 * GIB)])
    assert judged(Judge(Limits()), more_than_there_is).pressure
    assert not judged(Judge(Limits(free_memory=0)), more_than_there_is).pressure


def test_an_idle_node_has_the_first_level() -> None:
    assert judged(Judge(Limits()), replace(WELL, memory_bytes=0)).level == 0


def test_who_uses_most_is_told_only_while_it_is_short() -> None:
    judge = Judge(Limits())
    users = [("1/a.b/0", GIB), ("1/a.b/2", 3 * GIB), ("1/a.b/1", 3 * GIB)]
    most = (("1/a.b/1", 3 * GIB), ("1/a.b/2", 3 * GIB), ("1/a.b/0", GIB))
    assert judged(judge, replace(WELL, instances=users)).hungriest == ()
    assert judged(judge, replace(SHORT, instances=users)).hungriest == most
    on_its_way = judged(judge, replace(BETTER, instances=users))
    assert (on_its_way.hungriest, bool(on_its_way.pressure)) == ((), True)


def test_waiting_for_memory_is_pressure_too() -> None:
    judge = Judge(Limits(memory_stall=20, pause_seconds=0))
    assert not judged(judge, replace(WELL, memory_stall=19.9)).pressure
    stalled = judged(judge, replace(WELL, memory_stall=20.0, instances=[("1/a.b/0", GIB)]))
    assert stalled.pressure == "its programs wait for memory for 20% of the time"
    assert stalled.hungriest
    assert judged(judge, replace(WELL, memory_stall=11.0)).pressure
    assert not judged(judge, replace(WELL, memory_stall=9.0)).pressure


def test_waiting_for_cores_takes_nothing_back() -> None:
    busy = replace(WELL, cpu_stall=90.0, instances=[("1/a.b/0", GIB)])
    assert not judged(Judge(Limits()), busy).pressure
    load = judged(Judge(Limits(cpu_stall=80)), busy)
    assert load.pressure == "its programs wait for cores for 80% of the time"
    assert load.hungriest == ()


def test_what_zoe_has_of_a_node_counts_where_instances_use_more_than_they_reserved() -> None:
    machine = Use(16 * GIB, 64 * GIB, instances=[("1/a.b/0", 15 * GIB + GIB // 2)])
    assert judged(Judge(Limits()), replace(machine, reserved_bytes=2 * GIB)).pressure
    assert not judged(Judge(Limits()), replace(machine, reserved_bytes=16 * GIB)).pressure


def test_nothing_is_short_where_nobody_looks() -> None:
    off = Limits(free_memory=0, memory_stall=0)
    assert not judged(Judge(off), replace(SHORT, memory_stall=99.0, cpu_stall=99.0)).pressure
    assert not judged(Judge(Limits()), Use(5 * GIB, 0)).pressure


def test_levels_are_not_changed_by_noise() -> None:
    judge = Judge(Limits())
    half = replace(WELL, memory_bytes=10 * GIB)
    assert judged(judge, half).level == LEVELS // 2
    assert judged(judge, replace(half, memory_bytes=10 * GIB - GIB // 4)).level == LEVELS // 2
    assert judged(judge, replace(half, memory_bytes=9 * GIB)).level == LEVELS // 2 - 1
    assert judged(judge, half).level == LEVELS // 2 - 1
    assert judged(judge, replace(half, cores_milli=80_000)).level == LEVELS - 1


def test_only_what_others_use_beyond_what_they_are_left_counts() -> None:
    judge = Judge(Limits())
    ours = replace(WELL, instances=[("1/a.b/0", 3 * GIB)])
    assert judged(judge, ours).outside_bytes == 0
    left = replace(ours, memory_bytes=(3 + 4) * GIB)  # the machine has 4 GiB more than Zoe
    assert judged(judge, left).outside_bytes == 0
    beyond = replace(ours, memory_bytes=(3 + 4 + 5) * GIB)
    assert judged(judge, beyond).outside_bytes == 5 * GIB
    noise = replace(beyond, memory_bytes=beyond.memory_bytes - GIB // 8)
    assert judged(judge, noise).outside_bytes == 5 * GIB
    known = replace(NODE, foreign=Resources(0, 5 * GIB))
    assert judged(Judge(Limits()), beyond, node=known).outside_bytes == 0
    only_containers = replace(beyond, is_machine=False)
    assert judged(Judge(Limits()), only_containers).outside_bytes == 0


def test_a_node_that_is_not_seen_is_not_judged() -> None:
    judge = Judge(Limits())
    assert judged(judge, SHORT).pressure
    assert judge.judge([NODE], {}, 1.0) == []
    assert judge.judge([], {"n1": WELL}, 2.0) == []
