"""Everything the scheduler can ask for.

The first six are state changes (:mod:`zoe.model.change`): committed, in order, in one transaction,
before any of the effects that came with them begins.
"""

from dataclasses import dataclass

from zoe.model.change import Defer, Forget, SetBalances, SetInstance, SetNodes, SetStatus
from zoe.model.execution import ServiceInstance
from zoe.model.resources import Resources


@dataclass(frozen=True, slots=True)
class StartInstance:
    """Start it on its node; idempotent by id and attempt."""

    instance: ServiceInstance


@dataclass(frozen=True, slots=True)
class StopInstance:
    """Stop it: with ``shrink`` its hook runs first; SIGTERM, then SIGKILL after the grace."""

    instance_id: str
    attempt: int
    grace_seconds: float
    shrink: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ResizeInstance:
    """Give it other limits without stopping it."""

    instance_id: str
    attempt: int
    limits: Resources


@dataclass(frozen=True, slots=True)
class WakeAt:
    """Send ``WokeUp`` at this time (seconds since 1970); a later decision replaces an earlier."""

    time: float


Decision = (
    SetStatus
    | SetInstance
    | Defer
    | SetNodes
    | SetBalances
    | Forget
    | StartInstance
    | StopInstance
    | ResizeInstance
    | WakeAt
)
