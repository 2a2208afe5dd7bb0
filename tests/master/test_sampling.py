"""What becomes of samples: shown, written, and told to the scheduler when it matters."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from tests.master.virtual import START, VirtualLoop, run

from submissions_for_tests import SMALL, new
from zoe.backends.base import Retryable
from zoe.backends.fake import Behaviour, FakeBackend, FakeEngine, Fault
from zoe.master import answers
from zoe.master.hour import HOUR_SECONDS, POINTS_MAX, POINTS_TOLD, SERIES_MAX, Hour
from zoe.master.loop import Loop, Pace
from zoe.master.sampling import Habits, Sampling
from zoe.model.cluster import Node
from zoe.model.execution import Execution, InstanceStatus, ServiceInstance
from zoe.model.resources import Resources
from zoe.model.samples import InstanceSample, NodeSample, Samples
from zoe.model.zapp import Framework, Kind, Service, ZApp
from zoe.rpc.messages import Used
from zoe.scheduler.events import LoadsObserved, MemoryKilled
from zoe.scheduler.scheduler import Scheduler
from zoe.scheduler.strain import Limits
from zoe.store.base import NewExecution, StoreUnavailable
from zoe.store.memory import MemoryStore

MIB, GIB = 2**20, 2**30
NODE = Node("n1", Resources(8000, 8 * GIB))
LIVE = ServiceInstance(1, "f.s", 0, essential=True, status=InstanceStatus.RUNNING, node="n1")
EXECUTIONS = {1: Execution(1, "job", "ann", SMALL, 0.0, instances=(LIVE,))}


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def samples(memory: int, seconds: float, *, attempt: int = 1, kills: int = 0) -> Samples:
    return Samples(
        (NodeSample("n1", memory + GIB, 8 * GIB, seconds + 100),),
        (InstanceSample("1/f.s/0", attempt, memory, seconds, memory_kills=kills),),
    )


def sampling(clock: Clock, store: MemoryStore | None = None, **habits: object) -> Sampling:
    store = store or MemoryStore(clock)
    with suppress(StopIteration):  # nothing in it waits
        store.lead("test", 1e9).send(None)
    return Sampling(FakeBackend(), store.uses, Habits(**habits), clock, 1)  # type: ignore[arg-type]


def test_how_fast_something_grows_is_told_by_two_samples() -> None:
    clock = Clock()
    there = sampling(clock)
    there.take_in(samples(GIB, 5.0), (NODE,), EXECUTIONS)
    assert (there.instances["1/f.s/0"].cores_milli, there.nodes["n1"].cores_milli) == (0, 0)
    clock.now += 10
    there.take_in(samples(GIB // 2, 20.0), (NODE,), EXECUTIONS)
    use = there.instances["1/f.s/0"]
    assert (use.cores_milli, use.memory_bytes, use.peak_bytes) == (1500, GIB // 2, GIB)
    assert there.nodes["n1"].cores_milli == 1500
    assert there.hour.of("1/f.s/0", clock.now) == [(START, 0, GIB), (START + 10, 1500, GIB // 2)]
    clock.now += 10
    there.take_in(samples(MIB, 0.5, attempt=2), (NODE,), EXECUTIONS)
    again = there.instances["1/f.s/0"]
    assert (again.attempt, again.cores_milli, again.peak_bytes) == (2, 0, MIB)


def test_the_scheduler_hears_only_of_what_has_changed() -> None:
    clock = Clock()
    there = sampling(clock)
    (first,) = there.take_in(samples(GIB, 1.0), (NODE,), EXECUTIONS)
    assert isinstance(first, LoadsObserved)
    assert there.take_in(samples(GIB + MIB, 1.0), (NODE,), EXECUTIONS) == []
    full = samples(7 * GIB, 1.0)
    for _ in range(2):  # as long as something has to go, each time
        (short,) = there.take_in(full, (NODE,), EXECUTIONS)
        assert isinstance(short, LoadsObserved)
        assert short.loads[0].pressure
        assert short.loads[0].hungriest == (("1/f.s/0", 7 * GIB),)
    killed = there.take_in(samples(GIB, 1.0, kills=2), (NODE,), EXECUTIONS)
    assert MemoryKilled("1/f.s/0", 1, 2) in killed
    assert there.take_in(samples(GIB, 1.0, kills=2), (NODE,), EXECUTIONS) == []


async def test_what_was_used_is_written_once_a_minute_and_at_an_end() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    one = (await store.submit(new())).id
    there = sampling(clock, store)
    engine = FakeEngine([NODE])
    there._backend = FakeBackend(engine)
    there.take_in(samples(GIB, 1.0), (NODE,), EXECUTIONS)
    await there.next((NODE,), {})
    assert list(await store.uses.of_execution(one)) == []
    clock.now += 60
    await there.next((NODE,), {})
    assert [use.peak_bytes for use in await store.uses.of_execution(one)] == [GIB]
    assert [use.name for use in await store.uses.of_node("n1", 0)] == ["n1"]
    clock.now += 1
    there.note_end(InstanceSample("1/f.s/0", 1, 0, 9.0, peak_bytes=2 * GIB))
    await there.next((NODE,), {})
    (ended,) = await store.uses.of_execution(one)
    assert (ended.peak_bytes, ended.core_seconds) == (2 * GIB, 9.0)
    assert len(await store.uses.of_node("n1", 0)) == 1


async def test_what_cannot_be_written_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    store = MemoryStore(clock)
    await store.submit(new())
    there = sampling(clock, store)
    there.take_in(samples(GIB, 1.0), (NODE,), EXECUTIONS)
    put = store.uses.put

    async def away(*_: object) -> None:
        raise StoreUnavailable("it is away")

    monkeypatch.setattr(store.uses, "put", away)
    clock.now += 60
    await there.next((NODE,), {})
    monkeypatch.setattr(store.uses, "put", put)
    clock.now += 60
    await there.next((NODE,), {})
    assert [use.peak_bytes for use in await store.uses.of_execution(1)] == [GIB]


async def test_an_end_while_others_are_written_is_written_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    store = MemoryStore(clock)
    one = (await store.submit(new())).id
    there = sampling(clock, store)
    put = store.uses.put

    async def slowly(*uses: Any) -> None:
        monkeypatch.setattr(store.uses, "put", put)
        there.note_end(InstanceSample("1/f.s/0", 1, 0, 9.0, peak_bytes=2 * GIB))
        await put(*uses)

    monkeypatch.setattr(store.uses, "put", slowly)
    there.take_in(samples(GIB, 1.0), (NODE,), EXECUTIONS)
    clock.now += 60
    for peak in (GIB, 2 * GIB):
        await there.next((NODE,), {})
        (use,) = await store.uses.of_execution(one)
        assert use.peak_bytes == peak


async def test_a_back_end_that_does_not_answer_is_no_trouble() -> None:
    trouble = FakeEngine(fault=lambda call, _: Fault(error=Retryable("busy")))
    there = Sampling(FakeBackend(trouble), MemoryStore().uses, Habits(), Clock(), 1)
    assert await there.next((NODE,), EXECUTIONS) == []


def test_who_uses_little_is_told_theirs_beside_the_hungry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answers, "TOLD_MAX", 1)
    clock = Clock()
    there = sampling(clock)
    theirs, hungry = (
        InstanceSample("1/f.s/0", 1, GIB, 1.0),
        InstanceSample("2/f.s/0", 1, 4 * GIB, 1.0),
    )
    there.take_in(Samples((), (theirs, hungry)), (NODE,), EXECUTIONS)
    for owner, told in (("ann", ["1/f.s/0"]), ("eve", []), ("", ["2/f.s/0"])):
        found = answers._uses(Used(owner=owner), there, EXECUTIONS, clock())
        assert [use.instance_id for use in found.instances] == told


def test_an_hour_is_kept_and_no_more() -> None:
    hour = Hour()
    for second in range(0, 2 * int(HOUR_SECONDS), 30):
        hour.add("n1", (float(second), second, second))
    points = hour.of("n1", 2 * HOUR_SECONDS)
    assert len(points) <= POINTS_TOLD
    assert points[-1][0] == 2 * HOUR_SECONDS - 30
    assert points[0][0] > HOUR_SECONDS
    for second in range(2 * POINTS_MAX):
        hour.add("often", (float(second), 0, 0))
    assert len(hour._series["often"]._at) <= POINTS_MAX * 5 // 4
    assert len(hour.of("often", 2.0 * POINTS_MAX)) <= POINTS_TOLD
    for number in range(SERIES_MAX + 5):
        hour.add(f"{number}/f.s/0", (7200.0, 1, 1))
    hour.forget_old(7200.0)
    assert len(hour) == SERIES_MAX
    assert hour.of("n1", 7200.0) == []
    assert list(hour.of_execution(SERIES_MAX, 7200.0)) == [f"{SERIES_MAX}/f.s/0"]
    hour.forget_old(7200.0 + HOUR_SECONDS)
    assert len(hour) == 0


def greedy(uses: Callable[[ServiceInstance], int]) -> FakeEngine:
    def behaviour(_: Execution, instance: ServiceInstance) -> Behaviour:
        return Behaviour(uses=lambda: InstanceSample("", 0, uses(instance), 0.0))

    return FakeEngine([NODE], behaviour=behaviour)


def test_a_master_takes_a_hungry_elastic_instance_back() -> None:
    async def scenario(loop: VirtualLoop) -> None:
        engine = greedy(lambda one: 4 * GIB if one.ordinal else 3 * GIB)
        engine.schedule = loop.call_later
        store = MemoryStore(loop.now)
        await store.open()
        service = Service("s", command=("x",), resources=Resources(1000, GIB), elastic=1)
        zapp = ZApp("app", Kind.SERVICE, (Framework("f", (service,)),))
        await store.submit(NewExecution("app", "ann", zapp, ""))
        epoch = await store.lead("test", 3600.0)
        assert epoch is not None
        backend = FakeBackend(engine)
        habits = Habits(pause_seconds=5.0, limits=Limits(free_memory=0.2, pause_seconds=50.0))
        master = Loop(
            store,
            backend,
            Scheduler(),
            epoch,
            now=loop.now,
            pace=Pace(lease_seconds=3600.0),
            sampling=Sampling(backend, store.uses, habits, loop.now, epoch),
        )

        reign = asyncio.create_task(master.run())
        await asyncio.sleep(30.0)
        said = [entry for entry in await store.history(1) if entry.detail.get("cause")]
        assert [entry.detail["cause"]["rule"] for entry in said] == ["pressure"]
        assert said[0].detail["id"] == "1/f.s/1"
        assert "n1 is short of memory (less than 20% of its memory is free)" in said[0].message
        (node,) = await store.nodes()
        assert node.pressure
        alive = [one.id for one in (await store.get(1)).instances if one.is_placed]
        assert alive == ["1/f.s/0"]
        await asyncio.sleep(60.0)  # it is given back, as if nothing had been learnt
        assert len([one for one in (await store.get(1)).instances if one.attempt == 2]) == 1
        reign.cancel()
        await asyncio.wait([reign])
        await store.close()

    run(scenario)
