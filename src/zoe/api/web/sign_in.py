"""Signing in and out, and who a page or a form is for."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import RedirectResponse

from zoe.api.access import (
    Actor,
    Forbidden,
    Unauthenticated,
    actor_of_session,
    actor_of_token,
    token_hash,
)
from zoe.api.parts import parts_of
from zoe.api.session import (
    Session,
    end_session,
    is_own_form,
    is_same_origin,
    local_path,
    read_session,
    start_session,
)
from zoe.api.web.render import page

sign_in_routes = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who looks at a page, and their session."""

    actor: Actor
    session: Session


async def reader(request: Request) -> SignedIn:
    """Return who looks at this page; raises Unauthenticated, which leads to signing in."""
    parts = parts_of(request)
    actor = await actor_of_session(request, parts)
    session = read_session(request, parts.settings.deployment, parts.session_key)
    if actor is None or session is None:
        raise Unauthenticated("Sign in first.")
    return SignedIn(actor, session)


async def form_of(
    request: Request, who: Annotated[SignedIn, Depends(reader)], csrf: Annotated[str, Form()] = ""
) -> SignedIn:
    """Return who sent this form; raises Forbidden unless it is one of our own, for this session."""
    if not is_same_origin(request) or not is_own_form(who.session, csrf):
        raise Forbidden(
            "This form was not sent from a page of this session.",
            hint="Load the page again, then retry.",
        )
    return who


def is_live_request(request: Request) -> bool:
    """Whether a page asks for what changes on it: a redirect would be shown inside it."""
    return "text/event-stream" in request.headers.get("accept", "")


@sign_in_routes.get("/sign-in", name="sign_in")
async def sign_in_page(request: Request, next: str = "") -> Response:
    """Ask for the token."""
    parts = parts_of(request)
    if await actor_of_session(request, parts):
        return RedirectResponse(local_path(next), 303)
    return page("sign_in.html", request, None, next=next)


@sign_in_routes.post("/sign-in")
async def sign_in_form(
    request: Request, token: Annotated[str, Form()] = "", next: Annotated[str, Form()] = ""
) -> Response:
    """Begin a session for who has the token."""
    parts = parts_of(request)
    if not is_same_origin(request):
        raise Forbidden("This form was not sent from our own page.", hint="Load the page again.")
    if await actor_of_token(parts.tokens, token.strip()) is None:
        wrong = page("sign_in.html", request, None, next=next, is_wrong=True)
        wrong.status_code = 401
        return wrong
    response = RedirectResponse(local_path(next), 303)
    start_session(
        request,
        response,
        parts.settings.deployment,
        parts.session_key,
        token_hash(token.strip()),
    )
    return response


@sign_in_routes.post("/sign-out")
async def sign_out(request: Request, who: Annotated[SignedIn, Depends(form_of)]) -> Response:
    """End the session of this browser."""
    response = RedirectResponse("/sign-in", 303)
    end_session(response, parts_of(request).settings.deployment)
    return response
