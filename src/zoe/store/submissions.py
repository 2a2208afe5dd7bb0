"""Commits submissions that arrive at the same time together: one wait for the disk for all."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from zoe.model.execution import Execution
from zoe.store.base import NewExecution, StoreUnavailable

BATCH = 200
"""Submissions that one transaction takes at most."""

Write = Callable[[Sequence[NewExecution]], Awaitable[Sequence[Execution]]]


class Submissions:
    """Those who wait for their submission's commit. What comes during a commit goes together."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._waiting: list[tuple[NewExecution, asyncio.Future[Execution]]] = []
        self._task: asyncio.Task[None] | None = None

    async def submit(self, new: NewExecution) -> Execution:
        """Return the execution once it is committed; raises what its own commit raised."""
        answer: asyncio.Future[Execution] = asyncio.get_running_loop().create_future()
        self._waiting.append((new, answer))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._commit_all())
        return await answer

    async def close(self) -> None:
        """Wait until everybody has an answer."""
        if self._task is not None:
            await self._task

    async def _commit_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            try:
                await self._commit(batch)
            except BaseException:
                for _, answer in batch + self._waiting:
                    answer.cancel()
                self._waiting = []
                raise

    async def _commit(
        self, batch: Sequence[tuple[NewExecution, asyncio.Future[Execution]]]
    ) -> None:
        try:
            executions = await self._write([new for new, _ in batch])
        except StoreUnavailable as error:
            for _, answer in batch:
                _answer(answer, error)
        except Exception as error:
            if len(batch) == 1:
                _answer(batch[0][1], error)
                return
            for one in batch:  # so that a bad one does not fail its neighbours
                await self._commit([one])
        else:
            for (_, answer), execution in zip(batch, executions, strict=True):
                _answer(answer, execution)


def _answer(answer: asyncio.Future[Execution], result: Execution | Exception) -> None:
    with contextlib.suppress(asyncio.InvalidStateError):  # the caller does not wait any more
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)
