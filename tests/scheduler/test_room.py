"""Where instances go, judged against a search that tries everything."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe.model.cluster import Node, NodeStatus
from zoe.model.resources import NOTHING, Resources
from zoe.scheduler.blocks import BLOCK
from zoe.scheduler.contender import Contender
from zoe.scheduler.demand import Demand, Need, Shape
from zoe.scheduler.fitting import PLENTY, Fitting
from zoe.scheduler.gang import place_gang
from zoe.scheduler.rank import rank_of
from zoe.scheduler.request import Request
from zoe.scheduler.room import Room
from zoe.scheduler.stock import Places

GIB = 1024**3


def room(*cores: int, rank: str = "pack") -> Room:
    made = Room(rank_of(rank))
    made.set_nodes([Node(f"n{number:04}", Resources(each)) for number, each in enumerate(cores)])
    return made


def place(there: Room, cores: int, count: int = 1, **how: object) -> Places:
    return there.place(there.fitting(Shape(Resources(cores))), count, **how)  # type: ignore[arg-type]


def contender(there: Room, *wanted: tuple[int, int], spread: bool = False) -> Contender:
    needs = tuple(
        Need(f"f.s{number}", Shape(Resources(each), spread=spread), count)
        for number, (each, count) in enumerate(wanted)
    )
    return Contender(Demand(1, 0.0, needs), Request(needs, there), 1.0)


@pytest.mark.parametrize(
    ("each", "free", "expected"),
    [
        (Resources(1000), Resources(1000), 1),
        (Resources(1001), Resources(1000), 0),
        (Resources(500, GIB, 1), Resources(4000, 3 * GIB, 2), 2),
        (Resources(1000), Resources(-5, GIB), 0),
        (NOTHING, Resources(-5), PLENTY),
    ],
)
def test_copies(each: Resources, free: Resources, expected: int) -> None:
    assert Fitting(Shape(each)).copies(*free_of(free)) == expected


def free_of(room: Resources) -> tuple[int, int, int]:
    return room.cores_milli, room.memory_bytes, room.gpus


def test_the_smallest_sufficient_room_is_used_first() -> None:
    assert place(room(4, 2, 3), 2, 3) == [(1, 1), (2, 1), (0, 1)]


def test_with_spread_the_largest_room_is_used_first() -> None:
    assert place(room(4, 2, 3, rank="spread"), 2, 2) == [(0, 2)]


def test_random_is_the_same_each_time() -> None:
    first, second = (place(room(*[2] * 50, rank="random"), 1, 50) for _ in range(2))
    assert first == second
    assert [node for node, _ in first] != sorted(node for node, _ in first)


def test_a_large_instance_is_not_kept_out_by_small_ones() -> None:
    there = room(4, 2)
    assert place_gang(there, contender(there, (1, 2), (4, 1))) is not None


def test_all_or_nothing_gives_everything_back() -> None:
    there = room(4, 2)
    assert place_gang(there, contender(there, (2, 2), (3, 1))) is None
    assert (there.cores, there.free, there.delta) == ([4, 2], [6, 0, 0], {})


def test_a_node_that_is_not_ready_or_lacks_a_label_is_passed_over() -> None:
    there = Room()
    there.set_nodes(
        [
            Node("n0", Resources(9), status=NodeStatus.CORDONED, labels=frozenset({"ssd"})),
            Node("n1", Resources(9)),
            Node("n2", Resources(9), labels=frozenset({"ssd", "big"})),
        ]
    )
    fitting = there.fitting(Shape(Resources(1), frozenset({"ssd"})))
    assert there.place(fitting, 20) == [(2, 9)]
    assert place(there, 0, 1) != [(0, 1)]


def test_spread_instances_are_apart_also_from_those_that_are_there() -> None:
    there = room(9, 9, 9)
    apart = contender(there, (1, 3), spread=True)
    apart.count(apart.going, 0, 1, 1)
    assert place_gang(there, apart) is None
    apart.count(apart.going, 0, 1, -1)
    assert place_gang(there, apart) is not None


def test_room_that_is_held_is_not_given_away() -> None:
    there = room(4)
    taken = there.fitting(Shape(Resources(2)))
    there.take(taken, [(0, 1)])
    there.expect(taken, [(0, 1)])
    assert place(there, 3) == []
    assert place(there, 3, coming=True) == [(0, 1)]
    assert there.available(0) == Resources(1)
    assert place(there, 1, 2) == [(0, 1)]


def test_what_does_not_fit_yet_takes_nothing() -> None:
    there = room(2)
    one = there.fitting(Shape(Resources(1)))
    assert not there.take_if_free([(one, [(0, 1)]), (one, [(0, 2)])])
    assert there.cores == [2]
    assert there.take_if_free([(one, [(0, 2)])])
    assert there.cores == [0]


def test_a_shape_found_full_is_tried_again_where_room_has_come() -> None:
    there = room(*[1] * 300)
    fitting = there.fitting(Shape(Resources(1)))
    assert sum(count for _, count in there.place(fitting, 1000)) == 300
    assert there.place(fitting, 1) == []
    there.give(fitting, [(217, 1)])
    assert there.place(fitting, 2) == [(217, 1)]


def test_more_nodes_than_a_block_are_all_found() -> None:
    there = room(*[1] * (3 * BLOCK), 7)
    assert place(there, 5) == [(3 * BLOCK, 1)]
    assert sum(count for _, count in place(there, 1, 10_000)) == 3 * BLOCK + 2


@given(
    rooms=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    each=st.integers(1, 3),
    count=st.integers(1, 5),
)
def test_equal_instances_are_placed_exactly_when_they_can_be(
    rooms: list[int], each: int, count: int
) -> None:
    there = room(*rooms)
    placed = place_gang(there, contender(there, (each, count)))
    possible = any(
        all(choice.count(node) * each <= free for node, free in enumerate(rooms))
        for choice in product(range(len(rooms)), repeat=count)
    )
    assert (placed is not None) == possible


@given(
    rooms=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    steps=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.booleans()), max_size=30),
)
def test_free_room_is_found_exactly_when_it_is_there(
    rooms: list[int], steps: list[tuple[int, int, bool]]
) -> None:
    """Whatever was taken and given back before: what is known to be full really is."""
    there, held = room(*rooms), []
    for cores, count, gives_back in steps:
        fitting = there.fitting(Shape(Resources(cores)))
        if gives_back and held:
            earlier, places = held.pop(count % len(held))
            there.give(earlier, places)
            continue
        fit = sum(free // cores for free in there.cores)
        places = there.place(fitting, count)
        assert sum(number for _, number in places) == min(fit, count)
        held.append((fitting, places))
        assert all(free >= 0 for free in there.cores)
        assert there.free[0] == sum(there.cores)
