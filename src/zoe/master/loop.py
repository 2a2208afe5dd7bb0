"""The master's loop: events in, decisions committed, then carried out. The one writer.

A restart is just events: what the store has and what the back-end reports are reconciled, and the
loop goes on. Whatever fails for good (the store is gone, another master leads, a bug) ends
:meth:`Loop.run`; the program starts another one from what was committed.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from zoe import failpoints
from zoe.backends.base import Backend, Retryable
from zoe.master import intents, moments, observe
from zoe.master.effects import Effects
from zoe.master.fleet import Fleet
from zoe.master.foresight import Foresight
from zoe.master.news import tell
from zoe.master.sampling import Sampling
from zoe.model.balance import Balance
from zoe.model.change import (
    Acknowledge,
    Change,
    Foretell,
    Forget,
    SetBalances,
)
from zoe.model.cluster import Node, Observation, ObservedInstance
from zoe.model.execution import ENDED, Execution
from zoe.scheduler.decisions import Decision, WakeAt
from zoe.scheduler.events import BalancesRestored, Event, NodesMarked, SharesSet, WokeUp
from zoe.scheduler.reconcile import differences, reconcile
from zoe.scheduler.scheduler import Scheduler
from zoe.store.base import Store, StoreUnavailable

log = structlog.get_logger("master")

BATCH = 100
"""Events, or intents, that one transaction takes at most."""
RUNS_LOADED = 2000
"""Past runs that a new reign reads, to tell from them how long the next ones take."""
RUNS_PAGE = 500
ACTING_PART = 0.9
"""Of a lease, counted from before it was asked for; then nothing is done on machines any more."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How often and how long: all in seconds, but for ``concurrency``, calls at once."""

    observe_seconds: float = 5.0
    poll_seconds: float = 1.0
    lease_seconds: float = 10.0
    effect_timeout_seconds: float = 60.0
    concurrency: int = 16


class _Bell:
    """Somebody committed an intent, or may have."""


class Loop:
    """One reign of one master: from taking over the state to losing or leaving it."""

    def __init__(
        self,
        store: Store,
        backend: Backend,
        scheduler: Scheduler,
        epoch: int,
        *,
        now: Callable[[], float] = time.time,
        pace: Pace | None = None,
        foresight: Foresight | None = None,
        sampling: Sampling | None = None,
        fleet: Fleet | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.foresight = foresight
        self.sampling = sampling
        self._fleet = fleet
        self._store = store
        self._backend = backend
        self._epoch = epoch
        self._now = now
        self._pace = pace or Pace()
        self._inbox: asyncio.Queue[Event | observe.Look | Foretell | Forget | _Bell] = (
            asyncio.Queue()
        )
        self._rung = False
        self._observed: tuple[Node, ...] = ()
        """The nodes as the back-end told them last."""
        self._is_open = asyncio.Event()
        """Whether the back-end can be asked."""
        self._alarm: asyncio.TimerHandle | None = None
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._effects = Effects(
            backend,
            self._inbox.put_nowait,
            self._fail,
            concurrency=self._pace.concurrency,
            timeout_seconds=self._pace.effect_timeout_seconds,
        )

    def ring(self) -> None:
        """Look for intents now: somebody committed one. Rings that pile up count once."""
        if not self._rung:
            self._rung = True
            self._inbox.put_nowait(_Bell())

    async def run(self) -> None:
        """Take over, then serve until cancelled.

        Raises StoreUnavailable, StaleEpoch, or what a bug raised.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for part in self._parts():
                    group.create_task(part)
                await asyncio.sleep(0)  # they listen before anything happens that they must hear
                await self._take_over()
                await self._serve()
        except BaseExceptionGroup as failures:
            raise _first(failures) from failures
        finally:
            if self._alarm is not None:
                self._alarm.cancel()
            self._failure.cancel()
            self._backend.fence.close()
            await self._effects.close()

    def _parts(self) -> Sequence[Coroutine[Any, Any, None]]:
        return (
            self._poll_intents(),
            self._hear_commits(),
            self._hear_backend(),
            self._look_around(),
            self._keep_lease(),
            self._look_ahead(),
            self._sample(),
            self._await_failure(),
        )

    async def _take_over(self) -> None:
        await self._open_backend()
        stored = await self._store.load()
        if self._fleet is not None:  # what is on them must not seem lost
            await self._fleet.follow()
        shares = SharesSet(await self._store.accounts.read())
        marks = NodesMarked(tuple(await self._store.marks.read()))
        balances = BalancesRestored(tuple(await self._store.balances()))
        await self._remember_runs()
        if self.foresight is not None:
            self.foresight.remember(await self._store.past_forecasts(), stored)
        look = await self._look()
        log.info("takes over", epoch=self._epoch, executions=len(stored))
        await self._step([balances, shares, marks, *reconcile(stored, look.observation)])
        self._remove_leftovers(look)

    async def _remember_runs(self) -> None:
        """Read how long the last executions took: as if all had run with all they asked for."""
        runs: list[Execution] = []
        cursor = ""
        while len(runs) < RUNS_LOADED:
            page = await self._store.page(statuses=ENDED, limit=RUNS_PAGE, cursor=cursor)
            runs += page.items
            if not (cursor := page.next_cursor):
                break
        for each in sorted(runs, key=lambda run: run.ended_at or 0.0):
            if each.started_at is not None and each.ended_at is not None:
                self.scheduler.history.add(
                    each.zapp.name,
                    each.owner,
                    each.zapp.time_limit_seconds,
                    each.ended_at - each.started_at,
                )

    async def _open_backend(self) -> None:
        while True:
            try:
                await self._backend.open()
            except Retryable as fault:
                log.warning("waits for the back-end", why=str(fault))
                await asyncio.sleep(self._pace.poll_seconds)
            else:
                return self._is_open.set()

    # The one writer.

    async def _serve(self) -> None:
        events: list[Event] = []
        while True:
            item = await self._inbox.get()
            if isinstance(item, _Bell):
                await self._step(events)
                events = []
                await self._take_intents()
            elif isinstance(item, observe.Look):
                await self._step(events)
                if self._fleet is not None:
                    executions, marks = self.scheduler.executions.values(), self.scheduler.marks
                    await self._fleet.let_go(item.observation, executions, marks)
                events = self._compare(item)
            elif isinstance(item, Foretell | Forget):
                await self._step(events, [item])
                events = []
            else:
                events.append(item)
            if self._inbox.empty() or len(events) >= BATCH:
                await self._step(events)
                events = []

    async def _take_intents(self) -> None:
        # Read here, between two commits, so that what is read is never older than what is known.
        self._rung = False
        # First what users may have: a quota holds for all that is submitted after it was set.
        if await self._store.accounts.version() != self.scheduler.shares.version:
            await self._step([SharesSet(await self._store.accounts.read())])
        marks = tuple(await self._store.marks.read())
        if marks != self.scheduler.marks:
            await self._step([NodesMarked(marks)])
        if self._fleet is not None:
            await self._fleet.follow()
        wanted = await self._store.intents()
        for start in range(0, len(wanted), BATCH):
            some = wanted[start : start + BATCH]
            events = [
                e for each in some for e in intents.events_of(each, self.scheduler.executions)
            ]
            settled = [intents.settled(each) for each in some]
            await self._step(events, [each for each in settled if isinstance(each, Acknowledge)])
            self._effects.begin([each for each in settled if isinstance(each, Forget)], {})

    def _compare(self, look: observe.Look) -> list[Event]:
        self._remove_leftovers(look)
        return differences(
            list(self.scheduler.executions.values()),
            look.observation,
            ignore=self._effects.touched_since(look.mark),
        )

    def _remove_leftovers(self, look: observe.Look) -> None:
        busy = self._effects.touched_since(look.mark)
        found = observe.leftovers(look.observation.instances, self.scheduler.executions)
        for instance_id, attempt in found:
            if instance_id not in busy:
                self._effects.remove(instance_id, attempt)

    async def _step(self, events: Sequence[Event], more: Sequence[Change] = ()) -> None:
        """Handle events, commit what they change, and ``more``, in one transaction, then act."""
        decisions: list[Decision] = []
        for event in events:
            made = self.scheduler.handle(event, self._now())
            log.debug("event", happened=event, decisions=len(made))
            decisions.extend(made)
        changes = _changes_of(decisions)
        changes.extend(more)
        if changes:
            if failpoints.armed():
                await moments.before_commit(changes)
            await self._store.record(changes, self._epoch)
            if failpoints.armed():
                await moments.after_commit(changes, self.scheduler.executions)
        if self.foresight is not None:
            self.foresight.watch(decisions)
        for decision in decisions:
            tell(decision)
            if isinstance(decision, WakeAt):
                self._set_alarm(decision.time)
        self._effects.begin(decisions, self.scheduler.executions)

    def _set_alarm(self, at: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        delay = max(0.0, at - self._now())
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(delay, self._inbox.put_nowait, WokeUp())

    # What fills the inbox.

    async def _poll_intents(self) -> None:
        while True:
            self.ring()
            await asyncio.sleep(self._pace.poll_seconds)

    async def _hear_commits(self) -> None:
        async for _ in self._store.changes():
            self.ring()

    async def _hear_backend(self) -> None:
        async for observed in self._backend.watch():
            self._note_end(observed)
            for event in observe.events_of(observed):
                self._inbox.put_nowait(event)

    def _note_end(self, observed: ObservedInstance) -> None:
        if self.sampling is not None:
            self.sampling.note_end(observed.used)

    async def _look_around(self) -> None:
        await self._is_open.wait()
        while True:
            await asyncio.sleep(self._pace.observe_seconds)
            self._inbox.put_nowait(await self._look())

    async def _look(self) -> observe.Look:
        while True:
            mark = self._effects.mark()
            try:
                async with asyncio.timeout(self._pace.effect_timeout_seconds):
                    observation: Observation = await self._backend.observe()
            except (Retryable, TimeoutError) as fault:
                log.warning("the back-end does not answer", why=str(fault))
                await asyncio.sleep(self._pace.poll_seconds)
            else:
                self._observed = observation.nodes
                for each in observation.instances:  # also what ended while no master led
                    self._note_end(each)
                return observe.Look(observation, mark)

    async def _sample(self) -> None:
        await self._is_open.wait()
        while self.sampling is not None:
            for event in await self.sampling.next(self._observed, self.scheduler.executions):
                self._inbox.put_nowait(event)
            await self.sampling.pause()

    async def _keep_lease(self) -> None:
        """Renew three times a lease; stop acting before it ends when the store is away."""
        lease, fence = self._pace.lease_seconds, self._backend.fence
        while True:
            if not await self._store.hold(lease / 3):
                fence.close()  # somebody else may lead by now: nothing is done until that is known
            asked = fence.now()
            try:
                async with asyncio.timeout(lease / 3):
                    await self._store.renew(self._epoch, lease)
            except TimeoutError as silence:
                raise StoreUnavailable("the lease could not be renewed in time") from silence
            fence.extend(self._epoch, asked + lease * ACTING_PART)

    async def _look_ahead(self) -> None:
        if self.foresight is not None:
            while True:
                self._inbox.put_nowait(await self.foresight.next(self.scheduler))
                await self.foresight.pause()

    def _fail(self, bug: BaseException) -> None:
        if not self._failure.done():
            self._failure.set_exception(bug)

    async def _await_failure(self) -> None:
        await self._failure


def _changes_of(decisions: Sequence[Decision]) -> list[Change]:
    """Return what is committed, of each balance only the last.

    What is to be forgotten has its output deleted first: see :class:`zoe.master.effects.Effects`.
    """
    changes: list[Change] = []
    balances: dict[tuple[str, str], Balance] = {}
    for decision in decisions:
        if isinstance(decision, SetBalances):
            balances.update({(each.team, each.user): each for each in decision.balances})
        elif isinstance(decision, Change) and not isinstance(decision, Forget):
            changes.append(decision)
    if balances:
        changes.append(SetBalances(tuple(balances.values())))
    return changes


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the failure that began it: the first that is not a group."""
    failure = failures.exceptions[0]
    return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
