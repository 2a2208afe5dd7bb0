"""Following an execution as it happens: its states, its size and its output, line by line."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TextIO

from zoe.cli.output import clean, clock, is_colourful
from zoe.client import AsyncZoe
from zoe.model.execution import ExecutionStatus, InstanceStatus
from zoe.model.rest import FollowEnd, HistoryView, LogText

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
    """Turns the history of an execution into the few lines that people want to read."""

    say: Callable[[str], None]
    _waits: str = ""
    _running: dict[str, set[str]] = field(default_factory=dict)
    _ending: bool = False

    def add(self, entry: HistoryView) -> None:
        """Say what happened, if it is worth it."""
        match entry.kind:
            case "deferred":
                position = entry.detail.get("queue_position")
                waits = f"waits at place {position}: {entry.message}"
                if waits != self._waits:
                    self._tell(entry, waits)
                self._waits = waits
            case "status":
                status = entry.detail.get("status")
                reason = f": {entry.message}" if entry.message else ""
                self._tell(entry, f"{status}{reason}")
                self._ending = status == ExecutionStatus.STOPPING
            case "instance" if not self._ending:
                self._count(entry)
            case "instance":
                pass  # all of them end now
            case _:
                self._tell(entry, entry.message)

    def _count(self, entry: HistoryView) -> None:
        """Say how many instances of a service run, whenever an elastic one comes or goes."""
        instance = entry.detail
        running = self._running.setdefault(str(instance.get("service")), set())
        before = len(running)
        if instance.get("status") == InstanceStatus.RUNNING:
            running.add(str(instance.get("id")))
        else:
            running.discard(str(instance.get("id")))
        if len(running) != before and not instance.get("essential"):
            change = "grows" if len(running) > before else "shrinks"
            self._tell(entry, f"{instance.get('service')} {change} to {len(running)}")
        if instance.get("exit"):
            self._tell(entry, f"{instance.get('id')}: {entry.message}")

    def _tell(self, entry: HistoryView, text: str) -> None:
        self.say(f"{clock(entry.at)} {text}")


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
