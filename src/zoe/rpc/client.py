"""The api's end of the protocol: questions with a deadline, and hints that cost next to nothing."""

import asyncio
import contextlib
import os
from typing import Self

import zmq
import zmq.asyncio
from zmq.utils.monitor import recv_monitor_message

from zoe.model.errors import ZoeError
from zoe.rpc import frames
from zoe.rpc.keys import ClientKeys
from zoe.rpc.messages import Failed, Reply, Request, Wake

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 0.4
"""Pauses between two tries of one question; they double."""
UNCONNECTED_PAUSE_SECONDS = 0.01
"""Pause between two looks whether there is a connection."""
REDIAL_SECONDS = 0.5
QUEUED_MESSAGES = 256
QUESTIONS = 1024
"""Questions under way at once; the others are answered with Failed("busy")."""


class MasterUnreachable(ZoeError):
    """The master does not answer."""


class Client:
    """Talks to the master at ``endpoint``, over one connection that comes back by itself.

    ``timeout`` and ``hint_seconds`` are in seconds: how long a question waits for its answer, and a
    hint for a connection, in the background. Any number of questions may be under way at once.
    """

    def __init__(
        self, endpoint: str, keys: ClientKeys, timeout: float = 2.0, hint_seconds: float = 0.25
    ) -> None:
        self.endpoint = endpoint
        self.lost_hints = 0
        """How often hints were given up because the master could not be reached."""
        self.strays = 0
        """Messages that answer no question that is under way."""
        self._keys = keys
        self._timeout = timeout
        self._hint_seconds = hint_seconds
        self._waiting: dict[bytes, asyncio.Future[Reply]] = {}
        self._trouble = ""
        self._loops: list[asyncio.Task[None]] = []
        self._unsent_hint = b""
        self._ringing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to connect; the master need not be there yet.

        Raises MasterUnreachable when the endpoint is no address.
        """
        self._context = zmq.asyncio.Context()
        self._dealer = self._context.socket(zmq.DEALER)
        _configure(self._dealer, self._keys)
        self._monitor = self._dealer.get_monitor_socket()
        try:
            self._connect(self.endpoint)
        except MasterUnreachable:
            self._close()
            raise
        self._loops = [
            asyncio.create_task(self._receive(), name="rpc client"),
            asyncio.create_task(self._watch(), name="rpc monitor"),
        ]

    def _connect(self, endpoint: str) -> None:
        try:
            self._dealer.connect(endpoint)
        except zmq.ZMQError as error:
            raise MasterUnreachable(
                f"{endpoint} is not an address of a master: {error.strerror}.",
                hint="ZOE_MASTER_ENDPOINT sets it, as tcp://127.0.0.1:8643",
            ) from error

    async def stop(self) -> None:
        """Close; questions under way end with MasterUnreachable."""
        tasks = [*self._loops, *([self._ringing] if self._ringing else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(MasterUnreachable("The connection to the master was closed."))
        self._close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def follow(self, endpoint: str) -> None:
        """Talk to the master at another endpoint; questions under way are put to that one, too.

        Raises MasterUnreachable when it is no address, and goes on as before.
        """
        self._connect(endpoint)
        with contextlib.suppress(zmq.ZMQError):  # it may be gone already
            self._dealer.disconnect(self.endpoint)
        self.endpoint = endpoint

    async def ask(self, request: Request, timeout: float | None = None) -> Reply:
        """Return the master's answer; raises MasterUnreachable when none came in time (seconds).

        The same question is put again, with the same id, until it is answered; the master
        answers it once. A master that refuses answers with Failed.
        """
        if len(self._waiting) >= QUESTIONS:
            return Failed("busy", f"{QUESTIONS} questions to the master are under way; try again.")
        loop = asyncio.get_running_loop()
        until = loop.time() + (self._timeout if timeout is None else timeout)
        request_id = os.urandom(16)
        answer: asyncio.Future[Reply] = loop.create_future()
        self._waiting[request_id] = answer
        pause = FIRST_PAUSE_SECONDS
        try:
            while (left := until - loop.time()) > 0:
                wait = UNCONNECTED_PAUSE_SECONDS
                if await self._send(frames.pack(request_id, request, left)):
                    wait, pause = pause, min(2 * pause, LONGEST_PAUSE_SECONDS)
                await asyncio.wait((answer,), timeout=min(wait, left))
                if answer.done():
                    return answer.result()
        except frames.TooLarge as error:
            return Failed("too-large", str(error))
        finally:
            del self._waiting[request_id]
        raise MasterUnreachable(
            f"The master does not answer at {self.endpoint}.",
            hint=self._trouble or "it may be busy, or starting; its log says more",
        )

    async def hint(self, wake: Wake) -> None:
        """Ring the master; never raises and never waits.

        Without a connection the latest hint is sent as soon as there is one, or given up after
        ``hint_seconds``: one hint is as good as many.
        """
        frame = frames.pack(frames.NO_ANSWER, wake, self._timeout)
        if await self._send(frame):
            return
        self._unsent_hint = frame
        if self._ringing is None or self._ringing.done():
            self._ringing = asyncio.create_task(self._ring(), name="rpc hint")

    async def _ring(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._hint_seconds
        while loop.time() < until:
            await asyncio.sleep(UNCONNECTED_PAUSE_SECONDS)
            if await self._send(self._unsent_hint):
                return
        self.lost_hints += 1

    async def _send(self, frame: bytes) -> bool:
        try:
            await self._dealer.send(frame, zmq.NOBLOCK)
        except zmq.ZMQError:  # not connected, or the queue is full
            return False
        return True

    async def _receive(self) -> None:
        while True:
            parts = await self._dealer.recv_multipart()
            try:
                header = frames.read_header(parts[0])
                waiting = self._waiting.get(header.request_id)
                if waiting is None or waiting.done():
                    self.strays += 1
                else:
                    self._settle(waiting, parts[0])
            except frames.WrongVersion as wrong:
                waiting = self._waiting.get(wrong.request_id)
                if waiting is not None and not waiting.done():
                    waiting.set_exception(_other_version(self.endpoint, wrong))
            except frames.Malformed:
                self.strays += 1

    def _settle(self, waiting: asyncio.Future[Reply], frame: bytes) -> None:
        try:
            waiting.set_result(frames.read_reply(frame))
        except frames.Malformed as error:
            waiting.set_exception(
                MasterUnreachable(
                    f"The answer of the master cannot be read: {error}",
                    hint="run the same version of master and api",
                )
            )

    async def _watch(self) -> None:
        """Keep in mind why there is no connection, and dial again where ZeroMQ gives up.

        The socket itself tells neither: a refused key, or a peer that speaks something else, ends
        its tries silently and for good.
        """
        given_up = False
        while True:
            try:
                async with asyncio.timeout(REDIAL_SECONDS if given_up else None):
                    event = (await recv_monitor_message(self._monitor))["event"]
            except TimeoutError:
                with contextlib.suppress(zmq.ZMQError):  # it may be gone already
                    self._dealer.disconnect(self.endpoint)
                self._dealer.connect(self.endpoint)
                given_up = False
                continue
            self._trouble = trouble_after(event, self._trouble)
            if event == zmq.EVENT_DISCONNECTED:
                given_up = True  # unless it says that it tries again
            elif event in (zmq.EVENT_CONNECT_RETRIED, zmq.EVENT_CONNECTED):
                given_up = False

    def _close(self) -> None:
        self._dealer.disable_monitor()
        self._monitor.close(linger=0)
        self._dealer.close(linger=0)
        self._context.term()


_TROUBLES: dict[int, str] = {
    zmq.EVENT_CLOSED: "nothing listens there: is the master running?",
    zmq.EVENT_CONNECTED: "something listens there, but it hangs or is no master",
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: (
        "it refused the key of this program: copy api.public into the folder of keys on the "
        "machine of the master, and start the master again"
    ),
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: (
        "something listens there, and it does not have the key in master.public: copy that file "
        "from the machine of the master"
    ),
    zmq.EVENT_HANDSHAKE_SUCCEEDED: "",
}


_REFUSALS = {
    _TROUBLES[zmq.EVENT_HANDSHAKE_FAILED_AUTH],
    _TROUBLES[zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL],
}


def trouble_after(event: int, trouble: str) -> str:
    """Return why there is no connection after an event of the monitor; empty: there is one.

    Dialling again does not make a refusal undone: only the end of the next handshake tells more.
    """
    if event == zmq.EVENT_CONNECTED and trouble in _REFUSALS:
        return trouble
    return _TROUBLES.get(event, trouble)


def _other_version(endpoint: str, wrong: frames.WrongVersion) -> MasterUnreachable:
    return MasterUnreachable(
        f"The master at {endpoint} speaks another language: {wrong}.",
        hint="run the same version of master and api",
    )


def _configure(dealer: zmq.asyncio.Socket, keys: ClientKeys) -> None:
    dealer.curve_publickey = keys.public
    dealer.curve_secretkey = keys.secret
    dealer.curve_serverkey = keys.server
    # Nothing is queued for a master that is away: it would get a pile of stale messages later.
    dealer.setsockopt(zmq.IMMEDIATE, 1)
    dealer.setsockopt(zmq.LINGER, 0)
    dealer.setsockopt(zmq.MAXMSGSIZE, frames.MAX_BYTES)
    dealer.setsockopt(zmq.SNDHWM, QUEUED_MESSAGES)
    dealer.setsockopt(zmq.RCVHWM, QUEUED_MESSAGES)
    dealer.setsockopt(zmq.RECONNECT_IVL, 50)
    dealer.setsockopt(zmq.RECONNECT_IVL_MAX, 400)
    dealer.setsockopt(zmq.HANDSHAKE_IVL, 5000)
    dealer.setsockopt(zmq.HEARTBEAT_IVL, 2000)
    dealer.setsockopt(zmq.HEARTBEAT_TIMEOUT, 6000)
