"""The text of a document as a tree of values that know their place: YAML, and JSON with it.

The events of the YAML parser are composed into the nodes of :mod:`zoe.model.document_nodes`, with
every limit applied while reading: size, depth, number of values, aliases counted with what they
stand for. Scalars follow the core schema of YAML 1.2 (``yes`` is a text). Keys that begin with
``x-`` are left out, after their anchors were seen.
"""

import json
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.parser import Parser
from ruamel.yaml.scanner import Scanner, ScannerError

from zoe.model.document_nodes import (
    Entry,
    ListNode,
    MappingNode,
    Node,
    Place,
    ScalarNode,
    WrittenFloat,
    WrittenInt,
)
from zoe.model.errors import Problem
from zoe.model.limits import (
    MAX_ALIASES,
    MAX_DEPTH,
    MAX_DOCUMENT_BYTES,
    MAX_EXPANDED_CHARACTERS,
    MAX_NODES,
    MAX_NUMBER_DIGITS,
)


def parse_document(
    text: str, file: str, problems: list[Problem], used_by: str = ""
) -> MappingNode | None:
    """Read ``text`` and add what is wrong to ``problems``; None when it cannot be read at all."""
    start = Place(file, 1, 1, used_by)
    try:
        _check_text(text, start)
        if file.endswith(".json"):
            _check_json(text, start)
        node = _Composer(text, start, problems).document()
    except _Unreadable as error:
        problems.append(error.problem)
        return None
    if isinstance(node, MappingNode):
        return node
    problems.append(node.place.problem((), "a document is a mapping that begins with zoe: 4"))
    return None


class _Unreadable(Exception):
    """The rest of the document cannot be read."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_SPECIAL = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
_STRING_TAGS = ("!", "tag:yaml.org,2002:str")


def has_control_characters(text: str) -> bool:
    """Whether ``text`` has characters that would harm a terminal or a command line."""
    return _CONTROL.search(text) is not None


def _check_text(text: str, start: Place) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_DOCUMENT_BYTES:
        raise _Unreadable(
            start.problem(
                (), f"the document has {size} bytes; at most {MAX_DOCUMENT_BYTES} are read"
            )
        )
    if match := _CONTROL.search(text):
        before = text[: match.start()]
        place = Place(
            start.file,
            before.count("\n") + 1,
            len(before) - before.rfind("\n"),
            start.used_by,
        )
        message = f"the control character U+{ord(match[0]):04X} is not allowed"
        raise _Unreadable(place.problem((), message))


def _check_json(text: str, start: Place) -> None:
    """What YAML would let pass in a file called .json is an error all the same."""
    try:
        json.loads(text, parse_int=str)
    except json.JSONDecodeError as error:
        place = Place(start.file, error.lineno, error.colno, start.used_by)
        raise _Unreadable(place.problem((), f"this is not valid JSON: {error.msg}")) from error
    except RecursionError:
        return  # The composer says how deep it may be.


class _Scanner(Scanner):
    """A scanner that stops at a flow collection too deep, not after looking for its end."""

    def check_token(self, *choices: Any) -> bool:
        # Half of the time of reading went into asking whether more is to be scanned first.
        if self.tokens and not self.possible_simple_keys:
            return not choices or isinstance(self.tokens[0], choices)
        found: bool = super().check_token(*choices)
        return found

    def fetch_flow_collection_start(self, TokenClass: Any, to_push: str) -> None:
        if len(self.flow_context) > MAX_DEPTH:
            raise ScannerError(None, None, _TOO_DEEP, self.reader.get_mark())
        super().fetch_flow_collection_start(TokenClass, to_push)


class _Parser(Parser):
    """A parser that looks its scanner up once."""

    @cached_property
    def scanner(self) -> Any:
        return self.loader.scanner


class _Yaml(YAML):
    """YAML of these two alone; others look for plug-ins on the disk each time."""

    def __init__(self) -> None:
        super().__init__(typ="safe", pure=True)
        self.Scanner = _Scanner
        self.Parser = _Parser

    def official_plug_ins(self) -> list[str]:
        return []


class _Composer:
    """Events of the parser to nodes: one pass, with the limits."""

    def __init__(self, text: str, start: Place, problems: list[Problem]) -> None:
        self._events: Iterator[Any] = _Yaml().parse(text)
        self._place = start
        self._problems = problems
        self._nodes = 0
        self._characters = 0
        self._aliases = 0
        self._anchors: dict[str, tuple[Node, int, int] | None] = {}
        """Of each anchor: node, nodes and characters in it; None while it is being read."""

    def document(self) -> Node:
        start = self._place
        self._next()  # The stream's start.
        event = self._next()
        if isinstance(event, StreamEndEvent):
            self._place = start
            raise self._unreadable("the document is empty: it begins with zoe: 4")
        assert isinstance(event, DocumentStartEvent)
        node = self._node(self._next(), ())
        self._next()  # The document's end.
        if not isinstance(self._next(), StreamEndEvent):
            raise self._unreadable("a second document begins here; a file holds one")
        return node

    def _next(self) -> Any:
        try:
            event = next(self._events)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            if mark is not None:
                self._place = self._at(mark)
            raise self._unreadable(*_explain(str(error.problem))) from error
        except Exception as error:
            # The scanner raises more than its own errors on hostile text (a bad \U escape).
            raise self._unreadable(f"this is not valid YAML: {error}") from error
        self._place = self._at(event.start_mark)
        return event

    def _at(self, mark: Any) -> Place:
        return Place(self._place.file, mark.line + 1, mark.column + 1, self._place.used_by)

    def _unreadable(self, message: str, hint: str = "") -> _Unreadable:
        return _Unreadable(self._place.problem((), message, hint))

    def _node(self, event: Any, path: tuple[str, ...]) -> Node:
        self._count(1)
        if isinstance(event, AliasEvent):
            return self._alias(event.anchor)
        if len(path) > MAX_DEPTH:
            raise self._unreadable(_TOO_DEEP)
        nodes, characters = self._nodes, self._characters
        if event.anchor:
            self._anchors[event.anchor] = None
        node: Node
        match event:
            case ScalarEvent():
                node = ScalarNode(self._place, self._scalar(event))
            case SequenceStartEvent():
                node = self._sequence(path)
            case _:
                node = self._mapping(event, path)
        if event.anchor:
            self._anchors[event.anchor] = (node, self._nodes - nodes, self._characters - characters)
        return node

    def _count(self, nodes: int, characters: int = 0) -> None:
        self._nodes += nodes
        self._characters += characters
        if self._nodes > MAX_NODES:
            raise self._unreadable(f"the document has more than {MAX_NODES} keys and values")
        if self._characters > MAX_EXPANDED_CHARACTERS:
            limit = MAX_EXPANDED_CHARACTERS
            raise self._unreadable(
                f"with its aliases the document has more than {limit} characters"
            )

    def _alias(self, name: str) -> Node:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            raise self._unreadable(f"more than {MAX_ALIASES} aliases are used")
        if name not in self._anchors:
            raise self._unreadable(f"the anchor &{name} does not exist")
        anchored = self._anchors[name]
        if anchored is None:
            raise self._unreadable(f"the alias *{name} stands for something that contains it")
        node, nodes, characters = anchored
        self._count(nodes, characters)
        return node

    def _sequence(self, path: tuple[str, ...]) -> ListNode:
        place, items = self._place, list[Node]()
        while not isinstance(event := self._next(), SequenceEndEvent):
            items.append(self._node(event, (*path, str(len(items)))))
        return ListNode(place, tuple(items))

    def _mapping(self, start: Any, path: tuple[str, ...]) -> MappingNode:
        assert isinstance(start, MappingStartEvent)
        place, entries, merged = self._place, dict[str, Entry[Node]](), dict[str, Entry[Node]]()
        while not isinstance(event := self._next(), MappingEndEvent):
            at = self._place
            key = self._key(event)
            node = self._node(self._next(), (*path, key))
            if isinstance(node, ScalarNode) and node.value is None:
                node = ScalarNode(at, None)  # An empty value has its place after what follows.
            if key == "<<" and event.style is None:
                self._merge(node, at, path, merged)
            elif key.startswith("x-"):
                continue
            elif key in entries:
                first = entries[key].place.line
                message = f"{key} is there twice; the first is in line {first}"
                self._problems.append(at.problem((*path, key), message))
            else:
                entries[key] = Entry(at, node)
        return MappingNode(place, {**merged, **entries})

    def _key(self, event: Any) -> str:
        self._count(1)
        if not isinstance(event, ScalarEvent):
            raise self._unreadable("a key must be a plain text")
        return self._text(event)

    def _merge(
        self, node: Node, at: Place, path: tuple[str, ...], merged: dict[str, Entry[Node]]
    ) -> None:
        sources = node.items if isinstance(node, ListNode) else (node,)
        for source in sources:
            if isinstance(source, MappingNode):
                for key, entry in source.entries.items():
                    merged.setdefault(key, entry)
            else:
                self._problems.append(at.problem((*path, "<<"), "only mappings can be merged"))

    def _text(self, event: Any) -> str:
        # JSON writes characters beyond the first plane as two escaped halves.
        text: str = event.value
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        if match := _CONTROL.search(text):
            raise self._unreadable(f"the control character U+{ord(match[0]):04X} is not allowed")
        self._count(0, len(text))
        return text

    def _scalar(self, event: Any) -> str | int | float | bool | None:
        text = self._text(event)
        if event.tag in _STRING_TAGS or (event.tag is None and event.style is not None):
            return text
        if event.tag is not None:
            raise self._unreadable(f"the tag {event.tag} is not supported")
        if text in _NULL:
            return None
        if text in _BOOLEAN:
            return _BOOLEAN[text]
        if _INTEGER.fullmatch(text) or _BASED.fullmatch(text):
            if len(text) > MAX_NUMBER_DIGITS:
                raise self._unreadable(f"a number may have at most {MAX_NUMBER_DIGITS} digits")
            integer = WrittenInt(text, 0 if _BASED.fullmatch(text) else 10)
            integer.written = text
            return integer
        if _FLOAT.fullmatch(text) or _SPECIAL.fullmatch(text):
            number = WrittenFloat(text.replace(".", "") if _SPECIAL.fullmatch(text) else text)
            number.written = text
            return number
        return text


def _explain(problem: str) -> tuple[str, str]:
    """A syntax error in our words, with a hint where the usual cause is known."""
    if problem == _TOO_DEEP:
        return problem, ""
    if "'\\t'" in problem:
        return "a tab is not allowed here", "indent with spaces"
    if problem == "mapping values are not allowed here":
        return (
            "this is not valid YAML: a second ': ' in one value",
            "put the value in quotes, or check the indentation",
        )
    hint = "put a value with ${...} in quotes" if "'{'" in problem or "'}'" in problem else ""
    return f"this is not valid YAML: {problem}", hint
