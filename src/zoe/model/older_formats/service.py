"""One service (formats 1 to 3) or process (format 0) as a service of format 4."""

import re
import shlex
from collections.abc import Mapping
from typing import Any

from zoe.model.older_formats.findings import Findings, Path
from zoe.model.older_formats.templates import WORKSPACE, Templates

_KNOWN = frozenset(
    {
        *("name", "version", "image", "docker_image", "command", "environment", "work_dir"),
        *("monitor", "startup_order", "essential_count", "total_count", "replicas"),
        *("resources", "required_resources", "ports", "volumes", "labels", "constraints"),
        *("network", "networks"),
    }
)
_PORT_KEYS = frozenset(
    {
        *("name", "port_number", "protocol", "path", "url_template"),
        *("is_main_endpoint", "expose", "proxy"),
    }
)
_PLACEHOLDER = "CHANGEME"
_NODE = re.compile(r"constraint:node==(.+)")


def slug(text: str) -> str:
    """Return a name as format 4 allows them: small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")


def instances(entry: Mapping[str, Any], path: Path, findings: Findings) -> tuple[int, int]:
    """Return how many essential and how many elastic instances a service has."""
    essential = findings.count(entry, "essential_count", path, 1)
    total = findings.count(entry, "total_count", path, essential)
    if total < essential:
        said = f"is less than the essential_count, which is {essential}"
        findings.refuse((*path, "total_count"), said)
    if entry.get("replicas", 1) != 1:
        said = "several replicas of one instance are not supported"
        findings.refuse((*path, "replicas"), said, "raise total_count instead")
    return essential, max(0, total - essential)


def convert_service(
    entry: Mapping[str, Any],
    path: Path,
    version: int,
    count: tuple[int, int],
    findings: Findings,
    templates: Templates,
) -> dict[str, Any]:
    """Return the service, but for what it depends on and whether it is the monitor."""
    findings.ignore_others(entry, path, _KNOWN)
    for key in ("network", "networks"):
        if entry.get(key):
            said = "is left out: each execution has a network of its own"
            findings.warn((*path, key), said)
    service: dict[str, Any] = {"image": _image(entry, path, version, findings)}
    if command := _command(entry, path, findings, templates):
        service["command"] = command
    essential, elastic = count
    if elastic:
        service["count"] = {"essential": essential, "elastic": elastic}
    elif essential != 1:
        service["count"] = essential
    service |= _resources(entry, path, version, findings)
    if ports := _ports(entry, path, findings):
        service["ports"] = ports
    if environment := _environment(entry, path, findings, templates):
        service["environment"] = environment
    if work_dir := findings.text(entry, "work_dir", path):
        service["work_dir"] = templates.text(work_dir, (*path, "work_dir"))
    if volumes := _volumes(entry, path, version, findings):
        service["volumes"] = volumes
    if labels := _labels(entry, path, findings):
        service["labels"] = labels
    return service


def _image(entry: Mapping[str, Any], path: Path, version: int, findings: Findings) -> str:
    new, old = findings.text(entry, "image", path), findings.text(entry, "docker_image", path)
    image = new or old
    if not image:
        findings.refuse(path, f"has no {'image' if version >= 3 else 'docker_image'}")
    elif image.startswith("/"):
        key = "image" if new else "docker_image"
        findings.warn((*path, key), "the address of a registry stood before it; write it there")
    return image.lstrip("/")


def _command(
    entry: Mapping[str, Any], path: Path, findings: Findings, templates: Templates
) -> list[str]:
    at = (*path, "command")
    written = findings.text(entry, "command", path)
    if _PLACEHOLDER in written:
        said = f"has {_PLACEHOLDER} in it: write what it stands for"
        findings.refuse(at, said)
        return []
    try:
        words = shlex.split(written)
    except ValueError as error:
        findings.refuse(at, f"cannot be split into words: {error}")
        return []
    return [templates.text(word, at) for word in words]


def _resources(
    entry: Mapping[str, Any], path: Path, version: int, findings: Findings
) -> dict[str, Any]:
    """Return ``resources``, ``limits`` and ``shm``, as far as the old ones say anything.

    Up to format 2 the memory that was reserved was the limit, too; cores were only reserved.
    """
    key = "resources" if "resources" in entry else "required_resources"
    at = (*path, key)
    if version >= 3 and key == "required_resources" and key in entry:
        findings.warn(at, "belongs to format 2: it is read as it was meant there")
    asked = findings.mapping(entry.get(key), at)
    findings.ignore_others(asked, at, frozenset({"memory", "cores", "shm"}))
    reserved: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for what, default in (("cores", "1 core"), ("memory", "1GiB")):
        value = asked.get(what)
        if isinstance(value, dict):
            least = findings.amount(value.get("min"), (*at, what, "min"))
            most = findings.amount(value.get("max"), (*at, what, "max"))
        else:
            least = findings.amount(value, (*at, what))
            most = least if what == "memory" else None
        if least is None:
            least = most
        if least is not None:
            reserved[what] = least
        elif value is not None and not isinstance(value, dict):
            findings.warn((*at, what), f"reserved nothing; {default} is reserved now")
        if most is not None:
            limits[what] = most
    found: dict[str, Any] = {}
    if reserved:
        found["resources"] = reserved
    if limits:
        found["limits"] = limits
    shm = findings.amount(asked.get("shm"), (*at, "shm"))
    if shm is not None:
        found["shm"] = shm
    return found


def _ports(entry: Mapping[str, Any], path: Path, findings: Findings) -> list[dict[str, Any]]:
    ports = []
    for number, old in enumerate(findings.items(entry, "ports", path)):
        at = (*path, "ports", number)
        if isinstance(old, list):  # the first files of format 0
            if len(old) < 2:
                findings.refuse(at, "must have a number and a name")
                continue
            port: Mapping[str, Any] = {"port_number": old[0], "name": old[1], "protocol": "http"}
        else:
            port = findings.mapping(old, at)
            findings.ignore_others(port, at, _PORT_KEYS)
        listens = str(port.get("port_number", ""))
        if not listens.isdecimal():
            findings.refuse((*at, "port_number"), "must be the number of a port")
            continue
        protocol, shown = findings.text(port, "protocol", at), port.get("path") or "/"
        template = findings.text(port, "url_template", at)
        if found := re.match(r"(https?)://[^/]*(/.*)?", template):
            protocol, shown = found[1], found[2] or "/"
        if shown != "/":
            findings.warn(at, f"the path {shown} is not kept: the port is shown from / on")
        one: dict[str, Any] = {"port": int(listens), "protocol": protocol or "tcp"}
        name = findings.text(port, "name", at)
        ports.append({"name": name, **one} if name else one)
    return ports


def _environment(
    entry: Mapping[str, Any], path: Path, findings: Findings, templates: Templates
) -> dict[str, str]:
    environment: dict[str, str] = {}
    for number, pair in enumerate(findings.items(entry, "environment", path)):
        at = (*path, "environment", number)
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)):
            findings.refuse(at, "must be a name and a value")
            continue
        name, value = pair
        if name.startswith("ZOE_"):
            findings.warn(at, f"{name} is left out: names that begin with ZOE_ are Zoe's own")
            continue
        if name in environment:
            findings.warn(at, f"{name} is there twice; the last one counts")
        environment[name] = templates.text("" if value is None else str(value), at)
    return environment


def _volumes(
    entry: Mapping[str, Any], path: Path, version: int, findings: Findings
) -> list[dict[str, Any]]:
    volumes = []
    for number, old in enumerate(findings.items(entry, "volumes", path)):
        at = (*path, "volumes", number)
        if isinstance(old, list):
            if len(old) not in (2, 3):
                findings.refuse(at, "must be a folder, where it is seen, and whether only to read")
                continue
            source, target, read_only = str(old[0]), str(old[1]), old[2:] == [True]
            if version >= 3:
                said = "belongs to format 2: it is read as it was meant there"
                findings.warn(at, said)
        else:
            volume = findings.mapping(old, at)
            source = findings.text(volume, "path", at)
            target = findings.text(volume, "name", at)
            read_only = findings.flag(volume, "read_only", at)
        if _PLACEHOLDER in (source, target):
            said = f"has {_PLACEHOLDER} in it: write what it stands for, or take it out"
            findings.refuse(at, said)
            continue
        target = target if target.startswith("/") else f"/mnt/{target}"
        name = slug(target.removeprefix("/mnt/") if version >= 3 else source)
        if target == WORKSPACE or not name:
            findings.warn(at, "is left out: every instance has the workspace")
            continue
        findings.warn(
            at,
            f"was the folder {source} of the machine; it is the volume {name} now",
            "an administrator has to define that volume",
        )
        one: dict[str, Any] = {"name": name, "path": target}
        volumes.append(one | {"read_only": True} if read_only else one)
    return volumes


def _labels(entry: Mapping[str, Any], path: Path, findings: Findings) -> list[str]:
    labels = [str(label) for label in findings.items(entry, "labels", path)]
    for number, constraint in enumerate(findings.items(entry, "constraints", path)):
        at = (*path, "constraints", number)
        if found := _NODE.fullmatch(str(constraint)):
            labels.append(f"node={found[1]}")
            said = f"named the node {found[1]}; it asks for the label node={found[1]} now"
            findings.warn(at, said, "give that node the label")
        else:
            findings.warn(at, f"{constraint} is left out: only nodes could be named", "use labels")
    return labels
