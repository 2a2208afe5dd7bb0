"""What every back-end does with GPUs: each attempt has its own to itself while it lives."""

from dataclasses import replace

import pytest

from backend_worlds import (
    GPUS,
    SLEEPS,
    World,
    make_execution,
    make_instance,
    node_of,
    running,
    seen,
    stopped,
)
from zoe.backends.base import Backend, Retryable
from zoe.model.resources import Resources


async def test_the_gpus_of_a_node_have_ids(backend: Backend) -> None:
    node = await node_of(backend)
    assert node.gpu_ids == GPUS
    assert node.capacity.gpus == len(GPUS)


async def test_an_instance_has_its_gpus_to_itself_while_it_lives(
    world: World, backend: Backend
) -> None:
    execution = make_execution(world.service(SLEEPS, resources=Resources(gpus=1)))
    first, second, other = (
        replace(make_instance(execution, ordinal=number), gpus=(gpu,))
        for number, gpu in enumerate(["a", "a", "b"])
    )
    await backend.start(execution, first)
    with pytest.raises(Retryable, match=f"{first.id} still has the GPU a"):
        await backend.start(execution, second)
    await backend.start(execution, other)
    found = {one.instance_id: one.gpus for one in (await backend.observe()).instances}
    assert found == {first.id: ("a",), other.id: ("b",)}
    await backend.stop(first.id, 1, grace_seconds=5, shrink=False)
    await seen(backend, first, stopped)
    await backend.start(execution, second)
    assert (await seen(backend, second, running)).gpus == ("a",)


async def test_a_gpu_that_the_node_has_not_is_not_given(world: World, backend: Backend) -> None:
    execution = make_execution(world.service(SLEEPS, resources=Resources(gpus=2)))
    instance = replace(make_instance(execution), gpus=("a", "c"))
    with pytest.raises(Retryable, match="no GPU c"):
        await backend.start(execution, instance)
    assert (await backend.observe()).instances == ()


async def test_the_next_master_finds_who_has_which_gpus(world: World, backend: Backend) -> None:
    execution = make_execution(world.service(SLEEPS, resources=Resources(gpus=2)))
    instance = replace(make_instance(execution), gpus=("b", "a"))
    await backend.start(execution, instance)
    await backend.close()
    another = world.backend()
    await another.open()
    assert (await seen(another, instance, running)).gpus == ("b", "a")
    late = replace(make_instance(execution, ordinal=1), gpus=("a",))
    with pytest.raises(Retryable):
        await another.start(execution, late)
    await another.close()
