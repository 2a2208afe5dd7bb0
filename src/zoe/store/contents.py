"""What the store in memory keeps, and what the master's changes make of it."""

import dataclasses
from collections.abc import Sequence

from zoe.model.balance import Balance
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
from zoe.model.cluster import Node
from zoe.model.errors import IllegalTransition
from zoe.model.execution import ENDED, Desired, Execution
from zoe.store.base import HistoryEntry, NotFound
from zoe.store.history import Line, line_of
from zoe.store.outcomes import WAITING, with_forecast, with_instance, with_status


@dataclasses.dataclass(slots=True)
class Contents:
    """Everything that is kept; a transaction works on a copy of it."""

    executions: dict[int, Execution] = dataclasses.field(default_factory=dict)
    sources: dict[int, str] = dataclasses.field(default_factory=dict)
    keys: dict[tuple[str, str], int] = dataclasses.field(default_factory=dict)
    acknowledged: dict[int, int] = dataclasses.field(default_factory=dict)
    entries: list[HistoryEntry] = dataclasses.field(default_factory=list)
    last_entry_id: int = 0
    nodes: tuple[Node, ...] = ()
    balances: dict[tuple[str, str], Balance] = dataclasses.field(default_factory=dict)

    def copy(self) -> "Contents":
        """Return contents of their own, of the same values."""
        return Contents(
            dict(self.executions),
            dict(self.sources),
            dict(self.keys),
            dict(self.acknowledged),
            list(self.entries),
            self.last_entry_id,
            self.nodes,
            dict(self.balances),
        )

    def one(self, execution_id: int) -> Execution:
        """Return an execution. Raises NotFound."""
        try:
            return self.executions[execution_id]
        except KeyError:
            raise NotFound(f"there is no execution {execution_id}") from None

    def write(self, execution_id: int, at: float, line: Line) -> None:
        """Add a line to the history of an execution."""
        self.last_entry_id += 1
        entry = HistoryEntry(
            self.last_entry_id, execution_id, at, line.kind, line.message, line.detail
        )
        self.entries.append(entry)

    def forget(self, execution: Execution) -> None:
        """Keep nothing of an execution any more."""
        del self.executions[execution.id]
        del self.sources[execution.id]
        del self.acknowledged[execution.id]
        self.keys = {key: kept for key, kept in self.keys.items() if kept != execution.id}
        self.entries = [entry for entry in self.entries if entry.execution_id != execution.id]

    def apply(self, change: Change) -> Sequence[int]:
        """Make one change; return the executions that readers are told about."""
        match change:
            case SetStatus():
                changed = with_status(self.one(change.execution_id), change)
                self.executions[change.execution_id] = changed
                self.write(change.execution_id, change.at, line_of(change))
            case SetInstance(instance):
                execution = self.one(instance.execution_id)
                self.executions[execution.id] = with_instance(execution, instance)
                self.write(execution.id, change.at, line_of(change))
                return [execution.id]
            case Defer():
                self._defer(change)
            case Foretell():
                for execution_id, forecast in change.forecasts:
                    if (found := self.executions.get(execution_id)) is not None:
                        self.executions[execution_id] = with_forecast(found, forecast)
                return [0]
            case Acknowledge():
                self._acknowledge(change)
                return []
            case SetNodes():
                self.nodes = change.nodes
                return [0]
            case SetBalances():
                self.balances.update({(each.team, each.user): each for each in change.balances})
                return []
            case Forget():
                forgotten = self.executions.get(change.execution_id)
                if forgotten is not None:
                    _check_forget(forgotten)
                    self.forget(forgotten)
        return [change.execution_id]

    def _defer(self, change: Defer) -> None:
        execution = self.one(change.execution_id)
        if execution.status not in WAITING or change.queue_position < 1:
            raise IllegalTransition(f"execution {execution.id} does not wait any more")
        if execution.reasons != change.reasons:
            self.write(execution.id, change.at, line_of(change))
        self.executions[execution.id] = dataclasses.replace(
            execution, reasons=change.reasons, queue_position=change.queue_position
        )

    def _acknowledge(self, change: Acknowledge) -> None:
        execution = self.executions.get(change.execution_id)
        if execution is None:
            return
        if change.generation > execution.generation:
            raise IllegalTransition(f"nobody asked for generation {change.generation}")
        known = self.acknowledged[execution.id]
        self.acknowledged[execution.id] = max(known, change.generation)


def _check_forget(execution: Execution) -> None:
    if execution.status not in ENDED or execution.desired is not Desired.DELETE:
        raise IllegalTransition(
            f"execution {execution.id} has not ended, or nobody asked to delete it"
        )
