"""The life of one attempt as the master follows it: output, readiness, its stop and its end."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from zoe import failpoints
from zoe.backends.base import Refused, Retryable
from zoe.backends.docker.engine import Engine, NotThere, Taken, Unreachable
from zoe.backends.docker.exits import NEVER_STARTED, VANISHED, exit_of
from zoe.backends.docker.names import check_of, gpus_of, shrink_of
from zoe.backends.docker.notes import Note, Notes
from zoe.backends.docker.output import Output
from zoe.backends.ready import ANSWER_SECONDS, probe_http, probe_tcp
from zoe.model.cluster import ObservedInstance
from zoe.model.execution import Exit, InstanceStatus
from zoe.model.zapp import CommandCheck, HttpCheck, ReadyCheck, TcpCheck

NOT_READY_GRACE_SECONDS = 5.0
"""Between SIGTERM and SIGKILL for an instance that did not get ready."""
FIRST_PAUSE_SECONDS = 0.01
"""Between the first two ready checks; it doubles up to the interval, as most are ready soon."""
RETRY_SECONDS = 0.5
"""Before an engine, or a disk, that failed is tried again."""
OUTPUT_TRIES = 20
"""How often the rest of the output is tried to be written before the end is told without it."""
PREPARE_SECONDS = 1800.0
"""How long what runs instances may prepare one, as by getting a large image."""
PREPARES = "preparing"
"""In the place of an engine's status: it does not run yet, and nobody waits for it any more."""
_LOOK_SECONDS = 0.02
"""Between the end of the output and the next look whether the container has ended."""

Told = Callable[[ObservedInstance], None]


class Attempt:
    """One attempt with its container; ``seen`` is what the port tells of it."""

    def __init__(
        self,
        engine: Engine,
        container: Mapping[str, Any],
        note: Note,
        notes: Notes,
        output: Output,
        told: Told,
    ) -> None:
        self.id = str(container["Id"])
        self.memory_kills = max(int(container["State"]["OOMKilled"]), note.memory_kills)
        """How many of its processes were killed for memory, as far as somebody saw it."""
        self._engine = engine
        self._note = note
        self._notes = notes
        self._output = output
        self._told = told
        labels = container["Config"]["Labels"]
        self._check = check_of(labels)
        self._shrink = shrink_of(labels)
        self._hastened = asyncio.Event()
        self._ended = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        stopping = note.kill_at is not None
        prepares = container["State"]["Status"] == PREPARES
        self._inside = _address(container)
        self.seen = ObservedInstance(
            note.instance_id,
            note.attempt,
            engine.name,
            _status(stopping, prepares),
            ready=not stopping and not prepares and (self._check is None or note.ready),
            gpus=gpus_of(labels),
            **self._places(container),
        )

    @property
    def lives(self) -> bool:
        """Whether its end has not been told."""
        return self.seen.status is not InstanceStatus.STOPPED

    def follow(self) -> None:
        """Begin to follow it, from wherever it is; every end is told."""
        self._told(self.seen)
        self._begin(self._live())
        if self.seen.status is InstanceStatus.STOPPING:
            self._begin(self._stop(shrink=False))
        elif self.seen.status is InstanceStatus.STARTING:
            self._begin(self._come_up())
        elif not self.seen.ready and self._check is not None:
            self._begin(self._get_ready(self._check))

    async def stop(self, grace_seconds: float, *, shrink: bool) -> None:
        """Begin to stop it; called again, it can only hasten the end."""
        kill_at = time.time() + grace_seconds
        if self._note.kill_at is not None:
            if kill_at < self._note.kill_at:
                self._note.kill_at = kill_at
                self._notes.save(self._note)
                self._hastened.set()
            return
        try:
            found = await self._engine.inspect(self.id)
        except NotThere:
            return  # whoever follows it tells so
        if not self.lives or not found["State"]["Running"] or self._note.kill_at is not None:
            return  # it has ended by itself, which is about to be told
        self._notes.save(replace(self._note, kill_at=kill_at))
        self._note.kill_at = kill_at
        self._change(status=InstanceStatus.STOPPING, ready=False)
        self._begin(self._stop(shrink=shrink))

    def note_memory_kill(self) -> None:
        """Count one more, also for the next master."""
        self.memory_kills += 1
        self._note.memory_kills = self.memory_kills
        # One that stands by sees it, too: what else is kept may be news of the one that leads.
        kept = replace(self._notes.find(self._note.key), memory_kills=self.memory_kills)
        with suppress(Retryable):  # then the next one counts from what it knows
            self._notes.save(kept)

    async def ended(self) -> None:
        """Wait until its end is told."""
        await self._ended.wait()

    async def close(self) -> None:
        """Follow it no longer."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Following.

    async def _live(self) -> None:
        """Copy the output until the container has ended, then tell how."""
        was_away = False
        while True:
            pause = _LOOK_SECONDS
            try:
                try:
                    await self._output.copy(self._engine, self.id, follow=True)
                except (OSError, Retryable, Refused) as error:
                    # Neither a full disk nor a log that cannot be read must hide the end.
                    was_away |= isinstance(error, Unreachable)
                    pause = RETRY_SECONDS
                found = await self._engine.inspect(self.id)
                if not found["State"]["Running"]:
                    break
            except NotThere:
                self._end(VANISHED)
                return
            except (Retryable, Refused) as error:
                was_away |= isinstance(error, Unreachable)
                pause = RETRY_SECONDS
            await asyncio.sleep(pause)
        await self._copy_rest()
        if self._note.kill_at is None:
            self._note = self._notes.find(self._note.key)
        self._end(exit_of(found, self._note, engine_was_away=was_away))

    async def _come_up(self) -> None:
        """Wait until it runs; what takes too long is stopped, as what does not get ready."""
        deadline = time.monotonic() + PREPARE_SECONDS
        while time.monotonic() < deadline:
            with suppress(Retryable, Refused):
                found = await self._engine.inspect(self.id)
                if not found["State"]["Running"] or self._note.kill_at is not None:
                    return  # which is told by others
                if found["State"]["Status"] != PREPARES:
                    break
            await asyncio.sleep(RETRY_SECONDS)
        else:
            await self._give_up(f"it did not start within {PREPARE_SECONDS:g} s", 0)
            return
        self._inside = _address(found)
        self._change(
            status=InstanceStatus.RUNNING,
            ready=self._check is None or self._note.ready,
            **self._places(found),
        )
        if not self.seen.ready and self._check is not None:
            self._begin(self._get_ready(self._check))

    async def _copy_rest(self) -> None:
        """Copy what the following missed: an engine may close it before the last line."""
        for _ in range(OUTPUT_TRIES):
            try:
                return await self._output.copy(self._engine, self.id, follow=False)
            except NotThere:
                return None
            except (Retryable, Refused, OSError):
                await asyncio.sleep(RETRY_SECONDS)
        return None

    async def _get_ready(self, ready: ReadyCheck) -> None:
        deadline = time.monotonic() + ready.timeout_seconds
        why, pause = "", FIRST_PAUSE_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            answer = await self._probe(ready, min(ANSWER_SECONDS, left))
            if not answer:
                break
            if not why or time.monotonic() < deadline:
                why = answer  # what was cut short says less than the answer before
            await asyncio.sleep(min(left, pause, ready.interval_seconds))
            pause *= 2
        if not self.lives or self._note.kill_at is not None:
            return
        if left > 0:
            self._note.ready = True
            self._change(ready=True)
            with suppress(Retryable):  # the next master asks again
                self._notes.save(self._note)
            return
        why = f"it was not ready within {ready.timeout_seconds:g} s: {why}"
        await self._give_up(why, NOT_READY_GRACE_SECONDS)

    async def _give_up(self, why: str, grace_seconds: float) -> None:
        """Stop what did not start, or did not get ready, however long its engine is away."""
        self._note.not_ready = why
        while not self._ended.is_set() and self._note.kill_at is None:
            try:
                return await self.stop(grace_seconds, shrink=False)
            except (Retryable, Refused):
                await asyncio.sleep(RETRY_SECONDS)
        return None

    async def _probe(self, ready: ReadyCheck, seconds: float) -> str:
        match ready.check:
            case HttpCheck(port=port, path=path):
                return await probe_http(*self._where(port), path, seconds)
            case TcpCheck(port=port):
                return await probe_tcp(*self._where(port), seconds)
            case CommandCheck(command=command):
                return await self._engine.run_inside(self.id, command, seconds)

    def _places(self, container: Mapping[str, Any]) -> dict[str, Any]:
        """Return where it is reached: its machine where that publishes its ports, else inside."""
        published = _published(container) if self._engine.spec.address else ()
        return {
            "address": self._engine.spec.address if published else self._inside,
            "published": published,
        }

    def _where(self, port: int) -> tuple[str, int]:
        """Return where this machine reaches a port: on another one, as everybody does."""
        outside = dict(self.seen.published).get(port)
        if outside is None or self._engine.is_here:
            return self._inside, port
        return self.seen.address, outside

    async def _stop(self, *, shrink: bool) -> None:
        """Run the hook, send SIGTERM, and SIGKILL after the grace, until it has ended."""
        if shrink and self._shrink:
            hook = asyncio.create_task(
                self._engine.run_inside(self.id, self._shrink, self._seconds_left())
            )
            try:
                await self._wait(hook)
            finally:
                hook.cancel()
        if await self._kill("SIGTERM"):
            await failpoints.reach("cp17")
            await self._wait()
        while not self._ended.is_set() and await self._kill("SIGKILL"):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), RETRY_SECONDS)

    async def _kill(self, signal: str) -> bool:
        """Send a signal, however long the engine is away; return whether it still ran."""
        while not self._ended.is_set():
            try:
                await self._engine.kill(self.id, signal)
            except (NotThere, Taken):
                return False
            except (Retryable, Refused):
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return True
        return False

    async def _wait(self, hook: "asyncio.Task[str] | None" = None) -> None:
        """Wait for the end (or the hook), at most until the grace is over, however it changes."""
        while not self._ended.is_set() and (left := self._seconds_left()) > 0:
            self._hastened.clear()
            events = (self._ended, self._hastened)
            waits = [asyncio.create_task(event.wait()) for event in events]
            awaited: list[asyncio.Task[Any]] = [*waits, *([hook] if hook else [])]
            try:
                await asyncio.wait(awaited, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            if hook is not None and hook.done():
                return

    def _seconds_left(self) -> float:
        assert self._note.kill_at is not None
        return self._note.kill_at - time.time()

    def _end(self, exit: Exit) -> None:
        self._ended.set()
        self._change(status=InstanceStatus.STOPPED, ready=False, exit=exit)
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()

    def _change(self, **changes: Any) -> None:
        self.seen = replace(self.seen, **changes)
        self._told(self.seen)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def stop_all(attempts: Iterable[Attempt], grace_seconds: float) -> set[str]:
    """Stop several and wait for their ends; return the nodes whose engines do not answer."""
    stopped, away = [], set[str]()
    for attempt in attempts:
        if attempt.seen.node in away:
            continue
        try:
            await attempt.stop(grace_seconds, shrink=False)
        except (Retryable, Refused):
            away.add(attempt.seen.node)
        else:
            stopped.append(attempt)
    for attempt in stopped:
        await attempt.ended()
    return away


def _status(stopping: bool, prepares: bool) -> InstanceStatus:
    if stopping:
        return InstanceStatus.STOPPING
    return InstanceStatus.STARTING if prepares else InstanceStatus.RUNNING


def never_started(note: Note) -> ObservedInstance:
    """Return what is told of an attempt that was stopped before it started."""
    return ObservedInstance(
        note.instance_id, note.attempt, "", InstanceStatus.STOPPED, exit=NEVER_STARTED
    )


def _address(container: Mapping[str, Any]) -> str:
    """Return its address in the network of its execution; empty once it has ended."""
    networks = container["NetworkSettings"]["Networks"].values()
    return next((network["IPAddress"] for network in networks), "")


def _published(container: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    """Return the ports that are published, each with its number on the machine of the engine."""
    ports = container["NetworkSettings"]["Ports"] or {}
    return tuple(
        sorted(
            (int(name.partition("/")[0]), int(bindings[0]["HostPort"]))
            for name, bindings in ports.items()
            if bindings
        )
    )
