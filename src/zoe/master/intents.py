"""What users want, as the store has it, turned into the events that make it so.

Level-triggered: the wish is compared with what the scheduler knows, so that an intent that is read
twice, or late, or together with a newer one, does the same as one read at once.
"""

from collections.abc import Mapping

from zoe.model.change import Acknowledge, Forget
from zoe.model.execution import ENDED, Desired, Execution
from zoe.scheduler.events import Event, ExecutionSubmitted, ScaleRequested, TerminationRequested


def events_of(stored: Execution, known: Mapping[int, Execution]) -> list[Event]:
    """Return the events that bring the scheduler from ``known`` to what ``stored`` wants."""
    if stored.status in ENDED:
        return []
    events: list[Event] = []
    execution = known.get(stored.id)
    if execution is None:
        events.append(ExecutionSubmitted(stored))
        execution = stored
    if stored.desired is not Desired.RUN:
        delete = stored.desired is Desired.DELETE
        events.append(TerminationRequested(stored.id, stored.desired_by, delete))
    else:
        for service, elastic in sorted(stored.elastic.items()):
            elastic_min = stored.elastic_min.get(service, 0)
            if not execution.has_scale(service, elastic, elastic_min):
                events.append(ScaleRequested(stored.id, service, elastic, elastic_min))
    return events


def settled(stored: Execution) -> Acknowledge | Forget | None:
    """Return what is left to do once the events of this intent have been handled.

    A wish to delete is never acknowledged: it stays an intent until its execution has ended and is
    forgotten, so that a master that dies in between leaves it to the next one.
    """
    if stored.desired is not Desired.DELETE:
        return Acknowledge(stored.id, stored.generation)
    return Forget(stored.id) if stored.status in ENDED else None
