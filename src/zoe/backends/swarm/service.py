"""What exactly the swarm is asked to create for an attempt: the container of ``docker``."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from zoe.backends.docker.config import LOG_DRIVER, LOG_OPTIONS
from zoe.backends.docker.names import DEPLOYMENT, Key
from zoe.backends.swarm.task import node_constraint
from zoe.model.resources import CORE, Resources

NAME_MAX = 63
"""Letters in the name of a service."""
LISTEN_ON = "0.0.0.0"
_SUM_LETTERS = 12
_NANO = 10**9


def service_name(deployment: str, key: Key) -> str:
    """Return the name of the service of an attempt: ``zoe-lab-17_spark_worker_3_1``.

    A longer one than the swarm takes is cut, and told apart by a sum of all of it.
    """
    name = f"zoe-{deployment}-{key[0]}/{key[1]}".replace("/", "_").replace(".", "_")
    if len(name) <= NAME_MAX:
        return name
    total = sha256(name.encode()).hexdigest()[:_SUM_LETTERS]
    return f"{name[: NAME_MAX - _SUM_LETTERS - 1]}_{total}"


def service_spec(
    deployment: str,
    key: Key,
    container: Mapping[str, Any],
    reserved: Resources,
    grace_seconds: float,
) -> dict[str, Any]:
    """Return the service that makes the container ``container``, as the docker back-end asks it.

    :func:`on_node` says where, as the swarm decides nothing.
    """
    host = container["HostConfig"]
    (network,) = container["NetworkingConfig"]["EndpointsConfig"].items()
    environment = [each for each in container["Env"] if not each.startswith("ZOE_ADDRESS=")] + [
        f"ZOE_ADDRESS={LISTEN_ON}"
    ]
    task = {
        "Image": container["Image"],
        "Labels": {DEPLOYMENT: deployment},
        "Command": container.get("Entrypoint"),
        "Args": container.get("Cmd"),
        "Hostname": container.get("Hostname", ""),
        "Env": environment,
        "Dir": container.get("WorkingDir", ""),
        "User": container["User"],
        "Mounts": [*host["Mounts"], *_shared_memory(host)],
        "StopGracePeriod": round(grace_seconds * _NANO),
        "Init": host["Init"],
        "CapabilityDrop": host["CapDrop"],
        "Privileges": {"NoNewPrivileges": True},
    }
    return {
        "Name": service_name(deployment, key),
        "Labels": container["Labels"],
        "TaskTemplate": {
            "ContainerSpec": task,
            "Resources": {
                "Limits": {
                    "NanoCPUs": host["NanoCpus"],
                    "MemoryBytes": host["Memory"],
                    "Pids": host["PidsLimit"],
                },
                "Reservations": {
                    "NanoCPUs": reserved.cores_milli * (_NANO // CORE),
                    "MemoryBytes": reserved.memory_bytes,
                },
            },
            "RestartPolicy": {"Condition": "none", "MaxAttempts": 0},
            "Placement": {"MaxReplicas": 1},
            "Networks": [{"Target": network[0], "Aliases": network[1]["Aliases"]}],
            "LogDriver": {"Name": LOG_DRIVER, "Options": LOG_OPTIONS},
        },
        "Mode": {"Replicated": {"Replicas": 1}},
        "EndpointSpec": {"Mode": "dnsrr", "Ports": [*map(_port, host.get("PortBindings", ()))]},
    }


def on_node(spec: Mapping[str, Any], node_id: str, image: str) -> dict[str, Any]:
    """Return a service as it is for a node: nowhere else, and with the node's name of the image."""
    task = spec["TaskTemplate"]
    return {
        **spec,
        "TaskTemplate": {
            **task,
            "ContainerSpec": {**task["ContainerSpec"], "Image": image},
            "Placement": {**task["Placement"], "Constraints": [node_constraint(node_id)]},
        },
    }


def _shared_memory(host: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not host.get("ShmSize"):
        return []
    size = {"SizeBytes": host["ShmSize"], "Mode": 0o1777}
    return [{"Type": "tmpfs", "Target": "/dev/shm", "TmpfsOptions": size}]


def _port(name: str) -> dict[str, Any]:
    port, _, protocol = name.partition("/")
    return {"Protocol": protocol, "TargetPort": int(port), "PublishMode": "host"}
