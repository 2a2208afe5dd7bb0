"""What the swarm says of an attempt, in the words in which an engine tells of a container."""

from collections.abc import Mapping
from typing import Any

from zoe.backends.docker.attempt import PREPARES
from zoe.backends.docker.engine import Body

_CONSTRAINT = "node.id=="
_BEFORE = frozenset({"new", "allocated", "pending", "assigned", "accepted"})
_PREPARED = {"Status": PREPARES, "Running": True, "ExitCode": 0}
_NODE_DOWN = "the swarm lost its node"
_SHUT_DOWN = "the swarm ended it, and not for Zoe: was its node drained?"


def node_constraint(node_id: str) -> str:
    """Return what keeps a task on a node."""
    return f"{_CONSTRAINT}{node_id}"


def node_id_of(service: Body) -> str:
    """Return the node for which a service was made."""
    constraints = service["Spec"]["TaskTemplate"].get("Placement", {}).get("Constraints") or [""]
    return str(constraints[0]).removeprefix(_CONSTRAINT)


def container_of(service: Body, task: Body | None, *, node_is_down: bool) -> dict[str, Any]:
    """Return the container of an attempt, whose only task is ``task`` (None: it has none now).

    ``State`` says more than an engine does: in ``Status`` that it is still being prepared, in
    ``Lost`` and ``Rejected`` why nobody knows its end, and why it never began.
    """
    spec = service["Spec"]
    limits = spec["TaskTemplate"].get("Resources", {}).get("Limits", {})
    return {
        "Id": service["ID"],
        "Config": {"Labels": spec["Labels"]},
        "HostConfig": {"Memory": limits.get("MemoryBytes", 0)},
        "State": _state(service, task, node_is_down),
        "NetworkSettings": {"Networks": _addresses(task), "Ports": _ports(task)},
    }


def container_id(task: Body | None) -> str:
    """Return the id that a task has on the engine of its node; empty while it has none."""
    status = {} if task is None else task["Status"].get("ContainerStatus") or {}
    return str(status.get("ContainerID", ""))


def _state(service: Body, task: Body | None, node_is_down: bool) -> dict[str, Any]:
    ended = {"Status": "exited", "Running": False, "OOMKilled": False, "Error": ""}
    if task is None:
        if service["Spec"]["Mode"]["Replicated"]["Replicas"] and not node_is_down:
            return {**ended, **_PREPARED}
        lost = _NODE_DOWN if node_is_down else _SHUT_DOWN
        return {**ended, "ExitCode": None, "Lost": lost}
    status = task["Status"]
    state, said = status["State"], status.get("Err") or ""
    code = (status.get("ContainerStatus") or {}).get("ExitCode")
    match state:
        case "complete" | "failed":
            is_own_word = said.startswith("task: non-zero exit")
            return {**ended, "ExitCode": code, "Error": "" if is_own_word else said}
        case "rejected":
            return {**ended, "ExitCode": None, "Rejected": said or "the node rejects it"}
        case "shutdown" | "remove" | "orphaned":
            return {**ended, "ExitCode": code or None, "Lost": _SHUT_DOWN}
        case _ if node_is_down:
            return {**ended, "ExitCode": None, "Lost": _NODE_DOWN}
        case "running":
            return {**ended, "Status": "running", "Running": True, "ExitCode": 0}
        case _:
            waits = state in _BEFORE
            return {**ended, **_PREPARED, "Waits": waits, "Error": said}


def _addresses(task: Body | None) -> Mapping[str, Mapping[str, str]]:
    attached = [] if task is None else task.get("NetworksAttachments") or []
    return {
        each["Network"]["ID"]: {"IPAddress": each["Addresses"][0].partition("/")[0]}
        for each in attached
        if each.get("Addresses")
    }


def _ports(task: Body | None) -> Mapping[str, list[Mapping[str, str]]]:
    told = {} if task is None else task["Status"].get("PortStatus") or {}
    return {
        f"{port['TargetPort']}/{port['Protocol']}": [{"HostPort": str(port["PublishedPort"])}]
        for port in told.get("Ports") or ()
        if port.get("PublishedPort")
    }
