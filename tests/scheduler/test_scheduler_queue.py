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
from zoe.scheduler.queue import POLICIES, Queue
from zoe.scheduler.scheduler import Scheduler

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


@pytest.mark.parametrize("policy", POLICIES)
def test_the_queue_keeps_its_order(policy: str) -> None:
    queue = Queue(policy)
    executions = [
        Execution(number, "e", "u", ONE, float(10 - number), elastic={"f.s": number % 3})
        for number in range(10)
    ]
    for execution in executions:
        queue.add(execution)
    queue.add(executions[3])
    queue.discard(5)
    queue.discard(5)
    kept = [execution for execution in executions if execution.id != 5]
    expected = [execution.id for execution in sorted(kept, key=queue.key)]
    assert list(queue) == expected
    assert len(queue) == 9
    assert [queue.position(each) for each in expected] == list(range(1, 10))
    assert 3 in queue
    assert 5 not in queue
