"""Of what the container of an attempt is made, on whichever engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoe.backends.docker.config import (
    EVERYWHERE,
    WORKSPACE,
    GpuDriver,
    container_config,
    mounts_config,
    owner_of,
)
from zoe.backends.docker.names import host_name
from zoe.backends.peers import counts_by_service
from zoe.model.execution import Execution, ServiceInstance
from zoe.model.launch import Place, launch
from zoe.model.volumes import VolumeSpec
from zoe.model.zapp import Service


@dataclass(frozen=True, slots=True)
class Recipe:
    """What all containers of a deployment have in common."""

    deployment: str
    workspaces_dir: Path
    gpu_driver: GpuDriver
    api_url: str
    volumes: Mapping[str, VolumeSpec]

    def config(
        self,
        execution: Execution,
        instance: ServiceInstance,
        service: Service,
        *,
        publish: bool,
        guarded: Sequence[str],
    ) -> dict[str, Any]:
        """Return what an engine is told; raises Refused for a volume that opens too much.

        With ``publish`` its ports are reached from elsewhere; ``guarded`` is what no volume opens.
        """
        hosts = {
            f"{name}.{ordinal}": host_name(name, ordinal)
            for name, count in counts_by_service(execution, instance).items()
            for ordinal in range(count)
        }
        place = Place(self.deployment, hosts, WORKSPACE, self.api_url, listen=EVERYWHERE)
        what = launch(execution, instance, place)
        owner = owner_of(self.workspaces_dir, execution.owner)
        config = container_config(
            self.deployment, instance, service, what, owner, self.gpu_driver, publish=publish
        )
        config["HostConfig"]["Mounts"] += mounts_config(service, self.volumes, guarded)
        return config
