"""A whole application description of formats 0 to 3 as one of format 4."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoe.model.errors import Problem
from zoe.model.older_formats.findings import Findings, Path
from zoe.model.older_formats.service import convert_service, instances, slug
from zoe.model.older_formats.templates import BINARY, FRAMEWORK, Templates
from zoe.model.zapp_yaml import FORMAT

NEWEST = 3
"""The last format of the original Zoe."""
_KNOWN = frozenset(
    {
        *("name", "version", "will_end", "size", "priority", "requires_binary"),
        *("disable_autorestart", "services", "processes", "user_id"),
    }
)


@dataclass(frozen=True, slots=True)
class Converted:
    """An application of format 4: plain values, as they are written."""

    document: dict[str, Any]
    version: int
    """The format that it was in."""
    warnings: tuple[Problem, ...]
    """What is not kept, or was read as what was meant."""


def convert(text: str, *, file: str = "") -> Converted:
    """Return an application of formats 0 to 3 in format 4; it still has to be validated.

    Formats 0 and 1 have one entry for each instance: each becomes a service. Raises ZAppInvalid
    with everything that cannot be converted.
    """
    findings = Findings(text, file)
    values = findings.values
    version = _version(values, findings)
    findings.check()
    findings.ignore_others(values, (), _KNOWN)
    entries = list(_entries(values, version, findings))
    if not entries:
        findings.refuse((), "has no services: at least one is required")
    findings.check()
    names = _names(entries, findings)
    services: dict[str, Any] = {}
    counts = [instances(entry, path, findings) for path, entry in entries]
    known = {old: (names[old], sum(count)) for old, count in zip(names, counts, strict=True)}
    templates = Templates(findings, known)
    for (path, entry), count in zip(entries, counts, strict=True):
        service = convert_service(entry, path, version, count, findings, templates)
        services[names[entry["name"]]] = service
    monitor = _monitor(values, entries, findings)
    if monitor is not None:
        services[names[monitor]]["monitor"] = True
    _order(entries, names, services, findings)
    document: dict[str, Any] = {"zoe": FORMAT, "name": "", "kind": _kind(values, monitor, services)}
    title = findings.text(values, "name", ())
    document["name"] = slug(title)
    if not document["name"]:
        findings.refuse(("name",), "has to be a text with letters or digits")
    elif title != document["name"]:
        document["title"] = title
    if templates.asks_for_binary:
        said = "Path or address of the program that it runs"
        document["parameters"] = {BINARY: {"type": "string", "title": said}}
        said = "the file that users uploaded with it is a parameter now"
        findings.warn((), said, f"choose it with --set {BINARY}=...")
    document["frameworks"] = {FRAMEWORK: {"services": services}}
    findings.check()
    return Converted(document, version, tuple(findings.warnings))


def _version(values: Mapping[str, Any], findings: Findings) -> int:
    version = values.get("version")
    if "zoe" in values:
        findings.refuse(("zoe",), f"this is format {values['zoe']} already")
    elif "zapps" in values:
        findings.refuse(("zapps",), "this is a manifest of a shop, not an application")
    elif not isinstance(version, int) or isinstance(version, bool):
        findings.refuse(("version",), f"is required: the format, 0 to {NEWEST}")
    elif not 0 <= version <= NEWEST:
        findings.refuse(("version",), f"there were the formats 0 to {NEWEST}, but no {version}")
    else:
        return int(version)
    return -1


def _entries(
    values: Mapping[str, Any], version: int, findings: Findings
) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Yield the services or processes with their places; a generator put lists among them."""
    key = "processes" if "services" not in values and version <= 1 else "services"
    for number, entry in enumerate(findings.items(values, key, ())):
        if isinstance(entry, list):
            said = "is a list of services: they are read as if they stood beside the others"
            findings.warn((key, number), said)
            for inner, one in enumerate(entry):
                yield (key, number, inner), findings.mapping(one, (key, number, inner))
        else:
            yield (key, number), findings.mapping(entry, (key, number))


def _names(entries: Sequence[tuple[Path, Mapping[str, Any]]], findings: Findings) -> dict[str, str]:
    """Return the new name of each service by its old one, in their order."""
    names: dict[str, str] = {}
    for path, entry in entries:
        old = findings.text(entry, "name", path)
        new = slug(old)
        if not new:
            findings.refuse((*path, "name"), "is required: a text with letters or digits")
        elif old in names or new in names.values():
            findings.refuse((*path, "name"), f"a second service is called {new}")
        names[old] = new
    findings.check()
    return names


def _monitor(
    values: Mapping[str, Any],
    entries: Sequence[tuple[Path, Mapping[str, Any]]],
    findings: Findings,
) -> str | None:
    """Return the old name of the service of which the end ends the execution."""
    monitors = [(path, entry) for path, entry in entries if findings.flag(entry, "monitor", path)]
    for path, entry in monitors[1:]:
        said = f"an application has one monitor: the end of {entry['name']} ends nothing now"
        findings.warn((*path, "monitor"), said)
    if monitors:
        return str(monitors[0][1]["name"])
    if not values.get("will_end"):
        return None
    path, entry = entries[-1]
    said = f"it ends by itself but has no monitor: the end of {entry['name']} ends it now"
    findings.warn(path, said)
    return str(entry["name"])


def _kind(
    values: Mapping[str, Any], monitor: str | None, services: Mapping[str, Mapping[str, Any]]
) -> str:
    if values.get("will_end"):
        return "batch"
    shown = (port["protocol"] for each in services.values() for port in each.get("ports", ()))
    return "interactive" if monitor and any(one != "tcp" for one in shown) else "service"


def _order(
    entries: Sequence[tuple[Path, Mapping[str, Any]]],
    names: Mapping[str, str],
    services: Mapping[str, dict[str, Any]],
    findings: Findings,
) -> None:
    """Let each service wait until those before it in the start-up order have been started."""
    steps: dict[int, list[str]] = {}
    for path, entry in entries:
        step = findings.count(entry, "startup_order", path, 0)
        steps.setdefault(step, []).append(names[entry["name"]])
    before: list[str] = []
    for step in sorted(steps):
        for name in steps[step] if before else ():
            services[name]["depends_on"] = dict.fromkeys(before, "started")
        before = steps[step]
