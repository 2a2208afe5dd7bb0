"""What is answered when somebody asks whether an execution would start now."""

from dataclasses import dataclass

from zoe.model.execution import Reason, ServiceInstance


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether an execution would start now, where its essential instances would go, or why not."""

    fits_now: bool
    can_ever_fit: bool
    placements: tuple[ServiceInstance, ...]
    reasons: tuple[Reason, ...]
    queue_position: int | None = None
    """Its place in the queue, from 1, if it would wait."""
