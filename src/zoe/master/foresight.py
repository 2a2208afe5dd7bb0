"""When those who wait are expected to start: asked for when something has changed, and corrected.

The master tells what it has decided (:meth:`Foresight.watch`); in return it gets forecasts to
commit, at most every so many seconds. What fails here is told and tried again: nobody waits for it.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from zoe.master.forecasting import Forecaster, ForecastFailed, Question
from zoe.model.change import Foretell, SetStatus
from zoe.model.execution import ENDED, Execution, ExecutionStatus, Forecast
from zoe.scheduler import words
from zoe.scheduler.allocator import IMAGINED
from zoe.scheduler.decisions import Decision
from zoe.scheduler.scheduler import Scheduler
from zoe.sim.calibration import Calibration, Outturn
from zoe.sim.forecast import Bounds, Estimate, Unknown
from zoe.store.base import PastForecast

log = structlog.get_logger("master")

STALE_SECONDS = 60.0
"""Without any change forecasts are made anew after so long: time passes, too."""
NEWS_SHARE, NEWS_SECONDS = 0.05, 1.0
"""A time is told anew when it is off by more than this part of the wait, and by so many seconds."""
COPIED_SHARE = 0.01
"""The part of its time that the master spends at most on copying the planner for forecasts."""
PLAN_SECONDS, PLAN_LATE_SECONDS = 1.0, 1.7
"""How long the forecast for a plan is computed, and after how long it is given up: who asked waits
for two seconds."""
NAMED = 3
"""How many executions are named in one sentence."""


@dataclass(frozen=True, slots=True)
class Outlook:
    """How often, for how long and for how many executions forecasts are made."""

    pause_seconds: float = 10.0
    budget_seconds: float = 3.0
    depth: int = 200
    bounds: Bounds = field(default_factory=Bounds)


class Foresight:
    """The forecasts of one reign."""

    def __init__(self, forecaster: Forecaster, outlook: Outlook, now: Callable[[], float]) -> None:
        self.outlook = outlook
        self._forecaster = forecaster
        self._now = now
        self._changed = asyncio.Event()
        self._copied_seconds = 0.0
        """How long the last copy took, during which the master did nothing else."""
        self._calibration = Calibration()
        self._told: dict[int, Forecast] = {}
        """What was told last, of each execution that waits."""
        self._first: dict[int, Forecast] = {}
        """What was told first with both times: what it is judged by when it starts."""

    def remember(self, past: Iterable[PastForecast], executions: Iterable[Execution]) -> None:
        """Take over what an earlier reign has told and learnt."""
        for each in past:
            self._learn(each.forecast, each.started_at)
        for execution in executions:
            if execution.first_forecast is not None and execution.started_at is None:
                self._first[execution.id] = execution.first_forecast
            if execution.forecast is not None:
                self._told[execution.id] = execution.forecast
        self._changed.set()

    def watch(self, decisions: Iterable[Decision]) -> None:
        """Learn from what is decided; anything at all makes forecasts out of date."""
        for decision in decisions:
            self._changed.set()
            if isinstance(decision, SetStatus) and decision.status is not ExecutionStatus.QUEUED:
                self._told.pop(decision.execution_id, None)
                first = self._first.pop(decision.execution_id, None)
                if first is not None and decision.status not in ENDED:
                    self._learn(first, decision.at)

    async def next(self, scheduler: Scheduler) -> Foretell:
        """Return the next forecasts that are news; waits until there are some."""
        while True:
            try:
                async with asyncio.timeout(STALE_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            if scheduler.queue():
                try:
                    told = await self._look_ahead(scheduler)
                except ForecastFailed as failure:
                    log.warning("no forecast", why=str(failure))
                    told = Foretell(())
                if told.forecasts:
                    return told
            await self.pause()

    async def pause(self) -> None:
        """Wait for as long as two forecasts are apart at least."""
        await asyncio.sleep(max(self.outlook.pause_seconds, self._copied_seconds / COPIED_SHARE))

    async def imagine(self, scheduler: Scheduler, wish: Execution) -> Forecast:
        """Return when an execution would start that nobody has submitted yet."""
        now = self._now()
        snapshot = scheduler.snapshot(now, self.outlook.depth, wish)
        budget = min(self.outlook.budget_seconds, PLAN_SECONDS)
        question = Question(snapshot, budget, self.outlook.bounds, (IMAGINED,))
        try:
            async with asyncio.timeout(PLAN_LATE_SECONDS):
                estimates = await self._forecaster.predict(question)
        except (ForecastFailed, TimeoutError) as failure:
            log.warning("no forecast for a plan", why=repr(failure))
            return Forecast(now, None, None, "it could not be computed in time; try again")
        estimate = estimates.get(IMAGINED)
        if estimate is None:
            return Forecast(now, None, None, self._too_deep())
        return self._forecast(estimate, now, scheduler.executions)

    async def _look_ahead(self, scheduler: Scheduler) -> Foretell:
        now = self._now()
        began = time.perf_counter()
        snapshot = scheduler.snapshot(now, self.outlook.depth)
        self._copied_seconds = time.perf_counter() - began
        question = Question(snapshot, self.outlook.budget_seconds, self.outlook.bounds)
        estimates = await self._forecaster.predict(question)
        waiting = set(scheduler.queue())  # some may have started meanwhile
        news = {}
        for execution_id in waiting:
            estimate = estimates.get(execution_id)
            if estimate is not None:
                forecast = self._forecast(estimate, now, scheduler.executions)
            elif execution_id in self._told or len(waiting) > self.outlook.depth:
                forecast = Forecast(now, None, None, self._too_deep())
            else:
                continue  # it has come meanwhile
            if forecast.is_whole:
                self._first.setdefault(execution_id, forecast)
            if _is_news(self._told.get(execution_id), forecast):
                self._told[execution_id] = news[execution_id] = forecast
        return Foretell(tuple(sorted(news.items(), key=lambda each: each[0])))

    def _learn(self, first: Forecast, started_at: float) -> None:
        if first.uncorrected is not None:
            self._calibration.add(Outturn(first.at, *first.uncorrected, started_at))

    def _forecast(
        self, estimate: Estimate, now: float, executions: Mapping[int, Execution]
    ) -> Forecast:
        told = self._calibration.corrected(estimate, now)
        uncorrected = None
        if estimate.p50 is not None and estimate.p90 is not None:
            uncorrected = (estimate.p50, estimate.p90)
        return Forecast(now, told.p50, told.p90, self._because(estimate, executions), uncorrected)

    def _because(self, estimate: Estimate, executions: Mapping[int, Execution]) -> str:
        """Say why there is no estimate."""
        match estimate.because:
            case None:
                return ""
            case Unknown.NEVER:
                return "it asks for what the nodes do not have now"
            case Unknown.FORBIDDEN:
                return "a quota forbids it"
            case Unknown.OPEN_END:
                ids = estimate.because_of
                known = [executions.get(each) for each in ids[:NAMED]]
                named = ["it" if each is None else words.title(each) for each in known]
                if len(ids) > NAMED:
                    named.append(words.counted(len(ids) - NAMED, "other"))
                verb, they = ("ends", "it has") if len(ids) == 1 else ("end", "they have")
                return (
                    f"nobody can tell when {words.listed(named)} {verb}: {they} no time limit, "
                    "and past runs do not tell"
                )
            case Unknown.BEYOND:
                far = words.duration(self.outlook.bounds.horizon_seconds)
                return f"it is further away than {far}, or than forecasts look"
            case Unknown.STUCK:
                return "it does not start even when nothing else runs any more"

    def _too_deep(self) -> str:
        counted = words.counted(self.outlook.depth, "execution")
        return f"forecasts are made for the first {counted} of the queue only"


def _is_news(known: Forecast | None, forecast: Forecast) -> bool:
    """Whether it says something else than what is known."""
    if known is None or known.because != forecast.because:
        return True
    for before, after in ((known.p50, forecast.p50), (known.p90, forecast.p90)):
        if before is None or after is None:
            if before is not after:
                return True
        elif abs(after - before) > max(NEWS_SECONDS, NEWS_SHARE * (after - forecast.at)):
            return True
    return False
