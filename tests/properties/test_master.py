"""The whole master in virtual time, with seeded faults at every border: nothing is ever lost.

Layer 1 of the harness: the real loop, scheduler, effects and reconciliation over the stores' twin
and the fake engine. A failure names its seed; ``SEED=n pytest tests/properties/test_master.py``
plays it again alone, and ``make fuzz`` plays many.
"""

import asyncio
import os
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from tests.master.virtual import VirtualLoop, run

from zoe.backends.base import Retryable
from zoe.backends.fake import Behaviour, FakeBackend, FakeEngine, Fault
from zoe.master.answers import Desk
from zoe.master.forecasting import ForecastFailed, Question, answer
from zoe.master.main import reign
from zoe.model.change import Change
from zoe.model.cluster import Observation
from zoe.model.execution import (
    ENDED,
    Desired,
    Execution,
    Exit,
    ExitReason,
    Outcome,
    ServiceInstance,
)
from zoe.model.zapp_yaml import read_zapp
from zoe.settings import Settings
from zoe.sim.forecast import Bounds, Estimate
from zoe.store.base import Conflict, NewExecution, NotFound, StoreUnavailable
from zoe.store.memory import MemoryStore

SEEDS = [int(os.environ["SEED"])] if "SEED" in os.environ else range(6)
TROUBLE_SECONDS = 120.0
"""Faults happen during this time; afterwards everything has to come to its end."""
QUIET_SECONDS = 600.0

DOCUMENT = """
zoe: 4
name: app
kind: batch
frameworks:
  cluster:
    services:
      head: {command: [head], resources: {cores: 1, memory: 1GiB}, ready: {tcp: {port: 1}}}
      worker:
        command: [work]
        count: {essential: 1, elastic: 3}
        depends_on: {head: ready}
        resources: {cores: 1, memory: 1GiB}
        restart: {policy: on-failure, attempts: 5, backoff: 1s}
        shrink: {command: [leave], grace: 5s}
  driver:
    depends_on: {cluster: ready}
    services:
      main: {command: [drive], resources: {cores: 1, memory: 1GiB}, monitor: true}
"""


class TroubledStore(MemoryStore):
    """A store that is slow, and that may be gone before or after it has done its work."""

    def __init__(self, loop: VirtualLoop, dice: random.Random) -> None:
        super().__init__(loop.now)
        self._dice = dice
        self.trouble = True

    async def _border(self) -> None:
        await asyncio.sleep(self._dice.choice([0, 0, 0.01, 0.3]))
        if self.trouble and self._dice.random() < 0.02:
            raise StoreUnavailable("the connection was lost")

    async def record(self, changes: Sequence[Change], epoch: int) -> None:
        await self._border()
        await super().record(changes, epoch)
        await self._border()

    async def intents(self) -> Sequence[Execution]:
        await self._border()
        return await super().intents()

    async def load(self) -> Sequence[Execution]:
        await self._border()
        return await super().load()


class LateBackend(FakeBackend):
    """What it has seen arrives late: by then it may not be true any more."""

    def __init__(self, engine: FakeEngine, dice: random.Random) -> None:
        super().__init__(engine)
        self._dice = dice

    async def observe(self) -> Observation:
        seen = await super().observe()
        await asyncio.sleep(self._dice.choice([0.0, 0.0, 4.0]))
        return seen


class TroubledForecaster:
    """Computes here, late, and fails now and then; what it says must make sense."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    async def predict(self, question: Question) -> Mapping[int, Estimate]:
        await asyncio.sleep(self._dice.choice([0.0, 0.5, 20.0]))
        if self._dice.random() < 0.2:
            raise ForecastFailed("the process has died")
        found = answer(replace(question, bounds=Bounds(samples=2, ends=50), budget_seconds=60.0))
        for each in found.values():
            assert each.p50 is None or each.p50 >= question.snapshot.now
            assert each.p90 is None or (each.p50 is not None and each.p90 >= each.p50)
        return found

    async def close(self) -> None:
        pass


class World:
    """One seeded run: users, a master that is killed now and then, and an engine with moods."""

    def __init__(self, loop: VirtualLoop, seed: int, folder: Path) -> None:
        self.dice = random.Random(seed)
        self.loop = loop
        self.store = TroubledStore(loop, self.dice)
        self.engine = FakeEngine(schedule=loop.call_later, behaviour=self.behave, fault=self.err)
        self.settings = Settings(
            data_dir=folder,
            backend="fake",
            lease_seconds=3,
            effect_timeout_seconds=20,
            forecast_pause_seconds=0.5,
        )
        self.forecaster = TroubledForecaster(random.Random(seed))
        self.trouble = True
        self.crashed: set[int] = set()
        self.stopped: set[int] = set()
        self.submitted: list[int] = []

    def behave(self, execution: Execution, instance: ServiceInstance) -> Behaviour:
        slow = self.dice.choice([0.0, 0.1, 2.0])
        if instance.service == "driver.main":
            return Behaviour(slow, run_seconds=self.dice.uniform(1, 40))
        return Behaviour(slow, ready_seconds=slow, shrink_seconds=slow, stop_seconds=slow)

    def err(self, call: str, instance_id: str) -> Fault | None:
        if not self.trouble or self.dice.random() > 0.1:
            return None
        late = self.dice.choice([0.0, 1.0, 30.0])
        error = self.dice.choice([None, Retryable("the engine is busy")])
        return Fault(late, error, after=self.dice.random() < 0.5)

    async def live(self) -> None:
        users = asyncio.create_task(self.use())
        nature = asyncio.create_task(self.strike())
        while self.loop.time() < TROUBLE_SECONDS:
            await self.reign_for(self.dice.uniform(0.5, 30))
        await asyncio.gather(users, nature)
        self.trouble = self.store.trouble = self.engine.silent = False
        await self.reign_for(QUIET_SECONDS)

    async def reign_for(self, seconds: float) -> None:
        """A master is started, and killed without warning after a while."""
        desk = Desk(dict, self.loop.now)
        master = asyncio.create_task(
            reign(
                self.settings,
                self.store,
                lambda: LateBackend(self.engine, self.dice),
                desk,
                self.forecaster,
            )
        )
        done, _ = await asyncio.wait([master], timeout=seconds)
        if done:
            master.result()  # it never ends by itself: raises what went wrong
        self.engine.silent = self.trouble and self.dice.random() < 0.3
        master.cancel()
        with suppress(asyncio.CancelledError):
            await master

    async def use(self) -> None:
        while self.loop.time() < TROUBLE_SECONDS:
            await asyncio.sleep(self.dice.uniform(0, 8))
            act = self.dice.random()
            if act < 0.5 or not self.submitted:
                zapp = read_zapp(DOCUMENT)
                new = NewExecution("app", "admin", zapp, DOCUMENT)
                self.submitted.append((await self.store.submit(new)).id)
                continue
            target = self.dice.choice(self.submitted)
            with suppress(NotFound, Conflict):
                if act < 0.7:
                    if (await self.store.request_stop(target, "admin")).status not in ENDED:
                        self.stopped.add(target)
                elif act < 0.9:
                    elastic = self.dice.randint(0, 5)
                    await self.store.request_scale(target, "cluster.worker", elastic, "admin")
                else:
                    await self.store.request_delete(target, "admin")

    async def strike(self) -> None:
        while self.loop.time() < TROUBLE_SECONDS:
            await asyncio.sleep(self.dice.uniform(0, 20))
            if living := self.engine.living():
                instance_id = self.dice.choice(living)[0]
                self.crashed.add(int(instance_id.split("/")[0]))
                self.engine.crash(instance_id, Exit(ExitReason.FAILED, None, 9))


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_submitted_comes_to_its_end(seed: int, tmp_path: Path) -> None:
    async def scenario(loop: VirtualLoop) -> World:
        world = World(loop, seed, tmp_path)
        await world.live()
        for execution_id in world.submitted:
            try:
                execution = await world.store.get(execution_id)
            except NotFound:
                continue
            assert execution.status in ENDED, f"seed {seed}: {execution}"
            assert execution.desired is not Desired.DELETE, f"seed {seed}: not forgotten"
            assert execution.end is not None
            if execution_id not in world.crashed | world.stopped:
                assert execution.end.outcome in (Outcome.COMPLETED, Outcome.NOT_STARTED), (
                    f"seed {seed}: {execution.end}"
                )
        assert world.submitted, "a run without a submission shows nothing"
        return world

    world = run(scenario)
    assert world.engine.living() == [], f"seed {seed}: orphans"
    assert world.engine.observe().instances == (), f"seed {seed}: attempts never removed"
