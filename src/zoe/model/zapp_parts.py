"""An application while it is read: validated pieces that still know their places."""

from collections.abc import Mapping
from dataclasses import dataclass

from zoe.model.document_nodes import MappingNode, Place, locate
from zoe.model.errors import Problem
from zoe.model.zapp_document import ServiceDocument


@dataclass(frozen=True, slots=True)
class ServicePart:
    """A service in its document; ``document`` is None when its shape is wrong."""

    name: str
    node: MappingNode
    path: tuple[str, ...]
    place: Place
    document: ServiceDocument | None

    def problem(self, at: tuple[str | int, ...], message: str, hint: str = "") -> Problem:
        """Return ``message`` as a problem of what is ``at`` this path inside it."""
        place, reached = locate(self.node, at, self.place)
        return place.problem((*self.path, *reached), message, hint)


@dataclass(frozen=True, slots=True)
class FrameworkPart:
    """A framework of the application; ``services`` may come from a catalogue file."""

    name: str
    node: MappingNode
    place: Place
    depends_on: Mapping[str, str]
    services: tuple[ServicePart, ...]

    def problem(self, at: tuple[str | int, ...], message: str, hint: str = "") -> Problem:
        """Return ``message`` as a problem of what is ``at`` this path inside it."""
        place, reached = locate(self.node, at, self.place)
        return place.problem(("frameworks", self.name, *reached), message, hint)
