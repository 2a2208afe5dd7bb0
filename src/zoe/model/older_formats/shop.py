"""The manifest of a shop: applications with the parameters that users choose."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from zoe.model.older_formats.application import Converted, convert
from zoe.model.older_formats.findings import Findings, Path
from zoe.model.older_formats.service import slug
from zoe.model.older_formats.templates import FRAMEWORK

_KNOWN = frozenset(["category", "name", "description", "readable_descr", "parameters"])
_NOT_KEPT = frozenset(["logo", "labels", "enabled_for", "disabled_for", "guest_access"])
_PARAMETER = frozenset(
    {
        *("kind", "name", "readable_name", "description"),
        *("type", "default", "min", "max", "step"),
    }
)
_TYPES = {
    "string": "string",
    "int": "integer",
    "integer": "integer",
    "float": "number",
    "number": "number",
    "bool": "boolean",
    "boolean": "boolean",
}


@dataclass(frozen=True, slots=True)
class ShopApplication:
    """One application of a shop."""

    name: str
    """Of its folder in the catalogue."""
    converted: Converted
    readme: str
    """The file with its text for people; empty without one."""


def convert_shop(
    text: str, description: Callable[[str], str], *, file: str = ""
) -> tuple[ShopApplication, ...]:
    """Return the applications of a manifest; ``description`` returns the text of a file of it.

    Raises ZAppInvalid with everything that cannot be converted.
    """
    findings = Findings(text, file)
    listed = findings.items(findings.values, "zapps", ())
    if findings.values.get("version") != 1 or not listed:
        findings.refuse((), "a manifest has version 1 and at least one of zapps")
    found: list[ShopApplication] = []
    for number, one in enumerate(listed):
        at: Path = ("zapps", number)
        entry, before = findings.mapping(one, at), len(findings.warnings)
        findings.ignore_others(entry, at, _KNOWN | _NOT_KEPT)
        for key in sorted(_NOT_KEPT & entry.keys()):
            findings.warn((*at, key), "is not kept: the catalogue has nothing like it")
        title, source = (findings.text(entry, key, at) for key in ("name", "description"))
        name = slug(title)
        if not (name and source):
            findings.refuse(at, "must have a name, and the file of its description")
            continue
        if any(each.name == name for each in found):
            findings.refuse((*at, "name"), f"a second application is called {name}")
            continue
        converted = convert(description(source), file=source)
        document = converted.document | {"name": name}
        if title != name:
            document["title"] = title
        else:
            document.pop("title", None)
        _add_parameters(document, entry, at, findings)
        warnings = (*converted.warnings, *findings.warnings[before:])
        readme = findings.text(entry, "readable_descr", at)
        changed = replace(converted, document=_in_order(document), warnings=warnings)
        found.append(ShopApplication(name, changed, readme))
    findings.check()
    return tuple(found)


def _add_parameters(
    document: dict[str, Any], entry: Mapping[str, Any], path: Path, findings: Findings
) -> None:
    services: dict[str, Any] = document["frameworks"][FRAMEWORK]["services"]
    for number, one in enumerate(findings.items(entry, "parameters", path)):
        at = (*path, "parameters", number)
        old = findings.mapping(one, at)
        findings.ignore_others(old, at, _PARAMETER)
        kind, target = findings.text(old, "kind", at), findings.text(old, "name", at)
        if kind == "command":
            said = f"the command of {target} is not a parameter any more"
            findings.warn(at, said, "give another one with zoe run NAME -- COMMAND")
            continue
        name = re.sub(r"[^a-z0-9_-]+", "_", target.lower())
        value = f"${{parameters.{name}}}"
        if kind == "environment":
            having = [each for each in services.values() if target in each.get("environment", {})]
            for service in having or services.values():
                service.setdefault("environment", {})[target] = value
        elif kind == "service_count" and slug(target) in services:
            services[slug(target)]["count"] = value
        else:
            said = f"the kind {kind} is not known, or there is no service {target}"
            findings.refuse(at, said)
            continue
        document.setdefault("parameters", {})[name] = _parameter(old, at, findings)


def _parameter(old: Mapping[str, Any], path: Path, findings: Findings) -> dict[str, Any]:
    written = findings.text(old, "type", path)
    if written not in _TYPES:
        findings.refuse((*path, "type"), f"must be one of {', '.join(_TYPES)}")
    parameter: dict[str, Any] = {"type": _TYPES.get(written, "string")}
    for key, new in (("default", "default"), ("min", "min"), ("max", "max"),
                     ("readable_name", "title"), ("description", "description")):  # fmt: skip
        if old.get(key) is not None:
            parameter[new] = old[key]
    if old.get("step") not in (None, 1):
        findings.warn((*path, "step"), "is not kept: any value between min and max can be chosen")
    return parameter


def _in_order(document: dict[str, Any]) -> dict[str, Any]:
    keys = ("zoe", "name", "title", "kind", "parameters", "frameworks")
    return {key: document[key] for key in keys if key in document}
