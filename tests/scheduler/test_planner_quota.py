"""The planner under quotas: what it is charged for, whom it passes over, what it takes back."""

from collections.abc import Sequence

import pytest

from zoe.model.cluster import Node
from zoe.model.quota import Accounts, Quota, Team, User
from zoe.model.resources import Resources
from zoe.model.zapp import Kind
from zoe.scheduler.contender import Contender
from zoe.scheduler.demand import Demand, Need, Shape
from zoe.scheduler.plan import Plan
from zoe.scheduler.planner import Planner
from zoe.scheduler.sharing import Sharing

CORE = Shape(Resources(1000))
GIB = 2**30


def planner_of(quota: Quota, cores: int = 100, **sharing: object) -> Planner:
    planner = Planner(Sharing(**sharing))  # type: ignore[arg-type]
    planner.set_nodes([Node("n", Resources(cores * 1000, cores * GIB))])
    planner.set_shares(Accounts({"u": User("u", quota=quota)}))
    return planner


def submit(
    planner: Planner,
    number: int,
    essential: int,
    elastic: int = 0,
    *,
    at: float = 0.0,
    owner: str = "u",
    team: str = "",
    kind: Kind = Kind.BATCH,
    run_seconds: float | None = None,
) -> Contender:
    need = Need("f.s", CORE, essential, elastic)
    demand = Demand(number, at, (need,), owner, team, kind, run_seconds=run_seconds)
    contender = planner.add(demand, at)
    planner.wait(contender, at)
    return contender


def commit(planner: Planner, now: float = 0.0) -> Plan:
    plan = planner.plan(now)
    planner.commit(plan, now)
    return plan


def has(contenders: Sequence[Contender]) -> list[int]:
    return [each.has for each in contenders]


def test_several_that_start_in_one_plan_share_the_quota() -> None:
    planner = planner_of(Quota(cores_milli=5000))
    contenders = [submit(planner, n, 2) for n in range(1, 5)]
    commit(planner)
    assert has(contenders) == [2, 2, 0, 0]
    planner.forget(1, 0.0)
    commit(planner)
    assert has(contenders[1:]) == [2, 2, 0]


def test_growth_stops_exactly_at_the_quota_whichever_execution_grows() -> None:
    planner = planner_of(Quota(cores_milli=7000))
    contenders = [submit(planner, 1, 1, 3), submit(planner, 2, 1, 9)]
    others = submit(planner, 3, 1, 20, owner="v")
    commit(planner)
    assert has([*contenders, others]) == [4, 3, 21]


@pytest.mark.parametrize("generation", ["flexible", "published", "malleable", "rigid"])
def test_no_generation_exceeds_a_quota(generation: str) -> None:
    sharing: dict[str, object] = {"generation": generation}
    if generation == "published":
        sharing = {"reclaim": False, "backfill": "none"}
    planner = planner_of(Quota(cores_milli=6000, executions=2), **sharing)
    contenders = [submit(planner, n, 2, 2, at=n) for n in range(1, 6)]
    others = submit(planner, 9, 1, owner="v", at=9)
    for now in range(10, 20):
        commit(planner, now)
        assert sum(has(contenders)) <= 6
        assert sum(each.is_admitted for each in contenders) <= 2
    assert sum(has(contenders)) >= 4
    assert others.has == 1


def test_a_quota_filled_by_elastic_instances_is_given_to_the_essential_ones() -> None:
    planner = planner_of(Quota(cores_milli=6000))
    first = submit(planner, 1, 1, 9)
    commit(planner)
    second = submit(planner, 2, 3, at=1.0)
    plan = commit(planner, 1.0)
    assert sum(one.instances for one in plan.take_back) == 3
    assert (first.has, second.has) == (3, 0)
    assert not commit(planner, 2.0).take_back  # they are still going
    planner.gone(first, 0, (0, 3), 2.0)
    commit(planner, 3.0)
    assert (first.has, second.has) == (3, 3)


def test_nothing_is_taken_back_where_it_would_not_help() -> None:
    for quota, essential in (
        (Quota(cores_milli=6000, executions=1), 1),  # another execution may not run at all
        (Quota(cores_milli=6000), 6),  # the essential instance of the first stays
        (Quota(cores_milli=6000), 7),
    ):
        planner = planner_of(quota)
        submit(planner, 1, 1, 9)
        commit(planner)
        submit(planner, 2, essential, at=1.0)
        assert not commit(planner, 1.0).take_back
    planner = planner_of(Quota(cores_milli=6000), reclaim=False)
    submit(planner, 1, 1, 9)
    commit(planner)
    submit(planner, 2, 1, at=1.0)
    assert not commit(planner, 1.0).take_back


def test_elastic_instances_of_others_are_left_alone_for_what_is_over_its_quota() -> None:
    planner = planner_of(Quota(cores_milli=2000), cores=10)
    mine, others = submit(planner, 1, 2), submit(planner, 2, 1, 20, owner="v")
    commit(planner)
    submit(planner, 3, 1)
    assert not commit(planner).take_back
    assert has([mine, others]) == [2, 8]


def test_a_team_is_charged_for_all_its_users() -> None:
    planner = planner_of(Quota())
    team = Team("t", quota=Quota(cores_milli=3000, sessions=1))
    planner.set_shares(Accounts(teams={"t": team}))
    contenders = [
        submit(planner, 1, 1, owner="a", team="t", kind=Kind.INTERACTIVE),
        submit(planner, 2, 1, owner="b", team="t", kind=Kind.INTERACTIVE),
        submit(planner, 3, 2, 1, owner="b", team="t"),
        submit(planner, 4, 1, owner="b", kind=Kind.INTERACTIVE),
    ]
    commit(planner)
    assert has(contenders) == [1, 0, 2, 1]


def test_small_ones_do_not_starve_a_large_one_of_the_same_user_for_ever() -> None:
    planner = planner_of(Quota(cores_milli=4000), patience_seconds=100.0)
    submit(planner, 1, 2)
    commit(planner)
    large = submit(planner, 2, 4)
    small = submit(planner, 3, 1, at=1.0)
    commit(planner, 50.0)
    assert small.has == 1
    later = submit(planner, 4, 1, at=50.0)
    commit(planner, 150.0)
    assert later.has == 0  # what comes free is kept for the one that has waited too long
    planner.forget(1, 0.0)
    planner.forget(3, 0.0)
    commit(planner, 160.0)
    assert (large.has, later.has) == (4, 0)


@pytest.mark.parametrize(("essential", "cores"), [(4, 3), (9, 100)])
def test_nothing_is_kept_for_what_can_never_start(essential: int, cores: int) -> None:
    planner = planner_of(Quota(cores_milli=4000), cores, patience_seconds=100.0)
    never = submit(planner, 1, essential)
    small = submit(planner, 2, 1, at=150.0)
    commit(planner, 200.0)
    assert has([never, small]) == [0, 1]


@pytest.mark.parametrize("backfill", ["easy", "conservative"])
def test_who_may_overtake_does_not_use_up_the_quota_of_the_one_that_is_blocked(
    backfill: str,
) -> None:
    planner = planner_of(Quota(cores_milli=9000), cores=10, backfill=backfill)
    submit(planner, 1, 6, owner="v", run_seconds=1000.0)
    commit(planner)
    blocked = submit(planner, 2, 8, at=1.0, run_seconds=10.0)
    mine = submit(planner, 3, 2, at=2.0, run_seconds=10.0)
    others = submit(planner, 4, 2, at=3.0, owner="w", run_seconds=10.0)
    commit(planner, 5.0)
    assert (blocked.has, mine.has, others.has) == (0, 0, 2)


@pytest.mark.parametrize(("backfill", "has_room"), [("easy", 2), ("conservative", 0)])
def test_conservative_reserves_the_quota_of_everybody_before(backfill: str, has_room: int) -> None:
    planner = planner_of(Quota(cores_milli=9000), cores=10, backfill=backfill)
    submit(planner, 1, 6, owner="v", run_seconds=1000.0)
    commit(planner)
    submit(planner, 2, 8, at=1.0, owner="w", run_seconds=10.0)
    submit(planner, 3, 8, at=2.0, run_seconds=10.0)
    last = submit(planner, 4, 2, at=3.0, run_seconds=10.0)
    commit(planner, 5.0)
    assert last.has == has_room


def test_shares_are_there_for_everybody_who_plans() -> None:
    planner = planner_of(Quota())
    shares = Accounts({}, {"t": Team("t", 2.0, Resources(8000))}, 7)
    planner.set_shares(shares)
    team = planner.ledger.shares.team("t")
    assert team is not None
    assert (team.weight, team.guaranteed.cores_milli) == (2.0, 8000)


def test_turns_end_where_a_quota_forbids_growth() -> None:
    planner = planner_of(Quota(cores_milli=7000), policy="fair")
    contenders = [submit(planner, 1, 1, 30), submit(planner, 2, 1, 30)]
    others = submit(planner, 3, 1, 20, owner="v")
    commit(planner)
    assert sum(has(contenders)) == 7
    assert others.has == 21


def test_new_shares_are_looked_at_though_no_room_has_changed() -> None:
    planner = planner_of(Quota(), cores=10)
    submit(planner, 1, 7, owner="v", run_seconds=1000.0)
    commit(planner)
    blocked = submit(planner, 2, 8, at=1.0, run_seconds=10.0)
    behind = submit(planner, 3, 3, at=2.0)
    commit(planner, 3.0)
    assert planner.blocked_at(4.0) == 2
    planner.set_shares(Accounts({"u": User("u", quota=Quota(cores_milli=5000))}))
    assert planner.blocked_at(4.0) is None
    commit(planner, 4.0)
    assert has([blocked, behind]) == [0, 3]


@pytest.mark.parametrize("rule", ["grant_seconds", "reclaim_per_hour", "reclaim_per_plan"])
def test_the_bounds_of_taking_back_hold_for_quotas_too(rule: str) -> None:
    bounds: dict[str, object] = {rule: {"grant_seconds": 60.0}.get(rule, 1)}
    planner = planner_of(Quota(cores_milli=6000), **bounds)
    first = submit(planner, 1, 1, 9)
    commit(planner)
    submit(planner, 2, 1, at=1.0)
    lost = sum(one.instances for one in commit(planner, 1.0).take_back)
    if rule == "grant_seconds":
        assert (lost, planner.plan(2.0).retry_at) == (0, 60.0)
        assert commit(planner, 60.0).take_back
        return
    assert lost == 1
    planner.gone(first, 0, (0, 1), 2.0)
    commit(planner, 2.0)
    submit(planner, 3, 2, at=3.0)
    assert not commit(planner, 3.0).take_back
    if rule == "reclaim_per_hour":
        assert planner.plan(4.0).retry_at == 3601.0


def test_two_that_shed_in_one_plan_do_not_shed_for_each_other() -> None:
    planner = planner_of(Quota())
    team = Team("t", quota=Quota(cores_milli=6000))
    users = {name: User(name, quota=Quota(cores_milli=5000)) for name in "ab"}
    planner.set_shares(Accounts(users, {"t": team}))
    submit(planner, 1, 1, 9, owner="c", team="t")
    commit(planner)
    submit(planner, 2, 2, owner="a", team="t")
    submit(planner, 3, 1, owner="b", team="t")
    plan = commit(planner, 1.0)
    assert {one.for_id for one in plan.take_back} == {2, 3}
    assert sum(one.instances for one in plan.take_back) == 3


def test_without_quotas_nothing_is_accounted() -> None:
    planner = planner_of(Quota(gpus=1))
    contender = submit(planner, 1, 1, owner="v")
    commit(planner)
    assert contender.allowances == ()
    assert not planner.ledger.charged


@pytest.mark.parametrize(("minimum", "kept"), [(2, 2), (4, 3)])
def test_below_a_minimum_is_taken_for_the_quota_only_what_has_to_be(
    minimum: int, kept: int
) -> None:
    planner = planner_of(Quota(cores_milli=6000))
    first, second = submit(planner, 1, 1, 3), submit(planner, 2, 1, 1, at=1.0)
    commit(planner, 1.0)
    planner.set_minimum(first, (minimum,))
    third = submit(planner, 3, 2, at=2.0)
    commit(planner, 2.0)
    assert (first.has - 1, second.has - 1) == ((2, 0) if minimum == 2 else (kept - 1, 0))
    assert third.id in planner.claims
