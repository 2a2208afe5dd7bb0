"""Predicted starts of a whole master in virtual time, and the process that computes them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from tests.master.virtual import VirtualLoop, run

from zoe.backends.fake import Behaviour, FakeBackend, FakeEngine
from zoe.master.answers import Desk
from zoe.master.forecasting import ForecastFailed, ForecastProcesses, Question, answer
from zoe.master.foresight import Foresight, Outlook
from zoe.master.main import reign
from zoe.model.cluster import Node
from zoe.model.execution import Execution, ExecutionStatus, Forecast
from zoe.model.resources import Resources
from zoe.model.zapp_yaml import read_zapp
from zoe.rpc.messages import Plan, Planned
from zoe.scheduler.history import History
from zoe.scheduler.planner import Planner, Sharing
from zoe.scheduler.snapshot import Snapshot, freeze
from zoe.settings import Settings
from zoe.sim.forecast import Bounds, Estimate, Unknown
from zoe.sim.workload import uniform_job
from zoe.store.base import NewExecution
from zoe.store.memory import MemoryStore

NAP = """
zoe: 4
name: nap
kind: batch
frameworks:
  main:
    services:
      nap: {command: [nap], resources: {cores: 8, memory: 1GiB}, monitor: true}
"""
LIMITED = NAP.replace("kind: batch", "kind: batch\ntime_limit: 60s")
RUN_SECONDS = 30.0


class Here:
    """Computes in this process; fails when it is told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.fails = False

    async def predict(self, question: Question) -> Mapping[int, Estimate]:
        self.asked += 1
        if self.fails:
            raise ForecastFailed("it was told to")
        return answer(question)

    async def close(self) -> None:
        pass


class House:
    """A store, an engine and who computes; they outlive masters."""

    def __init__(self, loop: VirtualLoop, folder: Path) -> None:
        self.loop = loop
        self.settings = Settings(data_dir=folder, lease_seconds=3, forecast_pause_seconds=5)
        self.store = MemoryStore(loop.now)
        self.forecaster = Here()
        self.engine = FakeEngine(
            schedule=loop.call_later, behaviour=lambda *_: Behaviour(run_seconds=RUN_SECONDS)
        )

    @asynccontextmanager
    async def master(self) -> AsyncIterator[Desk]:
        desk = Desk(dict, self.loop.now)
        reigning = asyncio.create_task(
            reign(
                self.settings,
                self.store,
                lambda: FakeBackend(self.engine),
                desk,
                self.forecaster,
            )
        )
        try:
            yield desk
        finally:
            reigning.cancel()
            with suppress(asyncio.CancelledError):
                await reigning

    async def submit(self, document: str = LIMITED) -> int:
        new = NewExecution("nap", "admin", read_zapp(document), document)
        return (await self.store.submit(new)).id

    async def until(self, execution_id: int, is_so: Callable[[Execution], object]) -> Execution:
        async with asyncio.timeout(200):
            while not is_so(found := await self.store.get(execution_id)):
                await asyncio.sleep(0.05)
        return found


def play(act: Callable[[House], Awaitable[None]], folder: Path) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        await act(House(loop, folder))

    run(scenario)


def told(execution: Execution) -> Forecast | None:
    return execution.forecast


def test_time_limits_tell_when_those_behind_start(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        async with house.master():
            first, second, third = [await house.submit() for _ in range(3)]
            running = await house.until(first, lambda each: each.started_at)
            assert running.started_at is not None
            found = (await house.until(second, told)).forecast
            assert found is not None
            assert (found.p50, found.p90) == (running.started_at + 60, running.started_at + 60)
            found = (await house.until(third, told)).forecast
            assert found is not None
            assert found.p90 == pytest.approx(running.started_at + 120)
            # It ended after 30 seconds: everything is told anew, and the first word is kept.
            started = await house.until(second, lambda each: each.started_at)
            assert started.forecast is None
            assert started.first_forecast is not None
            assert started.first_forecast.p90 == running.started_at + 60
            assert started.started_at is not None
            nearer = await house.until(
                third, lambda each: each.forecast and each.forecast.p90 < found.p90 - 1
            )
            assert nearer.first_forecast == found
            assert len(await house.store.past_forecasts()) == 1

    play(act, tmp_path)


def test_past_runs_tell_also_after_a_restart(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        async with house.master():
            for _ in range(6):
                done = await house.submit(NAP)
            await house.until(done, lambda each: each.status is ExecutionStatus.TERMINATED)
        async with house.master():
            first, second = await house.submit(NAP), await house.submit(NAP)
            running = await house.until(first, lambda each: each.started_at)
            found = (await house.until(second, told)).forecast
            assert found is not None
            assert found.p90 is not None
            assert running.started_at is not None
            assert found.p90 - running.started_at == pytest.approx(RUN_SECONDS, abs=1)

    play(act, tmp_path)


def test_no_estimate_names_the_one_that_nobody_knows_the_end_of(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        async with house.master():
            first, second = await house.submit(NAP), await house.submit(NAP)
            found = (await house.until(second, told)).forecast
            assert found is not None
            assert (found.p50, found.p90) == (None, None)
            assert found.because == (
                f"nobody can tell when {first} (nap) ends: it has no time limit, and past runs do "
                "not tell"
            )

    play(act, tmp_path)


def test_nothing_is_computed_while_nothing_changes_or_nobody_waits(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        async with house.master():
            first = await house.submit()
            await house.until(first, lambda each: each.status is ExecutionStatus.TERMINATED)
            assert house.forecaster.asked == 0
            await house.submit()
            await house.until(await house.submit(), told)
            await asyncio.sleep(6)
            asked = house.forecaster.asked
            await asyncio.sleep(12)
            assert house.forecaster.asked == asked

    play(act, tmp_path)


def test_a_forecast_that_fails_harms_nobody_and_is_tried_again(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        house.forecaster.fails = True
        async with house.master() as desk:
            await house.submit()
            second = await house.submit()
            await asyncio.sleep(8)
            assert house.forecaster.asked > 0
            assert (await house.store.get(second)).forecast is None
            plan = await desk.answer(Plan("admin", LIMITED))
            assert isinstance(plan, Planned)
            assert plan.forecast is not None
            assert "could not be computed" in plan.forecast.because
            house.forecaster.fails = False
            third = await house.submit()
            assert (await house.until(third, told)).forecast is not None

    play(act, tmp_path)


def test_a_plan_says_its_place_and_when_it_would_start(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        async with house.master() as desk:
            first, second = await house.submit(), await house.submit()
            running = await house.until(first, lambda each: each.started_at)
            await house.until(second, told)
            plan = await desk.answer(Plan("admin", LIMITED))
            assert isinstance(plan, Planned)
            assert not plan.fits_now
            assert plan.queue_position == 2
            assert plan.forecast is not None
            assert running.started_at is not None
            assert plan.forecast.p90 == pytest.approx(running.started_at + 120)
            never = await desk.answer(Plan("admin", LIMITED.replace("cores: 8", "cores: 9")))
            assert isinstance(never, Planned)
            assert (never.can_ever_fit, never.queue_position, never.forecast) == (False, None, None)
            # Nothing of it is left.
            assert len(await house.store.load()) == 2

    play(act, tmp_path)


def test_only_the_head_of_a_long_queue_is_told(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        house.settings = house.settings.model_copy(update={"forecast_depth": 2})
        async with house.master() as desk:
            made = [await house.submit() for _ in range(5)]
            last = (await house.until(made[-1], told)).forecast
            assert last is not None
            assert last.because == "forecasts are made for the first 2 executions of the queue only"
            head = (await house.until(made[2], told)).forecast
            assert head is not None
            assert head.p90 is not None
            plan = await desk.answer(Plan("admin", LIMITED))
            assert isinstance(plan, Planned)
            assert plan.forecast is not None
            assert plan.forecast.because == last.because

    play(act, tmp_path)


def question(seconds: float = 10.0) -> Question:
    unit = Resources(1000, 1024**3)
    planner = Planner(Sharing())
    planner.set_nodes([Node("n1", unit * 2)])
    for number in (1, 2):
        job = uniform_job(number, 0.0, 1.0, 2, 0, unit, run_seconds=seconds)
        planner.wait(planner.add(job.demand, 0.0), 0.0)
    planner.commit(planner.plan(0.0), 0.0)
    return Question(Snapshot(freeze(planner), 0.0, History()), 5.0, Bounds(samples=3))


async def test_a_process_of_its_own_gives_the_same_answer_again_and_again() -> None:
    forecaster = ForecastProcesses()
    try:
        for seconds in (10.0, 20.0):
            found = await forecaster.predict(question(seconds))
            assert found == answer(question(seconds)) == {2: Estimate(seconds, seconds, samples=3)}
    finally:
        await forecaster.close()


async def test_a_process_that_dies_is_told_and_replaced() -> None:
    forecaster = ForecastProcesses()
    try:
        await forecaster.predict(question())
        (process,) = forecaster._idle
        os.kill(process.pid, signal.SIGSTOP)  # so that it cannot be quicker than its end
        asked = asyncio.create_task(forecaster.predict(question()))
        await asyncio.sleep(0)
        os.kill(process.pid, signal.SIGKILL)
        with pytest.raises(ForecastFailed):
            await asked
        assert await forecaster.predict(question()) == answer(question())
    finally:
        await forecaster.close()


async def test_a_question_that_is_given_up_leaves_no_answer_for_the_next_one() -> None:
    forecaster = ForecastProcesses()
    try:
        await forecaster.predict(question(10.0))
        asked = asyncio.create_task(forecaster.predict(question(10.0)))
        await asyncio.sleep(0)
        asked.cancel()
        with suppress(asyncio.CancelledError):
            await asked
        found = await forecaster.predict(question(20.0))
        assert found[2].p50 == 20.0
    finally:
        await forecaster.close()


async def test_two_are_computed_at_once_and_a_third_waits_for_its_turn() -> None:
    forecaster = ForecastProcesses()
    try:
        found = await asyncio.gather(*(forecaster.predict(question(10.0 * n)) for n in (1, 2, 3)))
        assert [each[2].p50 for each in found] == [10.0, 20.0, 30.0]
        assert len(forecaster._idle) == 2
    finally:
        await forecaster.close()


async def test_the_process_ends_when_its_master_does() -> None:
    forecaster = ForecastProcesses()
    await forecaster.predict(question())
    (process,) = forecaster._idle
    assert process.stdin is not None
    process.stdin.close()
    async with asyncio.timeout(10):
        assert await process.wait() == 0


def test_every_reason_has_words() -> None:
    foresight = Foresight(Here(), Outlook(), lambda: 0.0)
    said = {foresight._because(Estimate(None, None, each, (1,)), {}) for each in Unknown}
    assert len(said) == len(Unknown)
    assert all(said)
