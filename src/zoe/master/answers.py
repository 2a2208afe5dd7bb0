"""What the master answers to the api over ZeroMQ."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import zoe
from zoe import failpoints
from zoe.master.loop import Loop
from zoe.master.sampling import Sampling
from zoe.model.errors import ZAppInvalid
from zoe.model.execution import Execution
from zoe.model.zapp import ZApp
from zoe.model.zapp_yaml import read_zapp
from zoe.rpc.messages import (
    Blocker,
    Done,
    Expected,
    Failed,
    Ping,
    Placement,
    Plan,
    Planned,
    Pong,
    Reply,
    Request,
    Used,
    Uses,
    Wake,
)

TOLD_MAX = 2000
"""Instances whose use is told in one answer."""
HOURS_MAX = 100
"""Instances whose last hour is told in one answer."""


class Describes(Protocol):
    """A back-end that tells what is particular about running an application on it."""

    name: str

    def describe(self, zapp: ZApp) -> list[str]:
        """Return sentences for the user; empty when the application runs just as written."""


@dataclass(slots=True)
class Desk:
    """Answers for whichever reign is on; between two of them it says so."""

    frameworks: Callable[[], Mapping[str, tuple[str, str]]]
    now: Callable[[], float]
    backend: Describes | None = None
    loop: Loop | None = None
    epoch: int = 0
    since: float = 0.0

    async def answer(self, request: Request) -> Reply:
        """Answer one request; never raises for what a user sent."""
        if self.loop is None or self.backend is None:
            return Failed("not-leading", "The master is starting, or waits for the database.")
        match request:
            case Wake():
                await failpoints.reach("cp04", self._ring)
                return await self._ring()
            case Ping():
                return Pong(self.epoch, self.since, self.backend.name, zoe.__version__)
            case Plan():
                return await self._plan(request, self.loop, self.backend)
            case Used():
                executions = self.loop.scheduler.executions
                return _uses(request, self.loop.sampling, executions, self.now())

    async def _ring(self) -> Done:
        if self.loop is not None:
            self.loop.ring()
        return Done()

    async def _plan(self, request: Plan, loop: Loop, backend: Describes) -> Reply:
        try:
            zapp = read_zapp(
                request.document,
                file=request.file,
                parameters=request.parameters,
                catalogue=self.frameworks(),
            )
        except ZAppInvalid as invalid:
            return Failed("zapp-invalid", str(invalid))
        wish = Execution(
            0, zapp.name, request.owner, zapp, submitted_at=self.now(), team=request.team
        )
        admission = loop.scheduler.would_admit(wish, self.now())
        expected = None
        if loop.foresight is not None and admission.queue_position is not None:
            told = await loop.foresight.imagine(loop.scheduler, wish)
            expected = Expected(told.at, told.p50, told.p90, told.because)
        return Planned(
            fits_now=admission.fits_now,
            can_ever_fit=admission.can_ever_fit,
            placements=[
                Placement(f"{each.service}/{each.ordinal}", each.node, each.essential)
                for each in admission.placements
            ],
            reasons=[Blocker(reason.code, reason.message) for reason in admission.reasons],
            notes=backend.describe(zapp),
            queue_position=admission.queue_position,
            forecast=expected,
        )


def _uses(
    asked: Used, sampling: Sampling | None, executions: Mapping[int, Execution], now: float
) -> Uses:
    if sampling is None:
        return Uses(0.0)
    if asked.node:
        return Uses(
            sampling.pause_seconds,
            [use for use in sampling.nodes.values() if use.name == asked.node],
            hour={asked.node: sampling.hour.of(asked.node, now)},
        )
    if asked.execution_id:
        hour = sampling.hour.of_execution(asked.execution_id, now)
        known = sampling.of_execution(asked.execution_id)
        told = {key: hour[key] for key in list(hour)[:HOURS_MAX]}
        return Uses(sampling.pause_seconds, [], known[:TOLD_MAX], told)
    theirs = [
        use
        for use in sampling.instances.values()
        if not asked.owner
        or ((found := executions.get(use.execution_id)) and found.owner == asked.owner)
    ]
    most = sorted(theirs, key=lambda use: -use.memory_bytes)
    return Uses(sampling.pause_seconds, list(sampling.nodes.values()), most[:TOLD_MAX])
