"""How containers and networks are called and labelled: all follows from the ids."""

import json
from collections.abc import Mapping

from zoe.model.codec import from_json, to_json
from zoe.model.launch import Launch
from zoe.model.zapp import ReadyCheck

DEPLOYMENT = "zoe.deployment"
EXECUTION = "zoe.execution"
INSTANCE = "zoe.instance"
ATTEMPT = "zoe.attempt"
GPUS = "zoe.gpus"
READY = "zoe.ready"
SHRINK = "zoe.shrink"

Key = tuple[str, int]
"""The id of an instance, and the number of the attempt."""


def execution_of(key: Key) -> int:
    """Return the execution that an attempt belongs to."""
    return int(key[0].partition("/")[0])


def container_name(deployment: str, key: Key) -> str:
    """Return the name of the container of an attempt: ``zoe-lab-17.spark.worker.3.1``."""
    return f"zoe-{deployment}-{key[0].replace('/', '.')}.{key[1]}"


def network_name(deployment: str, execution_id: int) -> str:
    """Return the name of the network of an execution: ``zoe-lab-17``."""
    return f"zoe-{deployment}-{execution_id}"


def host_name(service: str, ordinal: int | None = None) -> str:
    """Return the name of an instance in its network, ``3.worker.spark``; without, of all."""
    framework, _, name = service.partition(".")
    return f"{name}.{framework}" if ordinal is None else f"{ordinal}.{name}.{framework}"


def labels(deployment: str, key: Key, what: Launch, gpus: tuple[str, ...]) -> dict[str, str]:
    """Return what a later master must know of an attempt, as labels of its container."""
    return {
        DEPLOYMENT: deployment,
        EXECUTION: str(execution_of(key)),
        INSTANCE: key[0],
        ATTEMPT: str(key[1]),
        GPUS: ",".join(gpus),
        READY: json.dumps(to_json(what.ready)),
        SHRINK: json.dumps(what.shrink_command),
    }


def is_whole(labelled: Mapping[str, str]) -> bool:
    """Whether a container has all our labels: a person can make one with only some."""
    return labelled.keys() >= {EXECUTION, INSTANCE, ATTEMPT, GPUS, READY, SHRINK}


def is_of(labelled: Mapping[str, str] | None, deployment: str, key: Key) -> bool:
    """Whether a container with these labels is that of an attempt, or only has its name."""
    wanted = (deployment, key[0], str(key[1]))
    return tuple(map((labelled or {}).get, (DEPLOYMENT, INSTANCE, ATTEMPT))) == wanted


def key_of(labelled: Mapping[str, str]) -> Key:
    """Return the attempt that a container with these labels is."""
    return labelled[INSTANCE], int(labelled[ATTEMPT])


def gpus_of(labelled: Mapping[str, str]) -> tuple[str, ...]:
    """Return the GPUs that a container with these labels has."""
    return tuple(filter(None, labelled[GPUS].split(",")))


def shrink_of(labelled: Mapping[str, str]) -> tuple[str, ...]:
    """Return the shrink command of a container with these labels; empty: none."""
    return tuple(json.loads(labelled[SHRINK]))


def check_of(labelled: Mapping[str, str]) -> ReadyCheck | None:
    """Return the ready check of a container with these labels."""
    written = json.loads(labelled[READY])
    return None if written is None else from_json(ReadyCheck, written)
