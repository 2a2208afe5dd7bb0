"""Carries out decisions: each effect is a task, bounded in number and time, and ends as an event.

Effects on one instance run one after the other, in the order in which they were decided.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping

import structlog

from zoe import failpoints
from zoe.backends.base import Backend, Refused, Retryable
from zoe.model.change import Forget, SetInstance
from zoe.model.errors import ZoeError
from zoe.model.execution import Execution, InstanceStatus, ServiceInstance
from zoe.scheduler.decisions import Decision, ResizeInstance, StartInstance, StopInstance
from zoe.scheduler.events import Event, StartFailed, StopFailed

log = structlog.get_logger("effects")


class Effects:
    """The calls to the back-end that are under way."""

    def __init__(
        self,
        backend: Backend,
        report: Callable[[Event | Forget], None],
        fail: Callable[[BaseException], None],
        *,
        concurrency: int,
        timeout_seconds: float,
    ) -> None:
        self._backend = backend
        self._report = report
        self._fail = fail
        self._free = asyncio.Semaphore(concurrency)
        self._timeout_seconds = timeout_seconds
        self._latest: dict[str, asyncio.Task[None]] = {}
        self._begun = 0
        self._finished: dict[str, int] = {}

    def begin(self, decisions: Iterable[Decision], executions: Mapping[int, Execution]) -> None:
        """Start carrying out ``decisions``, which have been committed."""
        for decision in decisions:
            match decision:
                case StartInstance(instance):
                    self._chain(instance.id, self._start(executions, instance))
                case StopInstance(instance_id):
                    self._chain(instance_id, self._stop(decision))
                case ResizeInstance(instance_id):
                    self._chain(instance_id, self._resize(decision))
                case SetInstance(instance) if instance.status is InstanceStatus.STOPPED:
                    self.remove(instance.id, instance.attempt)
                case Forget(execution_id) if str(execution_id) not in self._latest:
                    self._chain(str(execution_id), self._forget(execution_id))
                case _:
                    pass

    def remove(self, instance_id: str, attempt: int) -> None:
        """Let the back-end forget an attempt whose end is in the store."""
        self._chain(instance_id, self._remove(instance_id, attempt))

    def mark(self) -> int:
        """Return a moment, for :meth:`touched_since`."""
        return self._begun

    def touched_since(self, mark: int) -> frozenset[str]:
        """Return the instances that had an effect under way at ``mark`` or since."""
        self._finished = {key: at for key, at in self._finished.items() if at > mark}
        return frozenset(self._latest) | frozenset(self._finished)

    async def close(self) -> None:
        """Abandon what is under way: it is idempotent, and the next start reconciles."""
        tasks = list(self._latest.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _chain(self, instance_id: str, effect: Coroutine[None, None, None]) -> None:
        self._begun += 1
        before = self._latest.get(instance_id)
        task = asyncio.create_task(self._after(before, effect))
        self._latest[instance_id] = task
        task.add_done_callback(lambda done: self._finish(instance_id, done))

    def _finish(self, instance_id: str, task: asyncio.Task[None]) -> None:
        if self._latest.get(instance_id) is task:
            del self._latest[instance_id]
        self._begun += 1
        self._finished[instance_id] = self._begun
        if not task.cancelled() and (bug := task.exception()) is not None:
            self._fail(bug)

    async def _after(
        self, before: asyncio.Task[None] | None, effect: Coroutine[None, None, None]
    ) -> None:
        try:
            if before is not None:
                await asyncio.wait([before])
            async with self._free:
                await self._backend.fence.passage()
                await effect
        finally:
            effect.close()  # a cancelled wait must not leave it un-awaited

    async def _start(self, executions: Mapping[int, Execution], instance: ServiceInstance) -> None:
        execution = executions.get(instance.execution_id)
        if execution is None:
            return  # it ended and was forgotten before its turn came
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await failpoints.reach("cp06", lambda: self._backend.start(execution, instance))
                await self._backend.start(execution, instance)
        except Refused as refusal:
            self._report(StartFailed(instance.id, instance.attempt, _said(refusal), False))
        except Retryable as fault:
            self._report(StartFailed(instance.id, instance.attempt, _said(fault), True))
        except TimeoutError:
            message = f"the back-end did not answer within {self._timeout_seconds:g} s"
            self._report(StartFailed(instance.id, instance.attempt, message, True))

    async def _stop(self, decision: StopInstance) -> None:
        def stop() -> Coroutine[None, None, None]:
            return self._backend.stop(
                decision.instance_id,
                decision.attempt,
                grace_seconds=decision.grace_seconds,
                shrink=decision.shrink,
            )

        try:
            async with asyncio.timeout(self._timeout_seconds):
                await failpoints.reach("cp16", stop)
                await stop()
        except (Refused, Retryable, TimeoutError) as fault:
            message = str(fault) or f"no answer within {self._timeout_seconds:g} s"
            self._report(StopFailed(decision.instance_id, decision.attempt, message))

    async def _resize(self, decision: ResizeInstance) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await failpoints.reach("cp10")
                await self._backend.resize(decision.instance_id, decision.attempt, decision.limits)
        except (Refused, Retryable, TimeoutError) as fault:
            log.warning("resize failed", instance=decision.instance_id, why=str(fault))

    async def _remove(self, instance_id: str, attempt: int) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await failpoints.reach("cp18", lambda: self._backend.remove(instance_id, attempt))
                await self._backend.remove(instance_id, attempt)
        except (Refused, Retryable, TimeoutError) as fault:
            # The next full look at the back-end lists it again, and it is tried again.
            log.warning("remove failed", instance=instance_id, attempt=attempt, why=str(fault))

    async def _forget(self, execution_id: int) -> None:
        """Delete the output, and only then have it forgotten: nobody would know of it any more."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._backend.forget(execution_id)
                await failpoints.reach("cp20")
                self._report(Forget(execution_id))
        except (Refused, Retryable, TimeoutError) as fault:
            log.warning("output not deleted", execution=execution_id, why=str(fault))


def _said(error: ZoeError) -> str:
    """Say what happened and what to try, as far as one sentence goes: it is stored as a reason."""
    return f"{error} ({error.hint.rstrip('.')})" if error.hint else str(error)
