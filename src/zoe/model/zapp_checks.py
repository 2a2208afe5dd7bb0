"""What must hold between the parts of an application: names, dependencies, counts, limits."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from zoe.model.did_you_mean import suggestion
from zoe.model.document_nodes import Place
from zoe.model.errors import Problem
from zoe.model.limits import MAX_APPLICATION_INSTANCES, MAX_SERVICES
from zoe.model.substitution import HostReference
from zoe.model.tree import cycles
from zoe.model.variables import hosts_variable
from zoe.model.zapp_document import ServiceDocument, SpeedupPointDocument
from zoe.model.zapp_parts import FrameworkPart, ServicePart

_Report = Callable[..., Problem]


def check_application(
    kind: str, frameworks: Sequence[FrameworkPart], place: Place
) -> Iterator[Problem]:
    """Yield what is wrong between the services and frameworks; ``place`` is the application's."""
    yield from _check_dependencies(
        "framework",
        {part.name: part.depends_on for part in frameworks},
        {part.name: part.problem for part in frameworks},
    )
    for part in frameworks:
        yield from _check_dependencies(
            "service",
            {
                service.name: service.document.depends_on if service.document else {}
                for service in part.services
            },
            {service.name: service.problem for service in part.services},
        )
        for service in part.services:
            if service.document is not None:
                yield from _check_service(service, service.document)
    yield from _check_monitor(kind, frameworks, place)
    yield from _check_sizes(frameworks, place)
    yield from _check_hosts_variables(frameworks)


def check_references(
    references: Iterable[HostReference], frameworks: Sequence[FrameworkPart]
) -> Iterator[Problem]:
    """Yield each ``${dns...}`` that names no instance of the application."""
    services = {part.name: {s.name: s for s in part.services} for part in frameworks}
    for reference in references:
        framework, name, ordinal, place, path = reference
        shown = f"${{dns.{framework}.{name}.{ordinal}}}"
        if framework not in services:
            message = f"{shown}: there is no framework {framework!r}"
            yield place.problem(path, message, suggestion(framework, services, "frameworks"))
        elif not services[framework]:
            continue  # it could not be read, which has been said
        elif name not in services[framework]:
            message = f"{shown}: the framework {framework} has no service {name!r}"
            yield place.problem(path, message, suggestion(name, services[framework], "services"))
        elif (document := services[framework][name].document) is not None:
            count = document.count.essential + document.count.elastic
            if ordinal >= count:
                message = f"{shown}: {framework}.{name} has {count} instances, counted from 0"
                yield place.problem(path, message)


def _check_dependencies(
    what: str, needs: Mapping[str, Mapping[str, str]], report: Mapping[str, _Report]
) -> Iterator[Problem]:
    for name, needed in needs.items():
        for other in needed:
            at = ("depends_on", other)
            if other == name:
                yield report[name](at, f"a {what} cannot depend on itself")
            elif other not in needs:
                hint = suggestion(other, (known for known in needs if known != name), f"{what}s")
                yield report[name](at, f"there is no {what} {other!r} here", hint)
    for circle in cycles(needs):
        if len(circle) > 1:
            shown = " > ".join((*circle, circle[0]))
            yield report[circle[0]](
                ("depends_on", circle[1]), f"these {what}s wait for each other: {shown}"
            )


def _check_service(part: ServicePart, document: ServiceDocument) -> Iterator[Problem]:
    if not {"image", "command", "process"} & part.node.entries.keys():
        yield part.problem((), "needs an image or a command")
    if document.limits is not None:
        for what in ("cores", "memory"):
            limit = getattr(document.limits, what)
            if limit is not None and limit < getattr(document.resources, what):
                yield part.problem(("limits", what), f"is less than the reserved resources.{what}")
    if document.shm is not None and document.shm > document.resources.memory:
        yield part.problem(("shm",), "is more than the reserved resources.memory")
    if document.speedup is not None:
        yield from _check_curve(part, document.speedup.points or [])
    yield from _check_unique(part, "ports", "port", [port.port for port in document.ports])
    names = [port.name for port in document.ports if port.name]
    yield from _check_unique(part, "ports", "name", names)
    yield from _check_unique(part, "volumes", "path", [volume.path for volume in document.volumes])
    yield from _check_unique(part, "labels", "", document.labels)


def _check_curve(part: ServicePart, points: Sequence[SpeedupPointDocument]) -> Iterator[Problem]:
    for index, (before, point) in enumerate(pairwise(points), 1):
        at = ("speedup", "points", index)
        if point.instances <= before.instances:
            message = f"is not more than the {before.instances} of the point before"
            yield part.problem((*at, "instances"), message)
        elif point.speed < before.speed:
            message = f"is less than the {before.speed:g} of {before.instances} instances"
            hint = "what more instances make slower they need not do: end the curve before"
            yield part.problem((*at, "speed"), message, hint)


def _check_unique(
    part: ServicePart, key: str, field: str, values: Sequence[object]
) -> Iterator[Problem]:
    for index, value in enumerate(values):
        if value in values[:index]:
            at = (key, index, field) if field else (key, index)
            yield part.problem(at, f"{value} is there twice")


def _check_monitor(
    kind: str, frameworks: Sequence[FrameworkPart], place: Place
) -> Iterator[Problem]:
    services = [service for part in frameworks for service in part.services]
    unknown = any(service.document is None for service in services)
    monitors = [s for s in services if s.document is not None and s.document.monitor]
    if kind == "batch" and services and not monitors and not unknown:
        yield place.problem(
            ("frameworks",),
            "a batch application needs a monitor: the service whose end ends the execution",
            "set monitor: true on it, or choose kind: interactive or service",
        )
    for extra in monitors[1:]:
        yield extra.problem(("monitor",), "an application has only one monitor")
    for monitor in monitors:
        count = monitor.document.count if monitor.document else None
        if count and (count.essential, count.elastic) != (1, 0):
            yield monitor.problem(("count",), "a monitor has exactly one essential instance")
    if monitors:
        yield from _check_after_monitor(frameworks, monitors[0])


def _check_after_monitor(
    frameworks: Sequence[FrameworkPart], monitor: ServicePart
) -> Iterator[Problem]:
    """Nothing may wait for the completion of what ends the execution."""
    message = "would never start: the end of the monitor ends the execution"
    for part in frameworks:
        if monitor in part.services:
            home = part.name
            for service in part.services:
                needs = service.document.depends_on if service.document else {}
                if needs.get(monitor.name) == "completed":
                    yield service.problem(("depends_on", monitor.name), message)
    for part in frameworks:
        if part.depends_on.get(home) == "completed":
            yield part.problem(("depends_on", home), message)


def _check_sizes(frameworks: Sequence[FrameworkPart], place: Place) -> Iterator[Problem]:
    services = [service for part in frameworks for service in part.services]
    if len(services) > MAX_SERVICES:
        message = f"the frameworks have {len(services)} services; at most {MAX_SERVICES} are read"
        yield place.problem(("frameworks",), message)
    counts = [service.document.count for service in services if service.document is not None]
    total = sum(count.essential + count.elastic for count in counts)
    if total > MAX_APPLICATION_INSTANCES:
        message = f"{total} instances are more than {MAX_APPLICATION_INSTANCES}"
        yield place.problem(("frameworks",), message)
    if len(counts) == len(services) > 0 and not any(count.essential for count in counts):
        yield place.problem(("frameworks",), "at least one essential instance is needed")


def _check_hosts_variables(frameworks: Sequence[FrameworkPart]) -> Iterator[Problem]:
    variables = Counter(
        hosts_variable(part.name, service.name) for part in frameworks for service in part.services
    )
    seen = set[str]()
    for part in frameworks:
        for service in part.services:
            variable = hosts_variable(part.name, service.name)
            if variables[variable] > 1 and variable in seen:
                message = f"another service has the same variable {variable}"
                yield service.problem((), message, "give one of them another name")
            seen.add(variable)
