"""Variables in texts: ``${parameters.x}`` when a document is read, the others when it starts.

One pass over a text, by lookup: what a variable stands for is never read again. ``$${`` is a plain
``${``. A text that keeps variables for later is written so that reading it again gives exactly the
same parts, whatever characters a parameter brought in; ``${$}``, a dollar sign, is for that.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from zoe.model.did_you_mean import suggestion
from zoe.model.document_nodes import (
    Entry,
    ListNode,
    MappingNode,
    Node,
    Place,
    ScalarNode,
    written_text,
)
from zoe.model.errors import Problem
from zoe.model.limits import MAX_SUBSTITUTED_CHARACTERS, MAX_TEXT_LENGTH

Value = str | int | float | bool
"""What a parameter can be."""

LATE_VARIABLES: Mapping[str, str] = {
    "execution.id": "number of the execution",
    "execution.name": "name of the execution",
    "user": "name of the user who submitted it",
    "deployment": "name of the deployment of Zoe",
    "workspace": "folder of the user, as the instance sees it",
    "instance.ordinal": "number of this instance of its service, from 0",
    "instance.host": "name or address of this instance",
    "instance.listen": "address for a server of this instance to listen on",
    "$": "a dollar sign, where a variable follows",
}
"""What is known only when an instance starts; ``dns.<framework>.<service>.<n>`` too."""

LATE_FIELDS: Sequence[tuple[str, ...]] = (
    ("command",),
    ("process", "command"),
    ("environment",),
    ("work_dir",),
    ("ready", "command"),
    ("ready", "http", "path"),
    ("shrink", "command"),
)
"""Where in a service they can be used."""

_TOKEN = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_DNS = re.compile(r"dns\.([^.]*)\.([^.]*)\.([0-9]{1,9})", re.ASCII)


class Variable(NamedTuple):
    """A variable in a text, by what is between its braces."""

    name: str
    closed: bool = True


Part = str | Variable


class HostReference(NamedTuple):
    """A use of ``${dns.<framework>.<service>.<ordinal>}``, to check when all counts are known."""

    framework: str
    service: str
    ordinal: int
    place: Place
    path: tuple[str, ...]


def parts(text: str) -> tuple[Part, ...]:
    """Split ``text`` into plain texts, with the escapes resolved, and variables."""
    found: list[Part] = []
    plain, end = "", 0
    for match in _TOKEN.finditer(text):
        plain += text[end : match.start()]
        end = match.end()
        if match[0] == "$${":
            plain += "${"
            continue
        found += [plain, Variable(match[1], match[2] == "}")]
        plain = ""
    return tuple(part for part in (*found, plain + text[end:]) if part != "")


def written(split: Sequence[Part]) -> str:
    """Return the text that :func:`parts` splits into ``split``, plain neighbours joined."""
    texts, plain = [], ""
    for part in split:
        if isinstance(part, str):
            plain += part
            continue
        bare = plain.rstrip("$")
        texts += [bare.replace("${", "$${"), "${$}" * (len(plain) - len(bare))]
        texts.append("${" + part.name + "}")
        plain = ""
    return "".join(texts) + plain.replace("${", "$${")


def resolve(text: str, value_of: Callable[[str], str]) -> str:
    """Return ``text`` with each variable replaced by what ``value_of`` says of its name."""
    return "".join(part if isinstance(part, str) else value_of(part.name) for part in parts(text))


def dns_reference(name: str) -> tuple[str, str, int] | None:
    """Return framework, service and ordinal of a variable called ``dns.spark.master.0``."""
    match = _DNS.fullmatch(name)
    return (match[1], match[2], int(match[3])) if match else None


def no_value(node: ScalarNode, path: tuple[str, ...]) -> Problem:
    """Return the problem of a null."""
    return node.place.problem(path, "has no value", "give it one or remove the key")


@dataclass(slots=True)
class Substitution:
    """The parameters of one document, put into its values; collects what is wrong."""

    values: Mapping[str, Value]
    declared: Sequence[str]
    problems: list[Problem]
    references: list[HostReference]
    framework_names: Mapping[str, str] = field(default_factory=dict)
    """For a catalogue framework: what its own name is in the application."""
    _characters: int = 0

    def apply(self, node: Node, path: tuple[str, ...], service_depth: int | None = None) -> Node:
        """Return ``node``, found at ``path``, with its parameters substituted.

        ``service_depth`` is the length of the path of the service it belongs to; without one
        nothing may be left for later.
        """
        match node:
            case ScalarNode(value=str(text)):
                late = service_depth is not None and any(
                    path[service_depth : service_depth + len(late_path)] == late_path
                    for late_path in LATE_FIELDS
                )
                return ScalarNode(node.place, self._value(text, node.place, path, late))
            case ScalarNode(value=None):
                self.problems.append(no_value(node, path))
                return node
            case ScalarNode():
                return node
            case ListNode(items=items):
                applied = [
                    self.apply(item, (*path, str(index)), service_depth)
                    for index, item in enumerate(items)
                ]
                return ListNode(node.place, tuple(applied))
            case MappingNode(entries=entries):
                return MappingNode(
                    node.place,
                    {
                        key: Entry(
                            entry.place, self.apply(entry.value, (*path, key), service_depth)
                        )
                        for key, entry in entries.items()
                    },
                )

    def _value(self, text: str, place: Place, path: tuple[str, ...], late: bool) -> Value | None:
        if "${" not in text:
            return text
        # Wrong text is not looked at again, where it would not do as it is.
        unknown = text if late else None
        split = parts(text)
        filled: list[Part] = []
        for part in split:
            if isinstance(part, str):
                filled.append(part)
                continue
            name = part.name.removeprefix("parameters.")
            if part.closed and name != part.name and name in self.declared:
                if name not in self.values:
                    return unknown  # The parameter itself is wrong, and reported.
                value = self.values[name]
                if len(split) == 1 and not isinstance(value, str):
                    return value
                filled.append(written_text(value))
            elif problem := self._problem(part, place, path, late):
                self.problems.append(problem)
                return unknown
            else:
                filled.append(self._renamed(part, place, path))
        result = written(filled) if late else "".join(map(str, filled))
        self._characters += len(result)
        if len(result) > MAX_TEXT_LENGTH or self._characters > MAX_SUBSTITUTED_CHARACTERS:
            self.problems.append(place.problem(path, "is too long after substitution"))
            return unknown
        return result

    def _problem(
        self, variable: Variable, place: Place, path: tuple[str, ...], late: bool
    ) -> Problem | None:
        shown = "${" + variable.name[:60] + "}"
        plain = "write $${ for a plain ${"
        if not variable.closed:
            return place.problem(path, "a variable that begins with ${ has no }", plain)
        if variable.name.startswith("parameters."):
            name = variable.name.removeprefix("parameters.")
            return place.problem(
                path,
                f"{shown}: there is no parameter {name[:60]!r}",
                suggestion(name, self.declared, "parameters"),
            )
        dns = dns_reference(variable.name)
        if dns is None and variable.name not in LATE_VARIABLES:
            if variable.name.startswith("dns."):
                return place.problem(path, f"{shown}: it is ${{dns.<framework>.<service>.<n>}}")
            known = [*LATE_VARIABLES, *(f"parameters.{name}" for name in self.declared)]
            close = suggestion(variable.name, known)
            return place.problem(
                path, f"{shown} is not a variable", "; ".join(filter(None, (close, plain)))
            )
        if not late:
            where = ", ".join(".".join(late_path) for late_path in LATE_FIELDS)
            return place.problem(
                path, f"{shown} is known only when an instance starts", f"use it in {where}"
            )
        if dns and self.framework_names and dns[0] not in self.framework_names:
            own = ", ".join(self.framework_names)
            return place.problem(
                path,
                f"{shown}: a catalogue framework knows only its own services",
                f"its name here is {own}",
            )
        return None

    def _renamed(self, variable: Variable, place: Place, path: tuple[str, ...]) -> Variable:
        dns = dns_reference(variable.name)
        if dns is None:
            return variable
        framework, service, ordinal = dns
        framework = self.framework_names.get(framework, framework)
        self.references.append(HostReference(framework, service, ordinal, place, path))
        return Variable(f"dns.{framework}.{service}.{ordinal}")
