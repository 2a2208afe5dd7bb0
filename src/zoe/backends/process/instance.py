"""The life of one attempt in the agent: started, ready, stopped, its whole tree ended, recorded."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from typing import Any, Protocol

from zoe import failpoints
from zoe.backends.exits import out_of_memory
from zoe.backends.process import tree
from zoe.backends.process.cgroups import Group
from zoe.backends.process.records import Record
from zoe.backends.process.spawn import CannotStart, Confinement, Program, spawn
from zoe.backends.ready import ANSWER_SECONDS, probe_http, probe_tcp

NOT_READY_GRACE_SECONDS = 5.0
"""Between SIGTERM and SIGKILL for an instance that did not get ready."""
KILL_SECONDS = 30.0
"""How long SIGKILL is tried; only a process of another user, or a broken disk, outlives it."""
FIRST_PAUSE_SECONDS = 0.01
"""Between the first two ready checks; it doubles up to the interval, as most are ready soon."""
_LOOK_SECONDS = 0.02
"""Pause between two looks at what is left of a tree."""


class Surroundings(Protocol):
    """What an instance needs of the agent."""

    def save(self, record: Record) -> None:
        """Keep the record and tell everybody."""

    def group(self, record: Record) -> Group | None:
        """Return its control group, where there are any."""

    async def marked(self, mark: tree.Mark) -> set[int]:
        """Return the processes that wear ``mark`` now."""

    def expect_exit(self, pid: int) -> "asyncio.Future[int]":
        """Return what will be the wait status of the child ``pid``."""


class Instance:
    """An attempt that is not stopped yet; when it is, ``on_end`` is called."""

    def __init__(
        self, record: Record, around: Surroundings, on_end: Callable[["Instance"], None]
    ) -> None:
        self.record = record
        self._around = around
        self._group = around.group(record)
        self._on_end = on_end
        self._deadline: float | None = None
        """When SIGKILL comes, on the monotonic clock; None while nobody stops it."""
        self._hastened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._not_ready = ""
        self._main: asyncio.Future[int]
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start the main program; raises CannotStart, and then nothing is left."""
        record = self.record
        record.mark = tree.new_mark()
        record.boot = tree.boot_id()
        self._around.save(record)  # from here on, a killed agent's heir finds the tree
        failpoints.reach_now("cp08")
        try:
            if self._group is not None:
                self._group.create(record.limits)
            failpoints.reach_now("cp09")
            record.pid = spawn(record.program, self._confinement())
            failpoints.reach_now("cp11")
        except (CannotStart, OSError) as error:
            if self._group is not None:
                self._group.remove()
            if isinstance(error, OSError):
                message = f"its control group was refused: {error.strerror}"
                raise CannotStart(message, retryable=True) from error
            raise
        record.started_ticks = tree.start_ticks(record.pid) or 0
        record.status = "running"
        record.ready = record.check is None
        self._around.save(record)
        self.watch()

    def watch(self) -> None:
        """Wait for its end, which is recorded, and until then for its readiness."""
        self._main = self._around.expect_exit(self.record.pid)
        self._begin(self._end())
        if not self.record.ready and self.record.status == "running":
            self._begin(self._get_ready())

    def stop(self, grace_seconds: float, shrink: bool) -> None:
        """Begin to stop it; called again, it can only hasten the end."""
        if self._main.done():
            return  # it has ended by itself; what is left of it is being ended
        deadline = time.monotonic() + grace_seconds
        if self._deadline is not None:
            if deadline < self._deadline:
                self._deadline = deadline
                self._hastened.set_result(None)
                self._hastened = asyncio.get_running_loop().create_future()
            return
        self._deadline = deadline
        self.record.status = "stopping"
        self._around.save(self.record)
        self._begin(self._stop(shrink))

    def sample(self, marked: set[int]) -> dict[str, Any]:
        """Return what it uses; where it has no control group, of the processes ``marked``."""
        group = self._group
        pids = marked if group is None else group.pids(everywhere=False)
        now = peak = 0
        if group is None:
            now = tree.memory_bytes(pids)
        else:
            now, peak = group.memory_bytes()
        return {
            "memory_bytes": now,
            "peak_bytes": peak,
            "core_seconds": tree.core_seconds(pids) if group is None else group.core_seconds(),
            "disk_bytes": tree.disk_bytes(pids),
            "memory_kills": 0 if group is None else group.memory_kills(),
        }

    async def ended(self) -> None:
        """Wait until nothing of it is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stop(self, shrink: bool) -> None:
        if shrink and self.record.shrink:
            await self._run_inside(self.record.shrink, self._time_of_kill)
        # The group first: what the program started beside itself gets the signal too.
        tree.kill_group(self.record.pid, signal.SIGTERM)
        while not self._main.done() and (left := self._seconds_left()) > 0:
            await self._wait(left)
        if not self._main.done():
            await self._kill_all()

    async def _end(self) -> None:
        """Wait for the main program, end what it left behind, and say how it ended."""
        status = await asyncio.shield(self._main)
        if self._deadline is not None:
            # The rest of the tree is asked to end as well, and gets the rest of the grace.
            tree.kill(await self._pids(), signal.SIGTERM)
            await self._wait_for_tree()
        left_over = await self._kill_all()
        self.record.exit = self._exit(status)
        if self._group is not None:
            self.record.used = self.sample(set())
        if left_over:
            said = (self.record.exit["message"], f"processes that cannot be ended: {left_over}")
            self.record.exit["message"] = "; ".join(filter(None, said))
        elif self._group is not None:
            self._group.remove()
        self.record.status = "stopped"
        self.record.ready = False
        self._around.save(self.record)
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        self._on_end(self)

    def _exit(self, status: int) -> dict[str, Any]:
        code = os.waitstatus_to_exitcode(status)
        how = {"code": code, "signal": None} if code >= 0 else {"code": None, "signal": -code}
        if self._not_ready:
            return {"reason": "not-started", **how, "message": self._not_ready}
        if code != 0 and self._group is not None and self._group.memory_kills():
            return {
                "reason": "out-of-memory",
                **how,
                "message": out_of_memory(self.record.limits.memory_bytes),
            }
        if self._deadline is not None:
            return {"reason": "stopped", **how, "message": ""}
        if code == 0:
            return {"reason": "completed", **how, "message": ""}
        if code > 0:
            return {"reason": "failed", **how, "message": ""}
        return {"reason": "failed", **how, "message": _signal_name(-code)}

    async def _get_ready(self) -> None:
        check = self.record.check
        assert check is not None
        deadline = time.monotonic() + check["timeout_seconds"]
        why, pause = "", FIRST_PAUSE_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            answer = await self._probe(check, deadline)
            if not answer:
                break
            if not why or time.monotonic() < deadline:
                why = answer  # what was cut short says less than the answer before
            await asyncio.sleep(min(left, pause, check["interval_seconds"]))
            pause *= 2
        if self._main.done() or self._deadline is not None:
            return
        if left > 0:
            self.record.ready = True
            self._around.save(self.record)
        else:
            self._not_ready = f"it was not ready within {check['timeout_seconds']:g} s: {why}"
            self.stop(NOT_READY_GRACE_SECONDS, shrink=False)

    async def _probe(self, check: dict[str, Any], deadline: float) -> str:
        seconds = min(ANSWER_SECONDS, deadline - time.monotonic())
        match check["kind"]:
            case "http":
                address, path = self.record.address, check["path"]
                return await probe_http(address, check["port"], path, seconds)
            case "tcp":
                return await probe_tcp(self.record.address, check["port"], seconds)
            case _:
                return await self._run_inside(check["command"], lambda: deadline)

    async def _run_inside(self, command: list[str], deadline: Callable[[], float]) -> str:
        """Run a command in the instance; "" when it exits with 0, else what happened."""
        program = self.record.program
        inside = Program(command, program.environment, program.work_dir, "/dev/null", "/dev/null")
        try:
            pid = spawn(inside, self._confinement())
        except CannotStart as error:
            return str(error)
        exited = self._around.expect_exit(pid)
        try:
            while not exited.done() and not self._main.done():
                left = deadline() - time.monotonic()
                if left <= 0:
                    return f"{command[0]} took too long"
                await self._wait(left, exited)
        finally:
            if not exited.done():
                tree.kill_group(pid, signal.SIGKILL)
        if not exited.done():
            return "it has ended"
        code = os.waitstatus_to_exitcode(exited.result())
        if code < 0:
            return f"{command[0]} died from {_signal_name(-code)}"
        return f"{command[0]} exited with {code}" if code else ""

    def _confinement(self) -> Confinement:
        if self._group is not None:
            return Confinement(self.record.mark, self._group.entrances)
        return Confinement(self.record.mark, [], _private_memory(self.record.limits.memory_bytes))

    async def _pids(self) -> set[int]:
        if self._group is not None:
            return self._group.pids()
        return await self._around.marked(self.record.mark)

    async def _wait_for_tree(self) -> None:
        """Wait for the end of all its processes, at most for the rest of the grace."""
        while self._seconds_left() > 0:
            if not await self._pids():
                return
            await asyncio.sleep(_LOOK_SECONDS)  # nobody tells us about other people's children

    async def _kill_all(self) -> set[int]:
        """End everything in it; return what is still there after a while (it never is)."""
        until = time.monotonic() + KILL_SECONDS
        while (left := await self._pids()) and time.monotonic() < until:
            if self._group is not None:
                self._group.kill()
            tree.kill(left, signal.SIGKILL)
            await asyncio.sleep(_LOOK_SECONDS if await self._pids() else 0)
        return left

    def _time_of_kill(self) -> float:
        assert self._deadline is not None
        return self._deadline

    def _seconds_left(self) -> float:
        return self._time_of_kill() - time.monotonic()

    async def _wait(self, seconds: float, *others: "asyncio.Future[int]") -> None:
        """Wait at most so long: the end of the program or a shorter grace interrupts it."""
        awaited: set[asyncio.Future[Any]] = {self._main, self._hastened, *others}
        await asyncio.wait(awaited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


def _private_memory(limit_bytes: int) -> int:
    """Return the limit of one process without control groups.

    It counts what is asked for, not what is touched (each thread asks for 8 MiB of stack), so it
    can only stop a program that runs away.
    """
    return 2 * limit_bytes + 256 * 2**20 if limit_bytes else 0


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
