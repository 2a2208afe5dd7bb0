"""Model values to JSON-compatible objects and back: for the database, the messages and REST."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from zoe.model.errors import ZoeError

T = TypeVar("T")

_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


class Undecodable(ZoeError):
    """A stored or received value has not the shape it should have."""


def to_json(value: object) -> Any:
    """Return ``value`` as dicts, lists, strings, numbers, booleans and None."""
    return _adapter(value.__class__).dump_python(value, mode="json")


def from_json(kind: type[T], value: object) -> T:
    """Make a ``kind`` of what :func:`to_json` returned; Undecodable when it does not fit.

    A key that ``kind`` does not know is ignored and one that is absent takes its default, so that
    neighbouring versions of Zoe read each other's values.
    """
    try:
        decoded: T = _adapter(kind).validate_python(value)
    except ValidationError as error:
        raise Undecodable(f"this is not a {getattr(kind, '__name__', kind)}: {error}") from error
    return decoded
