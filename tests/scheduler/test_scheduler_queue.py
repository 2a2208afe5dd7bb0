"""Long queues: one event stays cheap and writes little."""

import pytest

from zoe.model.change import Defer
from zoe.model.cluster import Node
from zoe.model.execution import Execution, Exit, ExitReason
from zoe.model.resources import Resources
from zoe.model.zapp import Framework, Kind, Service, ZApp
from zoe.scheduler.events import (
    ExecutionSubmitted,
    InstanceStopped,
    NodesObserved,
    TerminationRequested,
)
from zoe.scheduler.planner import Planner
from zoe.scheduler.queue import POLICIES
from zoe.scheduler.scheduler import Scheduler
from zoe.scheduler.sharing import Sharing
from zoe.sim.workload import uniform_job

ONE = ZApp(
    "one",
    Kind.BATCH,
    (Framework("f", (Service("s", resources=Resources(1000), monitor=True),)),),
)


def busy_scheduler(waiting: int) -> Scheduler:
    scheduler = Scheduler()
    scheduler.handle(NodesObserved((Node("n1", Resources(1000)),)), 0.0)
    for number in range(waiting + 1):
        scheduler.handle(ExecutionSubmitted(Execution(number, "e", "u", ONE, number)), number)
    return scheduler


def end_first(scheduler: Scheduler, number: int) -> list[Defer]:
    stopped = InstanceStopped(f"{number}/f.s/0", 1, Exit(ExitReason.COMPLETED, 0))
    decisions = scheduler.handle(stopped, 1e6)
    return [decision for decision in decisions if isinstance(decision, Defer)]


def test_everybody_is_told_a_place_at_once() -> None:
    scheduler = busy_scheduler(500)
    assert [scheduler.executions[number].queue_position for number in range(1, 501)] == [
        *range(1, 501)
    ]


def test_a_departure_tells_the_first_hundred_and_few_others() -> None:
    scheduler = busy_scheduler(2000)
    written = [len(end_first(scheduler, number)) for number in range(50)]
    assert max(written) < 600
    assert sum(written) / len(written) < 220
    queue = scheduler.queue()
    for position, execution_id in enumerate(queue, 1):
        told = scheduler.executions[execution_id].queue_position
        assert told is not None
        if position <= 100:
            assert told == position
        else:
            assert abs(told - position) <= 10 + told / 10


def test_nothing_is_written_when_nothing_has_changed() -> None:
    scheduler = busy_scheduler(300)
    nodes = NodesObserved((Node("n1", Resources(1000)),))
    assert scheduler.handle(nodes, 1e6) == []
    decisions = scheduler.handle(TerminationRequested(300, "u"), 1e6)
    assert not [each for each in decisions if isinstance(each, Defer)]


@pytest.mark.parametrize("backfill", ["easy", "conservative"])
def test_who_may_overtake_does_so_on_arrival(backfill: str) -> None:
    scheduler = Scheduler(Sharing(backfill=backfill))
    scheduler.handle(NodesObserved((Node("n1", Resources(4000)),)), 0.0)
    for number, (cores, limit) in enumerate([(3, 100.0), (4, 10.0), (1, 10.0)]):
        service = Service("s", resources=Resources(cores * 1000), monitor=True)
        zapp = ZApp("app", Kind.BATCH, (Framework("f", (service,)),), limit)
        execution = Execution(number, "e", "u", zapp, number)
        scheduler.handle(ExecutionSubmitted(execution), number)
    assert scheduler.queue() == (1,)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_queue_keeps_its_order(policy: str) -> None:
    planner = Planner(Sharing(policy=policy))
    planner.set_nodes([Node("n1", Resources(1000))])
    for number in range(10):
        seconds = float(number * 7 % 5)
        job = uniform_job(number, 10.0 - number, 1.0, 1, 0, Resources(1), run_seconds=seconds)
        planner.wait(planner.add(job.demand, 10.0), 10.0)
    planner.wait(planner.contenders[3], 10.0)
    planner.leave(planner.contenders[5])
    planner.leave(planner.contenders[5])
    kept = [each for each in planner.contenders.values() if each.id != 5]
    expected = [each.id for each in sorted(kept, key=lambda each: each.key)]
    assert [each.id for each in planner.waiting] == expected
    assert [each.id for each in planner.queue(10.0)] == expected
    assert len(planner.waiting) == 9
    assert [planner.waiting.position(each) for each in expected] == list(range(1, 10))
    assert 3 in planner.waiting
    assert 5 not in planner.waiting


def test_the_highest_response_ratio_grows_with_the_wait() -> None:
    planner = Planner(Sharing(policy="hrrn"))
    planner.set_nodes([Node("n1", Resources(1))])
    shapes = ((1, 0.0, 1000.0), (2, 90.0, 10.0))
    for number, arrival, seconds in shapes:
        job = uniform_job(number, arrival, 1.0, 2, 0, Resources(1), run_seconds=seconds)
        planner.wait(planner.add(job.demand, arrival), arrival)
    planner.plan(91.0)  # ratios 1.091 and 1.1
    assert [each.id for each in planner.waiting] == [2, 1]
    planner.plan(90.5)  # 1.0905 and 1.05
    assert [each.id for each in planner.waiting] == [1, 2]
