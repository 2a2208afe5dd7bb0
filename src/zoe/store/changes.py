"""What a change of the master is about, and whether its statement found that."""

from collections.abc import Mapping, Sequence
from typing import Any

from zoe.model.change import (
    Acknowledge,
    Change,
    Defer,
    Foretell,
    Forget,
    SetBalances,
    SetInstance,
    SetNodes,
    SetStatus,
)
from zoe.model.errors import IllegalTransition
from zoe.store.base import NotFound


def missing(execution_id: object) -> NotFound:
    """Return what is raised for an execution that is not there."""
    return NotFound(f"there is no execution {execution_id}")


SILENT = (Acknowledge, SetBalances)
"""What nobody is told about who reads changes."""


def subject(change: Change) -> int:
    """Return the execution that ``change`` is about; 0 when it is about none."""
    match change:
        case SetInstance(instance):
            return instance.execution_id
        case SetNodes() | SetBalances() | Foretell():
            return 0
        case SetStatus() | Defer() | Acknowledge() | Forget():
            return change.execution_id


def check_effect(change: Change, touched: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Raise unless the statement of ``change`` found what it was to change."""
    match change:
        case SetStatus() | SetInstance() if touched == 0:
            raise missing(subject(change))
        case Defer() if not rows:
            raise missing(change.execution_id)
        case Defer() if not rows[0]["is_waiting"]:
            raise IllegalTransition(f"execution {change.execution_id} does not wait any more")
        case Forget() if rows:
            raise IllegalTransition(
                f"execution {change.execution_id} has not ended, or nobody asked to delete it"
            )
