"""What every back-end tells of what its instances and machines use."""

import asyncio
import time

from backend_worlds import (
    NODE,
    PATIENCE_SECONDS,
    SLEEPS,
    Program,
    World,
    run,
    seen,
    stopped,
)
from zoe.backends.base import Backend
from zoe.model.samples import InstanceSample, NodeSample

MIB = 2**20
TICKS_SECONDS = 0.05
"""What a kernel that counts in ticks may tell too much."""


async def sampled(
    backend: Backend, instance_id: str, least_bytes: int = 0, least_seconds: float = 0.0
) -> tuple[NodeSample, InstanceSample]:
    """Sample until an instance uses so much; return that, and what its node uses."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = await backend.sample()
        for each in found.instances:
            if each.instance_id == instance_id and (
                each.memory_bytes >= least_bytes and each.core_seconds >= least_seconds
            ):
                return next(node for node in found.nodes if node.name == NODE), each
        await asyncio.sleep(0.02)
    raise AssertionError(f"not seen within {PATIENCE_SECONDS} s; last: {found}")


async def test_memory_and_time_on_cores_are_told(world: World, backend: Backend) -> None:
    _, instance = await run(world, backend, Program(holds_mib=64))
    node, first = await sampled(backend, instance.id, 48 * MIB)
    assert first.attempt == 1
    assert first.memory_bytes < 256 * MIB
    assert first.peak_bytes == 0 or first.peak_bytes >= first.memory_bytes
    assert first.memory_kills == 0
    assert node.memory_bytes >= first.memory_bytes
    assert node.memory_total_bytes >= node.memory_bytes
    _, later = await sampled(backend, instance.id)
    assert later.core_seconds >= first.core_seconds


async def test_work_is_told_as_it_is_done(world: World, backend: Backend) -> None:
    _, instance = await run(world, backend, Program(works=True))
    begun = time.monotonic()
    _, sample = await sampled(backend, instance.id, least_seconds=0.3)
    _, more = await sampled(backend, instance.id, least_seconds=sample.core_seconds + 0.2)
    passed = time.monotonic() - begun
    assert more.core_seconds - sample.core_seconds < passed + TICKS_SECONDS, "it has one core"


async def test_what_has_ended_is_not_sampled(world: World, backend: Backend) -> None:
    _, instance = await run(world, backend, SLEEPS)
    await sampled(backend, instance.id)
    await backend.stop(instance.id, 1, grace_seconds=0.1, shrink=False)
    await seen(backend, instance, stopped)
    found = await backend.sample()
    assert found.instances == ()
    assert NODE in {node.name for node in found.nodes}
