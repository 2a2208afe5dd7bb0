"""The client that is awaited: ``async with AsyncZoe() as zoe: await zoe.submit(...)``."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx2

from zoe.client import calls, retries
from zoe.client.call import Call, arguments, url_of
from zoe.client.calls import Ref
from zoe.client.connection import FOLLOW_TIMEOUT, Position, target
from zoe.client.errors import TimedOut, failure, no_answer
from zoe.model.rest_executions import ExecutionDetail, FollowEnd, HistoryView, LogText

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


def _method(
    describe: Callable[Arguments, Call[Answer]],
) -> "Callable[Concatenate[AsyncZoe, Arguments], Coroutine[Any, Any, Answer]]":
    """Turn the description of a request into the method that makes it."""

    @wraps(describe)
    async def method(
        self: "AsyncZoe", /, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Answer:
        return await self.ask(describe(*args, **kwargs))

    return method


class AsyncZoe:
    """A connection to an api.

    Without ``url`` and ``token``: those of the settings, else those that ``zoe up`` or ``zoe
    login`` kept. ``retry_seconds`` says how long a request that nobody answers is repeated.
    """

    def __init__(
        self,
        url: str = "",
        token: str = "",
        *,
        retry_seconds: float = 1.0,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._target = target(url, token)
        self._retry_seconds = retry_seconds
        self._http = httpx2.AsyncClient(
            transport=transport, trust_env=self._target.trust_env, verify=self._target.verify
        )

    @property
    def url(self) -> str:
        """Address of the api."""
        return self._target.url

    submit = _method(calls.submit)
    executions = _method(calls.executions)
    show = _method(calls.show)
    why = _method(calls.why)
    wait_a_while = _method(calls.wait_a_while)
    stop = _method(calls.stop)
    scale = _method(calls.scale)
    remove = _method(calls.remove)
    logs = _method(calls.logs)
    events = _method(calls.events)
    source = _method(calls.source)
    queue = _method(calls.queue)
    top = _method(calls.top)
    execution_use = _method(calls.execution_use)
    node_use = _method(calls.node_use)
    nodes = _method(calls.nodes)
    apps = _method(calls.apps)
    app = _method(calls.app)
    put_node = _method(calls.put_node)
    add_engine = _method(calls.add_engine)
    remove_engine = _method(calls.remove_engine)
    validate = _method(calls.validate)
    convert = _method(calls.convert)
    plan = _method(calls.plan)
    usage = _method(calls.usage)
    users = _method(calls.users)
    user = _method(calls.user)
    put_user = _method(calls.put_user)
    remove_user = _method(calls.remove_user)
    teams = _method(calls.teams)
    put_team = _method(calls.put_team)
    remove_team = _method(calls.remove_team)
    masters = _method(calls.masters)
    whoami = _method(calls.whoami)
    version = _method(calls.version)
    ready = _method(calls.ready)

    async def wait(self, ref: Ref, *, timeout: float | None = None) -> ExecutionDetail:
        """Return the execution when it has ended. Raises TimedOut after ``timeout`` seconds."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = calls.WAIT_SECONDS if until is None else until - time.monotonic()
            found = await self.wait_a_while(ref, timeout=max(0.01, min(left, calls.WAIT_SECONDS)))
            if found.is_ended:
                return found
            if until is not None and time.monotonic() >= until:
                raise TimedOut(f"{found.name} is still {found.status} after {timeout:g} s")

    async def follow_logs(
        self, ref: Ref, *, service: str = "", stream: str = "", tail: int | None = None
    ) -> AsyncIterator[LogText | FollowEnd]:
        """Yield the output as it is written, and at last how the execution ended."""
        query = calls.log_query(service, stream, tail)
        async for message in self._follow(calls.logs_path(ref), query):
            if not isinstance(message, HistoryView):
                yield message

    async def follow_events(
        self, ref: Ref | None = None, *, after: str = ""
    ) -> AsyncIterator[HistoryView | FollowEnd]:
        """Yield the history from its beginning and as it happens, of one execution or of all.

        ``after`` is the id of the last entry that is known already.
        """
        async for message in self._follow(calls.events_path(ref), {}, after):
            if not isinstance(message, LogText):
                yield message

    async def ask(self, call: Call[Answer]) -> Answer:
        """Make a request, again while nobody answers. Raises RequestFailed and its kinds."""
        pauses = retries.patience(self._retry_seconds)
        url = url_of(self.url, call.path)
        sent = arguments(call, self._target.token)
        while True:
            began = time.monotonic()
            try:
                response = await self._http.request(call.method, url, **sent)
            except httpx2.TransportError as error:
                if (pause := next(pauses, None)) is None:
                    raise no_answer(self.url, error) from error
            else:
                if response.status_code < 400 or response.status_code in call.accept_errors:
                    return call.read(response.content)
                wrong = failure(response)
                if retries.is_final(response.status_code, began, self._retry_seconds):
                    raise wrong
                if (pause := next(pauses, None)) is None:
                    raise wrong
            await asyncio.sleep(pause)

    async def _follow(
        self, path: str, query: Mapping[str, str], after: str = ""
    ) -> AsyncIterator[LogText | HistoryView | FollowEnd]:
        """Yield the messages of a stream, going on after the last one when it breaks."""
        position = Position(self._target, query, after)
        while True:
            try:
                async with self._http.sse(
                    url_of(self.url, path),
                    params=position.query,
                    headers=position.headers,
                    timeout=FOLLOW_TIMEOUT,
                ) as source:
                    if source.response.status_code >= 400:
                        await source.response.aread()
                        raise failure(source.response)
                    async for event in source:
                        if (message := position.read(event)) is not None:
                            yield message
                        if isinstance(message, FollowEnd):
                            return
                broken = None
            except httpx2.TransportError as error:
                broken = error
            await asyncio.sleep(position.pause(broken))

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
