"""What exactly the engine is asked to create for an attempt."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from zoe.backends.base import Refused, Retryable
from zoe.backends.docker.names import host_name, labels, network_name
from zoe.model.engines import EngineSpec
from zoe.model.execution import Execution, ServiceInstance
from zoe.model.launch import Launch
from zoe.model.resources import CORE, Resources
from zoe.model.volumes import VolumeSpec, danger, refusals
from zoe.model.zapp import HttpCheck, Service, TcpCheck

WORKSPACE = "/mnt/workspace"
"""Where an instance sees its user's workspace."""
EVERYWHERE = "0.0.0.0"  # of a container: who reaches it there is its engine's to say
"""Where a server in a container listens: a published port may come in by another network."""
PROCESSES_MAX = 4096
"""Processes and threads of one instance: a fork bomb ends here."""
SHARES_OF_CORE = 1024
LOG_DRIVER = "json-file"
LOG_OPTIONS = {"max-size": "1000p"}
"""The engine keeps all output, whatever its own settings say: see output.py."""
HOST_NAME_MAX = 63
_SHARES_MIN = 2
_NANO = 10**9

GpuDriver = Literal["nvidia", "none"]


@dataclass(frozen=True, slots=True)
class Owner:
    """The user's workspace on the machine of the engine, and the numbers of who owns it."""

    workspace: Path
    uid: int
    gid: int


def owner_of(workspaces_dir: Path, name: str) -> Owner:
    """Return the workspace of a user; an instance runs as whoever owns that folder."""
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise Refused(f"{name!r} cannot be the name of a workspace")
    workspace = workspaces_dir / name
    try:
        workspace.mkdir(mode=0o700, exist_ok=True)
        owned = workspace.stat()
    except OSError as error:
        raise Retryable(f"{workspace} cannot be made: {error.strerror}") from error
    return Owner(workspace, owned.st_uid, owned.st_gid)


def why_not(
    service: Service, volumes: Mapping[str, VolumeSpec], execution: Execution | None = None
) -> str | None:
    """Say why a service cannot run in a container; ``execution`` tells whose it is, if known."""
    if not service.image:
        return "it has no image"
    whose = (execution.owner, execution.team) if execution else (None, "")
    for message, hint in refusals(volumes.values(), service.volumes, *whose):
        return f"{message}; {hint}"
    return None


def container_config(
    deployment: str,
    instance: ServiceInstance,
    service: Service,
    what: Launch,
    owner: Owner,
    gpu_driver: GpuDriver,
    *,
    publish: bool,
) -> dict[str, Any]:
    """Return the body of the call that creates the container of an attempt.

    With ``publish``, each of :func:`ports_to_publish` gets a free one of the engine's machine.
    """
    key = (instance.id, instance.attempt)
    own_name = host_name(instance.service, instance.ordinal)
    limits = service.limits or Resources()
    gpu_ids = ",".join(instance.gpus)
    environment = {
        "HOME": WORKSPACE,
        "ZOE_ADDRESS": own_name,
        **what.environment,
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "NVIDIA_VISIBLE_DEVICES": gpu_ids or "void",
    }
    if gpu_driver == "none":  # nothing renumbers the devices inside: their ids are those outside
        environment["CUDA_VISIBLE_DEVICES"] = gpu_ids
    network = network_name(deployment, instance.execution_id)
    config: dict[str, Any] = {
        "Image": service.image,
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Labels": labels(deployment, key, what, instance.gpus),
        "User": f"{owner.uid}:{owner.gid}",
        "HostConfig": {
            "Init": True,
            "NetworkMode": network,
            "Mounts": [_mount(str(owner.workspace), WORKSPACE, read_only=False)],
            "LogConfig": {"Type": LOG_DRIVER, "Config": LOG_OPTIONS},
            "RestartPolicy": {"Name": "no"},
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "PidsLimit": PROCESSES_MAX,
            **limits_config(
                Resources(
                    service.resources.cores_milli,
                    limits.memory_bytes or service.resources.memory_bytes,
                ),
                quota_milli=limits.cores_milli,
            ),
            **({"ShmSize": service.shm_bytes} if service.shm_bytes else {}),
            **_gpu_config(instance.gpus, gpu_driver),
        },
        "NetworkingConfig": {
            "EndpointsConfig": {network: {"Aliases": [own_name, host_name(instance.service)]}}
        },
    }
    if publish and (names := ports_to_publish(service)):
        config["ExposedPorts"] = {name: {} for name in names}
        config["HostConfig"]["PortBindings"] = {name: [{"HostPort": ""}] for name in names}
    if len(own_name) <= HOST_NAME_MAX:
        config["Hostname"] = own_name
    if what.command:
        # The whole command, and not arguments of what the image says.
        config |= {"Entrypoint": [what.command[0]], "Cmd": list(what.command[1:])}
    if what.work_dir:
        config["WorkingDir"] = what.work_dir
    return config


def ports_to_publish(service: Service) -> list[str]:
    """Return the ports of a service, and that of its ready check, as engines write them."""
    names = [f"{port.port}/{'udp' if port.protocol == 'udp' else 'tcp'}" for port in service.ports]
    if service.ready and isinstance(service.ready.check, HttpCheck | TcpCheck):
        names.append(f"{service.ready.check.port}/tcp")
    return list(dict.fromkeys(names))


def limits_config(limits: Resources, quota_milli: int = 0) -> dict[str, int]:
    """Return memory that is never exceeded, a weight of cores, and a number of them as a limit."""
    return {
        "Memory": limits.memory_bytes,
        "MemorySwap": limits.memory_bytes,
        "CpuShares": max(limits.cores_milli * SHARES_OF_CORE // CORE, _SHARES_MIN),
        "NanoCpus": quota_milli * (_NANO // CORE),
    }


def guarded_by(data_dir: Path, engines: Iterable[EngineSpec]) -> list[str]:
    """Return what of this deployment no volume may open, beside what is closed anyway."""
    sockets = (engine.socket or engine.remote_socket for engine in engines)
    closed = [data_dir, *map(Path, filter(None, sockets))]
    return [str(each.resolve()) for each in closed]


def mounts_config(
    service: Service, volumes: Mapping[str, VolumeSpec], guarded: Sequence[str]
) -> Sequence[Mapping[str, Any]]:
    """Return how the volumes of a service are mounted; raises Refused for one that opens too much.

    What its folder leads to is looked at here as well as its name: there may be links. ``guarded``
    is what :func:`guarded_by` returns.
    """
    mounts = []
    for mount in service.volumes:
        volume = volumes[mount.name]
        real = str(Path(volume.folder).resolve())
        if not volume.unsafe and (opened := danger(real, guarded)):
            raise Refused(f"the volume {volume.name} leads to {real}, which would open {opened}")
        mounts.append(_mount(volume.folder, mount.path, volume.read_only or mount.read_only))
    return mounts


def _mount(folder: str, path: str, read_only: bool) -> Mapping[str, Any]:
    return {"Type": "bind", "Source": folder, "Target": path, "ReadOnly": read_only}


def _gpu_config(gpus: Sequence[str], driver: GpuDriver) -> dict[str, Any]:
    if not gpus or driver == "none":
        return {}
    request = {"Driver": driver, "DeviceIDs": list(gpus), "Capabilities": [["gpu"]]}
    return {"DeviceRequests": [request]}
