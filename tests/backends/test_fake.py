"""The fake back-end in virtual time: what the script says happens, when it says so."""

import asyncio
import heapq
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from backend_worlds import make_execution, make_instance
from zoe.backends.base import Refused, Retryable
from zoe.backends.fake import Behaviour, FakeBackend, FakeEngine, Fault
from zoe.model.cluster import Node, NodeStatus
from zoe.model.execution import Exit, ExitReason, InstanceStatus
from zoe.model.resources import CORE, Resources
from zoe.model.zapp import ReadyCheck, Service, TcpCheck

A = Node("node-a", Resources(8 * CORE, 2**35))
B = Node("node-b", Resources(8 * CORE, 2**35))
SERVICE = Service("s", command=("x",), essential=2)
EXECUTION = make_execution(SERVICE)
FIRST = make_instance(EXECUTION)
SECOND = make_instance(EXECUTION, ordinal=1, node="node-b")


class Time:
    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def schedule(self, seconds: float, then: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self.now + seconds, next(self._order), then))

    def pass_until(self, moment: float) -> None:
        while self._timers and self._timers[0][0] <= moment:
            self.now, _, then = heapq.heappop(self._timers)
            then()
        self.now = moment


@pytest.fixture
def time() -> Time:
    return Time()


def world(time: Time, does: Behaviour | None = None) -> tuple[FakeEngine, FakeBackend]:
    engine = FakeEngine([A, B], time.schedule, behaviour=lambda *_: does or Behaviour())
    return engine, FakeBackend(engine)


async def status(backend: FakeBackend, number: int = 0) -> tuple[InstanceStatus, bool, Exit | None]:
    one = (await backend.observe()).instances[number]
    return one.status, one.ready, one.exit


async def test_a_node_that_tells_its_images_runs_nothing_else(time: Time) -> None:
    engine, backend = world(time)
    engine.set_node(replace(A, images=frozenset({"spark:3"})))
    service = replace(SERVICE, image="spark:4")
    execution = make_execution(service)
    with pytest.raises(Retryable, match="node-a has no image spark:4"):
        await backend.start(execution, make_instance(execution))
    node, _ = (await backend.observe()).nodes
    assert node.images == {"spark:3"}
    engine.set_node(replace(A, images=frozenset({"spark:3", "spark:4"})))
    await backend.start(execution, make_instance(execution))
    engine.set_node(A)
    await backend.start(execution, make_instance(execution, ordinal=1))
    assert len((await backend.observe()).instances) == 2


async def test_an_instance_lives_by_its_script(time: Time) -> None:
    does = Behaviour(start_seconds=2, ready_seconds=3, run_seconds=10)
    _, backend = world(time, does)
    execution = make_execution(replace(SERVICE, ready=ReadyCheck(TcpCheck(1))))
    await backend.start(execution, FIRST)
    story = [(1, "starting"), (2, "running"), (4.9, "running"), (5, "ready"), (12, "stopped")]
    for moment, expected in story:
        time.pass_until(moment)
        seen, ready, exit = await status(backend)
        assert ("ready" if ready else seen.value) == expected, moment
    assert exit == Exit(ExitReason.COMPLETED, 0)


async def test_who_never_gets_ready_is_stopped_in_time(time: Time) -> None:
    _, backend = world(time, Behaviour(ready_seconds=math.inf))
    await backend.start(make_execution(replace(SERVICE, ready=ReadyCheck(TcpCheck(1)))), FIRST)
    time.pass_until(59.9)
    assert (await status(backend))[0] is InstanceStatus.RUNNING
    time.pass_until(60)
    exit = (await status(backend))[2]
    assert exit is not None
    assert exit.reason is ExitReason.NOT_STARTED


@pytest.mark.parametrize(("stop_seconds", "ends"), [(0, 0), (3, 3), (math.inf, 10)])
async def test_stopping_takes_as_long_as_the_script_says(
    time: Time, stop_seconds: float, ends: float
) -> None:
    engine, backend = world(time, Behaviour(stop_seconds=stop_seconds))
    await backend.start(EXECUTION, FIRST)
    await backend.stop(FIRST.id, 1, grace_seconds=10, shrink=True)
    time.pass_until(ends - 0.1)
    assert bool(engine.living()) == (ends > 0)
    time.pass_until(ends)
    assert not engine.living()


async def test_a_shrink_hook_comes_first(time: Time) -> None:
    engine, backend = world(time, Behaviour(shrink_seconds=4))
    await backend.start(EXECUTION, FIRST)
    await backend.stop(FIRST.id, 1, grace_seconds=10, shrink=True)
    time.pass_until(3.9)
    assert engine.living()
    time.pass_until(4)
    assert not engine.living()


async def test_a_crash_is_told(time: Time) -> None:
    engine, backend = world(time)
    await backend.start(EXECUTION, FIRST)
    engine.crash(FIRST.id)
    assert (await status(backend))[2] == Exit(ExitReason.FAILED, None, 9)


async def test_a_lost_node_takes_its_instances_along(time: Time) -> None:
    engine, backend = world(time)
    await backend.start(EXECUTION, FIRST)
    await backend.start(EXECUTION, SECOND)
    engine.lose("node-b")
    seen = await backend.observe()
    assert [node.name for node in seen.nodes] == ["node-a"]
    assert {one.instance_id: one.exit and one.exit.reason for one in seen.instances} == {
        FIRST.id: None,
        SECOND.id: ExitReason.LOST,
    }


async def test_an_unreachable_node_hides_what_goes_on(time: Time) -> None:
    engine, backend = world(time, Behaviour(run_seconds=5))
    await backend.start(EXECUTION, FIRST)
    engine.set_node(replace(A, status=NodeStatus.UNREACHABLE))
    assert (await backend.observe()).instances == ()
    assert engine.living() == [(FIRST.id, 1)]
    with pytest.raises(Retryable, match="does not answer"):
        await backend.stop(FIRST.id, 1, grace_seconds=1, shrink=False)
    time.pass_until(5)
    engine.set_node(A)
    assert (await status(backend))[0] is InstanceStatus.STOPPED


@pytest.mark.parametrize("after", [False, True])
async def test_a_fault_comes_before_or_after_the_effect(time: Time, after: bool) -> None:
    engine, backend = world(time)
    engine.fault = lambda call, _: Fault(0, Retryable("no"), after) if call == "start" else None
    with pytest.raises(Retryable, match="no"):
        await backend.start(EXECUTION, FIRST)
    assert bool(engine.living()) == after


async def test_a_slow_call_waits_for_virtual_time(time: Time) -> None:
    engine, backend = world(time)
    engine.fault = lambda *_: Fault(delay_seconds=30)
    starting = asyncio.create_task(backend.start(EXECUTION, FIRST))
    await asyncio.sleep(0)
    assert not engine.living()
    time.pass_until(30)
    await starting
    assert engine.living()


async def test_a_refusal_is_scripted(time: Time) -> None:
    engine, backend = world(time, Behaviour(refused="this image has no such tag"))
    with pytest.raises(Refused, match="no such tag"):
        await backend.start(EXECUTION, FIRST)
    assert not engine.living()


async def test_a_silent_engine_tells_only_who_looks(time: Time) -> None:
    engine, backend = world(time)
    watching = backend.watch().__aiter__()
    heard = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0)
    engine.silent = True
    await backend.start(EXECUTION, FIRST)
    await asyncio.sleep(0)
    assert not heard.done()
    assert (await status(backend))[0] is InstanceStatus.RUNNING
    engine.silent = False
    engine.crash(FIRST.id)
    assert (await heard).status is InstanceStatus.STOPPED
    await backend.close()
    with pytest.raises(StopAsyncIteration):
        await anext(watching)
