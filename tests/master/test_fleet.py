"""Engines that administrators add: what the back-end is told to use, and when one is gone."""

from dataclasses import replace

import pytest

from zoe.master.fleet import Fleet
from zoe.model.cluster import Node, NodeMark, NodeStatus, Observation, ObservedInstance
from zoe.model.engines import AddedEngine, parse_engines
from zoe.model.execution import Exit, ExitReason, InstanceStatus
from zoe.model.resources import Resources
from zoe.store.memory import MemoryStore

ONE = AddedEngine("one", "unix:///one.sock", "ann")
MARK = NodeMark("one", NodeStatus.DRAINING, "ann")
THERE = Node("one", Resources(1000, 2**30))


class Uses:
    """A back-end as far as its engines go: it uses what it was told last."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def use(self, engines: str) -> None:
        assert engines == "" or parse_engines(engines), "this would end the master"
        self.told.append(engines)


class House:
    def __init__(self) -> None:
        self.store, self.backend = MemoryStore(), Uses()
        self.fleet = Fleet(self.store, self.backend, parse_engines("lab unix:///lab.sock"))

    async def look(
        self, *nodes: Node, of: tuple[ObservedInstance, ...] = (), mark: bool = True
    ) -> None:
        marks = [MARK] if mark else []
        await self.fleet.let_go(Observation(nodes, of), (), marks)


@pytest.fixture
async def house() -> House:
    made = House()
    await made.store.engines.add(ONE)
    await made.store.marks.put(MARK)
    await made.fleet.follow()
    return made


async def test_what_the_store_has_is_used_once(house: House) -> None:
    await house.fleet.follow()
    await house.look(THERE)
    assert house.backend.told == [ONE.text]
    await house.store.engines.add(AddedEngine("two", "ssh://two cores=1", "ann"))
    await house.fleet.follow()
    assert house.backend.told[1:] == [f"{ONE.text}; two ssh://two cores=1"]


async def test_what_cannot_be_used_ends_nothing(house: House) -> None:
    for name, words in (
        ("lab", "unix:///other.sock"),  # a setting names it now
        ("three", "unix:///lab.sock"),
        ("two", "unix:///one.sock"),  # two administrators at once
        ("four", "gopher://four"),  # a later version has written it
        ("last", "ssh://last"),
    ):
        await house.store.engines.add(AddedEngine(name, words, "ann"))
    await house.fleet.follow()
    assert house.backend.told[-1] == "last ssh://last; one unix:///one.sock"


async def test_one_that_is_to_go_goes_when_nothing_is_left_there(house: House) -> None:
    await house.store.engines.let_go("one", at_once=False)
    await house.fleet.follow()
    assert house.backend.told == [ONE.text, ONE.text]
    await house.look(THERE, mark=False)
    assert house.backend.told[-1] == ONE.text, "the scheduler does not know yet"
    ended = ObservedInstance(
        "1/f.s/0", 1, "one", InstanceStatus.STOPPED, exit=Exit(ExitReason.COMPLETED, 0)
    )
    await house.look(THERE, of=(ended,))
    assert house.backend.told[-1] == ONE.text, "its end has not been kept yet"
    await house.look(THERE)
    assert house.backend.told[-1] == ""
    await house.fleet.follow()
    await house.look(THERE)  # an older look
    assert house.backend.told[-1] == "", "it is not taken back"
    assert list(await house.store.engines.read()) == [replace(ONE, leaving=True)]
    assert list(await house.store.marks.read()) == [MARK], "nothing is placed there meanwhile"
    await house.look()
    assert list(await house.store.engines.read()) == []
    assert list(await house.store.marks.read()) == []
    await house.store.engines.add(ONE)
    await house.fleet.follow()
    assert house.backend.told[-1] == ONE.text


async def test_one_that_is_away_for_good_goes_at_once(house: House) -> None:
    await house.store.engines.let_go("one", at_once=True)
    await house.fleet.follow()
    running = ObservedInstance("1/f.s/0", 1, "one", InstanceStatus.RUNNING)
    await house.look(THERE, of=(running,), mark=False)
    assert house.backend.told[-1] == ""
    await house.look()
    assert list(await house.store.engines.read()) == []
