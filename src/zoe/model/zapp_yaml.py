"""Application descriptions of format 4, YAML or JSON, to ZApps: every problem at once.

The steps: text to a tree that knows its places, parameters, their substitution, the frameworks of
the catalogue put in place, each piece against its shape, the pieces against each other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from zoe.model import zapp_build
from zoe.model.did_you_mean import suggestion
from zoe.model.document_nodes import Entry, ListNode, MappingNode, Node, ScalarNode, locate
from zoe.model.document_source import parse_document
from zoe.model.errors import Problem, ZAppInvalid
from zoe.model.limits import MAX_FRAMEWORKS, MAX_PARAMETERS, MAX_PROBLEMS, MAX_SERVICES
from zoe.model.parameter_document import ParameterDocument
from zoe.model.parameters import Parameter, choose
from zoe.model.substitution import HostReference, Substitution, Value, no_value
from zoe.model.validation import D, named, validate
from zoe.model.zapp import Condition, Framework, Kind, ZApp
from zoe.model.zapp_checks import check_application, check_references
from zoe.model.zapp_document import (
    CatalogueHeading,
    FrameworkHeading,
    ServiceDocument,
    ZAppHeading,
)
from zoe.model.zapp_parts import FrameworkPart, ServicePart

FORMAT = 4


@dataclass(frozen=True, slots=True)
class Outline:
    """What a document says of itself, before any parameter is chosen."""

    name: str
    title: str
    description: str
    kind: Kind | None
    """None for a framework of the catalogue."""
    parameters: tuple[Parameter, ...]


def read_zapp(
    text: str,
    *,
    file: str = "",
    parameters: Mapping[str, object] | None = None,
    catalogue: Mapping[str, tuple[str, str]] | None = None,
) -> ZApp:
    """Return the application that ``text`` describes; ZAppInvalid carries everything wrong.

    ``file`` is its name, for the messages (and one that ends in ``.json`` must be JSON);
    ``parameters`` are the values that its user chose; ``catalogue`` maps the names of frameworks
    that it may use to their files' names and texts.
    """
    reading = _Reading(file, {} if catalogue is None else catalogue)
    zapp = reading.application(text, parameters or {})
    if zapp is None or reading.problems:
        raise reading.invalid()
    return zapp


def read_outline(text: str, *, file: str = "") -> Outline:
    """Return the heading of an application or of a catalogue framework, for lists and forms.

    ZAppInvalid when the heading is wrong; the frameworks and services are not looked at.
    """
    reading = _Reading(file, {})
    outline = reading.outline(text)
    if outline is None or reading.problems:
        raise reading.invalid()
    return outline


@dataclass(slots=True)
class _Reading:
    """One reading of one document, with what it found wrong."""

    file: str
    catalogue: Mapping[str, tuple[str, str]]
    problems: list[Problem] = field(default_factory=list)
    references: list[HostReference] = field(default_factory=list)

    def invalid(self) -> ZAppInvalid:
        ordered = sorted(
            dict.fromkeys(self.problems),
            key=lambda problem: (problem.file != self.file, problem.line, problem.column),
        )
        shown = ordered[:MAX_PROBLEMS]
        if len(ordered) > MAX_PROBLEMS:
            more = f"and {len(ordered) - MAX_PROBLEMS} more problems"
            shown.append(Problem(more, file=self.file))
        return ZAppInvalid(tuple(shown))

    def outline(self, text: str) -> Outline | None:
        root = parse_document(text, self.file, self.problems)
        if root is None or not self._has_format(root):
            return None
        declared = self._declared(root)
        defaults = {
            name: parameter.default
            for name, parameter in declared.items()
            if parameter is not None and parameter.default is not None
        }
        good = tuple(parameter for parameter in declared.values() if parameter is not None)
        heading: CatalogueHeading | ZAppHeading | None
        if "framework" in root.entries:
            heading = self._heading(CatalogueHeading, root, self._substitution(declared, defaults))
            name, kind = heading.framework if heading else "", None
        else:
            heading = self._heading(ZAppHeading, root, self._substitution(declared, defaults))
            name, kind = (heading.name, Kind(heading.kind)) if heading else ("", None)
        if heading is None:
            return None
        return Outline(name, heading.title, heading.description, kind, good)

    def application(self, text: str, given: Mapping[str, object]) -> ZApp | None:
        root = parse_document(text, self.file, self.problems)
        if root is None or not self._has_format(root):
            return None
        if "framework" in root.entries:
            place = root.entries["framework"].place
            message = "this is a framework of the catalogue, not an application"
            hint = "an application takes it in with use:"
            self.problems.append(place.problem(("framework",), message, hint))
            return None
        declared = self._declared(root)
        values = self._chosen(root, declared, given)
        substitution = self._substitution(declared, values)
        heading = self._heading(ZAppHeading, root, substitution)
        place, _ = locate(root, ("frameworks",))
        frameworks = self._frameworks(root, substitution)
        self.problems += check_application(heading.kind if heading else "", frameworks, place)
        self.problems += check_references(self.references, frameworks)
        if heading is None:
            return None
        return ZApp(
            name=heading.name,
            kind=Kind(heading.kind),
            frameworks=tuple(_framework(part) for part in frameworks),
            time_limit_seconds=heading.time_limit,
            parameters=values,
        )

    def _has_format(self, root: MappingNode) -> bool:
        """Whether ``root`` says that it is of the format read here."""
        place, _ = locate(root, ("zoe",))
        entry = root.entries.get("zoe") or root.entries.get("version")
        number = entry.value.value if entry and isinstance(entry.value, ScalarNode) else None
        whole = isinstance(number, int) and not isinstance(number, bool)
        if isinstance(number, int) and whole and 0 <= number != FORMAT:
            message = f"this is format {number}; this reads format {FORMAT}"
            hint = "zoe convert describes it in this format"
            if number > FORMAT:
                hint = "a newer version of Zoe may read it"
            self.problems.append(place.problem(("zoe",), message, hint))
        elif "zoe" not in root.entries:
            message = f"is required: a document begins with zoe: {FORMAT}"
            self.problems.append(place.problem(("zoe",), message))
        elif number != FORMAT or not whole:
            message = f"the format is a number, and this reads format {FORMAT}"
            self.problems.append(place.problem(("zoe",), message, f"write zoe: {FORMAT}"))
        else:
            return True
        return False

    def _declared(self, root: MappingNode) -> dict[str, Parameter | None]:
        """Return the declared parameters by name, None for one whose declaration is wrong."""
        if "parameters" not in root.entries:
            return {}
        declared: dict[str, Parameter | None] = {}
        path = ("parameters",)
        for name, entry in self._named(root, path, MAX_PARAMETERS).items():
            at = (*path, name)
            self._report_nulls(entry.value, at)
            document = validate(ParameterDocument, entry.value, at, entry.place, self.problems)
            declared[name] = document.parameter(name) if document else None
        return declared

    def _named(
        self, root: MappingNode, path: tuple[str], most: int
    ) -> dict[str, Entry[MappingNode]]:
        entry = root.entries[path[0]]
        return named(entry.value, path, entry.place, most, self.problems)

    def _report_nulls(self, node: Node, path: tuple[str, ...]) -> None:
        """Report the values that are missing, where no substitution does it."""
        match node:
            case ScalarNode(value=None):
                self.problems.append(no_value(node, path))
            case ListNode(items=items):
                for index, item in enumerate(items):
                    self._report_nulls(item, (*path, str(index)))
            case MappingNode(entries=entries):
                for key, entry in entries.items():
                    self._report_nulls(entry.value, (*path, key))
            case ScalarNode():
                pass

    def _chosen(
        self,
        root: MappingNode,
        declared: Mapping[str, Parameter | None],
        given: Mapping[str, object],
    ) -> dict[str, Value]:
        """Return the values of the parameters, after reporting what is wrong with them."""
        values, wrong = choose(declared, given)
        for name, message, hint in wrong:
            place, _ = locate(root, ("parameters", name))
            self.problems.append(place.problem(("parameters", name), message, hint))
        return values

    def _substitution(
        self,
        declared: Mapping[str, Parameter | None],
        values: Mapping[str, Value],
        names: Mapping[str, str] | None = None,
    ) -> Substitution:
        return Substitution(values, tuple(declared), self.problems, self.references, names or {})

    def _heading(self, shape: type[D], root: MappingNode, substitution: Substitution) -> D | None:
        """Validate everything but the frameworks or services, which are read piece by piece."""
        body = "services" if shape is CatalogueHeading else "frameworks"
        heading = MappingNode(
            root.place,
            {
                key: entry
                if key in ("zoe", "parameters")
                else Entry(entry.place, substitution.apply(entry.value, (key,)))
                for key, entry in root.entries.items()
                if key != body
            },
        )
        if body not in root.entries:
            self.problems.append(root.place.problem((body,), "is required"))
        return validate(
            shape, heading, (), root.place, self.problems, read=("parameters",), known=(body,)
        )

    def _frameworks(self, root: MappingNode, substitution: Substitution) -> list[FrameworkPart]:
        if "frameworks" not in root.entries:
            return []
        return [
            self._framework(name, entry, substitution)
            for name, entry in self._named(root, ("frameworks",), MAX_FRAMEWORKS).items()
        ]

    def _framework(
        self, name: str, entry: Entry[MappingNode], substitution: Substitution
    ) -> FrameworkPart:
        path = ("frameworks", name)
        written = entry.value.entries
        node = MappingNode(
            entry.value.place,
            {
                key: Entry(inner.place, substitution.apply(inner.value, (*path, key)))
                for key, inner in written.items()
                if key != "services"
            },
        )
        heading = validate(
            FrameworkHeading, node, path, entry.place, self.problems, known=("services",)
        )
        services: tuple[ServicePart, ...] = ()
        if "services" in written and "use" in written:
            place = written["services"].place
            message = "a framework has services or uses one of the catalogue, not both"
            self.problems.append(place.problem((*path, "services"), message))
        elif "services" in written:
            services = self._services(written["services"], (*path, "services"), substitution)
            if "with" in written:
                place = written["with"].place
                self.problems.append(place.problem((*path, "with"), "is only for use:"))
        elif "use" not in written:
            message = "needs services, or use: with the name of a catalogue framework"
            self.problems.append(entry.place.problem(path, message))
        elif heading is not None and heading.use is not None:
            services = self._used(name, node, heading.use, heading.with_)
        return FrameworkPart(
            name, node, entry.place, heading.depends_on if heading else {}, services
        )

    def _services(
        self, entry: Entry[Node], path: tuple[str, ...], substitution: Substitution
    ) -> tuple[ServicePart, ...]:
        parts = []
        found = named(entry.value, path, entry.place, MAX_SERVICES, self.problems)
        for name, service in found.items():
            at = (*path, name)
            node = substitution.apply(service.value, at, len(at))
            assert isinstance(node, MappingNode)
            document = validate(ServiceDocument, node, at, service.place, self.problems)
            parts.append(ServicePart(name, node, at, service.place, document))
        return tuple(parts)

    def _used(
        self, name: str, node: MappingNode, use: str, given: Mapping[str, object]
    ) -> tuple[ServicePart, ...]:
        """Return the services of the catalogue framework ``use`` as those of ``name``."""
        path = ("frameworks", name)
        place, _ = locate(node, ("use",))
        if use not in self.catalogue:
            message = f"there is no framework {use!r} in the catalogue"
            hint = suggestion(use, self.catalogue, "frameworks there")
            self.problems.append(place.problem((*path, "use"), message, hint))
            return ()
        file, text = self.catalogue[use]
        used_by = f"{self.file or '<input>'}:{place.line}:{place.column}: {'.'.join(path)}"
        root = parse_document(text, file, self.problems, used_by)
        if root is None or not self._has_format(root):
            return ()
        declared = self._declared(root)
        values, wrong = choose(declared, given)
        for parameter, message, hint in wrong:
            where, _ = locate(node, ("with", parameter) if parameter in given else ("use",))
            self.problems.append(where.problem((*path, "with", parameter), message, hint))
        heading = self._heading(CatalogueHeading, root, self._substitution(declared, values))
        if heading is None or "services" not in root.entries:
            return ()
        if heading.framework != use:
            message = f"the catalogue has {heading.framework!r} under the name {use!r}"
            self.problems.append(locate(root, ("framework",))[0].problem(("framework",), message))
        names = {heading.framework: name}
        substitution = self._substitution(declared, values, names)
        return self._services(root.entries["services"], ("services",), substitution)


def _framework(part: FrameworkPart) -> Framework:
    return Framework(
        part.name,
        tuple(
            zapp_build.service(service.name, service.document)
            for service in part.services
            if service.document is not None
        ),
        {other: Condition(state) for other, state in part.depends_on.items()},
    )
