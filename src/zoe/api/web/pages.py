"""The pages: what each shows, and what its forms do."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Form, Request, Response, UploadFile
from fastapi.responses import RedirectResponse
from starlette.middleware.gzip import GZipMiddleware
from starlette.staticfiles import StaticFiles

from zoe.api import sse, views
from zoe.api.access import Action, Actor, authorise
from zoe.api.accounts import usage_views
from zoe.api.cluster import master_view
from zoe.api.errors import BadRequest, error_views
from zoe.api.executions import LIVE, LOOK_SECONDS, check_scale, curbed, find, forget
from zoe.api.parts import Parts, parts_of
from zoe.api.shares import ExceedsQuota, NotInTeam
from zoe.api.submission import read_choices, submit
from zoe.api.use import execution_use, node_views
from zoe.api.web.render import document_lines, page, render
from zoe.api.web.sign_in import SignedIn, form_of, is_live_request, reader, sign_in_routes
from zoe.model.errors import ZAppInvalid, ZoeError
from zoe.model.execution import ENDED, ExecutionStatus
from zoe.model.rest import Problem
from zoe.model.rest_executions import ScaleRequest, SubmitRequest
from zoe.store.base import NotFound, StoreUnavailable

STATIC = Path(__file__).parent / "static"
PAGE_SIZE = 50
RENDER_PAUSE_SECONDS = 0.4
"""Least pause between two renderings of a live page."""
HISTORY_SHOWN = 200
_CLOCK = re.compile(r"(<time [^>]*>)[^<]*")

VIEWS: dict[str, tuple[str, frozenset[ExecutionStatus]]] = {
    "active": ("Active", LIVE),
    "queued": ("Waiting", frozenset({ExecutionStatus.SUBMITTED, ExecutionStatus.QUEUED})),
    "running": (
        "Running",
        frozenset({ExecutionStatus.STARTING, ExecutionStatus.RUNNING, ExecutionStatus.STOPPING}),
    ),
    "ended": ("Ended", ENDED),
    "all": ("All", frozenset(ExecutionStatus)),
}

router = APIRouter(include_in_schema=False)
PartsOf = Annotated[Parts, Depends(parts_of)]
Reader = Annotated[SignedIn, Depends(reader)]
Writer = Annotated[SignedIn, Depends(form_of)]
Maker = Callable[[], Awaitable[tuple[str, bool]]]
"""Renders a fragment; True with it when it will not change any more."""


def install(app: FastAPI) -> None:
    """Add the pages and what they load."""
    app.include_router(router)
    app.include_router(sign_in_routes)
    app.mount("/static", GZipMiddleware(StaticFiles(directory=STATIC), minimum_size=1000))


def problem_page(request: Request, problem: Problem) -> Response:
    """Show an error; who is not signed in is asked to sign in first."""
    if problem.status == 401 and request.method == "GET" and not is_live_request(request):
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(request.url_for("sign_in").include_query_params(next=path), 303)
    response = page("problem.html", request, None, problem=problem)
    response.status_code = problem.status
    return response


@router.get("/")
async def home() -> Response:
    """Go to the executions."""
    return RedirectResponse("/executions", 303)


@router.get("/executions")
async def executions_page(
    request: Request,
    parts: PartsOf,
    who: Reader,
    view: str = "active",
    name: str = "",
    cursor: str = "",
) -> Response:
    """Show the executions."""
    shown = await executions_shown(parts, who.actor, view, name, cursor)
    return page("executions.html", request, who, **shown)


@router.get("/executions/live")
async def executions_live(
    parts: PartsOf, who: Reader, view: str = "active", name: str = ""
) -> Response:
    """Send the first page of executions whenever one changes."""

    async def make() -> tuple[str, bool]:
        shown = await executions_shown(parts, who.actor, view, name, "")
        return render("_executions.html", **shown), False

    return sse.stream(live(parts, None, make))


async def executions_shown(
    parts: Parts, actor: Actor, view: str, name: str, cursor: str
) -> dict[str, Any]:
    """Return what the list shows."""
    authorise(actor, Action.VIEW)
    if view not in VIEWS:
        raise BadRequest(f"There is no view {view!r}.", hint=f"There are {', '.join(VIEWS)}.")
    try:
        found = await parts.store.page(
            owner=actor.scope, statuses=VIEWS[view][1], name=name, limit=PAGE_SIZE, cursor=cursor
        )
    except ValueError as error:
        raise BadRequest("This page of the list does not exist.") from error
    counts = await parts.store.counts()
    return {
        "executions": [views.summary(each) for each in found.items],
        "next_cursor": found.next_cursor,
        "cursor": cursor,
        "view": view,
        "name": name,
        "views": {
            key: (title, sum(counts.get(status, 0) for status in statuses))
            for key, (title, statuses) in VIEWS.items()
        },
    }


@router.get("/executions/{ref}")
async def execution_page(request: Request, parts: PartsOf, who: Reader, ref: str) -> Response:
    """Show one execution."""
    shown = await execution_shown(parts, who, ref)
    source = await parts.store.source(shown["execution"].id)
    return page("execution.html", request, who, lines=document_lines(source, ()), **shown)


@router.get("/executions/{ref}/live")
async def execution_live(parts: PartsOf, who: Reader, ref: str) -> Response:
    """Send one execution whenever it changes, until it has ended."""
    execution = await find(parts, who.actor, ref, Action.VIEW)

    async def make() -> tuple[str, bool]:
        shown = await execution_shown(parts, who, str(execution.id))
        return render("_execution.html", **shown), shown["execution"].is_ended

    return sse.stream(live(parts, execution.id, make))


async def execution_shown(parts: Parts, who: SignedIn, ref: str) -> dict[str, Any]:
    """Return what the page of an execution shows."""
    execution = await find(parts, who.actor, ref, Action.VIEW)
    history = await parts.store.history(execution.id, limit=HISTORY_SHOWN, newest=True)
    master = None if execution.status in ENDED else await master_view(parts)
    return {
        "execution": views.detail(execution),
        "why": views.why(execution, history, await curbed(parts, execution)),
        "history": [views.history_view(each) for each in history],
        "master": master,
        "uses": {
            (each.id, each.attempt): each
            for each in (await execution_use(parts, execution)).instances
        },
        "csrf": who.session.csrf,
    }


@router.post("/executions/{ref}/stop")
async def stop(parts: PartsOf, who: Writer, ref: str) -> Response:
    """Stop it."""
    execution = await find(parts, who.actor, ref, Action.CONTROL)
    await parts.store.request_stop(execution.id, who.actor.user)
    await parts.ring(execution.id)
    return RedirectResponse(f"/executions/{execution.id}", 303)


@router.post("/executions/{ref}/scale")
async def scale(
    parts: PartsOf,
    who: Writer,
    ref: str,
    service: Annotated[str, Form()],
    elastic: Annotated[int, Form(ge=0, le=100_000)],
    elastic_min: Annotated[int, Form(ge=0, le=100_000)] = 0,
) -> Response:
    """Let a service have at most so many elastic instances, and keep some of them from others."""
    execution = await find(parts, who.actor, ref, Action.CONTROL)
    wanted = ScaleRequest(service=service, elastic=elastic, elastic_min=elastic_min)
    check_scale(execution, wanted)
    await parts.store.request_scale(execution.id, service, elastic, who.actor.user, elastic_min)
    await parts.ring(execution.id)
    return RedirectResponse(f"/executions/{execution.id}", 303)


@router.post("/executions/{ref}/delete")
async def delete(parts: PartsOf, who: Writer, ref: str) -> Response:
    """Forget it."""
    execution = await find(parts, who.actor, ref, Action.CONTROL)
    await forget(parts, who.actor, execution)
    return RedirectResponse("/executions?view=all", 303)


@router.get("/submit")
async def submit_page(request: Request, parts: PartsOf, who: Reader, again: str = "") -> Response:
    """Ask for an application; ``again`` names an execution whose description to begin with."""
    document, team = "", ""
    if again:
        execution = await find(parts, who.actor, again, Action.VIEW)
        document, team = await parts.store.source(execution.id), execution.team
    usage = await usage_shown(parts, who.actor)
    return page("submit.html", request, who, document=document, team=team, **usage)


@router.post("/submit")
async def submit_form(
    request: Request,
    parts: PartsOf,
    who: Writer,
    document: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    parameters: Annotated[str, Form()] = "",
    team: Annotated[str, Form()] = "",
    upload: UploadFile | None = None,
) -> Response:
    """Submit an application, or show its errors at their lines."""
    authorise(who.actor, Action.SUBMIT)
    file = (upload.filename or "") if upload else ""
    problems = []
    message = ""
    try:
        if upload and file:
            document = (await upload.read()).decode()
        document = document.replace("\r\n", "\n")
        choices = read_choices([line for line in parameters.splitlines() if line.strip()])
        if not document.strip():
            raise BadRequest("There is nothing to submit: choose a file or paste a description.")
        execution = await submit(
            parts, who.actor, wish(document, file, name.strip(), choices, team)
        )
        return RedirectResponse(f"/executions/{execution.id}", 303)
    except ZAppInvalid as invalid:
        problems = error_views(invalid.problems)
    except UnicodeDecodeError:
        message = f"{file} is not a text file."
    except (BadRequest, ExceedsQuota, NotInTeam) as error:
        message = f"{error} {error.hint}".strip()
    response = page(
        "submit.html",
        request,
        who,
        document=document,
        file=file,
        name=name,
        parameters=parameters,
        team=team,
        message=message,
        problems=problems,
        elsewhere=[each for each in problems if not is_at_line(each.line, document)],
        lines=document_lines(document, problems) if problems else [],
        **await usage_shown(parts, who.actor),
    )
    response.status_code = 422
    return response


def wish(document: str, file: str, name: str, choices: dict[str, Any], team: str) -> SubmitRequest:
    """Return the form as a request; raises BadRequest for a name that is none."""
    try:
        return SubmitRequest(document=document, file=file, name=name, parameters=choices, team=team)
    except ValueError as error:
        raise BadRequest(
            f"{name!r} cannot be a name.",
            hint="Use small letters, digits and dashes, at most 63, and not digits alone.",
        ) from error


def is_at_line(line: int, document: str) -> bool:
    """Whether this line is in the document."""
    return 0 < line <= len(document.split("\n"))


@router.get("/nodes")
async def nodes_page(request: Request, parts: PartsOf, who: Reader) -> Response:
    """Show the machines."""
    return page("nodes.html", request, who, **await nodes_shown(parts, who.actor))


@router.get("/nodes/live")
async def nodes_live(parts: PartsOf, who: Reader) -> Response:
    """Send the machines whenever something changes."""

    async def make() -> tuple[str, bool]:
        return render("_nodes.html", **await nodes_shown(parts, who.actor)), False

    return sse.stream(live(parts, None, make))


async def nodes_shown(parts: Parts, actor: Actor) -> dict[str, Any]:
    """Return what the page of the machines shows."""
    authorise(actor, Action.VIEW_CLUSTER)
    return {"nodes": await node_views(parts), "master": await master_view(parts)}


@router.get("/usage")
async def usage_page(request: Request, parts: PartsOf, who: Reader) -> Response:
    """Show what the user and the user's teams use of their quotas."""
    return page("usage.html", request, who, **await usage_shown(parts, who.actor))


@router.get("/usage/live")
async def usage_live(parts: PartsOf, who: Reader) -> Response:
    """Send what is used whenever something changes."""

    async def make() -> tuple[str, bool]:
        return render("_usage.html", **await usage_shown(parts, who.actor)), False

    return sse.stream(live(parts, None, make))


async def usage_shown(parts: Parts, actor: Actor) -> dict[str, Any]:
    """Return what the user uses, then what each of the user's teams does."""
    authorise(actor, Action.VIEW)
    shares = await parts.shares.read()
    return {"usage": usage_views(shares, actor.user, await parts.store.load())}


async def live(parts: Parts, execution_id: int | None, make: Maker) -> AsyncIterator[str]:
    """Yield what ``make`` renders each time it is different; ends with the event ``end``."""
    sent = ""
    quiet_seconds = 0.0
    with parts.feed.subscribe(execution_id) as changes:
        while not changes.is_closed:
            try:
                fragment, is_final = await make()
            except NotFound:
                return
            except StoreUnavailable:
                fragment, is_final = "", False
            except ZoeError:
                return
            # The browser runs the clocks: that time has passed is no news.
            news = _CLOCK.sub(r"\1", fragment)
            if fragment and news != sent:
                sent = news
                quiet_seconds = 0.0
                yield sse.event(fragment)
            if is_final:
                yield sse.event("", name="end")
                return
            # Changes within the pause are collected: the page is rendered once for all of them.
            await changes.pause(RENDER_PAUSE_SECONDS)
            await changes.wait(LOOK_SECONDS)
            quiet_seconds += LOOK_SECONDS
            if quiet_seconds >= sse.KEEP_ALIVE_SECONDS:
                quiet_seconds = 0.0
                yield sse.KEEP_ALIVE
