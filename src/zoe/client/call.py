"""One request of the REST interface as a value, and what the HTTP client wants to know of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from zoe.model.rest import API_PREFIX

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """One request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[bytes], Answer]
    query: Mapping[str, str | list[str]] = field(default_factory=dict)
    body: BaseModel | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 30.0
    accept_errors: frozenset[int] = frozenset()
    """Statuses above 399 whose body is an answer nevertheless."""


def url_of(server: str, path: str) -> str:
    """Return the whole address of ``path``."""
    return f"{server.rstrip('/')}{API_PREFIX}{path}"


def arguments(call: Call[Any], token: str) -> dict[str, Any]:
    """Return what the HTTP client wants to know of a call."""
    headers = dict(call.headers) | ({"Authorization": f"Bearer {token}"} if token else {})
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    return {
        "params": {name: value for name, value in call.query.items() if value},
        "content": call.body.model_dump_json() if call.body is not None else None,
        "headers": headers,
        "timeout": call.timeout_seconds,
    }
