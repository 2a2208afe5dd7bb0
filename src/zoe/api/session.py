"""The signed cookie of who is signed in on the pages, and the checks against cross-site requests.

The cookie names a token by its hash, so that it ends with the token. Forms carry the session's
``csrf``; browsers say where a request comes from, and from elsewhere none may change anything.
"""

import hmac
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from fastapi import Request, Response
from itsdangerous import BadSignature, URLSafeTimedSerializer

SESSION_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Session:
    """Who is signed in, by the hash of their token, and the secret of their forms."""

    token_hash: str
    csrf: str


def cookie_name(deployment: str) -> str:
    """Return the name of the cookie; cookies are shared by all ports of a host."""
    return f"zoe-session-{deployment}"


def read_session(request: Request, deployment: str, key: bytes) -> Session | None:
    """Return the session of this request if its signature is ours and it is not too old."""
    try:
        content = _serializer(key).loads(
            request.cookies.get(cookie_name(deployment), ""), max_age=SESSION_SECONDS
        )
        return Session(str(content["token"]), str(content["csrf"]))
    except (BadSignature, KeyError, TypeError):
        return None


def start_session(
    request: Request, response: Response, deployment: str, key: bytes, token_hash: str
) -> None:
    """Sign in: a new session with a new secret."""
    response.set_cookie(
        cookie_name(deployment),
        _serializer(key).dumps({"token": token_hash, "csrf": secrets.token_urlsafe(24)}),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def end_session(response: Response, deployment: str) -> None:
    """Sign out."""
    response.delete_cookie(cookie_name(deployment), httponly=True, samesite="lax")


def is_same_origin(request: Request) -> bool:
    """Whether the browser says that one of our own pages sent this; silence is a no."""
    if origin := request.headers.get("origin", ""):
        return _split(origin).netloc == request.headers.get("host", "")
    return request.headers.get("sec-fetch-site", "") == "same-origin"


def is_own_form(session: Session, csrf: str) -> bool:
    """Whether the form was made for this session."""
    return hmac.compare_digest(session.csrf.encode(), csrf.encode())


def local_path(path: str) -> str:
    """Return ``path`` if it leads to a page of ours, else the first page."""
    parts = _split(path)
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\"))
    is_plain = path.isprintable() and "\\" not in path and not parts.netloc and not parts.scheme
    return path if is_ours and is_plain else "/executions"


def _split(url: str) -> SplitResult:
    """Split an address of a stranger; one that makes no sense is another site's."""
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("unknown", "unknown", "", "", "")


def load_session_key(folder: Path) -> bytes:
    """Return the key that signs sessions; made at first start, readable by its owner only."""
    file = folder / "session.key"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not file.exists():
        # Linked when complete: a half-written key would be one that others can guess.
        draft = folder / f"session.key.{os.getpid()}"
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as new:
            new.write(secrets.token_bytes(32))
        with suppress(FileExistsError):
            os.link(draft, file)
        draft.unlink()
    return file.read_bytes()


def _serializer(key: bytes) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(key, salt="zoe session")
