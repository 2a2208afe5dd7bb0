"""A document as a tree of values that know their place, so that every problem has one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from zoe.model.errors import Problem

N = TypeVar("N", bound="Node", covariant=True)


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a document; lines and columns count from 1."""

    file: str
    line: int
    column: int
    used_by: str = ""
    """For a catalogue framework: where the application uses it."""

    def problem(self, path: Sequence[str], message: str, hint: str = "") -> Problem:
        """Return ``message`` as a problem of what is here."""
        if self.used_by:
            hint = "; ".join(part for part in (hint, f"used by {self.used_by}") if part)
        return Problem(message, ".".join(path), self.file, self.line, self.column, hint)


class WrittenInt(int):
    """A whole number that remembers how it was written: ``007``, ``0x1F``."""

    written: str


class WrittenFloat(float):
    """A number that remembers how it was written: ``1.10``."""

    written: str


@dataclass(frozen=True, slots=True)
class ScalarNode:
    """A text, number, boolean or None."""

    place: Place
    value: str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class ListNode:
    """A list."""

    place: Place
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Entry(Generic[N]):
    """A key of a mapping, with its place, and its value."""

    place: Place
    value: N


@dataclass(frozen=True, slots=True)
class MappingNode:
    """A mapping; its keys are texts."""

    place: Place
    entries: dict[str, "Entry[Node]"]


Node = ScalarNode | ListNode | MappingNode


def written_text(value: str | int | float | bool) -> str:
    """How ``value`` was written, as far as it remembers; ``true`` and ``false`` in lower case."""
    if isinstance(value, WrittenInt | WrittenFloat):
        return value.written
    return str(value).lower() if isinstance(value, bool) else str(value)


def plain(node: Node) -> Any:
    """Return the values of ``node`` without their places."""
    match node:
        case ScalarNode(value=value):
            return value
        case ListNode(items=items):
            return [plain(item) for item in items]
        case MappingNode(entries=entries):
            return {key: plain(entry.value) for key, entry in entries.items()}


def locate(
    node: Node, path: Sequence[str | int], start: Place | None = None
) -> tuple[Place, tuple[str, ...]]:
    """Return the place of the value at ``path``, or of the nearest one above that exists.

    A mapping is found at its key, where it has one; ``start`` is where ``node`` itself is.
    """
    place, reached = start or node.place, list[str]()
    for step in path:
        match node:
            case MappingNode(entries=entries) if step in entries:
                entry = entries[str(step)]
                node = entry.value
                place = entry.place if isinstance(node, MappingNode) else node.place
            case ListNode(items=items) if isinstance(step, int) and step < len(items):
                node = items[step]
                place = node.place
            case _:
                break
        reached.append(str(step))
    return place, tuple(reached)


def key_place(node: Node, path: Sequence[str | int]) -> Place:
    """Return the place of the key at the end of ``path``, or of what is nearest to it."""
    for step in path[:-1]:
        match node:
            case MappingNode(entries=entries) if step in entries:
                node = entries[str(step)].value
            case ListNode(items=items) if isinstance(step, int):
                node = items[step]
            case _:
                break
    if isinstance(node, MappingNode) and path[-1] in node.entries:
        return node.entries[str(path[-1])].place
    return node.place
