"""The master's end of the protocol: takes requests from known keys, answers each one once."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Self

import structlog
import zmq
import zmq.asyncio

from zoe.model.errors import ZoeError
from zoe.rpc import frames
from zoe.rpc.keys import ServerKeys
from zoe.rpc.messages import VERSION, Failed, Reply, Request
from zoe.rpc.zap import DOMAIN, answer_zap, open_zap

LONGEST_SECONDS = 60.0
"""How long an answer may take at most, whatever the asker says."""
REMEMBERED_ANSWERS = 1024
REMEMBERED_BYTES = 16 * 1024 * 1024
QUEUED_MESSAGES = 64
"""Messages that ZeroMQ keeps for each connection and direction."""
FAREWELL_SECONDS = 0.05
"""Pause between the last answers and the end: a client that loses its connection drops what it has
not read yet."""

log = structlog.get_logger()

_Asked = tuple[str, bytes]
"""Which request: the name of the client's key and the request id."""


class CannotListen(ZoeError):
    """The master cannot listen at its address."""


@dataclass(slots=True)
class Counters:
    """What happened since the server was made; all only grow."""

    received: int = 0
    """Messages, of any kind."""
    answered: int = 0
    """Requests answered, those with Failed included; each once, however often it came."""
    hints: int = 0
    duplicates: int = 0
    """Requests that came again."""
    busy: int = 0
    """Requests and hints turned away because too many were under way."""
    expired: int = 0
    """Requests whose asker had stopped waiting, before or while they were answered."""
    malformed: int = 0
    wrong_version: int = 0
    internal: int = 0
    """Requests on which the answering function raised."""
    undelivered: int = 0
    """Answers to a peer that had gone or does not read."""
    refused: int = 0
    """Connections of unknown keys."""


@dataclass(slots=True)
class _Answering:
    """A request under way; the answer goes to the connection it was last heard from."""

    route: bytes


class Server:
    """Answers requests at ``endpoint`` (``tcp://address:port``; port 0 takes a free one).

    ``answer`` turns a request into its reply. At most ``limit`` requests are under way at once; the
    others are answered with Failed("busy").
    """

    def __init__(
        self,
        endpoint: str,
        keys: ServerKeys,
        answer: Callable[[Request], Awaitable[Reply]],
        *,
        limit: int = 64,
    ) -> None:
        self.endpoint = endpoint
        """Where it listens; the real port once started."""
        self.counters = Counters()
        self._keys = keys
        self._answer = answer
        self._limit = limit
        self._under_way: dict[_Asked, _Answering] = {}
        self._answered = _Answered()
        self._answers: set[asyncio.Task[None]] = set()
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen; raises CannotListen."""
        self._context = zmq.asyncio.Context()
        self._zap = open_zap(self._context)
        self._router = self._context.socket(zmq.ROUTER)
        _configure(self._router, self._keys)
        try:
            self._router.bind(self.endpoint)
        except zmq.ZMQError as error:
            self._close()
            raise CannotListen(
                f"The master cannot listen at {self.endpoint}: {error.strerror}.",
                hint="another master may be running; ZOE_MASTER_ENDPOINT sets another address, as "
                "tcp://127.0.0.1:8643",
            ) from error
        self.endpoint = self._router.getsockopt_string(zmq.LAST_ENDPOINT)
        self._loops = [
            asyncio.create_task(
                answer_zap(self._zap, self._keys.clients, self._refused), name="rpc zap"
            ),
            asyncio.create_task(self._receive(), name="rpc server"),
        ]

    async def stop(self, grace_seconds: float = 0.5) -> None:
        """Take no more requests, let those under way end within the grace, and close."""
        await _end(self._loops)
        if self._answers:
            await asyncio.wait(self._answers, timeout=grace_seconds)
        await asyncio.sleep(FAREWELL_SECONDS)
        await _end(self._answers)
        self._close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _close(self) -> None:
        self._router.close(linger=0)
        self._zap.close()
        self._context.term()

    async def _receive(self) -> None:
        while True:
            try:
                route, *parts = await self._router.recv_multipart(copy=False)
                await self._take(route.bytes, parts)
            except zmq.ZMQError as error:
                log.error("receiving failed", error=str(error))
            # A message that is already there is returned without a pause; under a flood the rest of
            # the program must have its turn too.
            await asyncio.sleep(0)

    async def _take(self, route: bytes, parts: list[zmq.Frame]) -> None:
        """Begin to answer one message, or say at once why not."""
        self.counters.received += 1
        if len(parts) != 1:
            self.counters.malformed += 1
            return
        frame = parts[0].bytes
        try:
            header = frames.read_header(frame)
        except frames.Malformed:
            self.counters.malformed += 1
            return
        except frames.WrongVersion as wrong:
            self.counters.wrong_version += 1
            text = f"The master speaks version {VERSION} of the protocol."
            await self._send(route, frames.pack(wrong.request_id, Failed("version", text)))
            return
        if header.left_seconds <= 0:
            self.counters.expired += 1
            return
        if header.request_id == frames.NO_ANSWER:
            self._begin_hint(frame, header.left_seconds)
            return
        asked = (str(parts[0].get("User-Id")), header.request_id)
        if (known := self._under_way.get(asked)) is not None:
            self.counters.duplicates += 1
            known.route = route
        elif (answered := self._answered.get(asked)) is not None:
            self.counters.duplicates += 1
            await self._send(route, answered)
        else:
            await self._begin(asked, route, frame, header.left_seconds)

    def _begin_hint(self, frame: bytes, left_seconds: float) -> None:
        try:
            request = frames.read_request(frame)
        except frames.Malformed:
            self.counters.malformed += 1
            return
        if len(self._answers) >= self._limit:
            self.counters.busy += 1
            return
        self.counters.hints += 1
        self._spawn(self._ask(request, left_seconds))

    async def _begin(self, asked: _Asked, route: bytes, frame: bytes, left_seconds: float) -> None:
        try:
            request = frames.read_request(frame)
        except frames.Malformed as error:
            self.counters.malformed += 1
            failed = Failed("malformed", f"This is not a request: {error}")
            await self._send(route, frames.pack(asked[1], failed))
            return
        if len(self._answers) >= self._limit:
            self.counters.busy += 1
            failed = Failed("busy", f"The master is answering {self._limit} requests; try again.")
            await self._send(route, frames.pack(asked[1], failed))
            return
        self._under_way[asked] = _Answering(route)
        self._spawn(self._reply(asked, request, left_seconds))

    def _spawn(self, work: Coroutine[Any, Any, object]) -> None:
        task: asyncio.Task[Any] = asyncio.create_task(work)
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _reply(self, asked: _Asked, request: Request, left_seconds: float) -> None:
        try:
            reply = await self._ask(request, left_seconds)
        finally:
            answering = self._under_way.pop(asked)
        if reply is None:
            return
        try:
            frame = frames.pack(asked[1], reply)
        except frames.TooLarge as error:
            frame = frames.pack(asked[1], Failed("too-large", str(error)))
        self.counters.answered += 1
        self._answered.keep(asked, frame)
        await self._send(answering.route, frame)

    async def _ask(self, request: Request, left_seconds: float) -> Reply | None:
        """Return the answer, or None when nobody waits for it any more."""
        try:
            async with asyncio.timeout(min(left_seconds, LONGEST_SECONDS)) as limit:
                return await self._answer(request)
        except Exception as error:
            if isinstance(error, TimeoutError) and limit.expired():
                self.counters.expired += 1
                return None
            self.counters.internal += 1
            log.exception("a request failed", request=type(request).__name__)
            return Failed("internal", "The master could not answer; its log says why.")

    async def _send(self, route: bytes, frame: bytes) -> None:
        try:
            # Never waits: a peer that does not read must not hold up the others. It asks again.
            await self._router.send_multipart([route, frame], zmq.NOBLOCK)
        except zmq.ZMQError:
            self.counters.undelivered += 1

    def _refused(self, address: str) -> None:
        if self.counters.refused == 0:  # one line, not one for each try of an attacker
            log.warning("an unknown key was refused; further ones are only counted", peer=address)
        self.counters.refused += 1


class _Answered:
    """The latest answers, bounded in number and in bytes."""

    def __init__(self) -> None:
        self._frames: OrderedDict[_Asked, bytes] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def get(self, asked: _Asked) -> bytes | None:
        return self._frames.get(asked)

    def keep(self, asked: _Asked, frame: bytes) -> None:
        self._frames[asked] = frame
        self._bytes += len(frame)
        while len(self._frames) > REMEMBERED_ANSWERS or self._bytes > REMEMBERED_BYTES:
            _, oldest = self._frames.popitem(last=False)
            self._bytes -= len(oldest)


def _configure(router: zmq.asyncio.Socket, keys: ServerKeys) -> None:
    router.curve_server = True
    router.curve_secretkey = keys.secret
    router.curve_publickey = keys.public
    router.zap_domain = DOMAIN
    router.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without ZAP nobody gets in, instead of everybody
    router.setsockopt(zmq.MAXMSGSIZE, frames.MAX_BYTES)
    router.setsockopt(zmq.ROUTER_MANDATORY, 1)
    router.setsockopt(zmq.SNDHWM, QUEUED_MESSAGES)
    router.setsockopt(zmq.RCVHWM, QUEUED_MESSAGES)
    router.setsockopt(zmq.HANDSHAKE_IVL, 5000)
    router.setsockopt(zmq.HEARTBEAT_IVL, 2000)
    router.setsockopt(zmq.HEARTBEAT_TIMEOUT, 6000)


async def _end(tasks: "list[asyncio.Task[None]] | set[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
