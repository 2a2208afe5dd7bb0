"""Who asks, and whether they may: tokens, sessions, and the one place that decides.

Today there is one user, ``admin``. Users, roles and teams change :func:`authorise` and nothing
that calls it.
"""

import hashlib
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum

from fastapi import Request

from zoe.api.parts import Parts, parts_of
from zoe.api.session import read_session
from zoe.api.tokens import Tokens
from zoe.model.errors import ZoeError
from zoe.model.execution import Execution
from zoe.store.base import NotFound, Store, Token

TOKEN_PREFIX = "zoe_"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Unauthenticated(ZoeError):
    """Nobody knows who you are."""


class Forbidden(ZoeError):
    """You may not do this."""


class Action(StrEnum):
    """What somebody may want."""

    VIEW = "view"
    SUBMIT = "submit"
    CONTROL = "control"
    """Stop, scale or delete an execution."""
    VIEW_CLUSTER = "view-cluster"
    ADMINISTER = "administer"
    """See and set what users and teams may have."""
    OPERATE = "operate"
    """Take nodes out of service and back, and add others."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks."""

    user: str
    role: str
    token: str
    """The token's name."""

    @property
    def scope(self) -> str | None:
        """The owner whose executions they see; None: everybody's."""
        return None if self.role == "admin" else self.user


def authorise(actor: Actor, action: Action, execution: Execution | None = None) -> None:
    """Return if ``actor`` may; NotFound for what they must not even know of, else Forbidden."""
    if actor.role == "admin":
        return
    if execution is not None and execution.owner != actor.user:
        raise no_such(str(execution.id))
    if action is Action.VIEW_CLUSTER:
        raise Forbidden("Only administrators see the nodes.")
    if action is Action.OPERATE:
        raise Forbidden("Only administrators take nodes in and out of service.")
    if action is Action.ADMINISTER:
        raise Forbidden(
            "Only administrators see and set what others may have.",
            hint="`zoe usage` shows what you and your teams may have.",
        )


def no_such(reference: str) -> NotFound:
    """Return the one answer for what does not exist and what is somebody else's."""
    return NotFound(
        f"There is no execution {reference!r}.", hint="`zoe ps --all` lists yours, ended ones too."
    )


def token_hash(text: str) -> str:
    """Return what the store keeps of a token."""
    return hashlib.sha256(text.encode()).hexdigest()


def new_token_text() -> str:
    """Return a new token: 256 random bits."""
    return TOKEN_PREFIX + secrets.token_urlsafe(32)


async def first_token(store: Store) -> str | None:
    """Make the administrator's token if there is no token at all; its text is kept nowhere."""
    if await store.tokens():
        return None
    text = new_token_text()
    await store.add_token(
        Token(token_hash(text), name="first", user="admin", role="admin", created_at=time.time())
    )
    return text


async def actor_of_token(tokens: Tokens, text: str) -> Actor | None:
    """Return whose token this is, if it is one."""
    return await actor_of_hash(tokens, token_hash(text)) if text.startswith(TOKEN_PREFIX) else None


async def actor_of_hash(tokens: Tokens, hash: str) -> Actor | None:
    """Return whose token has this hash, if there is one."""
    token = await tokens.find(hash)
    return Actor(token.user, token.role, token.name) if token else None


async def actor(request: Request) -> Actor:
    """Return who asks, by bearer token, or by session for reading; raises Unauthenticated.

    A session may not change anything here: pages do that through forms with a token against
    cross-site requests.
    """
    parts = parts_of(request)
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme:
        found = (
            await actor_of_token(parts.tokens, text.strip()) if scheme.lower() == "bearer" else None
        )
        if found is None:
            raise Unauthenticated(
                "This access token is not known here.", hint="`zoe login` keeps another one."
            )
        return found
    if request.method in SAFE_METHODS and (found := await actor_of_session(request, parts)):
        return found
    raise Unauthenticated(
        "An access token is needed.", hint="Send it as `Authorization: Bearer zoe_...`."
    )


async def actor_of_session(request: Request, parts: Parts) -> Actor | None:
    """Return who is signed in on the pages, if their token still exists."""
    session = read_session(request, parts.settings.deployment, parts.session_key)
    return await actor_of_hash(parts.tokens, session.token_hash) if session else None
