"""The invariants find what is wrong: each is shown a state that breaks it."""

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from zoe.model.cluster import Node
from zoe.model.execution import (
    Execution,
    ExecutionEnd,
    ExecutionStatus,
    Exit,
    ExitReason,
    InstanceStatus,
    Outcome,
    ServiceInstance,
)
from zoe.model.quota import Accounts, Quota, Team, User
from zoe.model.resources import Resources
from zoe.model.zapp import Framework, Kind, Service, ZApp
from zoe.scheduler.invariants import InvariantBroken, check_invariants
from zoe.scheduler.scheduler import Scheduler

SERVICE = Service("s", resources=Resources(1000), essential=2, elastic=1, spread=True)
ZAPP = ZApp("app", Kind.BATCH, (Framework("f", (SERVICE,)),))
RUNNING = InstanceStatus.RUNNING
GOOD = Execution(
    1,
    "e",
    "u",
    ZAPP,
    0.0,
    status=ExecutionStatus.RUNNING,
    instances=(
        ServiceInstance(1, "f.s", 0, True, RUNNING, "n1"),
        ServiceInstance(1, "f.s", 1, True, RUNNING, "n2"),
        ServiceInstance(1, "f.s", 2, False, RUNNING, "n3"),
    ),
)
NODES = tuple(Node(f"n{number}", Resources(1000)) for number in (1, 2, 3))


def check(
    *executions: Execution,
    nodes: tuple[Node, ...] = NODES,
    shares: Accounts = Accounts(),  # noqa: B008 - it is immutable
    **options: object,
) -> None:
    shown = SimpleNamespace(
        executions={each.id: each for each in executions}, nodes=nodes, shares=shares
    )
    check_invariants(cast(Scheduler, shown), **options)  # type: ignore[arg-type]


def instances(*changes: tuple[int, dict[str, object]]) -> Execution:
    changed = list(GOOD.instances)
    for number, fields in changes:
        changed[number] = replace(changed[number], **fields)  # type: ignore[arg-type]
    return replace(GOOD, instances=tuple(changed))


def test_a_good_state_passes() -> None:
    check(GOOD, now=0.0)


STOPPING = replace(
    GOOD,
    status=ExecutionStatus.STOPPING,
    end=ExecutionEnd(Outcome.STOPPED, "stopped"),
)
HEAD = replace(
    GOOD,
    id=2,
    status=ExecutionStatus.QUEUED,
    instances=(),
    queue_position=1,
    zapp=ZApp("one", Kind.BATCH, (Framework("f", (replace(SERVICE, essential=1),)),)),
)


@pytest.mark.parametrize(
    ("executions", "message"),
    [
        ([GOOD, replace(GOOD, id=2)], "n1 gives away 2000 of 1000 cores_milli"),
        ([replace(GOOD, status=ExecutionStatus.QUEUED)], "waits and has instances"),
        ([replace(GOOD, instances=GOOD.instances[1:])], "has 1 of 2 f.s"),
        ([replace(GOOD, status=ExecutionStatus.FAILED)], "has ended and is still followed"),
        ([replace(STOPPING, instances=())], "stopping with nothing alive"),
        ([replace(STOPPING, end=None)], "stopping without an end"),
        ([replace(GOOD, instances=GOOD.instances * 2)], "twice"),
        ([instances((2, {"node": "n1"}))], "is not spread"),
        ([instances((2, {"node": ""}))], "placed nowhere"),
        ([instances((2, {"essential": True}))], "has the wrong kind"),
        ([replace(GOOD, instances=GOOD.instances[:2])], "an elastic f.s of 1 waits"),
        ([HEAD], "2 waits at the head of the queue while it fits"),
    ],
)
def test_what_is_wrong_is_found(executions: list[Execution], message: str) -> None:
    with pytest.raises(InvariantBroken, match=message):
        check(*executions, now=0.0)


def test_a_node_that_shrank_may_be_overdrawn() -> None:
    small = (replace(NODES[0], capacity=Resources(500)), *NODES[1:])
    check(GOOD, nodes=small, shrunk=frozenset({"n1"}))
    with pytest.raises(InvariantBroken):
        check(GOOD, nodes=small)


def test_room_that_is_being_cleared_may_be_unused() -> None:
    check(instances((2, {"status": InstanceStatus.STOPPING, "node": "n3"})), HEAD, now=0.0)


@pytest.mark.parametrize(
    ("quota", "used"),
    [
        (Quota(cores_milli=2999), "3000 cores_milli are used"),
        (Quota(executions=0), "1 executions are used"),
    ],
)
def test_a_quota_that_is_exceeded_is_found(quota: Quota, used: str) -> None:
    mine = replace(GOOD, team="t")
    for shares, whose in (
        (Accounts(users={"u": User("u", quota=quota)}), "the user u"),
        (Accounts(users={"default": User("default", quota=quota)}), "the user u"),
        (Accounts(teams={"t": Team("t", quota=quota)}), "the team t"),
    ):
        with pytest.raises(InvariantBroken, match=f"{used} of the quota of {whose}"):
            check(mine, shares=shares)
    check(mine, shares=Accounts(users={"v": User("v", quota=quota)}))


def test_what_lost_its_node_still_counts_and_what_has_completed_does_not() -> None:
    shares = Accounts(users={"u": User("u", quota=Quota(cores_milli=2000))})
    stopped = {"status": InstanceStatus.STOPPED}
    completed = stopped | {"exit": Exit(ExitReason.COMPLETED, code=0)}
    check(instances((0, completed)), shares=shares)
    with pytest.raises(InvariantBroken, match="3000 cores_milli"):
        check(instances((0, stopped)), shares=shares)
    lowered = frozenset({("user", "u", "cores_milli")})
    check(instances((0, stopped)), shares=shares, lowered=lowered)


def on_gpus(*gpus: tuple[str, ...], status: InstanceStatus = RUNNING) -> Execution:
    """Return instances on one node, each of which asks for one GPU."""
    service = Service("s", resources=Resources(gpus=1), essential=len(gpus))
    placed = tuple(
        ServiceInstance(1, "f.s", number, True, status, "n1", gpus=ids)
        for number, ids in enumerate(gpus)
    )
    return replace(
        GOOD, zapp=ZApp("app", Kind.BATCH, (Framework("f", (service,)),)), instances=placed
    )


def test_a_gpu_belongs_to_one() -> None:
    nodes = (Node("n1", Resources(gpus=2), gpus=("a", "b")),)
    waiting = InstanceStatus.WAITING
    check(on_gpus(("b",), ("a",)), nodes=nodes)
    check(on_gpus(("a",), ("gone",)), nodes=nodes)
    for broken, said in (
        (on_gpus(("a",), ("a",)), "GPU a of n1 is held by 1/f.s/0 and 1/f.s/1"),
        (on_gpus(("a",), ()), "1/f.s/1 holds 0 of 1 GPUs"),
        (on_gpus(("gone",), status=waiting), "1/f.s/0 was given {'gone'}, which n1 has not"),
    ):
        with pytest.raises(InvariantBroken, match=re.escape(said)):
            check(broken, nodes=nodes)
