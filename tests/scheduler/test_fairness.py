"""Whose turn it is: what each holds and has held decides, among teams and among their users."""

import random
from collections.abc import Iterable
from math import inf

import pytest

from zoe.model.cluster import Node
from zoe.model.quota import Accounts, Quota, Team, User
from zoe.model.resources import Resources
from zoe.model.zapp import Kind
from zoe.scheduler.demand import Demand, Need, Shape
from zoe.scheduler.fairness import COUNTED, Account, Fairness, Turns
from zoe.scheduler.planner import Planner
from zoe.scheduler.queue import AGEING_SECONDS
from zoe.scheduler.sharing import Sharing
from zoe.sim.metrics import measure
from zoe.sim.simulation import simulate
from zoe.sim.workload import Job, uniform_job

UNIT = Resources(1000, 1024**3)


def demand(
    number: int,
    owner: str = "u",
    team: str = "",
    *,
    essential: int = 1,
    elastic: int = 0,
    at: float = 0.0,
    kind: Kind = Kind.BATCH,
) -> Demand:
    need = Need("f.s", Shape(UNIT), essential, elastic)
    return Demand(number, at, (need,), owner, team, kind)


def planner_of(units: int, *waiting: Demand, **rules: object) -> Planner:
    planner = Planner(Sharing(policy="fair", **rules))  # type: ignore[arg-type] # any rule
    planner.set_nodes([Node("n1", UNIT * units)])
    for each in waiting:
        planner.wait(planner.add(each, 0.0), 0.0)
    return planner


def queue_of(planner: Planner) -> list[int]:
    return [contender.id for contender in planner.waiting]


def held(planner: Planner, execution_id: int) -> int:
    return planner.contenders[execution_id].has


def test_the_first_of_each_user_comes_before_the_second_of_anybody() -> None:
    flood = [demand(number, "ann") for number in range(1, 6)]
    planner = planner_of(1, *flood, demand(6, "bob"), demand(7, "bob"), demand(8, "cat"))
    assert queue_of(planner) == [1, 6, 8, 2, 7, 3, 4, 5]
    assert [planner.waiting.position(each) for each in (1, 6, 8, 2)] == [1, 2, 3, 4]
    assert [each.id for each in planner.waiting.part(2, 4)] == [6, 8, 2]


def test_who_holds_nothing_comes_before_who_holds_much() -> None:
    planner = planner_of(4, demand(1, "ann", essential=3))
    planner.commit(planner.plan(0.0), 0.0)
    planner.wait(planner.add(demand(2, "ann"), 1.0), 1.0)
    planner.wait(planner.add(demand(3, "bob", at=1.0), 1.0), 1.0)
    assert queue_of(planner) == [3, 2]


def test_within_a_user_the_small_come_first_until_the_large_have_waited() -> None:
    large, small = demand(1, essential=4), demand(2, at=AGEING_SECONDS)
    assert queue_of(planner_of(8, large, small)) == [2, 1], "a quarter: worth two times the ageing"
    late = demand(2, at=3 * AGEING_SECONDS)
    assert queue_of(planner_of(8, large, late)) == [1, 2]


def test_interactive_executions_come_first() -> None:
    planner = planner_of(4, demand(1), demand(2, kind=Kind.INTERACTIVE), demand(3, "bob"))
    assert queue_of(planner) == [2, 3, 1] or queue_of(planner) == [2, 1, 3]
    assert queue_of(planner)[0] == 2


def test_teams_take_turns_however_many_users_they_have() -> None:
    many = [demand(number, f"u{number}", "many") for number in range(1, 5)]
    planner = planner_of(1, *many, demand(5, "ann", "few"), demand(6, "ann", "few"))
    assert queue_of(planner) == [5, 1, 6, 2, 3, 4]


def test_a_weight_gives_more_turns() -> None:
    heavy = [demand(number, "ann") for number in range(1, 7)]
    planner = planner_of(6, *heavy, demand(11, "bob"), demand(12, "bob"))
    assert planner.fairness is not None
    planner.fairness.set_weights({}, {"ann": 3.0})
    assert queue_of(planner) == [1, 11, 2, 3, 4, 12, 5, 6]


def test_elastic_instances_are_shared_in_turns() -> None:
    planner = planner_of(34, demand(1, "ann", elastic=40), demand(2, "bob", elastic=40))
    planner.commit(planner.plan(0.0), 0.0)
    assert (held(planner, 1), held(planner, 2)) == (17, 17)


def test_what_was_held_counts_half_after_the_half_life() -> None:
    fairness = Fairness(100.0)
    fairness.set_total(UNIT * 10)
    account = Account(held=[10_000, 0, 0])
    assert fairness.level(account) == 1.0
    fairness.now = 100.0
    assert fairness.level(account) == pytest.approx(1.5), "all it holds, and half of it on average"
    account.held[0] = 0
    fairness.now = 200.0
    assert fairness.level(account) == pytest.approx(0.25)
    account.weight = 0.5
    assert fairness.level(account) == pytest.approx(0.5)


def test_room_that_is_given_back_is_held_no_longer() -> None:
    planner = planner_of(8, demand(1, "ann", "t", essential=2, elastic=3))
    planner.commit(planner.plan(0.0), 0.0)
    assert planner.fairness is not None
    team, user = planner.fairness.team("t"), planner.fairness.user("t", "ann")
    assert team.held == user.held == [5000, 5 * 1024**3, 0]
    contender = planner.contenders[1]
    planner.retire(contender, 0, (0, 1), 1.0, elastic=True)
    assert user.held[0] == 5000, "what is being stopped holds its room"
    planner.gone(contender, 0, (0, 1), 2.0)
    assert user.held[0] == 4000
    planner.drop(contender, 0, (0, 1), 3.0, elastic=True)
    assert user.held[0] == 3000
    planner.forget(1, 4.0)
    assert team.held == user.held == [0, 0, 0]


def test_one_that_can_never_start_takes_nobodys_turn() -> None:
    planner = planner_of(4, demand(1, "ann", essential=5), demand(2, "ann"), demand(3, "bob"))
    plan = planner.plan(0.0)
    assert [grant.contender.id for grant in plan.grants] == [2, 3]


def test_far_back_a_place_is_estimated() -> None:
    planner = planner_of(1, *(demand(number) for number in range(1, COUNTED + 201)))
    assert planner.waiting.position(COUNTED) == COUNTED
    assert planner.waiting.position(COUNTED + 100) == COUNTED + 100
    planner.waiting.discard(COUNTED + 100)
    assert COUNTED + 100 not in planner.waiting
    assert len(planner.waiting) == COUNTED + 199


def test_turns_end() -> None:
    turns = Turns(Fairness(1.0), {"": {"ann": []}})
    assert turns.next() is None


def sharing_planner(units: int, *waiting: Demand, cores: int, **rules: object) -> Planner:
    """Team a, of ann, is guaranteed so many cores; others are not named."""
    planner = planner_of(units, **rules)
    planner.set_shares(Accounts(teams={"a": Team("a", guaranteed=Resources(cores * 1000))}))
    for each in waiting:
        submit(planner, each, 0.0)
    return planner


def submit(planner: Planner, wanted: Demand, now: float) -> dict[int, int]:
    """Submit and plan; return how many instances are taken back from whom."""
    planner.wait(planner.add(wanted, now), now)
    plan = planner.plan(now)
    planner.commit(plan, now)
    lost: dict[int, int] = {}
    for lending, count, _ in plan.take_back:
        lost[lending.contender.id] = lost.get(lending.contender.id, 0) + count
        place = (lending.node, count)
        planner.gone(lending.contender, lending.need, place, now)
    planner.commit(planner.plan(now), now)
    return lost


def test_weights_of_the_accounts_count() -> None:
    planner = planner_of(4)
    submit(planner, demand(1, "ann", "t"), 0.0)
    shares = Accounts({"ann": User("ann", weight=2.0)}, {"t": Team("t", 3.0)})
    planner.set_shares(shares)
    assert planner.fairness is not None
    assert planner.fairness.team("t").weight == 3.0
    assert planner.fairness.user("t", "ann").weight == planner.fairness.user("", "ann").weight == 2
    planner.set_shares(Accounts())
    assert planner.fairness.user("t", "ann").weight == planner.fairness.team("t").weight == 1.0


def test_what_is_guaranteed_is_given_back_whatever_the_levels() -> None:
    borrower = demand(1, "bob", "b", essential=1, elastic=7)
    planner = sharing_planner(8, borrower, cores=4)
    assert held(planner, 1) == 8
    planner.fairness.team("a").average[0] = 1e9  # type: ignore[union-attr] # a had it all lately
    assert submit(planner, demand(2, "ann", "a", essential=3, at=1.0), 1.0) == {1: 3}
    assert submit(planner, demand(3, "ann", "a", at=2.0), 2.0) == {1: 1}
    assert submit(planner, demand(4, "ann", "a", at=3.0), 3.0) == {}, "that is all it may have"
    assert [held(planner, each) for each in (1, 2, 3, 4)] == [4, 3, 1, 0]


def test_essential_instances_are_not_given_back() -> None:
    planner = sharing_planner(8, demand(1, "bob", "b", essential=6, elastic=2), cores=8)
    assert submit(planner, demand(2, "ann", "a", essential=3, at=1.0), 1.0) == {}
    assert held(planner, 1) == 8
    assert submit(planner, demand(3, "ann", "a", essential=2, at=2.0), 2.0) == {1: 2}
    assert held(planner, 1) == 6


def test_nobody_takes_what_a_team_has_of_its_guarantee() -> None:
    planner = sharing_planner(8, demand(1, "ann", "a", essential=1, elastic=7), cores=5)
    assert submit(planner, demand(2, "bob", "b", essential=4, at=1.0), 1.0) == {}
    assert submit(planner, demand(3, "bob", "b", essential=3, at=1.0), 1.0) == {1: 3}
    assert submit(planner, demand(4, "bob", "b", at=2.0), 2.0) == {}
    assert [held(planner, each) for each in (1, 2, 3, 4)] == [5, 0, 3, 0]


def test_from_a_team_with_a_guarantee_only_the_rest_is_taken_and_more_from_others() -> None:
    planner = sharing_planner(12, demand(1, "bob", "b", elastic=5), cores=5)
    submit(planner, demand(2, "ann", "a", elastic=5, at=1.0), 1.0)
    assert [held(planner, each) for each in (1, 2)] == [6, 6]
    lost = submit(planner, demand(3, "cat", "c", essential=3, at=2.0), 2.0)
    assert lost == {1: 2, 2: 1}, "the newest first, as far as the team is beyond"


def test_what_is_being_stopped_is_not_taken_twice() -> None:
    planner = sharing_planner(8, demand(1, "ann", "a", essential=1, elastic=7), cores=5)
    for number in (2, 3):
        planner.wait(planner.add(demand(number, "bob", "b", essential=3, at=1.0), 1.0), 1.0)
        plan = planner.plan(1.0)
        planner.commit(plan, 1.0)
        assert sum(one.instances for one in plan.take_back) == (3 if number == 2 else 0)
    assert held(planner, 1) == 5
    team = planner.fairness.team("a")  # type: ignore[union-attr]
    assert (team.held[0], team.going[0]) == (8000, 3000)
    planner.forget(1, 2.0)
    assert team.held == team.going == [0, 0, 0]


def test_several_of_a_team_do_not_take_more_than_its_guarantee_at_once() -> None:
    planner = sharing_planner(16, demand(1, "bob", "b", elastic=15), cores=4)
    planner.fairness.team("a").average[0] = 1e9  # type: ignore[union-attr] # else it is its turn
    for number in range(2, 8):
        planner.wait(planner.add(demand(number, "ann", "a", essential=2), 1.0), 1.0)
    plan = planner.plan(1.0)
    assert sum(one.instances for one in plan.take_back) == 4
    assert sorted(planner.claims) == [2, 3]


def test_a_team_short_of_its_guarantee_comes_first_until_it_has_it() -> None:
    waiting = [demand(number, "ann", "a") for number in (1, 2, 3)]
    others = [demand(number, "bob", "b") for number in (4, 5, 6)]
    planner = planner_of(8, *waiting, *others)
    planner.set_shares(Accounts(teams={"a": Team("a", 0.01, Resources(2000))}))
    assert queue_of(planner) == [1, 2, 4, 5, 6, 3]


def test_elastic_instances_go_to_a_team_short_of_its_guarantee_first() -> None:
    planner = planner_of(66, demand(1, "ann", "a", elastic=64), demand(2, "bob", "b", elastic=64))
    planner.set_shares(Accounts(teams={"a": Team("a", guaranteed=Resources(40_000))}))
    planner.commit(planner.plan(0.0), 0.0)
    assert (held(planner, 1), held(planner, 2)) == (41, 25), "up to a portion more"


def test_of_several_guaranteed_amounts_the_largest_part_counts() -> None:
    account = Account(guaranteed=(4000, 8 * 1024**3, 0))
    assert account.part([1000, 4 * 1024**3, 7]) == 0.5
    assert Account().part([0, 0, 0]) == inf


def test_who_waits_for_a_quota_takes_nobodys_turn() -> None:
    full = [demand(number, "ann", "t", essential=2) for number in range(1, 5)]
    waiting = [demand(5, "bob", "t"), demand(6, "cat", "u"), demand(7, "cat", "u")]
    planner = planner_of(2, *full, *waiting)
    planner.set_shares(Accounts({"ann": User("ann", quota=Quota(cores_milli=1000))}))
    planner.commit(planner.plan(0.0), 0.0)
    assert [held(planner, each) for each in (5, 6, 7)] == [1, 1, 0]
    assert planner.contenders[1].is_over
    planner.set_shares(Accounts())
    assert not planner.contenders[1].is_over


def flooded(policy: str) -> tuple[float, float]:
    """Return Jain's index over the users' mean slowdowns, and how full the cluster was."""
    chance = random.Random(5)

    def jobs() -> Iterable[Job]:
        for number in range(400):
            seconds = chance.uniform(50, 150)
            yield uniform_job(
                number, number * 4.0, seconds, chance.randint(1, 3), 4, UNIT,
                owner="flood", run_seconds=seconds,
            )  # fmt: skip
        for number in range(40):
            seconds = chance.uniform(50, 150)
            yield uniform_job(
                1000 + number, number * 40.0, seconds, chance.randint(1, 3), 4, UNIT,
                owner="calm", run_seconds=seconds,
            )  # fmt: skip

    result = simulate(jobs(), [Node("n1", UNIT * 100)], Planner(Sharing(policy=policy)))
    metrics = measure(result)
    assert metrics.allocation.cores is not None
    return metrics.jain or 0.0, metrics.allocation.cores


def test_a_flood_of_one_does_not_drown_the_other_and_leaves_nothing_unused() -> None:
    fair, full = flooded("fair")
    _, as_full = flooded("fifo")
    assert full > as_full * 0.97
    assert fair > 0  # how fair it is with which load, the benchmarks say
