"""Amounts, times and executions as people read them, for the reasons that users see."""

from zoe.model.amounts import amount, cores, counted, duration, listed, memory
from zoe.model.execution import Execution

__all__ = ["amount", "cores", "counted", "duration", "listed", "memory", "title"]


def title(execution: Execution) -> str:
    """Name an execution: ``17 (wordcount)``."""
    return f"{execution.id} ({execution.name})"
