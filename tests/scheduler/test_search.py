"""Placements that greedy placing misses: found in small cases, judged by trying everything."""

from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from zoe.model.cluster import Node
from zoe.model.resources import Resources
from zoe.scheduler.contender import Contender
from zoe.scheduler.demand import Demand, Need, Shape
from zoe.scheduler.gang import fits_on, lacks, place_gang
from zoe.scheduler.planner import Planner
from zoe.scheduler.request import Request
from zoe.scheduler.room import Room
from zoe.scheduler.search import SEARCH_CELLS, SEARCH_STEPS, Wanted, _Search, search
from zoe.scheduler.sharing import Sharing

Asked = list[tuple[int, int, int, bool, bool]]
"""By need: cores and memory of each, how many, whether on the first node only, whether apart."""


def cluster(*amounts: tuple[int, int]) -> Room:
    made = Room()
    made.set_nodes(nodes(*amounts))
    return made


def nodes(*amounts: tuple[int, int]) -> list[Node]:
    return [
        Node(f"n{number:03}", Resources(*each), labels=frozenset({"first"} if not number else ()))
        for number, each in enumerate(amounts)
    ]


def contender(room: Room, asked: Asked) -> Contender:
    needs = tuple(
        Need(
            f"f.s{number}",
            Shape(Resources(cores, memory), frozenset({"first"} if first else ()), apart),
            count,
        )
        for number, (cores, memory, count, first, apart) in enumerate(asked)
    )
    return Contender(Demand(1, 0.0, needs), Request(needs, room), 1.0)


MISSED: Asked = [(2, 2, 1, False, False), (2, 1, 3, False, False)]
"""The larger one goes to the fuller node, where it leaves too little for two of the others."""
THERE = [(4, 2), (4, 9)]


def test_what_greedy_placing_misses_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    room = cluster(*THERE)
    gang = place_gang(room, contender(room, MISSED))
    assert gang is not None
    assert sorted((need, places) for need, places in gang) == [(0, [(1, 1)]), (1, [(0, 2), (1, 1)])]
    assert (room.cores, room.memory) == ([0, 0], [0, 6])
    monkeypatch.setattr("zoe.scheduler.search.SEARCH_CELLS", 0)
    room = cluster(*THERE)
    assert place_gang(room, contender(room, MISSED)) is None, "greedy placing does miss it"


def test_it_is_not_said_that_it_can_never_start() -> None:
    room = cluster(*THERE)
    assert fits_on(nodes(*THERE), lacks(contender(room, MISSED)))
    assert not fits_on(nodes((4, 2), (3, 9)), lacks(contender(room, MISSED)))


def test_it_is_found_in_what_is_coming_and_held_there() -> None:
    room = cluster(*THERE)
    all_of_it = room.fitting(Shape(Resources(4, 2)))
    room.take(all_of_it, [(0, 1), (1, 1)])
    room.expect(all_of_it, [(0, 1), (1, 1)])
    wish = contender(room, MISSED)
    assert place_gang(room, wish) is None
    gang = place_gang(room, wish, coming=True)
    assert gang is not None
    assert [room.coming(node) for node in (0, 1)] == [(0, 0, 0), (0, 6, 0)]
    for need, places in gang:
        room.release(wish.fittings[need], places, coming=True)
    assert [room.coming(node) for node in (0, 1)] == [(4, 2, 0), (4, 9, 0)]


AMOUNT = st.integers(0, 3)


@given(
    amounts=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=3),
    asked=st.lists(
        st.tuples(AMOUNT, AMOUNT, st.integers(1, 2), st.booleans(), st.booleans()),
        min_size=1,
        max_size=3,
    ),
)
def test_a_gang_is_placed_exactly_when_it_can_be(
    amounts: list[tuple[int, int]], asked: Asked
) -> None:
    """Judged by putting every instance on every node."""
    room = cluster(*amounts)
    wish = contender(room, asked)
    gang = place_gang(room, wish)
    before = [list(each) for each in amounts]
    if gang is not None:
        assert [sum(count for _, count in places) for _, places in sorted(gang)] == [
            count for _, _, count, _, _ in asked
        ]
        taken = [
            (need, node) for need, places in gang for node, count in places for _ in range(count)
        ]
        assert is_legal(asked, taken, before)
        for need, places in gang:
            room.give(wish.fittings[need], places)
    assert list(zip(room.cores, room.memory, strict=True)) == amounts
    instances = [need for need, each in enumerate(asked) for _ in range(each[2])]
    possible = any(
        is_legal(asked, list(zip(instances, choice, strict=True)), before)
        for choice in product(range(len(amounts)), repeat=len(instances))
    )
    assert (gang is not None) == possible


def is_legal(asked: Asked, placed: list[tuple[int, int]], amounts: list[list[int]]) -> bool:
    """Whether instances of these needs may be on these nodes together."""
    apart = [(need, node) for need, node in placed if asked[need][4]]
    if len(set(apart)) < len(apart) or any(node and asked[need][3] for need, node in placed):
        return False
    return all(
        sum(asked[need][number] for need, there in placed if there == node) <= have[number]
        for node, have in enumerate(amounts)
        for number in (0, 1)
    )


def hard(room: Room) -> list[Wanted]:
    """Wishes that no order satisfies, though each fits alone, and all sums suffice."""
    return [
        Wanted(room.fitting(Shape(Resources(cores, memory))), 4)
        for cores, memory in ((7, 5), (5, 7), (6, 6), (4, 7))
    ]


def test_the_steps_are_bounded() -> None:
    room = cluster(*[(17, 18)] * 8)
    tried = _Search(room, hard(room), False, SEARCH_STEPS)
    tried.places()
    assert 0 <= tried.steps < SEARCH_STEPS
    few = _Search(room, hard(room), False, 5)
    assert few.places() is None
    assert few.steps == 0


def test_nothing_is_tried_where_there_is_too_much_to_try() -> None:
    def found(count: int) -> object:
        room = cluster(*THERE, *[(0, 0)] * (count - 2))
        wish = contender(room, MISSED)
        wanted = [
            Wanted(fitting, need.essential)
            for fitting, need in zip(wish.fittings, wish.demand.needs, strict=True)
        ]
        return search(room, wanted)

    assert found(SEARCH_CELLS // 2) is not None
    assert found(SEARCH_CELLS // 2 + 1) is None


@given(seed=st.permutations(range(4)))
def test_the_same_is_found_each_time(seed: list[int]) -> None:
    amounts = [((4, 2), (4, 9), (3, 3), (2, 8))[number] for number in seed]
    asked: Asked = [*MISSED, (2, 2, 1, False, False)]
    first, second = (
        place_gang(room, contender(room, asked)) for room in (cluster(*amounts), cluster(*amounts))
    )
    assume(first is not None)
    assert first == second


def test_all_searches_of_a_plan_share_its_steps() -> None:
    planner = Planner(Sharing())
    planner.set_nodes(nodes(*[(17, 18)] * 8))
    room = planner.room
    planner.plan(20.0)
    assert room.search_steps == SEARCH_STEPS
    room.search_steps = 5
    assert search(room, hard(room)) is None
    assert room.search_steps == 0
    assert search(room, hard(room)) is None
    planner.plan(21.0)
    assert room.search_steps == SEARCH_STEPS, "each plan has steps of its own"
