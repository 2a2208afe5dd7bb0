"""The routes of logs and history: as they are, or as they come."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from zoe.api import sse, views
from zoe.api.access import Action, authorise
from zoe.api.errors import BadRequest
from zoe.api.executions import LOOK_SECONDS, ActorOf, PartsOf, find
from zoe.api.logs import (
    BadPlace,
    Follower,
    Selection,
    log_files,
    read_place,
    tail_place,
    whole_pieces,
    whole_text,
)
from zoe.api.parts import Parts
from zoe.model.execution import ENDED, Execution
from zoe.model.rest_executions import FollowEnd, HistoryPage, LogPage
from zoe.store.base import NotFound, StoreUnavailable

LOG_LOOK_SECONDS = 0.2
"""Pause between two looks at files that grow."""
PIECE_BYTES = 1024 * 1024
BATCH = 500

router = APIRouter(tags=["executions"])
LastEventId = Annotated[str, Header(alias="Last-Event-ID")]
EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {sse.MEDIA_TYPE: {"schema": {"type": "string"}}}}
}


@router.get(
    "/executions/{ref}/logs",
    response_model=LogPage,
    responses={200: {"content": {"text/plain": {}, sse.MEDIA_TYPE: {}}}},
)
async def show_logs(
    request: Request,
    parts: PartsOf,
    actor: ActorOf,
    ref: str,
    service: str = "",
    stream: Literal["", "stdout", "stderr"] = "",
    tail: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
    follow: bool | None = None,
    last_event_id: LastEventId = "",
) -> Response:
    """Show the output of its instances, or send it as it comes."""
    execution = await find(parts, actor, ref, Action.VIEW)
    check_service(execution, service)
    selection = Selection(service, stream)
    logs_dir = parts.settings.logs_dir
    files = await run_in_threadpool(log_files, logs_dir, execution.id, selection)
    place = {} if tail is None else await run_in_threadpool(tail_place, files, tail)
    if sse.wants_stream(request, follow):
        try:
            place = read_place(last_event_id) or place
        except BadPlace as error:
            raise BadRequest(str(error), hint="Send the id of an event of this stream.") from error
        follower = Follower(logs_dir, execution.id, selection, place)
        return sse.stream(follow_logs(parts, execution, follower))
    if "application/json" in request.headers.get("accept", ""):
        pieces = await run_in_threadpool(whole_pieces, execution.id, files, place, PIECE_BYTES)
        return Response(LogPage(items=pieces).model_dump_json(), media_type="application/json")
    return StreamingResponse(whole_text(files, place), media_type="text/plain")


@router.get("/executions/{ref}/events", response_model=HistoryPage, responses=EVENT_STREAM)
async def show_events(
    request: Request,
    parts: PartsOf,
    actor: ActorOf,
    ref: str,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    cursor: str = "",
    newest: bool = False,
    follow: bool | None = None,
    last_event_id: LastEventId = "",
) -> Response:
    """Show what happened to it, or send it as it happens."""
    execution = await find(parts, actor, ref, Action.VIEW)
    after = read_position(last_event_id or cursor)
    if sse.wants_stream(request, follow):
        return sse.stream(follow_history(parts, execution.id, after))
    return await history_answer(parts, execution.id, after, limit, newest)


@router.get("/events", response_model=HistoryPage, responses=EVENT_STREAM)
async def show_all_events(
    request: Request,
    parts: PartsOf,
    actor: ActorOf,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    cursor: str = "",
    newest: bool = False,
    follow: bool | None = None,
    last_event_id: LastEventId = "",
) -> Response:
    """Show what happened to all executions, or send it as it happens from the beginning."""
    authorise(actor, Action.VIEW_CLUSTER)
    after = read_position(last_event_id or cursor)
    if sse.wants_stream(request, follow):
        return sse.stream(follow_history(parts, None, after))
    return await history_answer(parts, None, after, limit, newest)


async def history_answer(
    parts: Parts, execution_id: int | None, after: int, limit: int, newest: bool
) -> Response:
    """Return a page of history; after the newest there is no other."""
    entries = await parts.store.history(execution_id, after=after, limit=limit, newest=newest)
    page = HistoryPage(
        items=[views.history_view(each) for each in entries],
        next_cursor=str(entries[-1].id) if len(entries) == limit and not newest else "",
    )
    return Response(page.model_dump_json(), media_type="application/json")


def check_service(execution: Execution, service: str) -> None:
    """Raise BadRequest naming the services, unless ``service`` (or its instance) is one."""
    names = [name for name, _ in execution.zapp.services()]
    head, _, ordinal = service.rpartition(".")
    if service and service not in names and not (head in names and ordinal.isdecimal()):
        raise BadRequest(
            f"{execution.name} has no service {service!r}.", hint=f"It has {', '.join(names)}."
        )


def read_position(text: str) -> int:
    """Read the id of a history entry; raises BadRequest."""
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise BadRequest(f"{text!r} is not a place in the history.", hint="Use what came as id.")
    return int(text)


async def follow_logs(parts: Parts, execution: Execution, follower: Follower) -> AsyncIterator[str]:
    """Yield the output as events until the execution has ended and everything was sent.

    Whether it has ended is asked before the files are read: what they hold then is all there is.
    """
    quiet_seconds = 0.0
    looked_at = -LOOK_SECONDS
    loop = asyncio.get_running_loop()
    with parts.feed.subscribe(execution.id) as changes:
        has_changed = True
        while not changes.is_closed:
            if has_changed or loop.time() - looked_at >= LOOK_SECONDS:
                looked_at = loop.time()
                fresh = await _look(parts, execution)
                if fresh is None:
                    return
                execution = fresh
            is_last = execution.status in ENDED
            found = await run_in_threadpool(follower.read, is_last=is_last)
            for piece, place in found:
                yield sse.event(piece, name="log", id=place)
            if is_last and not found:
                yield end_event(execution)
                return
            quiet_seconds = 0.0 if found else quiet_seconds + LOG_LOOK_SECONDS
            if quiet_seconds >= sse.KEEP_ALIVE_SECONDS:
                quiet_seconds = 0.0
                yield sse.KEEP_ALIVE
            has_changed = not is_last and await changes.wait(LOG_LOOK_SECONDS)


async def follow_history(parts: Parts, execution_id: int | None, after: int) -> AsyncIterator[str]:
    """Yield history as events; of one execution until it has ended, of all for ever."""
    quiet_seconds = 0.0
    with parts.feed.subscribe(execution_id) as changes:
        while not changes.is_closed:
            try:
                execution = None if execution_id is None else await parts.store.get(execution_id)
                entries = await parts.store.history(execution_id, after=after, limit=BATCH)
            except NotFound:
                return
            except StoreUnavailable:
                yield sse.KEEP_ALIVE
                await changes.wait(LOOK_SECONDS)
                continue
            for entry in entries:
                after = entry.id
                yield sse.event(views.history_view(entry), name="history", id=str(entry.id))
            if len(entries) == BATCH:
                continue
            if execution is not None and execution.status in ENDED:
                yield end_event(execution)
                return
            quiet_seconds = 0.0 if entries else quiet_seconds + LOOK_SECONDS
            if quiet_seconds >= sse.KEEP_ALIVE_SECONDS:
                quiet_seconds = 0.0
                yield sse.KEEP_ALIVE
            await changes.wait(LOOK_SECONDS)


def end_event(execution: Execution) -> str:
    """Return the event that says that nothing follows."""
    return sse.event(
        FollowEnd(status=execution.status, end=views.end_view(execution.end)), name="end"
    )


async def _look(parts: Parts, execution: Execution) -> Execution | None:
    """Return the execution as it is now; as it was while the store is away; None: deleted."""
    try:
        return await parts.store.get(execution.id)
    except StoreUnavailable:
        return execution
    except NotFound:
        return None
