"""The routes of executions: submit, list, show, why, wait, stop, scale, delete."""

import asyncio
import hashlib
from collections import Counter
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import PlainTextResponse
from starlette.concurrency import run_in_threadpool

from zoe import failpoints
from zoe.api import access, views
from zoe.api.access import Action, Actor, authorise, no_such
from zoe.api.errors import BadRequest, PreconditionFailed
from zoe.api.logs import delete_logs
from zoe.api.parts import Parts, parts_of
from zoe.api.submission import OPENAPI_BODY, Submission, submit
from zoe.model.amounts import counted
from zoe.model.execution import ENDED, Execution, ExecutionStatus, Reason
from zoe.model.growth import grows_no_further
from zoe.model.rest import API_PREFIX
from zoe.model.rest_executions import ExecutionDetail, ExecutionPage, ScaleRequest, WhyView
from zoe.store.base import NotFound

LOOK_SECONDS = 2.0
"""How often who waits looks at the store when no notification comes."""
HISTORY_READ = 1000
"""How many of the last entries of its history say what was taken from an execution."""
FOR_OTHERS = frozenset(
    {"no-node-has-room", "not-enough-room", "no-room-together", "making-room", "behind"}
)
"""Codes of the reasons of those who wait for room that others hold."""
LIVE = frozenset(ExecutionStatus) - ENDED

router = APIRouter(prefix="/executions", tags=["executions"])
PartsOf = Annotated[Parts, Depends(parts_of)]
ActorOf = Annotated[Actor, Depends(access.actor)]
IfMatch = Annotated[str, Header(alias="If-Match")]


async def find(parts: Parts, actor: Actor, ref: str, action: Action) -> Execution:
    """Return the execution that ``ref`` means for ``actor``; raises NotFound, Conflict."""
    try:
        execution = await parts.store.find(actor.scope, ref)
    except NotFound as error:
        raise no_such(ref) from error
    authorise(actor, action, execution)
    return execution


@router.post("", status_code=201, openapi_extra=OPENAPI_BODY)
async def submit_execution(
    parts: PartsOf,
    actor: ActorOf,
    submission: Submission,
    response: Response,
    idempotency_key: Annotated[str, Header()] = "",
) -> ExecutionDetail:
    """Submit an application; it is durable when this answers."""
    authorise(actor, Action.SUBMIT)
    execution = await submit(parts, actor, submission, idempotency_key)
    response.headers["Location"] = f"{API_PREFIX}/executions/{execution.id}"
    return views.detail(execution)


@router.get("")
async def list_executions(
    parts: PartsOf,
    actor: ActorOf,
    status: Annotated[list[ExecutionStatus] | None, Query()] = None,
    name: str = "",
    owner: str = "",
    all: bool = False,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: str = "",
) -> ExecutionPage:
    """List executions, newest first: those that have not ended, or with ``all`` every one."""
    authorise(actor, Action.VIEW)
    statuses = frozenset(status or ()) or (frozenset() if all else LIVE)
    if actor.scope is not None and owner not in ("", actor.scope):
        return ExecutionPage(items=[])
    try:
        page = await parts.store.page(
            owner=actor.scope or owner or None,
            statuses=statuses,
            name=name,
            limit=limit,
            cursor=cursor,
        )
    except ValueError as error:
        raise BadRequest(
            "This cursor is not one of ours.", hint="Begin again without a cursor."
        ) from error
    return ExecutionPage(
        items=[views.summary(each) for each in page.items], next_cursor=page.next_cursor
    )


@router.get("/{ref}")
async def show_execution(
    parts: PartsOf,
    actor: ActorOf,
    ref: str,
    if_none_match: Annotated[str, Header()] = "",
) -> Response:
    """Show one execution."""
    return answer(await find(parts, actor, ref, Action.VIEW), if_none_match=if_none_match)


@router.get("/{ref}/why")
async def why_execution(parts: PartsOf, actor: ActorOf, ref: str) -> WhyView:
    """Say why it is where it is."""
    execution = await find(parts, actor, ref, Action.VIEW)
    history = await parts.store.history(execution.id, limit=HISTORY_READ, newest=True)
    return views.why(execution, history, await curbed(parts, execution))


async def curbed(parts: Parts, execution: Execution) -> list[Reason]:
    """Say why it has fewer elastic instances than wanted, as far as others or nodes are why."""
    if execution.status is not ExecutionStatus.RUNNING:
        return []
    said = grows_no_further(execution, parts.settings.growth_gain)
    if said and not await _somebody_waits_for_room(parts):
        said = []
    reasons = [Reason("little-gain", each) for each in said]
    if _misses_elastic(execution):
        reasons += [
            Reason(
                "node-under-pressure",
                f"no elastic instance is added to {node.name}: {node.pressure}",
            )
            for node in await parts.store.nodes()
            if node.pressure
        ]
    return reasons


def _misses_elastic(execution: Execution) -> bool:
    has = Counter(
        each.service for each in execution.instances if each.is_placed and not each.essential
    )
    return any(has[name] < execution.elastic_count(name) for name, _ in execution.zapp.services())


async def _somebody_waits_for_room(parts: Parts) -> bool:
    """Whether some of the last that wait do so for others, not for a quota or other machines."""
    waiting = await parts.store.page(statuses=frozenset({ExecutionStatus.QUEUED}))
    return any(reason.code in FOR_OTHERS for each in waiting.items for reason in each.reasons)


@router.get("/{ref}/wait")
async def wait_for_execution(
    request: Request,
    parts: PartsOf,
    actor: ActorOf,
    ref: str,
    timeout: Annotated[float, Query(gt=0, le=60)] = 30.0,
) -> ExecutionDetail:
    """Answer when it has ended, or after ``timeout`` seconds as it is then."""
    execution = await find(parts, actor, ref, Action.VIEW)
    loop = asyncio.get_running_loop()
    until = loop.time() + timeout
    with parts.feed.subscribe(execution.id) as changes:
        while True:
            execution = await parts.store.get(execution.id)
            left = until - loop.time()
            if execution.status in ENDED or left <= 0 or changes.is_closed:
                return views.detail(execution)
            await changes.wait(min(left, LOOK_SECONDS))


@router.post("/{ref}/stop", status_code=202)
async def stop_execution(
    parts: PartsOf, actor: ActorOf, ref: str, if_match: IfMatch = ""
) -> ExecutionDetail:
    """Stop it; one that has ended is left as it is."""
    execution = await find(parts, actor, ref, Action.CONTROL)
    check_match(execution, if_match)
    execution = await parts.store.request_stop(execution.id, actor.user)
    await parts.ring(execution.id)
    return views.detail(execution)


@router.post("/{ref}/scale", status_code=202)
async def scale_execution(
    parts: PartsOf, actor: ActorOf, ref: str, wanted: ScaleRequest, if_match: IfMatch = ""
) -> ExecutionDetail:
    """Let a service have at most so many elastic instances, and keep some of them from others."""
    execution = await find(parts, actor, ref, Action.CONTROL)
    check_match(execution, if_match)
    check_scale(execution, wanted)
    execution = await parts.store.request_scale(
        execution.id, wanted.service, wanted.elastic, actor.user, wanted.elastic_min
    )
    await parts.ring(execution.id)
    return views.detail(execution)


@router.delete("/{ref}", status_code=204, responses={202: {"description": "It is stopped first."}})
async def delete_execution(
    parts: PartsOf, actor: ActorOf, ref: str, if_match: IfMatch = ""
) -> Response:
    """Forget it; stop it first if it has not ended."""
    execution = await find(parts, actor, ref, Action.CONTROL)
    check_match(execution, if_match)
    await forget(parts, actor, execution)
    return Response(status_code=204 if execution.status in ENDED else 202)


@router.get("/{ref}/source", response_class=PlainTextResponse)
async def show_source(parts: PartsOf, actor: ActorOf, ref: str) -> PlainTextResponse:
    """Show the application description as it was submitted."""
    execution = await find(parts, actor, ref, Action.VIEW)
    return PlainTextResponse(await parts.store.source(execution.id))


async def forget(parts: Parts, actor: Actor, execution: Execution) -> None:
    """Commit the wish to forget it; the output of one that has not ended is the master's to delete.

    An ended one vanishes from the store at once, and the master never hears of it: its output goes
    first, as nobody would know of it any more.
    """
    if execution.status in ENDED:
        await run_in_threadpool(delete_logs, parts.settings.logs_dir, execution.id)
        await failpoints.reach("cp20")
    was = await parts.store.request_delete(execution.id, actor.user)
    if was.status in ENDED and execution.status not in ENDED:  # it ended since it was looked at
        await run_in_threadpool(delete_logs, parts.settings.logs_dir, execution.id)
    await parts.ring(execution.id)


def check_scale(execution: Execution, wanted: ScaleRequest) -> None:
    """Raise BadRequest unless the service can be scaled, and may keep so many instances."""
    declared = {name: each.elastic for name, each in execution.zapp.services() if each.elastic > 0}
    service, least = wanted.service, wanted.elastic_min
    if service not in declared:
        raise BadRequest(
            f"{execution.name} has no elastic service {service!r}.",
            hint=f"Elastic: {', '.join(declared)}."
            if declared
            else "None of its services is elastic.",
        )
    if least > wanted.elastic:
        raise BadRequest(
            f"The minimum of {service}, {least}, is above the maximum, {wanted.elastic}.",
            hint="Ask for a minimum that is at most the maximum.",
        )
    if least > declared[service]:
        raise BadRequest(
            f"{execution.name} cannot keep {counted(least, 'elastic instance')} of {service}: its "
            f"application declares {declared[service]}.",
            hint=f"The minimum may be at most {declared[service]}; the maximum may be higher.",
        )


def answer(execution: Execution, *, if_none_match: str) -> Response:
    """Return an execution with its ETag; 304 when the reader has it already."""
    body = views.detail(execution).model_dump_json()
    etag = _etag(body)
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if etag in (each.strip() for each in if_none_match.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def check_match(execution: Execution, if_match: str) -> None:
    """Raise PreconditionFailed unless ``If-Match`` is absent or names what is there now."""
    wanted = {each.strip() for each in if_match.split(",")} - {""}
    if wanted and not wanted & {"*", _etag(views.detail(execution).model_dump_json())}:
        raise PreconditionFailed(
            f"{execution.name} has changed since you looked at it.", hint="Look again, then retry."
        )


def _etag(body: str) -> str:
    return f'"{hashlib.sha256(body.encode()).hexdigest()[:20]}"'
