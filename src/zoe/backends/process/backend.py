"""The back-end that runs instances as local processes: the master's side of the agent."""

import asyncio
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoe.backends.base import Refused, Retryable
from zoe.backends.fence import Fence
from zoe.backends.machine import sample_machine
from zoe.backends.peers import counts_by_service
from zoe.backends.process.capacity import detect_capacity, detect_gpus, gpu_variables
from zoe.backends.process.connection import Connection
from zoe.backends.process.frames import Message
from zoe.backends.watchers import Watchers
from zoe.model.cluster import Node, Observation, ObservedInstance
from zoe.model.execution import Execution, Exit, ExitReason, InstanceStatus, ServiceInstance
from zoe.model.launch import Place, launch
from zoe.model.logs import log_folder, log_path
from zoe.model.resources import Resources
from zoe.model.samples import InstanceSample, Samples
from zoe.model.zapp import ReadyCheck, Service, ZApp

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NO_ISOLATION = "this back-end gives no isolation: every application runs as the user of Zoe itself"


class ProcessBackend:
    """Runs instances on this machine without a container engine, owned by one agent process.

    A zero in ``cores`` (cores, not thousandths) and ``memory_bytes`` means what it has, and
    so does None for ``gpus``, the ids of the GPUs to give away. An empty ``path`` means the folder
    of this Python and the system's folders. ``shared`` allows the applications of more than one
    user, who can then read each other's files.
    """

    name = "process"

    def __init__(
        self,
        deployment: str,
        data_dir: Path,
        *,
        logs_dir: Path,
        workspaces_dir: Path,
        cores: float = 0,
        memory_bytes: int = 0,
        gpus: Sequence[str] | None = None,
        node_name: str = "",
        path: str = "",
        shared: bool = False,
        api_url: str = "",
        idle_seconds: float = 600.0,
        cgroups: bool = True,
    ) -> None:
        self._deployment = deployment
        self._data_dir = data_dir.absolute()
        self._logs_dir = logs_dir.absolute()
        self._workspaces_dir = workspaces_dir.absolute()
        self._node = node_name or socket.gethostname().partition(".")[0].lower() or "localhost"
        self._gpus = tuple(detect_gpus() if gpus is None else gpus)
        self._capacity = detect_capacity(cores, memory_bytes, len(self._gpus))
        self._path = path or f"{Path(sys.executable).parent}:{SYSTEM_PATH}"
        self._shared = shared
        self._api_url = api_url
        self.fence = Fence()
        self._watchers = Watchers()
        self._agent = Connection(
            deployment,
            self._data_dir,
            idle_seconds=idle_seconds,
            cgroups=cgroups,
            on_event=self._tell,
        )

    async def open(self) -> None:
        """Connect to the agent, which is started if there is none."""
        for folder in (self._data_dir / "run", self._workspaces_dir):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        await self._agent.connect()

    async def close(self) -> None:
        """Let go of the agent; it and the instances go on."""
        self._watchers.close()
        await self._agent.close()

    async def shutdown(self, *, grace_seconds: float) -> None:
        """Stop every instance, then the agent; what ended is reported by the next one."""
        await self._agent.shutdown(grace_seconds)

    async def start(self, execution: Execution, instance: ServiceInstance) -> None:
        """Start this attempt; Refused when this machine cannot run it, in words."""
        service = execution.zapp.service(instance.service)
        self._check(execution, instance, service)
        hosts = await self._hosts(execution, instance)
        workspace = self._workspace(execution.owner)
        place = Place(self._deployment, hosts, str(workspace), self._api_url)
        what = launch(execution, instance, place, on_process=True)
        own_address = hosts[f"{instance.service}.{instance.ordinal}"]
        limits = service.limits or Resources()
        record = {
            "instance_id": instance.id,
            "attempt": instance.attempt,
            "address": own_address,
            "command": list(what.command),
            "environment": {
                "PATH": self._path,
                "HOME": str(workspace),
                "LANG": "C.UTF-8",
                "ZOE_ADDRESS": own_address,
                **what.environment,
                **gpu_variables(instance.gpus, node_has_any=bool(self._gpus)),
            },
            "work_dir": what.work_dir,
            "stdout": str(log_path(self._logs_dir, instance.id, instance.attempt, "stdout")),
            "stderr": str(log_path(self._logs_dir, instance.id, instance.attempt, "stderr")),
            "limits": (
                limits.memory_bytes or service.resources.memory_bytes,
                service.resources.cores_milli,
                limits.cores_milli,
            ),
            "check": _check_fields(what.ready),
            "shrink": list(what.shrink_command),
            "gpus": list(instance.gpus),
        }
        await self._change("start", record=record)

    async def stop(
        self, instance_id: str, attempt: int, *, grace_seconds: float, shrink: bool
    ) -> None:
        """Begin to stop it; an attempt that was not started yet never will be."""
        await self._change(
            "stop",
            instance_id=instance_id,
            attempt=attempt,
            grace_seconds=grace_seconds,
            shrink=shrink,
        )

    async def resize(self, instance_id: str, attempt: int, limits: Resources) -> None:
        """Give it other limits; Refused where there are no control groups."""
        wanted = (limits.memory_bytes, limits.cores_milli, limits.cores_milli)
        await self._change("resize", instance_id=instance_id, attempt=attempt, limits=wanted)

    async def remove(self, instance_id: str, attempt: int) -> None:
        """Forget a stopped attempt and delete its working folder; Retryable while it runs."""
        await self._change("remove", instance_id=instance_id, attempt=attempt)

    async def forget(self, execution_id: int) -> None:
        """Delete the output of an execution."""
        self.fence.check()
        folder = log_folder(self._logs_dir, execution_id)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    async def observe(self) -> Observation:
        """Return this machine and every attempt that was not removed."""
        seen = await self._agent.call("observe")
        message = f"{NO_ISOLATION}; {seen['enforcement']}"
        node = Node(self._node, self._capacity, message=message, gpus=self._gpus)
        return Observation((node,), tuple(map(self._observed, seen["instances"])))

    async def sample(self) -> Samples:
        """Return what this machine and every attempt that lives use."""
        seen = await self._agent.call("sample")
        node = await asyncio.to_thread(sample_machine, self._node)
        return Samples((node,), tuple(InstanceSample(**each) for each in seen))

    def watch(self) -> AsyncIterator[ObservedInstance]:
        """Yield what changes; after a reconnection, everything once more."""
        return self._watchers.watch()

    def describe(self, zapp: ZApp) -> list[str]:
        """Return what differs when ``zapp`` runs here rather than in containers, for people."""
        notes = [f"commands run on this machine without isolation ({self._node})"]
        images = sorted({service.image for _, service in zapp.services() if service.image})
        notes += [f"the image {image} is not used here" for image in images]
        for name, service in zapp.services():
            if (why_not := _why_not(service)) is not None:
                notes.append(f"{name} cannot run here: {why_not}")
            if service.shm_bytes:
                notes.append(f"{name}: shm has no effect, /dev/shm of this machine is used")
            if service.resources.gpus:
                notes.append(f"{name}: its GPUs are told to it, and not kept from other programs")
        return notes

    async def _change(self, name: str, **fields: Any) -> None:
        """Have the agent change something, unless another master has told it to since."""
        await self._agent.call(name, check=self.fence.check, **fields, epoch=self.fence.epoch)

    def _check(self, execution: Execution, instance: ServiceInstance, service: Service) -> None:
        if instance.node not in ("", self._node):
            raise Refused(f"this machine is the node {self._node}, not {instance.node}")
        if (why_not := _why_not(service)) is not None:
            raise Refused(f"{instance.service} cannot run on the process back-end: {why_not}")
        if missing := sorted(set(instance.gpus) - set(self._gpus)):
            raise Retryable(f"this machine has no GPU {missing[0]} (any more)")
        if not self._shared and (first := self._first_owner(execution.owner)) != execution.owner:
            raise Refused(
                f"{NO_ISOLATION}, and {first} uses it already; {execution.owner} cannot",
                hint="process_shared = true allows this, for users who trust each other.",
            )

    def _first_owner(self, owner: str) -> str:
        """Return whose applications this deployment runs; the first one is remembered."""
        path = self._data_dir / "process-owner"
        if path.exists():
            return path.read_text()
        draft = path.with_suffix(".new")  # whole or not at all: nobody is called ""
        draft.write_text(owner)
        draft.replace(path)
        return owner

    def _workspace(self, owner: str) -> Path:
        if owner in ("", ".", "..") or "/" in owner or "\0" in owner:
            raise Refused(f"{owner!r} cannot be the name of a workspace")
        workspace = self._workspaces_dir / owner
        workspace.mkdir(mode=0o700, exist_ok=True)
        return workspace

    async def _hosts(self, execution: Execution, instance: ServiceInstance) -> Mapping[str, str]:
        """Return the address of every instance that the execution may have, by name."""
        addresses: Mapping[str, list[str]] = await self._agent.call(
            "addresses",
            execution_id=execution.id,
            services=counts_by_service(execution, instance),
        )
        return {
            f"{service}.{ordinal}": address
            for service, listed in addresses.items()
            for ordinal, address in enumerate(listed)
        }

    def _observed(self, seen: Message) -> ObservedInstance:
        exit = seen["exit"]
        return ObservedInstance(
            instance_id=seen["instance_id"],
            attempt=seen["attempt"],
            node=self._node,
            status=InstanceStatus(seen["status"]),
            ready=seen["ready"],
            address=seen["address"],
            exit=exit
            and Exit(ExitReason(exit["reason"]), exit["code"], exit["signal"], exit["message"]),
            gpus=tuple(seen["gpus"]),
            used=seen["used"]
            and InstanceSample(seen["instance_id"], seen["attempt"], **seen["used"]),
        )

    def _tell(self, event: Message) -> None:
        self._watchers.tell(self._observed(event))


def _why_not(service: Service) -> str | None:
    """Return why a service cannot run without containers, or None."""
    if not (service.process_command or service.command):
        return "it has only a container image; give it `process: {command: [...]}`"
    if service.volumes:
        return f"the volume {service.volumes[0].name} is a container's; use the workspace"
    return None


def _check_fields(ready: ReadyCheck | None) -> Message | None:
    if ready is None:
        return None
    check = ready.check
    return {
        "kind": check.kind,
        "port": getattr(check, "port", 0),
        "path": getattr(check, "path", ""),
        "command": list(getattr(check, "command", ())),
        "timeout_seconds": ready.timeout_seconds,
        "interval_seconds": ready.interval_seconds,
    }
