"""What all of the REST interface shares, for the api that answers and for the client that asks.

The routes are listed in ``docs/reference/rest.md``, the shapes of their resources are in
:mod:`zoe.model.rest_executions`, :mod:`zoe.model.rest_cluster`, :mod:`zoe.model.rest_accounts`,
:mod:`zoe.model.rest_apps` and :mod:`zoe.model.rest_use`.
Times are ISO 8601 in UTC, memory is in bytes, cores are in thousandths. New fields may appear in
answers: readers ignore what they do not know. Unknown fields in requests are errors.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from zoe.model.codec import to_json
from zoe.model.errors import Problem as DocumentProblem

API_PREFIX = "/api/v1"
"""What every route of this version begins with."""

PROBLEM_TYPE = "application/problem+json"
"""Media type of every error (RFC 9457)."""


def as_time(seconds: float) -> datetime:
    """Return seconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


class Answer(BaseModel):
    """What the api sends: immutable, and open to fields of a newer server."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Question(BaseModel):
    """What the api receives: immutable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ResourcesView(Answer):
    """An amount of each resource: thousandths of a core, bytes, whole GPUs."""

    cores_milli: int = 0
    memory_bytes: int = 0
    gpus: int = 0


Item = TypeVar("Item")


class Page(Answer, Generic[Item]):
    """Part of a list; ``next_cursor`` is empty when nothing follows."""

    items: list[Item]
    next_cursor: str = ""


# Errors.


class ProblemCode(StrEnum):
    """What went wrong, for programs; codes never change their meaning."""

    REQUEST_INVALID = "request-invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    NO_SUCH_ROUTE = "no-such-route"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    CONFLICT = "conflict"
    PRECONDITION_FAILED = "precondition-failed"
    REQUEST_TOO_LARGE = "request-too-large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    WRONG_HOST = "wrong-host"
    ZAPP_INVALID = "zapp-invalid"
    EXCEEDS_QUOTA = "exceeds-quota"
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused"
    INTERNAL = "internal"
    STORE_UNAVAILABLE = "store-unavailable"
    MASTER_UNAVAILABLE = "master-unavailable"


class ErrorView(Answer):
    """One thing that is wrong, with its place; ``line`` and ``column`` count from 1, 0: nowhere."""

    message: str
    path: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    hint: str = ""

    @classmethod
    def of(cls, problem: DocumentProblem) -> Self:
        """Return what is wrong in a document."""
        return cls(**to_json(problem))


class Problem(Answer):
    """Every error of the api, as RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    code: str
    """A :class:`ProblemCode`; a newer server may send others."""
    hint: str = ""
    errors: list[ErrorView] = []


# The server.


class VersionView(Answer):
    """What this server is."""

    version: str
    api: str = "v1"
    formats: list[int] = [4]
    deployment: str


class WhoView(Answer):
    """Whose token this is."""

    user: str
    role: str
    token: str
    """Name of the token, never its text."""


class MasterView(Answer):
    """Whether the master answers, and since when it leads."""

    up: bool
    epoch: int = 0
    since: datetime | None = None
    backend: str = ""
    version: str = ""


class LiveView(Answer):
    """The api answers."""

    status: Literal["alive"] = "alive"


class ReadyView(Answer):
    """Whether the api can do its work: it can without the master, but not without the store."""

    status: Literal["ready", "unready"]
    store: bool
    master: MasterView
