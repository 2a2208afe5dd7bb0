"""Following an execution as it happens: its states, its size and its output, line by line."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TextIO

from zoe.cli.output import clean, clock, counted, is_colourful
from zoe.client import AsyncZoe
from zoe.model.execution import ExecutionStatus, ExitReason, InstanceStatus
from zoe.model.rest_executions import FollowEnd, HistoryView, LogText

LINE_MAX = 64 * 1024
"""A longer line is written in pieces."""


@dataclass(slots=True)
class Lines:
    """Puts pieces of output together to lines, each after the name of its instance."""

    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    prefixed: bool = True
    _open: dict[tuple[str, int, str], str] = field(default_factory=dict)

    def add(self, piece: LogText) -> None:
        """Write the lines that are complete now."""
        key = (piece.instance, piece.attempt, piece.stream)
        *complete, rest = (self._open.pop(key, "") + piece.text).split("\n")
        if len(rest) > LINE_MAX:
            complete, rest = [*complete, rest], ""
        for line in complete:
            self._write(key, line)
        if rest:
            self._open[key] = rest

    def end(self) -> None:
        """Write what was never completed."""
        for key, line in self._open.items():
            self._write(key, line)
        self._open.clear()

    def _write(self, key: tuple[str, int, str], line: str) -> None:
        instance, _, stream = key
        out = self.stderr if stream == "stderr" else self.stdout
        out.write(f"{self._prefix(instance, out)}{clean(line.removesuffix(chr(13)))}\n")
        out.flush()

    def _prefix(self, instance: str, out: TextIO) -> str:
        if not self.prefixed:
            return ""
        _, service, ordinal = instance.split("/")
        name = f"{service}.{ordinal}| "
        if is_colourful(out):
            colour = 31 + sum(map(ord, service)) % 6
            return f"\033[{colour}m{name}\033[0m"
        return name


@dataclass(slots=True)
class Story:
    """Turns the history of an execution into the few lines that people want to read.

    How it ended is not told: that is the last word of who follows.
    """

    say: Callable[[str], None]
    _told: str = ""
    _running: dict[str, set[str]] = field(default_factory=dict)
    _ending: bool = False

    def add(self, entry: HistoryView) -> None:
        """Say what happened, if it is worth it."""
        match entry.kind:
            case "deferred":
                position = entry.detail.get("queue_position")
                self._tell(entry, f"waits at place {position}: {entry.message}")
            case "status":
                self._status(entry)
            case "instance" if not self._ending:
                self._instance(entry)
            case "instance" | "submitted":
                pass  # all of them end now; that it is submitted has been said
            case _:
                self._tell(entry, entry.message)

    def _status(self, entry: HistoryView) -> None:
        status = entry.detail.get("status")
        if status == ExecutionStatus.STOPPING:
            self._ending = True
            self._tell(
                entry, "stopping" if entry.message == self._told else f"stopping: {entry.message}"
            )
        elif status in (ExecutionStatus.STARTING, ExecutionStatus.RUNNING):
            self._tell(entry, f"{status}: {entry.message}")

    def _instance(self, entry: HistoryView) -> None:
        """Say that the first of a service has started, and how many there are of an elastic one."""
        instance, service = entry.detail, str(entry.detail.get("service"))
        id, is_elastic = str(instance.get("id")), not instance.get("essential")
        running = self._running.setdefault(service, set())
        if instance.get("status") == InstanceStatus.RUNNING:
            if id not in running:
                running.add(id)
                if is_elastic:
                    self._tell(entry, f"{service} grows to {counted(len(running), 'instance')}")
                elif len(running) == 1:
                    self._tell(entry, f"{service} has started")
        elif id in running:
            running.remove(id)
            if is_elastic:
                why = f": {entry.message}" if entry.message else ""
                self._tell(entry, f"{service} shrinks to {counted(len(running), 'instance')}{why}")
            else:
                self._tell(entry, entry.message)
        elif (instance.get("exit") or {}).get("reason") not in (None, ExitReason.STOPPED):
            self._tell(entry, entry.message)  # it never ran

    def _tell(self, entry: HistoryView, text: str) -> None:
        if text != self._told:
            self.say(f"{clock(entry.at)} {text}")
        self._told = text


async def follow(zoe: AsyncZoe, ref: int, say: Callable[[str], None]) -> None:
    """Tell an execution's story and its output until it has ended."""
    story, lines = Story(say), Lines()

    async def tell_story() -> None:
        async for entry in zoe.follow_events(ref):
            if isinstance(entry, HistoryView):
                story.add(entry)

    async with asyncio.TaskGroup() as group:
        group.create_task(tell_story())
        group.create_task(show_logs(zoe.follow_logs(ref), lines))


async def show_logs(pieces: AsyncIterator[LogText | FollowEnd], lines: Lines) -> None:
    """Write output until its stream ends."""
    try:
        async for piece in pieces:
            if isinstance(piece, LogText):
                lines.add(piece)
    finally:
        lines.end()
