"""What the master's log says of its decisions: one line each."""

import structlog

from zoe.model.change import Defer, Forget, SetBalances, SetInstance, SetNodes, SetStatus
from zoe.scheduler.decisions import Decision, WakeAt

log = structlog.get_logger("master")


def tell(decision: Decision) -> None:
    """Log a decision, what becomes of executions and instances for everybody to see."""
    match decision:
        case SetStatus():
            log.info(
                "execution",
                id=decision.execution_id,
                status=str(decision.status),
                why=decision.reason,
            )
        case SetInstance(instance):
            log.info(
                "instance",
                id=instance.id,
                attempt=instance.attempt,
                status=str(instance.status),
                node=instance.node,
                why=decision.reason,
            )
        case SetNodes() | SetBalances() | Forget() | Defer() | WakeAt():
            log.debug("decision", decision=decision)
        case _:
            log.debug("effect", effect=decision)
