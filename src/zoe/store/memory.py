"""The store's twin in memory: same answers, same errors, nothing durable; for tests and trials."""

import asyncio
import dataclasses
import math
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

from zoe.model.balance import Balance
from zoe.model.change import Change
from zoe.model.cluster import Node
from zoe.model.execution import ENDED, Desired, Execution, ExecutionStatus
from zoe.store import checks, history
from zoe.store.accounts import MemoryAccountBook
from zoe.store.base import (
    HistoryEntry,
    Masters,
    NewExecution,
    Page,
    PastForecast,
    StaleEpoch,
    Token,
)
from zoe.store.contents import Contents
from zoe.store.engines import MemoryEngineBook
from zoe.store.hints import Hints
from zoe.store.marks import MemoryMarkBook
from zoe.store.outcomes import WAITING
from zoe.store.uses import MemoryUseBook


class MemoryStore:
    """The state in this process. ``now`` gives seconds since 1970, also for the lease."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._contents = Contents()
        self._last_id = 0
        self._epoch = 0
        self._holder: str | None = None
        self._endpoint = ""
        self._since = 0.0
        self._standby: dict[str, float] = {}
        self._lease_end = 0.0
        self._tokens: dict[str, Token] = {}
        self._hints = Hints()
        self.accounts = MemoryAccountBook()
        self.marks = MemoryMarkBook()
        self.engines = MemoryEngineBook()
        self.uses = MemoryUseBook(lambda: self._contents.executions.keys(), self._check_epoch)

    async def open(self) -> None:
        """Do nothing: memory is there."""

    async def close(self) -> None:
        """End the readers of changes; what is kept stays, and the store can be used again."""
        self._hints.close()
        self._hints = Hints()

    # Intents.

    async def submit(self, new: NewExecution) -> Execution:
        """Keep a new execution; raises NotStorable."""
        checks.check_new(new)
        key = (new.owner, new.idempotency_key)
        if new.idempotency_key and key in self._contents.keys:
            return await self.get(self._contents.keys[key])
        self._last_id += 1
        execution = Execution(
            id=self._last_id,
            name=new.name,
            owner=new.owner,
            team=new.team,
            zapp=new.zapp,
            submitted_at=self._now(),
        )
        self._contents.executions[execution.id] = execution
        self._contents.sources[execution.id] = new.source
        self._contents.acknowledged[execution.id] = 0
        if new.idempotency_key:
            self._contents.keys[key] = execution.id
        self._contents.write(execution.id, execution.submitted_at, history.submitted(new.owner))
        self._hints.publish(execution.id)
        return execution

    async def request_stop(self, execution_id: int, by: str) -> Execution:
        """Keep the wish to end it."""
        return self._desire(execution_id, Desired.STOP, by)

    async def request_delete(self, execution_id: int, by: str) -> Execution:
        """Keep the wish to stop and forget it; an ended one vanishes at once."""
        return self._desire(execution_id, Desired.DELETE, by)

    def _desire(self, execution_id: int, wish: Desired, by: str) -> Execution:
        checks.check_text("user name", by)
        execution = self._contents.one(execution_id)
        if wish is Desired.DELETE and execution.status in ENDED:
            self._contents.forget(execution)
        elif execution.status in ENDED or execution.desired in (wish, Desired.DELETE):
            return execution
        else:
            execution = dataclasses.replace(
                execution, desired=wish, desired_by=by, generation=execution.generation + 1
            )
            self._contents.executions[execution_id] = execution
            self._contents.write(execution_id, self._now(), history.desired(wish, by))
        self._hints.publish(execution_id)
        return execution

    async def request_scale(
        self, execution_id: int, service: str, elastic: int, by: str, elastic_min: int = 0
    ) -> Execution:
        """Keep other elastic counts; ValueError for those that cannot be."""
        checks.check_text("user name", by)
        execution = self._contents.one(execution_id)
        checks.check_scale(execution, service, elastic, elastic_min)
        if execution.has_scale(service, elastic, elastic_min):
            return execution
        execution = dataclasses.replace(
            execution,
            elastic={**execution.elastic, service: elastic},
            elastic_min={**execution.elastic_min, service: elastic_min},
            generation=execution.generation + 1,
        )
        self._contents.executions[execution_id] = execution
        self._contents.write(
            execution_id, self._now(), history.scaled(service, elastic, by, elastic_min)
        )
        self._hints.publish(execution_id)
        return execution

    # Reading.

    async def get(self, execution_id: int) -> Execution:
        """Return one execution with its instances."""
        return self._contents.one(execution_id)

    async def find(self, owner: str | None, reference: str) -> Execution:
        """Find by id, exact name or unique prefix of a name."""
        visible = self._newest_first(owner)
        number = checks.id_in(reference)
        for execution in visible:
            if execution.id == number:
                return execution
        names = sorted({each.name for each in visible if each.name.startswith(reference)})
        if reference not in names:
            names = names if reference else []
            reference = checks.check_candidates(reference, names[: checks.CANDIDATES + 1])
        return next(execution for execution in visible if execution.name == reference)

    async def source(self, execution_id: int) -> str:
        """Return the application description as it was submitted."""
        return self._contents.sources[self._contents.one(execution_id).id]

    async def page(
        self,
        *,
        owner: str | None = None,
        statuses: frozenset[ExecutionStatus] = frozenset(),
        name: str = "",
        limit: int = 50,
        cursor: str = "",
    ) -> Page:
        """Return executions, newest first; ``name`` is the beginning of the name."""
        before = checks.before(cursor)
        matching = [
            dataclasses.replace(execution, instances=())
            for execution in self._newest_first(owner)
            if (not statuses or execution.status in statuses)
            and execution.name.startswith(name)
            and (before is None or execution.id < before)
        ]
        items = matching[:limit]
        return Page(items, checks.cursor_after(items[-1]) if len(matching) > limit else "")

    async def history(
        self, execution_id: int | None, *, after: int = 0, limit: int = 1000, newest: bool = False
    ) -> Sequence[HistoryEntry]:
        """Return history entries with ``id > after``, oldest first."""
        found = [
            entry
            for entry in self._contents.entries
            if entry.id > after and execution_id in (None, entry.execution_id)
        ]
        return found[max(0, len(found) - limit) :] if newest else found[:limit]

    async def nodes(self) -> Sequence[Node]:
        """Return the nodes as last recorded, by name."""
        return sorted(self._contents.nodes, key=lambda node: node.name)

    async def counts(self) -> Mapping[ExecutionStatus, int]:
        """Return how many executions have each status; those without any are absent."""
        return dict(Counter(execution.status for execution in self._contents.executions.values()))

    async def queue(self, *, owner: str | None = None, limit: int = 500) -> Sequence[Execution]:
        """Return those that wait, by their place in the queue, without instances."""
        waiting = [
            dataclasses.replace(each, instances=())
            for each in self._newest_first(owner)
            if each.status in WAITING
        ]
        waiting.sort(key=lambda each: (each.queue_position or math.inf, each.id))
        return waiting[:limit]

    async def past_forecasts(self, limit: int = 200) -> Sequence[PastForecast]:
        """Return what became of forecasts, the executions that started last at the end."""
        known = [
            (each.started_at, each.id, each.first_forecast)
            for each in self._contents.executions.values()
            if each.started_at is not None and each.first_forecast is not None
        ]
        newest = sorted(known, key=lambda each: each[:2])[-limit:]
        return [PastForecast(forecast, started_at) for started_at, _, forecast in newest]

    def changes(self) -> AsyncGenerator[int, None]:
        """Yield an execution id soon after each commit about it; 0 first."""
        return self._hints.read(at_first=True)

    def _newest_first(self, owner: str | None) -> Sequence[Execution]:
        executions = reversed(self._contents.executions.values())
        return [each for each in executions if owner is None or each.owner == owner]

    # The master.

    async def lead(self, holder: str, ttl_seconds: float, endpoint: str = "") -> int | None:
        """Take the lease if it is free or expired."""
        if self._holder is not None and self._now() < self._lease_end:
            self._standby[holder] = self._now()
            return None
        self._standby.pop(holder, None)
        self._epoch += 1
        self._holder, self._endpoint, self._since = holder, endpoint, self._now()
        self._lease_end = self._now() + ttl_seconds
        return self._epoch

    async def hold(self, seconds: float) -> bool:
        """Wait: nothing is between this store and who uses it that could break."""
        await asyncio.sleep(seconds)
        return True

    async def masters(self) -> Masters:
        """Return who leads and who stands by."""
        now = self._now()
        standby = tuple(sorted(name for name, at in self._standby.items() if now - at < 5))
        if self._holder is None or now >= self._lease_end:
            return Masters(epoch=self._epoch, standby=standby)
        return Masters(self._holder, self._endpoint, self._epoch, self._since, standby)

    async def renew(self, epoch: int, ttl_seconds: float) -> None:
        """Keep the lease."""
        self._check_epoch(epoch)
        self._lease_end = self._now() + ttl_seconds

    async def resign(self, epoch: int) -> None:
        """Give the lease up; the epoch does not write any more."""
        if epoch == self._epoch:
            self._holder = None

    async def load(self) -> Sequence[Execution]:
        """Return every execution that has not ended, oldest first."""
        return [each for each in self._contents.executions.values() if each.status not in ENDED]

    async def balances(self) -> Sequence[Balance]:
        """Return what everybody has used, by team and user."""
        return [self._contents.balances[key] for key in sorted(self._contents.balances)]

    async def intents(self) -> Sequence[Execution]:
        """Return the executions whose newest intent is not acknowledged, oldest first."""
        return [
            execution
            for execution in self._contents.executions.values()
            if execution.generation != self._contents.acknowledged[execution.id]
        ]

    async def record(self, changes: Sequence[Change], epoch: int) -> None:
        """Keep all changes and their history, or none of them."""
        if not changes:
            return
        self._check_epoch(epoch)
        contents = self._contents.copy()
        touched: dict[int, None] = {}
        for change in changes:
            touched |= dict.fromkeys(contents.apply(checks.storable(change)))
        self._contents = contents
        for execution_id in touched:
            self._hints.publish(execution_id)

    def _check_epoch(self, epoch: int) -> None:
        if epoch != self._epoch or self._holder is None:
            raise StaleEpoch(f"epoch {epoch} does not hold the lease any more")

    # Access tokens.

    async def add_token(self, token: Token) -> None:
        """Keep a token's hash; one that is there already stays as it is."""
        for text in (token.hash, token.name, token.user, token.role):
            checks.check_text("token", text)
        self._tokens.setdefault(token.hash, token)

    async def find_token(self, hash: str) -> Token | None:
        """Return the token with this hash, if there is one."""
        return self._tokens.get(hash)

    async def tokens(self) -> Sequence[Token]:
        """Return every token, oldest first."""
        return sorted(self._tokens.values(), key=lambda token: (token.created_at, token.hash))
