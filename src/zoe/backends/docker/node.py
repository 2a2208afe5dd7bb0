"""The machine of an engine as a node: what it has, what others use of it, which images it has."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from zoe.backends.docker.config import SHARES_OF_CORE
from zoe.backends.docker.engine import Body, Engine, NotThere
from zoe.backends.docker.names import DEPLOYMENT
from zoe.backends.docker.registries import HUB, registry_of
from zoe.model.cluster import Node, NodeStatus
from zoe.model.engines import EngineSpec
from zoe.model.resources import CORE, Resources

_HUB = f"{HUB}/"
_LIBRARY = "library/"
_LATEST = ":latest"
_NANO = 10**9


class Machine:
    """What was seen of an engine's machine last; it is kept while the engine does not answer."""

    def __init__(self, engine: Engine, deployment: str, *, pulls: bool) -> None:
        self._engine = engine
        self._pulls = pulls
        self._deployment = deployment
        self._foreign: dict[str, Resources] = {}
        """What each container of others has as limits, by id."""
        spec = engine.spec
        self.node = Node(spec.name, _capacity(spec, {}), labels=spec.labels, gpus=spec.gpus)

    async def look(self) -> None:
        """Look again; raises Unreachable."""
        spec = self._engine.spec
        self.node = Node(
            spec.name,
            _capacity(spec, await self._engine.info()),
            foreign=await self._used_by_others(),
            labels=spec.labels,
            gpus=spec.gpus,
            images=await self._images(),
            pulls=self._pulls,
        )

    async def _images(self) -> frozenset[str]:
        return frozenset(ids_by_name(await self._engine.images()))

    def unreachable(self, why: str) -> Node:
        """Return the node as it was, marked as one that nobody reaches."""
        return replace(self.node, status=NodeStatus.UNREACHABLE, message=why)

    async def _used_by_others(self) -> Resources:
        total, seen = Resources(), set()
        for container in await self._engine.containers(foreign=True):
            if container["Labels"].get(DEPLOYMENT) == self._deployment:
                continue
            seen.add(container["Id"])
            try:
                total += await self._used_by(container["Id"])
            except NotThere:
                continue  # it went away meanwhile
        self._foreign = {id: limits for id, limits in self._foreign.items() if id in seen}
        return total

    async def _used_by(self, container: str) -> Resources:
        """Return the limits of a container; without one of memory, what it uses now."""
        if container not in self._foreign:
            found = await self._engine.inspect(container)
            self._foreign[container] = limits_of(found["HostConfig"])
        limits = self._foreign[container]
        if limits.memory_bytes:
            return limits
        used = (await self._engine.stats(container)).get("memory_stats", {}).get("usage", 0)
        return limits + Resources(memory_bytes=used)


def limits_of(host_config: Mapping[str, Any]) -> Resources:
    """Return what a container may use; one without a limit of cores counts by its weight."""
    cores_milli = host_config["NanoCpus"] * CORE // _NANO
    if host_config.get("CpuQuota", 0) > 0:
        cores_milli = host_config["CpuQuota"] * CORE // (host_config["CpuPeriod"] or 100_000)
    if not cores_milli:
        cores_milli = (host_config["CpuShares"] or SHARES_OF_CORE) * CORE // SHARES_OF_CORE
    devices = host_config.get("DeviceRequests") or ()
    gpus = sum(len(request["DeviceIDs"] or ()) for request in devices)
    return Resources(cores_milli, host_config["Memory"], gpus)


def ids_by_name(images: Iterable[Body]) -> dict[str, str]:
    """Return what images an engine has, by every name that they can be asked for."""
    return {
        name: str(image["Id"])
        for image in images
        for tag in (*(image["RepoTags"] or ()), *(image["RepoDigests"] or ()))
        for name in names_of_image(tag)
    }


def names_of_image(tag: str) -> set[str]:
    """Return every way to write the name of an image that the engine calls ``tag``."""
    short = tag.removeprefix(_HUB).removeprefix(_LIBRARY)
    names = {tag, short}
    if "/" not in short:
        names |= {_LIBRARY + short, _HUB + short, _HUB + _LIBRARY + short}
    elif not registry_of(short):
        names.add(_HUB + short)
    return names | {name.removesuffix(_LATEST) for name in names}


def _capacity(spec: EngineSpec, info: Mapping[str, Any]) -> Resources:
    return Resources(
        spec.cores_milli or info.get("NCPU", 0) * CORE,
        spec.memory_bytes or info.get("MemTotal", 0) // 10 * 9,
        len(spec.gpus),
    )
