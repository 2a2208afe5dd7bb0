"""One Docker Engine: its calls, each bounded in time, with errors in words."""

import json
from asyncio import IncompleteReadError, sleep, timeout
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
from aiodocker import Docker, DockerError
from aiohttp.http_exceptions import HttpProcessingError

from zoe.backends.base import Refused, Retryable
from zoe.backends.docker.connection import Way
from zoe.backends.docker.names import DEPLOYMENT
from zoe.model.engines import EngineSpec
from zoe.ssh import SshFailed

CALL_SECONDS = 30.0
CONNECT_SECONDS = 5.0
LOOK_SECONDS = 10.0
"""For what is asked again and again: whether it answers, and what is there."""
EVENTS_PAUSE_SECONDS = 0.1
"""How long events are gathered: what looks at each would look at all containers each time."""
_CHUNK_BYTES = 64 * 1024
_FAULT = 3
"""The stream on which an engine says that it cannot read what it has of an output."""
_PAUSE_SECONDS = 0.05
_UNREACHABLE = 900
"""What the library says in place of a status of HTTP when there is no connection."""

OOM = "oom"
"""The event that a process in a container was killed for memory."""

Body = Mapping[str, Any]


class Unreachable(Retryable):
    """The engine does not answer: nobody knows what is on it."""


class NotThere(Retryable):
    """The engine has no such thing."""


class Taken(Retryable):
    """The name, or the thing, is in use."""


class Engine:
    """The calls to one engine; safe for many at once."""

    def __init__(self, spec: EngineSpec, deployment: str) -> None:
        self.spec = spec
        self._mine = json.dumps({"label": [f"{DEPLOYMENT}={deployment}"]})
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False
        self._docker: Docker
        self._way: Way

    @property
    def name(self) -> str:
        """The name of its node."""
        return self.spec.name

    @property
    def is_here(self) -> bool:
        """Whether it is that of this machine, which reaches its containers where they are."""
        return bool(self.spec.socket)

    async def close(self) -> None:
        """Let go, for good."""
        self._is_closed = True
        if self._session is not None:
            await self._docker.close()
            await self._session.close()
            await self._way.close()
            self._session = None

    # The machine.

    async def info(self) -> Body:
        """Return what it tells of itself and its machine."""
        found: Body = await self._ask("GET", "info", seconds=LOOK_SECONDS)
        return found

    async def images(self) -> Sequence[Body]:
        """Return its images, with their names."""
        found: Sequence[Body] = await self._ask("GET", "images/json", seconds=LOOK_SECONDS)
        return found

    @asynccontextmanager
    async def pull(
        self, repository: str, version: str, headers: Mapping[str, str]
    ) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """Get an image from its registry: yields what the engine says meanwhile.

        Raises Retryable or Refused, also on the way, with the words of the registry.
        """
        params = {"fromImage": repository, "tag": version}
        async with self._open("images/create", params, "POST", headers=headers) as answer:
            yield _steps(self.name, answer.content)

    @asynccontextmanager
    async def events(self) -> AsyncIterator[AsyncIterator[Sequence[bytes]]]:
        """Listen: yields lines, one for each thing that happened to a container of this deployment.

        That is its end, its removal, and that the kernel killed a process of it for memory. What
        happens soon after each other comes together.
        """
        events = ["die", "destroy", OOM]
        filters = {**json.loads(self._mine), "type": ["container"], "event": events}
        async with self._open("events", {"filters": json.dumps(filters)}) as answer:
            yield _batches(answer.content)

    # Containers.

    async def containers(self, *, foreign: bool = False) -> Sequence[Body]:
        """Return those of this deployment in any state, or the running ones of everybody."""
        params = {} if foreign else {"all": "1", "filters": self._mine}
        found: Sequence[Body] = await self._ask(
            "GET", "containers/json", params, seconds=LOOK_SECONDS
        )
        return found

    async def inspect(self, container: str) -> Body:
        """Return all about a container, by name or id; raises NotThere."""
        found: Body = await self._ask("GET", f"containers/{container}/json", seconds=LOOK_SECONDS)
        return found

    async def stats(self, container: str) -> Body:
        """Return what a container uses now; raises NotThere."""
        params = {"stream": "0", "one-shot": "1"}
        found: Body | None = await self._ask(
            "GET", f"containers/{container}/stats", params, seconds=LOOK_SECONDS
        )
        if found is None:  # so answers an engine that is just removing it
            raise NotThere(f"{self.name} tells nothing of {container}")
        return found

    async def create(self, name: str, config: Body) -> str:
        """Create a container and return its id; raises NotThere (image, network) and Taken."""
        made = await self._ask("POST", "containers/create", {"name": name}, config)
        return str(made["Id"])

    async def start(self, container: str) -> None:
        """Start a container; one that runs already is left alone."""
        await self._ask("POST", f"containers/{container}/start")

    async def kill(self, container: str, signal: str) -> None:
        """Send a signal to a container; raises Taken when it does not run, and NotThere."""
        await self._ask("POST", f"containers/{container}/kill", {"signal": signal})

    async def update(self, container: str, limits: Body) -> None:
        """Give a container other limits."""
        await self._ask("POST", f"containers/{container}/update", body=limits)

    async def remove(self, container: str, *, force: bool = False) -> None:
        """Remove a container that does not run (or any, by force), if it is there."""
        try:
            params = {"force": "1" if force else "0", "v": "1"}
            await self._ask("DELETE", f"containers/{container}", params)
        except NotThere:
            pass

    async def run_inside(self, container: str, command: Sequence[str], seconds: float) -> str:
        """Run a command in a container; return "" when it exits with 0, else what happened.

        Who runs out of time is not waited for: it ends with its container.
        """
        # Attached, so that the answer ends with the command.
        config = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True}
        try:
            made = await self._ask("POST", f"containers/{container}/exec", body=config)
            async with timeout(max(seconds, 0.0)):
                body = {"Detach": False, "Tty": False}
                path = f"exec/{made['Id']}"
                async with self._open(f"{path}/start", {}, "POST", body) as answer:
                    while await answer.content.read(_CHUNK_BYTES):
                        pass  # its output is nobody's
                while True:
                    done = await self._ask("GET", f"{path}/json")
                    if not done["Running"]:
                        break
                    await sleep(_PAUSE_SECONDS)  # it closed its output, and goes on
        except TimeoutError:
            return f"{command[0]} took too long"
        except (NotThere, Taken):
            return "it has ended"
        except (Refused, Retryable) as error:
            return str(error)
        code = done["ExitCode"]
        return f"{command[0]} exited with {code}" if code else ""

    @asynccontextmanager
    async def output(
        self, container: str, *, follow: bool
    ) -> AsyncIterator[AsyncIterator[tuple[int, bytes]]]:
        """Open the output from its beginning: yields (1: stdout, 2: stderr) and bytes."""
        params = {"stdout": "1", "stderr": "1", "follow": "1" if follow else "0"}
        async with self._open(f"containers/{container}/logs", params) as answer:
            yield frames(self.name, answer.content)

    # Networks.

    async def networks(self) -> Sequence[Body]:
        """Return those of this deployment."""
        found: Sequence[Body] = await self._ask(
            "GET", "networks", {"filters": self._mine}, seconds=LOOK_SECONDS
        )
        return found

    async def create_network(self, name: str, labels: Mapping[str, str]) -> None:
        """Create a network, unless it is there."""
        config = {"Name": name, "CheckDuplicate": True, "Driver": "bridge", "Labels": labels}
        try:
            made = await self._ask("POST", "networks/create", body=config)
            # An engine that is asked by two at once makes two with one name: the first one stays.
            twins = [each for each in await self.networks() if each["Name"] == name]
            if made["Id"] != min(twins, key=lambda each: str(each["Created"]), default=made)["Id"]:
                await self.remove_network(made["Id"])
        except Taken:
            pass
        except (Refused, Retryable) as error:
            if "address pool" not in str(error):
                raise
            raise Retryable(
                f"{self.name} has no room for another network",
                hint="give the engine more: `default-address-pools` in its daemon.json",
            ) from error

    async def remove_network(self, name: str) -> None:
        """Remove a network, if it is there; raises Refused while it is used."""
        with suppress(NotThere):
            await self._ask("DELETE", f"networks/{name}")

    # How it is asked.

    async def _ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: Body | None = None,
        *,
        seconds: float = CALL_SECONDS,
    ) -> Any:
        try:
            async with timeout(seconds):
                async with self._open(path, params or {}, method, body) as answer:
                    text = await answer.read()
        except TimeoutError as error:
            raise Unreachable(f"{self.name} did not answer within {seconds:g} s") from error
        return json.loads(text) if text else None

    @asynccontextmanager
    async def _open(
        self,
        path: str,
        params: Mapping[str, str],
        method: str = "GET",
        body: Body | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Ask, and read the answer as it comes. The library has no public way for both."""
        data = None if body is None else json.dumps(body)
        try:
            docker = await self._connected()
            async with docker._query(
                path, method, params=dict(params), data=data, headers=headers
            ) as answer:
                try:
                    yield answer
                finally:
                    answer.close()
        except DockerError as error:
            raise self._in_words(error) from error
        except SshFailed as error:
            why = f"{self.name} cannot be reached at {self.spec.url}: {error}"
            raise Unreachable(why, hint=error.hint) from error
        except aiohttp.ServerTimeoutError as error:
            raise Unreachable(
                f"{self.name} at {self.spec.url} did not answer within {CONNECT_SECONDS:g} s",
                hint="is that machine up, and does nothing between block the port?",
            ) from error
        except RuntimeError as error:
            if not self._is_closed:
                raise
            raise Unreachable(f"{self.name} is not used any more") from error
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise  # that of who asks
            why, hint = self._way.trouble(error)
            said = f" at {self.spec.url}: {why}" if why else f" broke off: {error}"
            raise Unreachable(f"{self.name}{said}", hint=hint) from error

    async def _connected(self) -> Docker:
        if self._is_closed:  # somebody who began before is late
            raise Unreachable(f"{self.name} is not used any more")
        if self._session is None:
            self._way = Way(self.spec)
            connector, url = self._way.connector, self._way.url
            waits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS)
            self._session = aiohttp.ClientSession(connector=connector, timeout=waits)
            # The library gives each question a timeout of its own, whatever the session has.
            self._docker = Docker(url, connector=connector, session=self._session, timeout=waits)
        await self._way.open()
        return self._docker

    def _in_words(self, error: DockerError) -> Retryable | Refused:
        said = error.message.strip() or "no reason given"
        if error.status == _UNREACHABLE:
            why, hint = self._way.trouble(error)
            if why:
                return Unreachable(f"{self.name} at {self.spec.url}: {why}", hint=hint)
            return Unreachable(
                f"{self.name} cannot be reached at {self.spec.url}",
                hint="does dockerd run, and may this user use its socket? `zoe doctor` looks.",
            )
        if error.status == 404:
            return NotThere(f"{self.name}: {said}")
        if error.status == 409:
            return Taken(f"{self.name}: {said}")
        # Two networks with one name are there for a moment only: see create_network.
        is_final = 400 <= error.status < 500 and "is ambiguous" not in said
        kind = Refused if is_final else Retryable
        return kind(f"{self.name}: {said}")


async def _batches(content: aiohttp.StreamReader) -> AsyncIterator[Sequence[bytes]]:
    """Yield the lines that have come so far, again and again, with a pause in between."""
    rest = b""
    while part := await content.readany():
        *lines, rest = (rest + part).split(b"\n")
        if lines:
            yield lines
            await sleep(EVENTS_PAUSE_SECONDS)


async def _steps(name: str, content: aiohttp.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """Take apart what is one line for each step; one of them may be an error."""
    async for line in content:
        step = json.loads(line)
        if "error" in step:
            raise Retryable(f"{name}: {step['error']}")
        yield step


async def frames(name: str, content: aiohttp.StreamReader) -> AsyncIterator[tuple[int, bytes]]:
    """Take apart what has a header of eight bytes before each part: stream, and length.

    Raises Retryable for what the engine itself says in between, or when it breaks off.
    """
    while header := await content.read(1):
        try:
            header += await content.readexactly(7)
        except IncompleteReadError as error:
            raise Unreachable(f"{name}: the output ended within a header") from error
        left = int.from_bytes(header[4:])
        if header[0] == _FAULT:
            said = await content.read(min(left, _CHUNK_BYTES))
            raise Retryable(f"{name}: {said.decode(errors='replace').strip()}")
        while left:
            part = await content.read(min(left, _CHUNK_BYTES))
            if not part:
                raise Unreachable(f"{name}: the output ended within a part")
            yield header[0], part
            left -= len(part)
