"""What each change and each intent says in the history; the same for every store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoe.model.change import Defer, SetInstance, SetStatus
from zoe.model.codec import to_json
from zoe.model.execution import Desired


@dataclass(frozen=True, slots=True)
class Line:
    """A history entry before it has its id and its time."""

    kind: str
    message: str
    detail: Mapping[str, Any]


def submitted(owner: str) -> Line:
    """Return the line of a submission."""
    return Line("submitted", f"submitted by {owner}", {"by": owner})


def desired(wish: Desired, by: str) -> Line:
    """Return the line of the wish to stop or to delete."""
    return Line(f"{wish}-requested", f"{by} asked to {wish} it", {"by": by})


def scaled(service: str, elastic: int, by: str, elastic_min: int) -> Line:
    """Return the line of another elastic count."""
    counts = f"{elastic_min}..{elastic}" if elastic_min else f"{elastic}"
    return Line(
        "scale-requested",
        f"{by} set the elastic instances of {service} to {counts}",
        {"by": by, "service": service, "elastic": elastic, "elastic_min": elastic_min},
    )


def line_of(change: SetStatus | SetInstance | Defer) -> Line:
    """Return the line of a change of the master."""
    match change:
        case SetStatus():
            end = to_json(change.end) if change.end else None
            return Line("status", change.reason, {"status": change.status.value, "end": end})
        case SetInstance():
            detail = {"id": change.instance.id, **to_json(change.instance)}
            if change.cause is not None:
                detail["cause"] = to_json(change.cause)
            return Line("instance", change.reason, detail)
        case Defer():
            message = change.reasons[0].message if change.reasons else ""
            reasons = [to_json(reason) for reason in change.reasons]
            position = change.queue_position
            return Line("deferred", message, {"queue_position": position, "reasons": reasons})
