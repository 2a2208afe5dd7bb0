"""What both stores accept: texts that a database can hold, references, cursors, names.

What people send is refused with :class:`NotStorable`. What the master records was already decided
and may quote a program's output, so there the offending characters are replaced.
"""

import dataclasses
import re
from enum import Enum
from typing import Any

from zoe.model.change import Change
from zoe.model.codec import to_json
from zoe.model.errors import ZoeError
from zoe.model.execution import Desired, Execution, ExecutionStatus
from zoe.store.base import Conflict, NewExecution, NotFound

LARGEST_ID = 2**63 - 1
CANDIDATES = 5
"""How many names an ambiguous prefix is answered with."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CURSOR = re.compile(r"before-([1-9][0-9]{0,18})")


class NotStorable(ZoeError):
    """A text contains a character that the database cannot hold (NUL or half of a surrogate)."""


def is_storable(text: str) -> bool:
    """Whether a database can hold ``text``."""
    return not _UNSTORABLE.search(text)


def check_text(what: str, text: str) -> None:
    """Raise NotStorable unless a database can hold ``text``."""
    if found := _UNSTORABLE.search(text):
        raise NotStorable(
            f"the {what} contains the character U+{ord(found[0]):04X} at {found.start()}, "
            "which cannot be stored",
            hint="remove it; the rest may be any Unicode text",
        )


def check_new(new: NewExecution) -> Any:
    """Raise NotStorable unless ``new`` can be stored; return its application as JSON."""
    check_text("name", new.name)
    check_text("owner", new.owner)
    check_text("team", new.team)
    check_text("source", new.source)
    check_text("idempotency key", new.idempotency_key)
    document = to_json(new.zapp)
    for text in _texts(document):
        check_text("application", text)
    return document


def _texts(document: Any) -> list[str]:
    match document:
        case str():
            return [document]
        case dict():
            return [text for pair in document.items() for part in pair for text in _texts(part)]
        case list():
            return [text for part in document for text in _texts(part)]
        case float() if document in (float("inf"), float("-inf")) or document != document:
            raise NotStorable(f"the application contains the number {document}")
    return []


def check_scale(execution: Execution, service: str, elastic: int, elastic_min: int) -> None:
    """Raise what ``Store.request_scale`` raises for this execution.

    A minimum is at most what is wanted, and at most what the application declares.
    """
    if elastic < 0 or elastic > LARGEST_ID:
        raise ValueError(f"a count of instances cannot be {elastic}")
    services = dict(execution.zapp.services())
    if service not in services:
        raise NotFound(f"execution {execution.id} has no service {service}")
    most = min(elastic, services[service].elastic)
    if elastic_min < 0 or elastic_min > most:
        raise ValueError(f"a minimum of elastic instances of {service} cannot be {elastic_min}")
    ending = (ExecutionStatus.STOPPING, ExecutionStatus.TERMINATED, ExecutionStatus.FAILED)
    if execution.desired is not Desired.RUN or execution.status in ending:
        raise Conflict(
            f"execution {execution.id} is ending or has ended; it cannot be scaled any more"
        )


def id_in(reference: str) -> int | None:
    """Return the execution id that ``reference`` can be read as, if any."""
    if reference.isascii() and reference.isdigit() and len(reference) <= 19:
        return min(int(reference), LARGEST_ID)
    return None


def check_candidates(reference: str, names: list[str]) -> str:
    """Return the only name with the prefix ``reference``; Conflict or NotFound otherwise."""
    if not names:
        raise NotFound(f"there is no execution {reference!r}")
    if len(names) > 1:
        some = ", ".join(names[:CANDIDATES]) + (", ..." if len(names) > CANDIDATES else "")
        raise Conflict(
            f"{reference!r} may be any of: {some}",
            hint="write more of the name, or use the id",
        )
    return names[0]


def cursor_after(execution: Execution) -> str:
    """Return the cursor of the page that begins behind ``execution``."""
    return f"before-{execution.id}"


def before(cursor: str) -> int | None:
    """Return the id that all ids of the page are below; ValueError for a foreign cursor."""
    if not cursor:
        return None
    match = _CURSOR.fullmatch(cursor)
    if not match:
        raise ValueError(f"{cursor!r} is not a cursor of a page of executions")
    return min(int(match[1]), LARGEST_ID)


def storable(change: Change) -> Change:
    """Return ``change`` with every character that cannot be stored replaced by U+FFFD."""
    cleaned: Change = _clean(change)
    return cleaned


def _clean(value: Any) -> Any:
    match value:
        case Enum():
            return value
        case str():
            return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
        case tuple() | frozenset():
            return type(value)(_clean(each) for each in value)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            return dataclasses.replace(
                value, **{name: _clean(each) for name, each in fields.items()}
            )
        case _:
            return value
