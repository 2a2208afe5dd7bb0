"""Times, amounts and states as people read them."""

from collections.abc import Mapping
from datetime import UTC, datetime

from zoe.model.execution import ExecutionStatus, Outcome
from zoe.model.resources import CORE
from zoe.model.rest import ResourcesView
from zoe.model.rest_executions import (
    EndView,
    ExecutionSummary,
    ForecastView,
    HistoryView,
    InstanceView,
    LossView,
)
from zoe.model.rest_use import InstanceUseView

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_COLOURS = {
    ExecutionStatus.SUBMITTED: "azure",
    ExecutionStatus.QUEUED: "yellow",
    ExecutionStatus.STARTING: "cyan",
    ExecutionStatus.RUNNING: "green",
    ExecutionStatus.STOPPING: "orange",
    ExecutionStatus.TERMINATED: "secondary",
    ExecutionStatus.FAILED: "red",
}


def memory(amount: int) -> str:
    """Return bytes as ``1.5 GiB``."""
    size, unit = float(amount), 0
    while size >= 1024 and unit < len(_UNITS) - 1:
        size, unit = size / 1024, unit + 1
    return f"{_short(size)} {_UNITS[unit]}"


def cores(milli: int) -> str:
    """Return thousandths of a core as ``0.5``."""
    return _short(milli / CORE, 2)


def amount(resources: ResourcesView) -> str:
    """Return an amount of each resource as ``2 cores, 4 GiB``."""
    number = cores(resources.cores_milli)
    parts = [f"{number} core" if number == "1" else f"{number} cores"]
    if resources.memory_bytes:
        parts.append(memory(resources.memory_bytes))
    if resources.gpus:
        parts.append(plural(resources.gpus, "GPU"))
    return ", ".join(parts)


def plural(count: int, noun: str) -> str:
    """Return ``1 node`` or ``2 nodes``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """Return a length of time as ``1 h 5 min``: its two largest units."""
    left = max(0, int(seconds))
    if left < 60:
        return f"{left} s"
    minutes, seconds_left = divmod(left, 60)
    hours, minutes_left = divmod(minutes, 60)
    days, hours_left = divmod(hours, 24)
    if days:
        return f"{days} d {hours_left} h" if hours_left else f"{days} d"
    if hours:
        return f"{hours} h {minutes_left} min" if minutes_left else f"{hours} h"
    return f"{minutes} min {seconds_left} s" if seconds_left else f"{minutes} min"


def ago(moment: datetime, now: datetime | None = None) -> str:
    """Return how long ago something was, as ``5 min ago``."""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 5:
        return "just now"
    number, unit, *_ = duration(seconds).split()
    return f"{number} {unit} ago"


def clock(moment: datetime) -> str:
    """Return a time of day with its date, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def machine_time(moment: datetime) -> str:
    """Return a time for the ``datetime`` of a page."""
    return moment.isoformat(timespec="milliseconds")


def run_seconds(execution: ExecutionSummary, now: datetime | None = None) -> float | None:
    """Return for how long it has run, or ran; None when it never started."""
    if execution.started_at is None:
        return None
    return ((execution.ended_at or now or datetime.now(UTC)) - execution.started_at).total_seconds()


def status_colour(status: ExecutionStatus, end: EndView | None = None) -> str:
    """Return the colour of a status."""
    if status is ExecutionStatus.TERMINATED and end and end.outcome is Outcome.COMPLETED:
        return "teal"
    return _COLOURS[status]


def status_word(status: ExecutionStatus, end: EndView | None = None) -> str:
    """Return a status in a word: how it ended rather than that it has."""
    if status is ExecutionStatus.TERMINATED and end:
        return "completed" if end.outcome is Outcome.COMPLETED else "stopped"
    return status.value


def expected(forecast: ForecastView, now: datetime | None = None) -> str:
    """Say when it is expected to start, or why nobody can tell; times are in UTC."""
    if forecast.p50 is None:
        return f"No estimate, because {forecast.because}."
    start = f"Predicted start: {_near(forecast.p50, now)}"
    if forecast.p90 is None:
        return f"{start} UTC, and no latest time, because {forecast.because}."
    return f"{start}, by {_near(forecast.p90, now)} UTC at the latest with 9 in 10."


def _near(moment: datetime, now: datetime | None) -> str:
    moment = moment.astimezone(UTC)
    is_today = moment.date() == (now or datetime.now(UTC)).date()
    return f"{moment:%H:%M}" if is_today else f"{moment:%Y-%m-%d %H:%M}"


def loss_sentence(loss: LossView) -> str:
    """Say what was taken from an execution, and under which rule."""
    gone = plural(loss.instances, "elastic instance")
    return f"{gone} of {loss.service} had to go (rule {loss.rule}): {loss.message}"


def now_sentence(execution: ExecutionSummary) -> str:
    """Return in a few words what it waits for, or how it ended."""
    if execution.end is not None:
        return execution.end.message
    if execution.status is ExecutionStatus.QUEUED:
        place = f"No. {execution.queue_position} in the queue. " if execution.queue_position else ""
        reason = execution.reasons[0].message if execution.reasons else ""
        start = f" {expected(execution.forecast)}" if execution.forecast else ""
        return place + (sentence(reason) + start if start else reason)
    if execution.status is ExecutionStatus.SUBMITTED:
        return "Stored; the master has not looked at it yet."
    return ""


def exit_sentence(instance: InstanceView) -> str:
    """Say how an instance ended."""
    return instance.exit.message if instance.exit else ""


def use_words(instance: InstanceView, uses: Mapping[tuple[str, int], InstanceUseView]) -> list[str]:
    """Say what an instance uses of what it has reserved; of one that has ended, what it used."""
    use = uses.get((instance.id, instance.attempt))
    if use is None:
        return []
    peak = f"at most {memory(use.peak_bytes)}"
    if instance.exit is not None:
        return [f"{peak}, {duration(use.core_seconds)} of work"]
    of_memory = f" of {memory(use.reserved.memory_bytes)}" if use.reserved.memory_bytes else ""
    of_cores = f" of {cores(use.reserved.cores_milli)}" if use.reserved.cores_milli else ""
    busy = f"{_short(use.cores_milli / CORE)}{of_cores} cores"
    return [busy, f"{memory(use.memory_bytes)}{of_memory}", peak]


def history_sentence(entry: HistoryView) -> str:
    """Say what happened, and to which instance."""
    if entry.kind != "instance":
        return sentence(entry.message)
    service, _, ordinal = str(entry.detail["id"]).partition("/")[2].partition("/")
    own = entry.message.removeprefix(service)
    return f"{service}.{ordinal}{own if own != entry.message else f': {own}'}"


def sentence(text: str) -> str:
    """Return a reason as a sentence of its own; names keep their small letters."""
    first = text.partition(" ")[0]
    text = text[:1].upper() + text[1:] if first.isalpha() else text
    return text if not text or text[-1] in ".!?:" else f"{text}."


def percent(part: int, whole: int) -> float:
    """Return ``part`` of ``whole`` in percent, 0 of nothing."""
    return round(100 * min(max(part, 0), whole) / whole, 1) if whole else 0.0


def _short(number: float, digits: int = 1) -> str:
    return f"{number:.{digits}f}".rstrip("0").rstrip(".")
