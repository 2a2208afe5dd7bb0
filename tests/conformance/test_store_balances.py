"""What every store does with what people have used, and what a new master makes of it."""

import pytest

from rehearsal import scheduler_of
from submissions_for_tests import Q, instance, lead, new, status
from zoe.model.balance import Balance
from zoe.model.change import Change, SetBalances
from zoe.model.cluster import Node
from zoe.model.errors import IllegalTransition
from zoe.model.execution import Exit, ExitReason
from zoe.model.resources import Resources
from zoe.model.zapp_yaml import read_zapp
from zoe.scheduler.events import (
    BalancesRestored,
    Event,
    ExecutionRestored,
    ExecutionSubmitted,
    InstanceReady,
    InstanceStopped,
    NodesObserved,
    WokeUp,
)
from zoe.scheduler.fairness import Fairness
from zoe.scheduler.scheduler import Scheduler
from zoe.store.base import NewExecution, StaleEpoch, Store

ANN = Balance("", "ann", 12.5, (1500, 2**40, 1), (0.1, 2.0**40 / 3, 1e-9))
BOB = Balance("physics", "bob", 1e9, (0, 0, 0), (0.0, 0.0, 0.0))
HALF_LIFE = 100.0
NAP = """
zoe: 4
name: nap
kind: batch
frameworks:
  f:
    services:
      s: {image: x, resources: {cores: CORES, memory: 1GiB}, monitor: true}
"""


async def test_at_first_nobody_has_used_anything(store: Store) -> None:
    assert await store.balances() == []


async def test_what_is_set_comes_back_to_the_last_digit(store: Store, another_store: Store) -> None:
    await store.record([SetBalances((BOB, ANN))], await lead(store))
    assert await another_store.balances() == [ANN, BOB]


async def test_the_last_one_counts_and_others_stay(store: Store) -> None:
    epoch = await lead(store)
    await store.record([SetBalances((ANN, BOB))], epoch)
    later = Balance("", "ann", 20.0, (0, 0, 0), (1.0, 2.0, 3.0))
    of_team = Balance("physics", "ann", 20.0, (1, 1, 1), (1.0, 2.0, 3.0))
    await store.record([SetBalances((later, of_team))], epoch)
    assert await store.balances() == [later, of_team, BOB]


async def test_it_is_set_together_with_other_changes_or_not_at_all(store: Store) -> None:
    epoch = await lead(store)
    made = await store.submit(new())
    broken: list[Change] = [SetBalances((ANN,)), status(made.id, Q), status(made.id, Q)]
    with pytest.raises(IllegalTransition):
        await store.record(broken, epoch)
    with pytest.raises(StaleEpoch):
        await store.record([SetBalances((ANN,))], epoch - 1)
    assert await store.balances() == []
    await store.record([status(made.id, Q), instance(made.id), SetBalances((ANN,))], epoch)
    assert await store.balances() == [ANN]


async def test_what_cannot_be_stored_is_replaced(store: Store) -> None:
    odd = Balance("a\x00", "b\ud800", 1.0, (0, 0, 0), (0.0, 0.0, 0.0))
    await store.record([SetBalances((odd,))], await lead(store))
    assert [(each.team, each.user) for each in await store.balances()] == [("a\ufffd", "b\ufffd")]


async def test_it_outlives_the_executions(store: Store) -> None:
    """Who deletes what he ran has used it all the same."""
    reign = Reign(store, await lead(store))
    execution_id = await reign.run("ann", "", 2, 50.0)
    before = reign.levels()
    await store.request_delete(execution_id, "ann")
    assert (await (await reign.next()).restored()).levels() == pytest.approx(before)


async def test_levels_after_a_restart_are_those_before(store: Store) -> None:
    reign = Reign(store, await lead(store))
    for owner, team, cores, seconds in (
        ("ann", "", 3, 80.0),
        ("bob", "physics", 1, 10.0),
        ("ann", "physics", 2, 40.0),
        ("cleo", "", 4, 5.0),
    ):
        await reign.run(owner, team, cores, seconds)
    await reign.start("bob", "physics", 2)
    await reign.start("dan", "", 1)
    for pause in (0.0, 1.0, 70.0, 500.0):
        reign.now += pause
        before = reign.levels()
        assert len(set(before.values())) == len(before) > 5, "each is at another level"
        reign = await (await reign.next()).restored()
        assert reign.levels() == pytest.approx(before, rel=1e-9)


async def test_what_another_policy_did_not_count_is_held_against_nobody(store: Store) -> None:
    reign = Reign(store, await lead(store))
    execution_id = await reign.start("ann", "", 2)
    reign.now += HALF_LIFE
    reign = await (await reign.next("fifo")).restored()
    assert [(each.held[0], each.average[0]) for each in await store.balances()] == [(0, 1000.0)]
    reign.now += HALF_LIFE
    await reign.handle(InstanceStopped(f"{execution_id}/f.s/0", 1, Exit(ExitReason.COMPLETED)))
    reign.now += 8 * HALF_LIFE
    reign = await (await reign.next()).restored()
    assert reign.levels()["('', 'ann')"] == pytest.approx(0.5**9 * 1000 / 8000)


class Reign:
    """A master of a scheduler alone, whose time is ours."""

    def __init__(self, store: Store, epoch: int, now: float = 1e9, policy: str = "fair") -> None:
        self.store = store
        self.epoch = epoch
        self.now = now
        self.scheduler: Scheduler = scheduler_of(policy=policy, half_life_seconds=HALF_LIFE)
        self.nodes = NodesObserved((Node("n", Resources(8000, 2**34)),))

    async def next(self, policy: str = "fair") -> "Reign":
        """Return the next one: this one leaves nothing but what it has recorded."""
        await self.store.resign(self.epoch)
        return Reign(self.store, await lead(self.store), self.now, policy)

    async def restored(self) -> "Reign":
        """Take over."""
        await self.handle(BalancesRestored(tuple(await self.store.balances())))
        await self.handle(self.nodes)
        for execution in await self.store.load():
            await self.handle(ExecutionRestored(execution))
        await self.handle(WokeUp())
        return self

    async def handle(self, event: Event) -> None:
        made = self.scheduler.handle(event, self.now)
        await self.store.record([each for each in made if isinstance(each, Change)], self.epoch)

    async def start(self, owner: str, team: str, cores: int) -> int:
        await self.handle(self.nodes)
        document = NAP.replace("CORES", str(cores))
        wish = NewExecution("nap", owner, read_zapp(document), document, team=team)
        made = await self.store.submit(wish)
        await self.handle(ExecutionSubmitted(made))
        await self.handle(InstanceReady(f"{made.id}/f.s/0", 1))
        return made.id

    async def run(self, owner: str, team: str, cores: int, seconds: float) -> int:
        """Have an application run for so long."""
        execution_id = await self.start(owner, team, cores)
        self.now += seconds
        done = Exit(ExitReason.COMPLETED, code=0)
        await self.handle(InstanceStopped(f"{execution_id}/f.s/0", 1, done))
        return execution_id

    def levels(self) -> dict[str, float]:
        fairness = self.scheduler._planner.fairness
        assert isinstance(fairness, Fairness)
        fairness.now = self.now
        teams = {name: fairness.level(each) for name, each in fairness.teams.items()}
        users = {f"{who}": fairness.level(each) for who, each in fairness.users.items()}
        return {**teams, **users}
