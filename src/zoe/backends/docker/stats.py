"""What containers use, asked of their engine: one question for each, many at a time."""

import asyncio
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from zoe.backends.base import Refused, Retryable
from zoe.backends.docker.engine import Engine, NotThere
from zoe.backends.docker.names import Key
from zoe.backends.machine import sample_machine
from zoe.model.samples import InstanceSample, NodeSample, Samples

CONCURRENCY = 100
"""Containers that one engine is asked about at once.

It looks at all that somebody asks about once a second and answers then: to ask about a few after
the others would only let it look more often.
"""


async def sample_engines(
    engines: Iterable[Engine], containers: Mapping[str, tuple[Key, str, int]]
) -> Samples:
    """Return what engines that answer, and our living ``containers`` there, use.

    ``containers`` are by id: whose each is, on which engine, and what :func:`sample_engine` says.
    """

    async def sample(engine: Engine) -> tuple[NodeSample, list[InstanceSample]] | None:
        there = {
            id: (key, kills) for id, (key, name, kills) in containers.items() if name == engine.name
        }
        try:
            return await sample_engine(engine, there)
        except (Retryable, Refused):
            return None

    asked = [engine for engine in engines if engine.spec.url]  # nobody named the others
    found = [one for one in await asyncio.gather(*map(sample, asked)) if one]
    return Samples(
        tuple(node for node, _ in found), tuple(each for _, samples in found for each in samples)
    )


async def sample_engine(
    engine: Engine, containers: Mapping[str, tuple[Key, int]]
) -> tuple[NodeSample, list[InstanceSample]]:
    """Return what an engine's machine and ``containers`` use; raises Unreachable.

    ``containers`` are ours that live, by id: whose they are, and how many of their processes were
    killed for memory. The machine tells what it uses where that is this one; of another one the
    engine knows only the containers, ours and those of others.
    """
    info = await engine.info()
    is_here = info.get("Name") == socket.gethostname()
    everybody = set[str]()
    if not is_here:
        everybody = {each["Id"] for each in await engine.containers(foreign=True)}
    answers, missed = await _stats(engine, everybody | containers.keys())
    samples = [
        _sample(*containers[id], answers[id]) for id in containers if answers.get(id) is not None
    ]
    if is_here:
        return await asyncio.to_thread(sample_machine, engine.name), samples
    used = [_sample(("", 0), 0, answers[id]) for id in everybody & answers.keys()]
    node = NodeSample(
        engine.name,
        sum(each.memory_bytes for each in used),
        info.get("MemTotal", 0),
        # What one that did not answer has worked would count as that of the next interval.
        None if missed & everybody else sum(each.core_seconds for each in used),
        is_machine=False,
    )
    return node, samples


async def _stats(
    engine: Engine, containers: Iterable[str]
) -> tuple[dict[str, Mapping[str, Any]], set[str]]:
    """Return the answers for those that still run, and those of which nobody knows."""
    asked = list(containers)
    free = asyncio.Semaphore(CONCURRENCY)
    answers: dict[str, Mapping[str, Any]] = {}

    async def ask(container: str) -> None:
        async with free:
            try:
                answer = await engine.stats(container)
            except NotThere:
                return
            if answer.get("memory_stats", {}).get("usage"):  # one that has ended tells nothing
                answers[container] = answer

    missed = set[str]()
    done = await asyncio.gather(*map(ask, asked), return_exceptions=True)
    for container, fault in zip(asked, done, strict=True):
        if isinstance(fault, Retryable | Refused):
            missed.add(container)
        elif fault is not None:
            raise fault
    return answers, missed


def _sample(key: Key, memory_kills: int, stats: Mapping[str, Any]) -> InstanceSample:
    """Read one answer; the names differ between the two versions of control groups."""
    memory = stats["memory_stats"]
    of_files = memory.get("stats", {})
    cache = of_files.get("total_inactive_file", of_files.get("inactive_file", 0))
    now = max(0, memory["usage"] - cache)
    networks = stats.get("networks")
    blocks = stats.get("blkio_stats", {}).get("io_service_bytes_recursive")
    return InstanceSample(
        *key,
        memory_bytes=now,
        core_seconds=stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9,
        peak_bytes=max(now, memory.get("max_usage", 0) - cache),
        network_bytes=None
        if networks is None
        else sum(each["rx_bytes"] + each["tx_bytes"] for each in networks.values()),
        disk_bytes=None
        if blocks is None
        else sum(each["value"] for each in blocks if each["op"].lower() in ("read", "write")),
        memory_kills=memory_kills,
    )
