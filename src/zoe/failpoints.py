"""Crash points: named moments at which a program can be made to die, stop, fail or wait.

The setting ``failpoint`` arms them, as ``cp07:kill`` or ``cp07:kill,cp16:delay:3s``. Each fires
once in a deployment and leaves a file of its name in the folder that :func:`arm` was given, or a
program that is started again would die there for ever; who removes the file arms it again. What
is not armed costs one look into an empty mapping.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from zoe.model import units
from zoe.model.did_you_mean import suggestion
from zoe.model.errors import ZoeError

POINTS: Mapping[str, str] = {
    "cp01": "api: a submission was received, and is not committed",
    "cp02": "api: a submission is committed, and not answered",
    "cp03": "api: an intent is committed, and the master is not rung",
    "cp04": "master: it was rung, and has not read the intents",
    "cp05": "master: instances are planned, and not committed",
    "cp06": "master: a start is committed, and the back-end is not asked",
    "cp07": "master: the back-end was asked to create an instance, and the answer is not read",
    "cp08": "back-end: an instance is created, and nobody was told",
    "cp09": "back-end: an instance is prepared, and its program is not started",
    "cp10": "master: other limits are decided, and not applied",
    "cp11": "back-end: the program of an instance is started, and that is not recorded",
    "cp12": "master: an instance runs, and that is not committed",
    "cp13": "master: some of the essential instances run, and others do not",
    "cp14": "master: an execution is committed as running, and what follows is not begun",
    "cp15": "master: an instance has ended, and that is not committed",
    "cp16": "master: a stop is committed, and not sent",
    "cp17": "master: a stop is sent, and the answer is not read",
    "cp18": "master: the end of an instance is committed, and the back-end still keeps it",
    "cp19": "master: the end of an execution is committed, and nothing is tidied up",
    "cp20": "api or master: an execution is being forgotten, and half of that is done",
}
"""What has happened at each point, and what has not."""

REPEATABLE = frozenset({"cp03", "cp04", "cp06", "cp16", "cp18"})
"""The points before a message or a call, which ``dup`` sends twice."""
SHAPE = "a point and what happens there, as cp07:kill, with kill, stop, raise, delay:3s or dup"


class Injected(ZoeError):
    """A failpoint fails here, as it was told to."""


@dataclass(frozen=True, slots=True)
class Act:
    """What happens at a point; ``seconds`` is the length of a delay."""

    name: str
    seconds: float = 0.0


def parse(text: str) -> Mapping[str, Act]:
    """Return what happens at which point; raises ValueError, in words."""
    armed: dict[str, Act] = {}
    for part in filter(None, (each.strip() for each in text.split(","))):
        point, _, act = part.partition(":")
        if point not in POINTS:
            raise ValueError(
                f"there is no failpoint {point!r}: {suggestion(point, POINTS, 'failpoints')}"
            )
        if point in armed:
            raise ValueError(f"{point} is there twice")
        armed[point] = _act(part, act)
        if act == "dup" and point not in REPEATABLE:
            raise ValueError(
                f"nothing is sent at {point} that could be sent twice; "
                f"that is so at {', '.join(sorted(REPEATABLE))}"
            )
    return armed


def _act(part: str, text: str) -> Act:
    name, _, length = text.partition(":")
    if name == "delay" and length:
        return Act(name, units.duration_seconds(length))
    if text in ("kill", "stop", "raise", "dup"):
        return Act(text)
    raise ValueError(f"{part!r} is not {SHAPE}")


def arm(text: str, folder: Path) -> None:
    """Let the points of ``text`` act in this process, each once, which ``folder`` remembers."""
    global _folder, _text
    _armed.clear()
    _armed.update(parse(text))
    _folder, _text = folder, text
    if _armed:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def armed() -> str:
    """Return the text that is in force, for programs that this one starts."""
    return _text if _armed else ""


async def reach(point: str, again: Callable[[], Awaitable[object]] | None = None) -> None:
    """Say that this is ``point``; ``again`` is what comes next, for doing it once more."""
    if not _armed or (act := _fired(point)) is None:
        return
    if act.name == "delay":
        await asyncio.sleep(act.seconds)
    elif act.name == "dup":
        assert again is not None, f"{point} cannot be repeated here"
        await again()
    else:
        _strike(point, act)


def reach_now(point: str) -> None:
    """Say that this is ``point``, in what cannot wait; a delay holds up the whole program."""
    if not _armed or (act := _fired(point)) is None:
        return
    if act.name == "delay":
        time.sleep(act.seconds)
    else:
        _strike(point, act)


_armed: dict[str, Act] = {}
_folder = Path()
_text = ""


def _fired(point: str) -> Act | None:
    """Return what is to happen, the first time that anybody comes here."""
    act = _armed.get(point)
    if act is None:
        return None
    try:
        os.close(os.open(_folder / point, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return None
    os.write(2, f"failpoint {point}, {act.name}: {POINTS[point]}\n".encode())
    return act


def _strike(point: str, act: Act) -> None:
    if act.name == "raise":
        raise Injected(f"the failpoint {point} fails: {POINTS[point]}")
    os.kill(os.getpid(), signal.SIGKILL if act.name == "kill" else signal.SIGSTOP)
