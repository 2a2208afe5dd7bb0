"""The GPUs of the process back-end: which there are, and what programs are told of them."""

from dataclasses import replace
from pathlib import Path

import pytest

from backend_worlds import (
    ProcessWorld,
    end_of,
    make_execution,
    make_instance,
    output,
    start,
)
from zoe.backends.base import Retryable
from zoe.backends.process.backend import ProcessBackend
from zoe.backends.process.capacity import detect_gpus
from zoe.model.resources import Resources
from zoe.model.zapp import (
    Service,
)


async def test_programs_are_told_their_gpus_and_no_others(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    """Also those that ask for none, and those that would like to choose by themselves."""
    choosy = {"CUDA_VISIBLE_DEVICES": "0,1,2,3", "NVIDIA_VISIBLE_DEVICES": "all"}
    for number, gpus in enumerate([("b", "a"), ()]):
        amount = Resources(gpus=len(gpus))
        execution = make_execution(
            Service("s", command=("env",), environment=choosy, resources=amount), id=number
        )
        instance = replace(make_instance(execution), gpus=gpus)
        await backend.start(execution, instance)
        await end_of(backend, instance)
        lines = output(world, instance).splitlines()
        assert f"CUDA_VISIBLE_DEVICES={','.join(gpus)}" in lines
        assert f"NVIDIA_VISIBLE_DEVICES={','.join(gpus)}" in lines
        assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in lines
        assert not any(line.startswith("ROCR_VISIBLE_DEVICES") for line in lines)


async def test_where_there_are_no_gpus_nothing_is_said_of_them(world: ProcessWorld) -> None:
    backend = world.backend(gpus=())
    await backend.open()
    _, instance = await start(backend, Service("s", command=("env",)))
    await end_of(backend, instance)
    assert "CUDA" not in output(world, instance)
    (node,) = (await backend.observe()).nodes
    assert (node.capacity.gpus, node.gpu_ids) == (0, ())


async def test_a_gpu_taken_from_the_settings_stays_with_what_runs(
    world: ProcessWorld, backend: ProcessBackend
) -> None:
    execution = make_execution(Service("s", command=("sleep", "1000"), essential=2))
    first, second = (replace(make_instance(execution, ordinal=n), gpus=("b",)) for n in (0, 1))
    await backend.start(execution, first)
    smaller = world.backend(gpus=("a",))
    await smaller.open()
    seen = await smaller.observe()
    assert [one.gpus for one in seen.instances] == [("b",)]
    assert seen.nodes[0].gpu_ids == ("a",)
    with pytest.raises(Retryable, match="no GPU b"):
        await smaller.start(execution, second)


def test_gpus_are_found_by_their_device_files(tmp_path: Path) -> None:
    assert detect_gpus(tmp_path) == []
    for name in ("nvidia0", "nvidia10", "nvidiactl", "nvidia-uvm", "sda"):
        (tmp_path / name).touch()
    assert detect_gpus(tmp_path) == ["0", "1"]
