"""The master's line to the agent: starts one when there is none, comes back when it breaks."""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zoe import __version__, failpoints
from zoe.backends.base import Refused, Retryable
from zoe.backends.process.frames import PROTOCOL, Message, frame, read_frame, short_path

START_SECONDS = 20.0
"""How long an agent may take to come up; it may have to end what another one left."""
CALL_SECONDS = 30.0
_PAUSE_SECONDS = 1.0
_TRIES = 3
_SENT = {"start": "cp07", "stop": "cp17"}
"""The crash points of a call that is sent and not answered."""


class Line:
    """One connection: asks and hears, until it breaks."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_event: Callable[[Message], None],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._on_event = on_event
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._last_id = 0
        self.broken = asyncio.create_task(self._read())
        """Done when it is of no use any more."""

    async def ask(self, call: Message) -> Message:
        """Return the answer; raises ConnectionError when the line breaks before it comes."""
        if self.broken.done():
            raise ConnectionResetError("the agent closed the connection")
        self._last_id += 1
        number = self._last_id
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            self._writer.write(frame({"id": number, **call}))
            await self._writer.drain()
            if point := _SENT.get(call["call"]):
                await failpoints.reach(point)
            return await answer
        except OSError:
            await self.close()
            raise
        finally:
            del self._answers[number]

    async def close(self) -> None:
        """Let go."""
        self.broken.cancel()
        await asyncio.wait([self.broken])

    async def _read(self) -> None:
        try:
            while True:
                message = await read_frame(self._reader)
                if "event" in message:
                    self._on_event(message["event"])
                    continue
                answer = self._answers.get(message["id"])
                if answer is not None and not answer.done():
                    answer.set_result(message)
        except OSError:
            pass
        finally:
            self._writer.close()
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ConnectionResetError("the agent closed the connection"))


class Connection:
    """Calls to the agent of one deployment; safe for many at once."""

    def __init__(
        self,
        deployment: str,
        data_dir: Path,
        *,
        idle_seconds: float,
        cgroups: bool,
        on_event: Callable[[Message], None],
    ) -> None:
        self._run_dir = data_dir / "run"
        self._command = [
            *(sys.executable, "-P", "-m", "zoe.backends.process.daemon"),
            *("--deployment", deployment, "--data-dir", str(data_dir)),
            *("--idle-seconds", str(idle_seconds)),
            *(() if cgroups else ("--no-cgroups",)),
        ]
        self._on_event = on_event
        self._lock = asyncio.Lock()
        self._line: Line | None = None
        self._coming_back: asyncio.Task[None] | None = None
        self._is_wanted = True

    async def call(
        self,
        name: str,
        *,
        seconds: float = CALL_SECONDS,
        check: Callable[[], None] = lambda: None,
        **fields: Any,
    ) -> Any:
        """Return the result of a call; raises Refused or Retryable. It may be sent twice.

        ``check`` may still raise when it is about to be sent.
        """
        for last in (False, True):
            try:
                async with asyncio.timeout(seconds):
                    line = await self.connect()
                    check()
                    answer = await line.ask({"call": name, **fields})
                break
            except TimeoutError as error:
                raise Retryable("the agent does not answer") from error
            except OSError as error:
                if last:
                    raise Retryable(f"the agent cannot be reached: {error}") from error
        if "error" in answer:
            raise (Retryable if answer["retryable"] else Refused)(answer["error"])
        return answer["result"]

    async def connect(self) -> Line:
        """Be connected to an agent of this version, started if need be; raises as ``call``."""
        async with self._lock:
            if self._line is not None and not self._line.broken.done():
                return self._line
            self._is_wanted = True
            why = "an agent of another version does not give way"
            for _ in range(_TRIES):
                try:
                    line = await self._dial()
                except OSError as error:
                    why = f"the agent cannot be reached: {error}"
                    continue
                try:
                    hello = (await line.ask({"call": "hello"}))["result"]
                    if (hello["protocol"], hello["version"]) == (PROTOCOL, __version__):
                        await line.ask({"call": "watch"})
                        line.broken.add_done_callback(self._come_back)
                        self._line = line
                        return line
                    await line.ask({"call": "replace", "command": self._command})
                    await asyncio.wait([line.broken])
                except OSError:
                    continue  # it ended just now, or has been replaced
                finally:
                    if self._line is not line:
                        await line.close()
            raise Retryable(why)

    async def shutdown(self, grace_seconds: float) -> None:
        """Let the agent stop everything and end."""
        self._is_wanted = False
        await self.call(
            "shutdown", seconds=grace_seconds + CALL_SECONDS, grace_seconds=grace_seconds
        )
        self._is_wanted = False

    async def close(self) -> None:
        """Let go of the agent, which goes on."""
        self._is_wanted = False
        if self._coming_back is not None:
            self._coming_back.cancel()
            await asyncio.wait([self._coming_back])
        if self._line is not None:
            await self._line.close()

    def _come_back(self, _: object) -> None:
        """Connect again at once: what happened to the instances must not wait for a call."""
        if self._is_wanted:
            self._coming_back = asyncio.create_task(self._connect_until_it_works())

    async def _connect_until_it_works(self) -> None:
        while self._is_wanted:
            try:
                await self.connect()
            except Retryable:
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                return

    async def _dial(self) -> Line:
        try:
            return await self._open()
        except OSError:
            await self._start_agent()
            return await self._open()

    async def _open(self) -> Line:
        with short_path(self._run_dir / "agent.sock") as name:
            return Line(*await asyncio.open_unix_connection(name), self._on_event)

    async def _start_agent(self) -> None:
        """Start an agent; its first process returns when it listens, and needs no reaping later."""
        starter = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=_agent_environment(os.environ) | {"ZOE_FAILPOINT": failpoints.armed()},
        )
        try:
            async with asyncio.timeout(START_SECONDS):
                _, complaint = await starter.communicate()
        except TimeoutError as error:
            starter.kill()
            await starter.wait()
            raise Retryable(f"no agent came up within {START_SECONDS:g} s") from error
        if starter.returncode:
            last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
            raise Retryable(f"the agent could not be started: {last}")


def _agent_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what the agent needs to find Zoe; no secret of ours reaches it, nor its instances."""
    kept = {"PATH", "PYTHONPATH", "LANG", "HOME", "COVERAGE_PROCESS_START"}
    return {name: value for name, value in environment.items() if name in kept}
