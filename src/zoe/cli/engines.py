"""What `zoe doctor` says of Docker Engines, and of the swarm that they are in."""

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from zoe.certificates import TLS_HINT, tls_context, tls_problem
from zoe.cli.finding import Finding
from zoe.model.engines import TCP_SCHEME, EngineSpec
from zoe.model.errors import ZoeError
from zoe.ssh import SshFailed, tunnel_to

API_MIN = (1, 41)
"""The oldest version of the API that the back-ends use: that of Docker 20.10."""


def engine_finding(engine: EngineSpec) -> Finding:
    """Ask a Docker Engine for its version, as the back-end will, and say what is in the way."""
    what = f"engine {engine.name}"
    if engine.socket and not Path(engine.socket).exists():
        hint = "install and start Docker Engine, or name another socket in the settings"
        return Finding(what, False, f"there is no socket {engine.socket}", hint)
    if engine.socket and not os.access(engine.socket, os.R_OK | os.W_OK):
        hint = "become a member of the group of that file, usually docker, and log in again"
        return Finding(what, False, f"this user may not use {engine.socket}", hint)
    try:
        version = _ask(engine, "version")
        said = f"Docker {version['Version']}, API {version['ApiVersion']}, at {engine.url}"
        if why_not := _too_different(version):
            return Finding(what, False, f"{said}, {why_not}", "use a Linux engine from 20.10 on")
    except (ZoeError, KeyError, ValueError) as error:
        hint = error.hint if isinstance(error, ZoeError) else ""
        return Finding(what, False, str(error), hint or "start dockerd, or name another socket")
    if engine.insecure:
        found = f"{said}, without TLS: whoever reaches that port is root there"
        return Finding(what, False, found, "give it certificates: tls=FOLDER", needed=False)
    if engine.ssh_destination and not _is_known(engine.address):
        found = f"{said}; ports are told to be at {engine.address}, which no name server knows"
        hint = "add address=, the name of that machine for everybody"
        return Finding(what, False, found, hint, needed=False)
    return Finding(what, True, said)


def _is_known(host: str) -> bool:
    """Whether a name leads anywhere: an alias of somebody's ssh config does not."""
    try:
        return bool(socket.getaddrinfo(host, None))
    except OSError:
        return False


def _too_different(version: Mapping[str, Any]) -> str:
    """Say why the back-end cannot use an engine of this version; "" if it can."""
    if version.get("Os", "linux") != "linux":
        return f"runs containers of {version['Os']}"
    if tuple(map(int, version["ApiVersion"].split("."))) < API_MIN:
        return f"is older than API {'.'.join(map(str, API_MIN))}"
    return ""


def swarm_findings(engines: Sequence[EngineSpec]) -> Iterator[Finding]:
    """Ask the first engine that is a manager for its swarm, and look at each of its nodes."""
    swarms: dict[str, Mapping[str, Any]] = {}
    problems: list[ZoeError] = []
    for engine in engines:
        try:
            found = _ask(engine, "info").get("Swarm", {})
        except ZoeError as error:
            problems.append(error)
            continue
        if found.get("ControlAvailable"):
            swarms[engine.name] = found
    try:
        manager = next(engine for engine in engines if engine.name in swarms)
        nodes = _ask(manager, "nodes")
    except StopIteration:
        said = str(problems[0]) if problems else f"{engines[0].name} is no manager of a swarm"
        hint = "`docker swarm init` there, or name a manager in swarm_engines"
        yield Finding("swarm", False, said, problems[0].hint if problems else hint)
        return
    except ZoeError as error:
        yield Finding("swarm", False, str(error), error.hint)
        return
    swarm = swarms[manager.name]
    yield from _manager_findings(swarms, nodes)
    orchestration = swarm.get("Cluster", {}).get("Spec", {}).get("Orchestration", {})
    if orchestration.get("TaskHistoryRetentionLimit") == 0:
        found = "the swarm forgets every task that has ended, and how"
        yield Finding("ended tasks", False, found, "`docker swarm update --task-history-limit 5`")
    names = [node["Description"]["Hostname"] for node in nodes]
    ready = [name for name, node in zip(names, nodes, strict=True) if _is_ready(node)]
    said = f"{len(ready)} of {len(nodes)} nodes are ready"
    away = sorted(set(names) - set(ready))
    found = f"{said}; not {', '.join(away)}" if away else said
    yield Finding("swarm", bool(ready), found, "`docker node ls` says more")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        found = f"several nodes are called {', '.join(twice)}: only one of them is used"
        yield Finding("names of nodes", False, found, "give each machine a host name of its own")
    if nameless := sorted(set(names) - {engine.name for engine in engines}):
        found = f"on {', '.join(nameless)} no commands are run, so no such ready check and no hook"
        hint = "name the engine of each node in swarm_engines, under the node's host name"
        yield Finding("engines of nodes", False, found, hint, needed=False)


def _manager_findings(
    swarms: Mapping[str, Mapping[str, Any]], nodes: Sequence[Mapping[str, Any]]
) -> Iterator[Finding]:
    """Say whether another manager can be asked when one is away."""
    ids = {name: swarm.get("Cluster", {}).get("ID") for name, swarm in swarms.items()}
    first, *others = ids
    if strangers := [name for name in others if ids[name] != ids[first]]:
        found = f"{', '.join(strangers)} is of another swarm than {first}"
        yield Finding("managers", False, found, "name the engines of one swarm in swarm_engines")
    count = sum("ManagerStatus" in node for node in nodes)
    if count > 1 and not others:
        found = f"only {first} is named of {count} managers: without it nothing starts or ends"
        hint = "name the engines of the others in swarm_engines, too"
        yield Finding("managers", False, found, hint, needed=False)


def _is_ready(node: Mapping[str, Any]) -> bool:
    return bool(node["Status"]["State"] == "ready")


def _ask(engine: EngineSpec, question: str) -> Any:
    """Return what an engine answers; raises ZoeError, in words."""
    import httpx2

    with ExitStack() as stack:
        try:
            safe = tls_context(Path(engine.tls)) if engine.tls else False
            tunnel = stack.enter_context(tunnel_to(engine)) if engine.ssh_destination else None
            path = str(tunnel.socket) if tunnel else engine.socket
            place = "localhost" if path else engine.url.removeprefix(TCP_SCHEME)
            transport = httpx2.HTTPTransport(uds=path or None, verify=safe)
            with httpx2.Client(transport=transport, timeout=5.0) as client:
                address = f"http{'s' if engine.tls else ''}://{place}/{question}"
                return client.get(address).raise_for_status().json()
        except SshFailed as error:
            raise ZoeError(f"{engine.url}: {error}", hint=error.hint) from error
        except (httpx2.HTTPError, ValueError) as error:
            why, hint = tls_problem(error), TLS_HINT
            if tunnel and not why:
                why, hint = tunnel.trouble()
            if why:
                raise ZoeError(f"{engine.url}: {why}", hint=hint) from error
            raise ZoeError(f"{engine.url} does not answer as a Docker Engine: {error}") from error
