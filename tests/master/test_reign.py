"""Whole masters in virtual time: taking over, standing by, losing the lease, answering."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from tests.master.virtual import VirtualLoop, run

from zoe import failpoints
from zoe.backends.base import Retryable
from zoe.backends.fake import Behaviour, FakeBackend, FakeEngine, Fault
from zoe.backends.fence import Fence
from zoe.failpoints import Injected
from zoe.master.answers import Desk
from zoe.master.main import NoDatabase, reign, serve
from zoe.model.cluster import NodeMark, NodeStatus
from zoe.model.execution import ExecutionStatus, Outcome
from zoe.model.quota import OVER_QUOTA, Quota, Team, User
from zoe.model.zapp_yaml import read_zapp
from zoe.rpc.messages import Done, Failed, Ping, Plan, Planned, Pong, Wake
from zoe.settings import Settings
from zoe.store.base import NewExecution, NotFound
from zoe.store.memory import MemoryStore

DOCUMENT = """
zoe: 4
name: nap
kind: batch
frameworks:
  main:
    services:
      nap: {command: [nap], resources: {cores: 2, memory: 1GiB}, monitor: true}
"""


class House:
    """A store and an engine that outlive masters."""

    def __init__(self, loop: VirtualLoop, folder: Path) -> None:
        self.loop = loop
        self.settings = Settings(data_dir=folder, lease_seconds=3)
        self.store = MemoryStore(loop.now)
        self.engine = FakeEngine(
            schedule=loop.call_later, behaviour=lambda *_: Behaviour(run_seconds=30)
        )

    @asynccontextmanager
    async def master(
        self, new_backend: Callable[[], FakeBackend] | None = None
    ) -> AsyncIterator[Desk]:
        desk = Desk(dict, self.loop.now)
        made = new_backend or (lambda: FakeBackend(self.engine))
        reigning = asyncio.create_task(reign(self.settings, self.store, made, desk))
        try:
            yield desk
        finally:
            reigning.cancel()
            with suppress(asyncio.CancelledError):
                await reigning

    async def submit(self) -> int:
        zapp = read_zapp(DOCUMENT)
        return (await self.store.submit(NewExecution("nap", "admin", zapp, DOCUMENT))).id

    async def reaches(self, execution_id: int, status: ExecutionStatus, seconds: float) -> None:
        async def wait() -> None:
            while (await self.store.get(execution_id)).status is not status:
                await asyncio.sleep(0.05)

        await asyncio.wait_for(wait(), seconds)


def play(act: Callable[[House], Awaitable[None]], folder: Path) -> None:
    async def scenario(loop: VirtualLoop) -> None:
        await act(House(loop, folder))

    run(scenario)


def test_a_commit_is_found_without_any_ring(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        async with house.master():
            execution_id = await house.submit()
            await house.reaches(execution_id, ExecutionStatus.RUNNING, 3)
            await house.reaches(execution_id, ExecutionStatus.TERMINATED, 40)

    play(act, tmp_path)


def test_what_was_submitted_and_stopped_without_a_master_is_carried_out(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        kept, stopped = await house.submit(), await house.submit()
        await house.store.request_stop(stopped, "admin")
        async with house.master():
            await house.reaches(kept, ExecutionStatus.RUNNING, 3)
            await house.reaches(stopped, ExecutionStatus.TERMINATED, 3)
        assert (await house.store.get(stopped)).instances == ()

    play(act, tmp_path)


def test_a_new_master_goes_on_and_starts_nothing_twice(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        async with house.master():
            execution_id = await house.submit()
            await house.reaches(execution_id, ExecutionStatus.RUNNING, 3)
        assert house.engine.living() == [(f"{execution_id}/main.nap/0", 1)]
        async with house.master():
            await house.reaches(execution_id, ExecutionStatus.TERMINATED, 40)
        (instance,) = (await house.store.get(execution_id)).instances
        assert instance.attempt == 1

    play(act, tmp_path)


def test_only_one_of_two_masters_leads_and_the_other_follows(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        async with house.master() as first:
            await asyncio.sleep(1)
            async with house.master() as second:
                await asyncio.sleep(10)
                assert isinstance(await first.answer(Ping()), Pong)
                refusal = await second.answer(Ping())
                assert isinstance(refusal, Failed)
                assert refusal.code == "not-leading"

    play(act, tmp_path)


def test_a_master_that_lost_its_lease_writes_nothing_and_stands_by(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        async with house.master() as desk:
            await asyncio.sleep(1)
            (usurped,) = [epoch for epoch in [desk.epoch] if epoch]
            await house.store.resign(usurped)
            assert await house.store.lead("usurper", 60) == usurped + 1
            execution_id = await house.submit()
            await asyncio.sleep(20)
            status = (await house.store.get(execution_id)).status
            assert status is ExecutionStatus.SUBMITTED
            assert isinstance(await desk.answer(Wake()), Failed)

    play(act, tmp_path)


def test_who_stands_by_has_nothing_to_do_with_machines(tmp_path: Path) -> None:
    calls: list[str] = []

    async def act(house: House) -> None:
        house.engine = FakeEngine(
            schedule=house.loop.call_later, fault=lambda call, _: calls.append(call)
        )
        await house.store.lead("another", 3600)
        async with house.master():
            await asyncio.sleep(60)
            assert (await house.store.masters()).standby != ()
        assert calls == []

    play(act, tmp_path)


class HangingStore(MemoryStore):
    """A database that stops answering, and keeps what is in it."""

    hangs = False

    async def renew(self, epoch: int, ttl_seconds: float) -> None:
        await self._answer()
        await super().renew(epoch, ttl_seconds)

    async def resign(self, epoch: int) -> None:
        await self._answer()
        await super().resign(epoch)

    async def _answer(self) -> None:
        if self.hangs:
            await asyncio.get_running_loop().create_future()


def test_a_master_that_cannot_renew_its_lease_stops_before_it_ends(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        house.store = HangingStore(house.loop.now)
        backend = FakeBackend(house.engine, Fence(house.loop.time))
        async with house.master(lambda: backend) as desk:
            await asyncio.sleep(10)
            assert backend.fence.is_open
            house.store.hangs = True
            while desk.loop is not None:
                await asyncio.sleep(0.01)
            assert not backend.fence.is_open
            assert await house.store.lead("another", 60) is None, "its lease is not over yet"

    play(act, tmp_path)


def test_a_back_end_that_is_away_costs_no_lease(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        def fault(call: str, _: str) -> Fault | None:
            away = call == "open" and house.loop.time() < 60
            return Fault(0.0, Retryable("no manager answers")) if away else None

        house.engine = FakeEngine(schedule=house.loop.call_later, fault=fault)
        async with house.master() as desk:
            execution_id = await house.submit()
            await asyncio.sleep(30)
            assert desk.epoch == 1
            assert await house.store.lead("another", 60) is None
            await house.reaches(execution_id, ExecutionStatus.RUNNING, 40)
            assert desk.epoch == 1

    play(act, tmp_path)


def test_it_answers_whether_an_application_would_start(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        async with house.master() as desk:
            await asyncio.sleep(1)
            assert await desk.answer(Wake()) == Done()
            fits = await desk.answer(Plan("admin", DOCUMENT))
            assert isinstance(fits, Planned)
            assert fits.fits_now
            assert [one.instance for one in fits.placements] == ["main.nap/0"]
            never = await desk.answer(Plan("admin", DOCUMENT.replace("cores: 2", "cores: 200")))
            assert isinstance(never, Planned)
            assert not never.can_ever_fit
            assert "200" in never.reasons[0].message
            wrong = await desk.answer(Plan("admin", "zoe: 4"))
            assert isinstance(wrong, Failed)
            assert wrong.code == "zapp-invalid"

    play(act, tmp_path)


async def test_without_a_database_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NoDatabase) as refusal:
        await serve(Settings(data_dir=tmp_path))
    assert "zoe up" in refusal.value.hint


def test_a_quota_is_taken_over_at_the_start_and_when_it_changes(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        book = house.store.accounts
        await book.put_user(User("admin", quota=Quota(executions=1)))
        async with house.master() as desk:
            first, second = await house.submit(), await house.submit()
            await house.reaches(first, ExecutionStatus.RUNNING, 3)
            waiting = await house.store.get(second)
            assert waiting.status is ExecutionStatus.QUEUED
            assert [reason.code for reason in waiting.reasons] == [OVER_QUOTA]
            planned = await desk.answer(Plan("admin", DOCUMENT))
            assert isinstance(planned, Planned)
            assert "admin may run 1 execution at a time" in planned.reasons[0].message
            await book.put_user(User("admin", quota=Quota(executions=2)))
            await house.reaches(second, ExecutionStatus.RUNNING, 3)
            await book.put_team(Team("t", quota=Quota(cores_milli=1000)))
            await asyncio.sleep(2)
            never = await desk.answer(Plan("bob", DOCUMENT, team="t"))
            assert isinstance(never, Planned)
            assert not never.can_ever_fit
            assert "the team t may use 1 core" in never.reasons[0].message

    play(act, tmp_path)


def test_a_mark_of_a_node_is_taken_over_when_it_changes_and_outlives_the_master(
    tmp_path: Path,
) -> None:
    async def act(house: House) -> None:
        node = "fake"
        await house.store.marks.put(NodeMark(node, NodeStatus.CORDONED, "ann", "new disk"))
        async with house.master():
            first = await house.submit()
            await house.reaches(first, ExecutionStatus.QUEUED, 3)
            (shown,) = await house.store.nodes()
            assert (shown.status, shown.message) == (NodeStatus.CORDONED, "by ann: new disk")
            waiting = await house.store.get(first)
            assert [reason.code for reason in waiting.reasons] == ["nodes-not-ready"]
            await house.store.marks.remove(node)
            await house.reaches(first, ExecutionStatus.RUNNING, 3)
            await house.store.marks.put(NodeMark(node, NodeStatus.DRAINING, "ann"))
        async with house.master():
            second = await house.submit()
            await house.reaches(second, ExecutionStatus.QUEUED, 3)
            await house.reaches(first, ExecutionStatus.TERMINATED, 60)
            assert (await house.store.get(second)).status is ExecutionStatus.QUEUED

    play(act, tmp_path)


def test_a_time_limit_set_by_a_quota_outlives_the_master(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        await house.store.accounts.put_user(User("admin", quota=Quota(run_seconds=10)))
        async with house.master():
            execution_id = await house.submit()
            await house.reaches(execution_id, ExecutionStatus.RUNNING, 3)
        await house.store.accounts.remove_user("admin")
        async with house.master():
            await house.reaches(execution_id, ExecutionStatus.FAILED, 15)
        end = (await house.store.get(execution_id)).end
        assert end is not None
        assert end.outcome is Outcome.TIME_LIMIT

    play(act, tmp_path)


@pytest.mark.parametrize("is_running", [True, False])
def test_a_master_that_dies_while_it_forgets_leaves_neither_output_nor_execution(
    tmp_path: Path, is_running: bool
) -> None:
    output = tmp_path / "logs/1"

    async def act(house: House) -> None:
        house.engine = FakeEngine(schedule=house.loop.call_later, logs_dir=output.parent)
        execution_id = await house.submit()

        async def die() -> None:
            async with house.master():
                if is_running:
                    await house.reaches(execution_id, ExecutionStatus.RUNNING, 3)
                await house.store.request_delete(execution_id, "admin")
                await asyncio.sleep(20)

        with pytest.raises(Injected):
            await die()
        assert (await house.store.get(execution_id)).status is ExecutionStatus.TERMINATED
        output.mkdir(parents=True)  # it may have died a moment earlier, too
        async with house.master():
            await asyncio.sleep(5)
        with pytest.raises(NotFound):
            await house.store.get(execution_id)
        assert not output.exists()

    failpoints.arm("cp20:raise", tmp_path)
    try:
        play(act, tmp_path)
    finally:
        failpoints.arm("", tmp_path)


def test_output_that_cannot_be_deleted_yet_is_tried_again(tmp_path: Path) -> None:
    tries = 0

    def fault(call: str, _: str) -> Fault | None:
        nonlocal tries
        tries += call == "forget"
        return Fault(0.0, Retryable("the disk is busy")) if call == "forget" and tries < 4 else None

    async def act(house: House) -> None:
        house.engine = FakeEngine(schedule=house.loop.call_later, fault=fault)
        async with house.master():
            execution_id = await house.submit()
            await house.store.request_delete(execution_id, "admin")
            await asyncio.sleep(10)
        with pytest.raises(NotFound):
            await house.store.get(execution_id)
        assert tries == 4

    play(act, tmp_path)


def test_what_was_used_before_a_restart_counts_after_it(tmp_path: Path) -> None:
    async def act(house: House) -> None:
        used = []
        for _ in range(3):
            async with house.master():
                execution_id = await house.submit()
                await house.reaches(execution_id, ExecutionStatus.TERMINATED, 40)
            [balance] = await house.store.balances()
            assert (balance.user, balance.held) == ("admin", (0, 0, 0))
            used.append(balance.average[0])
            await house.store.request_delete(execution_id, "admin")
            await asyncio.sleep(100)
        once = 2000 * (1 - 0.5 ** (30 / house.settings.half_life_seconds))
        assert used == pytest.approx([once, 2 * once, 3 * once], rel=0.1)

    play(act, tmp_path)
