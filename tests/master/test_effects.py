import asyncio
from collections.abc import Callable

from tests.master.virtual import VirtualLoop, run

from zoe.backends.base import Refused, Retryable
from zoe.backends.fake import FakeBackend, FakeEngine, Fault
from zoe.backends.fence import Fence
from zoe.master.effects import Effects
from zoe.model.execution import Execution, ServiceInstance
from zoe.model.resources import Resources
from zoe.model.zapp import Framework, Kind, Service, ZApp
from zoe.scheduler.decisions import StartInstance, StopInstance
from zoe.scheduler.events import Event, StartFailed, StopFailed

ZAPP = ZApp(
    "app",
    Kind.SERVICE,
    (Framework("f", (Service("s", command=("x",), resources=Resources(1000), essential=50),)),),
)
EXECUTIONS = {1: Execution(1, "app", "admin", ZAPP, submitted_at=0.0)}


def instance(ordinal: int = 0) -> ServiceInstance:
    return ServiceInstance(1, "f.s", ordinal, essential=True, node="fake")


class Stage:
    """Effects on a fake engine, and what they reported."""

    def __init__(
        self,
        loop: VirtualLoop,
        fault: Callable[[str, str], Fault | None] = lambda *_: None,
        concurrency: int = 4,
    ) -> None:
        self.events: list[Event] = []
        self.bugs: list[BaseException] = []
        self.engine = FakeEngine(schedule=loop.call_later, fault=fault)
        self.fence = Fence(loop.time)
        self.effects = Effects(
            FakeBackend(self.engine, self.fence),
            self.events.append,
            self.bugs.append,
            concurrency=concurrency,
            timeout_seconds=10,
        )

    async def settle(self) -> None:
        while self.effects.touched_since(self.effects.mark()):
            await asyncio.sleep(1)


def test_effects_on_one_instance_keep_their_order() -> None:
    async def scenario(loop: VirtualLoop) -> None:
        stage = Stage(loop, lambda call, _: Fault(5.0) if call == "start" else None)
        stop = StopInstance("1/f.s/0", 1, 1.0, False, "enough")
        stage.effects.begin([StartInstance(instance()), stop], EXECUTIONS)
        await stage.settle()
        assert ("1/f.s/0", 1) in stage.engine.launches, "the start came first, though it is slower"
        assert stage.engine.living() == []

    run(scenario)


def test_nothing_is_asked_of_machines_while_another_master_may_lead() -> None:
    async def scenario(loop: VirtualLoop) -> None:
        stage = Stage(loop)
        stage.fence.extend(7, loop.time() + 5)
        stage.effects.begin([StartInstance(instance(0))], EXECUTIONS)
        await stage.settle()
        assert stage.engine.launches.keys() == {("1/f.s/0", 1)}
        await asyncio.sleep(10)
        stage.effects.begin([StartInstance(instance(1))], EXECUTIONS)
        await asyncio.sleep(100)
        assert stage.engine.launches.keys() == {("1/f.s/0", 1)}
        stage.fence.extend(7, loop.time() + 5)
        await stage.settle()
        assert stage.engine.launches.keys() == {("1/f.s/0", 1), ("1/f.s/1", 1)}
        assert (stage.events, stage.bugs) == ([], [])

    run(scenario)


def test_who_sleeps_between_two_steps_of_a_start_does_not_take_the_second() -> None:
    async def scenario(loop: VirtualLoop) -> None:
        stage = Stage(loop, lambda *_: Fault(6.0))  # asleep for longer than the lease
        stage.fence.extend(7, loop.time() + 5)
        stage.effects.begin([StartInstance(instance())], EXECUTIONS)
        await stage.settle()
        assert not stage.engine.launches
        (failed,) = stage.events
        assert isinstance(failed, StartFailed)
        assert failed.retryable

    run(scenario)


def test_calls_under_way_are_bounded() -> None:
    running, most = 0, 0

    async def scenario(loop: VirtualLoop) -> None:
        def fault(call: str, _: str) -> Fault:
            nonlocal running, most
            running += 1
            most = max(most, running)
            loop.call_later(1.0, leave)
            return Fault(1.0)

        def leave() -> None:
            nonlocal running
            running -= 1

        stage = Stage(loop, fault, concurrency=3)
        stage.effects.begin([StartInstance(instance(n)) for n in range(20)], EXECUTIONS)
        await stage.settle()
        assert len(stage.engine.living()) == 20

    run(scenario)
    assert most == 3


def test_faults_end_as_events() -> None:
    faults = {
        "1/f.s/0": Fault(error=Retryable("busy")),
        "1/f.s/1": Fault(error=Refused("never", hint="Ask another.")),
        "1/f.s/2": Fault(delay_seconds=99),
    }

    async def scenario(loop: VirtualLoop) -> list[Event]:
        stage = Stage(loop, lambda _, key: faults.get(key))
        stage.effects.begin([StartInstance(instance(n)) for n in range(3)], EXECUTIONS)
        stage.effects.begin([StopInstance("1/f.s/1", 1, 1.0, False, "enough")], EXECUTIONS)
        await stage.settle()
        assert not stage.bugs
        return stage.events

    events = run(scenario)
    assert StartFailed("1/f.s/0", 1, "busy", retryable=True) in events
    assert StartFailed("1/f.s/1", 1, "never (Ask another)", retryable=False) in events
    assert StopFailed("1/f.s/1", 1, "never") in events
    late = "the back-end did not answer within 10 s"
    assert StartFailed("1/f.s/2", 1, late, retryable=True) in events


def test_a_bug_is_not_swallowed() -> None:
    async def scenario(loop: VirtualLoop) -> list[BaseException]:
        def fault(*_: str) -> Fault:
            raise ZeroDivisionError

        stage = Stage(loop, fault)
        stage.effects.begin([StartInstance(instance())], EXECUTIONS)
        await stage.settle()
        return stage.bugs

    assert [type(bug) for bug in run(scenario)] == [ZeroDivisionError]


def test_closing_abandons_what_is_under_way() -> None:
    async def scenario(loop: VirtualLoop) -> None:
        stage = Stage(loop, lambda *_: Fault(60.0), concurrency=1)
        stage.effects.begin([StartInstance(instance(n)) for n in range(5)], EXECUTIONS)
        await asyncio.sleep(1)
        await stage.effects.close()
        assert stage.engine.living() == []
        assert not stage.events
        assert not stage.bugs

    run(scenario)
