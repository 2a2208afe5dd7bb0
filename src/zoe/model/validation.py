"""Values against their shapes: what pydantic finds wrong, as problems with places, in our words."""

import re
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from zoe.model.did_you_mean import suggestion
from zoe.model.document_nodes import Entry, MappingNode, Node, Place, key_place, locate, plain
from zoe.model.errors import Problem
from zoe.model.zapp_document import keys_at
from zoe.model.zapp_values import Document, Name, ParameterName

D = TypeVar("D", bound=Document)

_NAMES: TypeAdapter[str] = TypeAdapter(Name)
_PARAMETER_NAMES: TypeAdapter[str] = TypeAdapter(ParameterName)

_MESSAGES = {
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "missing": "is required",
    "extra_forbidden": "unknown key",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} items",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}


def validate(
    shape: type[D],
    node: MappingNode,
    path: tuple[str, ...],
    place: Place,
    problems: list[Problem],
    *,
    known: tuple[str, ...] = (),
    read: tuple[str, ...] = (),
) -> D | None:
    """Return ``node``, which is at ``path`` and ``place``, as a ``shape``; None if it is wrong.

    ``known`` are more keys that are good there, and ``read`` those that need no validation any
    more: somebody else did it.
    """
    others = (*known, *read)
    entries = {key: entry for key, entry in node.entries.items() if key not in others}
    try:
        return shape.model_validate(plain(MappingNode(node.place, entries)))
    except ValidationError as error:
        for details in error.errors(include_url=False):
            if details["type"] == "missing" or details["input"] is not None:
                problems.append(_problem(shape, node, path, place, details, known))
        return None


def named(
    node: Node,
    path: tuple[str, ...],
    place: Place,
    most: int,
    problems: list[Problem],
) -> dict[str, Entry[MappingNode]]:
    """Return the entries of ``node``, a mapping of names to mappings; report what is not."""
    if not isinstance(node, MappingNode):
        problems.append(place.problem(path, "must be a mapping of names"))
        return {}
    if not node.entries and path[-1] != "parameters":
        problems.append(place.problem(path, "must not be empty"))
    if len(node.entries) > most:
        message = f"has {len(node.entries)} entries; at most {most} are read"
        problems.append(place.problem(path, message))
        return {}
    names = _PARAMETER_NAMES if path[-1] == "parameters" else _NAMES
    good = {}
    for key, entry in node.entries.items():
        try:
            names.validate_python(key)
        except ValidationError as error:
            message = str(error.errors()[0]["ctx"]["error"])
            problems.append(entry.place.problem((*path, key), message))
        if isinstance(entry.value, MappingNode):
            good[key] = Entry(entry.place, entry.value)
        else:
            problems.append(entry.value.place.problem((*path, key), "must be a mapping"))
    return good


def _problem(
    shape: type[Document],
    node: MappingNode,
    path: tuple[str, ...],
    place: Place,
    details: Any,
    known: tuple[str, ...],
) -> Problem:
    kind, at = details["type"], details["loc"]
    context = details.get("ctx", {})
    message = _MESSAGES[kind].format(**context) if kind in _MESSAGES else details["msg"]
    hint = ""
    if at and at[-1] == "[key]":
        at = at[:-1]
        kind = "key"
    if kind == "extra_forbidden":
        keys = (*keys_at(shape, at[:-1]), *(known if len(at) == 1 else ()))
        hint = suggestion(str(at[-1]), keys, "keys here")
    elif kind == "literal_error" and isinstance(details["input"], str):
        hint = suggestion(details["input"], re.findall("'([^']+)'", context["expected"]))
    elif kind == "string_type" and isinstance(details["input"], int | float):
        hint = "put it in quotes"
    elif kind == "list_type" and at[-1] == "command":
        hint = "as in [sleep, 60]; for a shell, [sh, -c, ...]"
    if kind in ("key", "extra_forbidden"):
        return key_place(node, at).problem((*path, *map(str, at)), message, hint)
    where, reached = locate(node, at, place)
    if kind == "missing":
        reached = (*reached, str(at[-1]))
    return where.problem((*path, *reached), message, hint)
