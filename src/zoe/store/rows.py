"""Rows of the database as values of the model, and changes as parameters of the statements."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from psycopg.types.json import Jsonb

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
from zoe.model.codec import from_json, to_json
from zoe.model.execution import (
    ENDED,
    Desired,
    Execution,
    ExecutionEnd,
    ExecutionStatus,
    Forecast,
    Reason,
    ServiceInstance,
)
from zoe.model.zapp import ZApp
from zoe.store.base import HistoryEntry, PastForecast, Token
from zoe.store.history import Line, line_of


def execution_of(row: Mapping[str, Any]) -> Execution:
    """Read a row of the columns ``columns_and_instances``."""
    return Execution(
        id=row["id"],
        name=row["name"],
        owner=row["owner"],
        team=row["team"],
        zapp=_zapp(row["zapp"]),
        submitted_at=row["submitted_at"],
        status=ExecutionStatus(row["status"]),
        desired=Desired(row["desired"]),
        desired_by=row["desired_by"],
        generation=row["generation"],
        elastic=row["elastic"],
        elastic_min=row["elastic_min"],
        instances=tuple(from_json(ServiceInstance, each) for each in row["instances"] or ()),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        end=from_json(ExecutionEnd, row["ending"]) if row["ending"] else None,
        reasons=tuple(from_json(Reason, reason) for reason in row["reasons"]),
        queue_position=row["queue_position"],
        time_limit_seconds=row["time_limit_seconds"],
        forecast=_forecast(row["forecast"]),
        first_forecast=_forecast(row["first_forecast"]),
    )


def past_forecast_of(row: Mapping[str, Any]) -> PastForecast:
    """Read a row of ``past_forecasts``."""
    return PastForecast(from_json(Forecast, row["first_forecast"]), row["started_at"])


def _forecast(document: Any) -> Forecast | None:
    return None if document is None else from_json(Forecast, document)


@lru_cache(maxsize=256)
def _zapp(text: str) -> ZApp:
    """Read an application; equal ones, of which there are many, are read and kept once."""
    return from_json(ZApp, json.loads(text))


def entry_of(row: Mapping[str, Any]) -> HistoryEntry:
    """Read a row of ``execution_event``."""
    return HistoryEntry(**row)


def token_of(row: Mapping[str, Any]) -> Token:
    """Read a row of ``token``."""
    return Token(**row)


def line_parameters(line: Line) -> dict[str, Any]:
    """Return what the statements call the parts of a history line."""
    return {"kind": line.kind, "message": line.message, "detail": Jsonb(line.detail)}


def statement_of(change: Change) -> tuple[str, dict[str, Any]]:
    """Return the name of the statement that makes ``change``, and its parameters."""
    match change:
        case SetStatus():
            return "set_status", {
                "id": change.execution_id,
                "status": change.status.value,
                "is_ended": change.status in ENDED,
                "end": Jsonb(to_json(change.end)) if change.end else None,
                "time_limit_seconds": change.time_limit_seconds,
                "at": change.at,
                **line_parameters(line_of(change)),
            }
        case SetInstance(instance):
            return "set_instance", {
                "id": instance.execution_id,
                "service": instance.service,
                "ordinal": instance.ordinal,
                "attempt": instance.attempt,
                "status": instance.status.value,
                "node": instance.node,
                "document": Jsonb(to_json(instance)),
                "at": change.at,
                **line_parameters(line_of(change)),
            }
        case Defer():
            return "defer", {
                "id": change.execution_id,
                "queue_position": change.queue_position,
                "reasons": Jsonb([to_json(reason) for reason in change.reasons]),
                "at": change.at,
                **line_parameters(line_of(change)),
            }
        case Foretell():
            told = [[each, to_json(said), said.is_whole] for each, said in change.forecasts]
            return "foretell", {"forecasts": Jsonb(told)}
        case Acknowledge():
            return "acknowledge", {"id": change.execution_id, "generation": change.generation}
        case SetNodes():
            nodes = Jsonb([to_json(node) for node in change.nodes])
            return "set_nodes", {"nodes": nodes, "at": change.at}
        case SetBalances():
            balances = Jsonb([to_json(balance) for balance in change.balances])
            return "set_balances", {"balances": balances}
        case Forget():
            return "forget", {"id": change.execution_id}
