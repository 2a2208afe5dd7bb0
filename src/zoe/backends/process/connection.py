"""The master's line to the agent: starts one when there is none, comes back when it breaks."""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zoe import __version__
from zoe.backends.base import Refused, Retryable
from zoe.backends.process.frames import PROTOCOL, Message, frame, read_frame, short_path

START_SECONDS = 20.0
"""How long an agent may take to come up; it may have to end what another one left."""
CALL_SECONDS = 30.0


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
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.Task[None] | None = None
        self._answers: dict[int, asyncio.Future[Message]] = {}
        self._last_id = 0
        self._closed = False

    async def call(self, name: str, *, seconds: float = CALL_SECONDS, **fields: Any) -> Any:
        """Return the result of a call; raises Refused or Retryable. It may be sent twice."""
        for last in (False, True):
            try:
                async with asyncio.timeout(seconds):
                    await self.connect()
                    answer = await self._ask({"call": name, **fields})
                break
            except TimeoutError as error:
                raise Retryable("the agent does not answer") from error
            except OSError as error:
                if last or self._closed:
                    raise Retryable(f"the agent cannot be reached: {error}") from error
        if "error" in answer:
            raise (Retryable if answer["retryable"] else Refused)(answer["error"])
        return answer["result"]

    async def connect(self) -> None:
        """Be connected to an agent of this version, started if need be; raises as ``call``."""
        async with self._lock:
            if self._writer is not None:
                return
            for _ in range(3):
                reader, writer = await self._dial()
                self._writer = writer
                self._reader = asyncio.create_task(self._read(reader, writer))
                try:
                    hello = (await self._ask({"call": "hello"}))["result"]
                    if (hello["protocol"], hello["version"]) == (PROTOCOL, __version__):
                        await self._ask({"call": "watch"})
                        return
                    await self._ask({"call": "replace", "command": self._command})
                    await self._reader
                except OSError:
                    continue  # it ended just now, or has been replaced
                finally:
                    if self._writer is writer and writer.is_closing():
                        self._writer = None
            raise Retryable("an agent of another version does not give way")

    async def close(self) -> None:
        """Let go of the agent, which goes on."""
        self._closed = True
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])

    async def _ask(self, call: Message) -> Message:
        writer = self._writer
        if writer is None:
            raise ConnectionResetError("the agent closed the connection")
        self._last_id += 1
        number = self._last_id
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            writer.write(frame({"id": number, **call}))
            await writer.drain()
            return await answer
        finally:
            self._answers.pop(number, None)

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                message = await read_frame(reader)
                if "event" in message:
                    self._on_event(message["event"])
                    continue
                answer = self._answers.get(message["id"])
                if answer is not None and not answer.done():
                    answer.set_result(message)
        except OSError:
            pass
        finally:
            writer.close()
            self._writer = None
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ConnectionResetError("the agent closed the connection"))

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            return await self._open()
        except OSError:
            await self._start_agent()
            return await self._open()

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        with short_path(self._run_dir / "agent.sock") as name:
            return await asyncio.open_unix_connection(name)

    async def _start_agent(self) -> None:
        """Start an agent; its first process returns when it listens, and needs no reaping later."""
        starter = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env=_agent_environment(os.environ),
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
