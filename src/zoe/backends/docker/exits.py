"""How an attempt ended, from what the engine says of its container and what the master noted."""

import signal
from collections.abc import Mapping
from typing import Any

from zoe.backends.docker.notes import Note
from zoe.backends.exits import out_of_memory
from zoe.model.execution import Exit, ExitReason

NEVER_STARTED = Exit(ExitReason.STOPPED, message="it was stopped before it started")
VANISHED = Exit(ExitReason.LOST, message="its container was removed, and not by Zoe")
UNSEEN = Exit(ExitReason.LOST, message="its engine was restarted and did not see how it ended")
_UNSEEN = 255
"""The code of what an engine finds ended when it is started again."""
_SIGNAL_BASE = 128
_OF_RUNNERS = {
    126: "usually: a program may not be executed",
    127: "usually: a program was not found",
}
"""What shells, and the first process of a container, mean by these codes."""


def exit_of(container: Mapping[str, Any], note: Note, *, engine_was_away: bool) -> Exit:
    """Return how an attempt ended whose container has stopped.

    A container tells a signal as a code of 128 and its number; a program that exits with such a
    code cannot be told from one that died.
    """
    state = container["State"]
    if engine_was_away and state["ExitCode"] == _UNSEEN:
        return UNSEEN
    code, number = _code_and_signal(state["ExitCode"])
    if note.not_ready:
        return Exit(ExitReason.NOT_STARTED, code, number, note.not_ready)
    if state["OOMKilled"] and code != 0:
        message = out_of_memory(container["HostConfig"]["Memory"])
        return Exit(ExitReason.OUT_OF_MEMORY, code, number, message)
    if note.kill_at is not None:
        return Exit(ExitReason.STOPPED, code, number)
    if lost := state.get("Lost"):  # only a swarm says so, and what follows
        return Exit(ExitReason.LOST, message=lost)
    if rejected := state.get("Rejected"):
        return Exit(ExitReason.NOT_STARTED, message=rejected)
    if code == 0:
        return Exit(ExitReason.COMPLETED, 0)
    name = "" if number is None else signal.Signals(number).name
    said = state["Error"] or name or _OF_RUNNERS.get(code or 0, "")
    return Exit(ExitReason.FAILED, code, number, said)


def _code_and_signal(code: int | None) -> tuple[int | None, int | None]:
    number = 0 if code is None else code - _SIGNAL_BASE
    if number in {int(each) for each in signal.Signals}:
        return None, number
    return code, None
