"""Where instances go, judged against a search that tries everything."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoe.model.cluster import Node, NodeStatus
from zoe.model.resources import NOTHING, Resources
from zoe.scheduler.placement import PLENTY, Held, Need, Placement, Snapshot, copies

GIB = 1024**3


def snapshot(*cores: int, **names: frozenset[str]) -> Snapshot:
    nodes = [Node(f"n{number}", Resources(each)) for number, each in enumerate(cores)]
    return Snapshot(nodes, {node.name: node.capacity for node in nodes})


def need(cores: int, count: int = 1, **fields: object) -> Need:
    ordinals = tuple(range(count))
    return Need(1, f"f.s{cores}", ordinals, Resources(cores), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("each", "room", "expected"),
    [
        (Resources(1000), Resources(1000), 1),
        (Resources(1001), Resources(1000), 0),
        (Resources(500, GIB, 1), Resources(4000, 3 * GIB, 2), 2),
        (Resources(1000), Resources(-5, GIB), 0),
        (NOTHING, Resources(-5), PLENTY),
    ],
)
def test_copies(each: Resources, room: Resources, expected: int) -> None:
    assert copies(each, room) == expected


def test_the_smallest_sufficient_room_is_used_first() -> None:
    placed = snapshot(4, 2, 3).place_some(need(2, 3))
    assert [one.node for one in placed] == ["n1", "n2", "n0"]


def test_a_large_instance_is_not_kept_out_by_small_ones() -> None:
    cluster = snapshot(4, 2)
    assert cluster.place_all([need(1, 2), need(4)]) is not None


def test_all_or_nothing_gives_everything_back() -> None:
    cluster = snapshot(4, 2)
    before = dict(cluster.free), dict(cluster.coming)
    assert cluster.place_all([need(2, 2), need(3)]) is None
    assert (cluster.free, cluster.coming) == before


def test_a_node_that_is_not_ready_or_lacks_a_label_is_passed_over() -> None:
    nodes = [
        Node("n0", Resources(9), status=NodeStatus.CORDONED, labels=frozenset({"ssd"})),
        Node("n1", Resources(9)),
        Node("n2", Resources(9), labels=frozenset({"ssd", "big"})),
    ]
    cluster = Snapshot(nodes, {node.name: node.capacity for node in nodes})
    placed = cluster.place_some(need(1, 1, labels=frozenset({"ssd"})))
    assert [one.node for one in placed] == ["n2"]


def test_spread_instances_are_apart_also_from_those_that_are_there() -> None:
    nodes = [Node(f"n{number}", Resources(9)) for number in range(3)]
    there = Held("1/f.s1/9", 1, "f.s1", "n1", Resources(1), spread=True)
    cluster = Snapshot(nodes, {node.name: node.capacity for node in nodes}, held=[there])
    assert cluster.place_all([need(1, 3, spread=True)]) is None
    cluster.release(there)
    assert cluster.place_all([need(1, 3, spread=True)], now=False) is not None


def test_room_that_is_held_is_not_given_away() -> None:
    nodes = [Node("n0", Resources(4))]
    cluster = Snapshot(nodes, {"n0": Resources(2)}, {"n0": Resources(4)})
    assert cluster.place_all([need(3)]) is None
    assert cluster.place_all([need(3)], now=False) is not None
    assert cluster.available("n0") == Resources(1)
    assert len(cluster.place_some(need(1, 2))) == 1


def test_placements_that_do_not_fit_yet_take_nothing() -> None:
    cluster = snapshot(2)
    wanted = [Placement(need(1), number, "n0") for number in range(3)]
    assert not cluster.take_if_free(wanted)
    assert cluster.take_if_free(wanted[:2])
    assert cluster.free["n0"] == NOTHING


@given(
    rooms=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    each=st.integers(1, 3),
    count=st.integers(1, 5),
)
def test_equal_instances_are_placed_exactly_when_they_can_be(
    rooms: list[int], each: int, count: int
) -> None:
    placed = snapshot(*rooms).place_all([need(each, count)])
    possible = any(
        all(choice.count(node) * each <= room for node, room in enumerate(rooms))
        for choice in product(range(len(rooms)), repeat=count)
    )
    assert (placed is not None) == possible


@given(
    rooms=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    wanted=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=3),
)
def test_what_is_placed_fits(rooms: list[int], wanted: list[tuple[int, int]]) -> None:
    needs = [
        Need(1, f"f.s{number}", tuple(range(count)), Resources(each))
        for number, (each, count) in enumerate(wanted)
    ]
    placed = snapshot(*rooms).place_all(needs) or []
    assert len(placed) in (0, sum(count for _, count in wanted))
    for number, room in enumerate(rooms):
        used = sum(one.need.each.cores_milli for one in placed if one.node == f"n{number}")
        assert used <= room
