"""Images that the engine has not got: from a real registry, which fails in every way."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backend_worlds import (
    NODE,
    SLEEPS,
    end_of,
    make_execution,
    make_instance,
    output,
    running,
    seen,
    start,
    stopped,
)
from container_worlds import DockerWorld
from docker_engine import IMAGE
from docker_registry import COMMAND, TestRegistry, registry_beside
from zoe.backends.base import Refused, Retryable
from zoe.backends.docker import pulls
from zoe.backends.docker.backend import DockerBackend
from zoe.model.cluster import ObservedInstance
from zoe.model.execution import Exit, ExitReason, InstanceStatus
from zoe.model.zapp import Service

pytestmark = pytest.mark.component("docker")


@pytest.fixture
def registry(world: DockerWorld, tmp_path: Path) -> Iterator[TestRegistry]:
    with registry_beside(world.engine, tmp_path / "registry") as made:
        yield made


@pytest.fixture
def private(world: DockerWorld, tmp_path: Path) -> Iterator[TestRegistry]:
    with registry_beside(world.engine, tmp_path / "private", private=True) as made:
        yield made


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulls, "FIRST_PAUSE_SECONDS", 0.02)


def service(world: DockerWorld, image: str, name: str = "s") -> Service:
    return world.service(SLEEPS, name, image=image, command=COMMAND)


def starting(one: ObservedInstance) -> bool:
    return one.status is InstanceStatus.STARTING


def failed(exit: Exit, *words: str) -> bool:
    assert exit.reason is ExitReason.NOT_STARTED
    missing = [word for word in words if word not in exit.message]
    assert not missing, f"{missing} not in: {exit.message}"
    return True


async def test_a_missing_image_is_pulled_in_the_background(
    world: DockerWorld, backend: DockerBackend, registry: TestRegistry
) -> None:
    image = registry.image()
    registry.pause()
    execution, instance = await start(backend, service(world, image))
    found = await seen(backend, instance, starting)
    assert found.message == f"waits until {NODE} has pulled {image}"
    assert found.node == NODE
    (node,) = (await backend.observe()).nodes
    assert node.has_image(image), "the scheduler places it all the same"
    await backend.start(execution, instance)
    assert len((await backend.observe()).instances) == 1
    registry.resume()
    assert (await end_of(backend, instance)).reason is ExitReason.COMPLETED
    assert "ldconfig" in output(world, instance)
    registry.stop()
    again = make_instance(execution, attempt=2)
    await backend.start(execution, again)
    assert (await end_of(backend, again)).reason is ExitReason.COMPLETED, "now it has it"


async def test_what_many_want_is_pulled_once(
    world: DockerWorld, backend: DockerBackend, registry: TestRegistry
) -> None:
    image = registry.image()
    registry.pause()
    execution = make_execution(service(world, image))
    instances = [make_instance(execution, ordinal=ordinal) for ordinal in range(4)]
    for instance in instances:
        await backend.start(execution, instance)
    began = world.engine.docker("info", "--format", "{{.SystemTime}}")
    await backend.stop(instances[3].id, 1, grace_seconds=1, shrink=False)
    registry.resume()
    for instance in instances[:3]:
        assert (await end_of(backend, instance)).reason is ExitReason.COMPLETED
    now = world.engine.docker("info", "--format", "{{.SystemTime}}")
    seen_by_engine = ("--since", began, "--until", now, "--filter", "event=pull")
    events = world.engine.docker("events", *seen_by_engine).splitlines()
    assert len(events) == 1, events


@pytest.mark.parametrize("what", ["tag", "name"])
async def test_an_image_that_is_not_there_ends_the_attempt_at_once(
    world: DockerWorld, backend: DockerBackend, registry: TestRegistry, what: str
) -> None:
    image = registry.image()
    image = f"{image}23" if what == "tag" else f"{registry.name}/lab/nothing:1"
    _, instance = await start(backend, service(world, image))
    exit = await end_of(backend, instance)
    assert failed(exit, f"the image {image} cannot be pulled on {NODE}: ")
    assert "times" not in exit.message
    await backend.remove(instance.id, 1)
    assert (await backend.observe()).instances == ()
    assert world.engine.things() == world.things_before, "no network of what did not start"


async def test_what_cannot_be_the_name_of_an_image_is_refused(
    world: DockerWorld, backend: DockerBackend
) -> None:
    with pytest.raises(Refused, match="repository name must be lowercase"):
        await start(backend, service(world, "No/Such Image"))


async def test_a_private_image_needs_what_docker_login_keeps(
    world: DockerWorld, private: TestRegistry, tmp_path: Path
) -> None:
    image = private.image()
    file = tmp_path / "config.json"
    backend = world.backend(docker_auth=file)
    await backend.open()
    execution, instance = await start(backend, service(world, image))
    assert failed(await end_of(backend, instance), "docker login", "docker_auth")

    file.write_text(json.dumps({"credsStore": "secretservice"}))
    second = make_instance(execution, attempt=2)
    await backend.start(execution, second)
    helped = await end_of(backend, second)
    assert failed(helped, "docker-credential-secretservice, which Zoe does not run")

    file.write_text("{no")
    third = make_instance(execution, attempt=3)
    await backend.start(execution, third)
    assert failed(await end_of(backend, third), "config.json cannot be read")

    file.write_text((private.passwords() / "config.json").read_text())
    last = make_instance(execution, attempt=4)
    await backend.start(execution, last)
    assert (await end_of(backend, last)).reason is ExitReason.COMPLETED


async def test_a_registry_that_is_down_is_asked_again_and_not_for_ever(
    world: DockerWorld, backend: DockerBackend, registry: TestRegistry
) -> None:
    image = registry.image()
    registry.stop()
    _, instance = await start(backend, service(world, image))
    exit = await end_of(backend, instance)
    assert failed(exit, "connection refused", f"(tried {pulls.PULL_TRIES} times)")


async def test_a_registry_that_comes_back_is_found(
    world: DockerWorld,
    backend: DockerBackend,
    registry: TestRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulls, "FIRST_PAUSE_SECONDS", 0.5)
    image = registry.image()
    registry.stop()
    _, instance = await start(backend, service(world, image))
    found = await seen(backend, instance, lambda one: "tried again" in one.message)
    assert re.search(r"[1-5] of 6 times in vain", found.message)
    registry.start()
    assert (await end_of(backend, instance)).reason is ExitReason.COMPLETED


async def test_a_registry_that_says_nothing_is_given_up(
    world: DockerWorld,
    backend: DockerBackend,
    registry: TestRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pulls, "SILENCE_SECONDS", 0.3)
    monkeypatch.setattr(pulls, "PULL_TRIES", 2)
    image = registry.image()
    registry.pause()
    _, instance = await start(backend, service(world, image))
    assert failed(await end_of(backend, instance), "nothing happened for 0.3 s (tried 2 times)")


async def test_the_next_master_goes_on_pulling(
    world: DockerWorld, backend: DockerBackend, registry: TestRegistry
) -> None:
    image = registry.image()
    registry.pause()
    execution, instance = await start(backend, service(world, image))
    await seen(backend, instance, starting)
    await backend.close()
    following = world.backend()
    await following.open()
    assert (await following.observe()).instances == (), "it is asked to start it again"
    await following.start(execution, instance)
    await seen(following, instance, starting)
    registry.resume()
    assert (await end_of(following, instance)).reason is ExitReason.COMPLETED


async def test_what_another_master_has_started_meanwhile_is_not_started_again(
    world: DockerWorld, backend: DockerBackend, registry: TestRegistry
) -> None:
    image = registry.image()
    registry.pause()
    execution, instance = await start(backend, service(world, image))
    other = world.backend()
    await other.open()
    await other.start(execution, instance)
    registry.resume()
    for each in (backend, other):
        assert (await end_of(each, instance)).reason is ExitReason.COMPLETED
    assert output(world, instance).count("ldconfig (") == 1


async def test_a_stop_ends_the_pull(
    world: DockerWorld, backend: DockerBackend, registry: TestRegistry
) -> None:
    image = registry.image()
    registry.pause()
    execution, instance = await start(backend, service(world, image))
    await backend.stop(instance.id, 1, grace_seconds=600, shrink=True)
    exit = (await seen(backend, instance, stopped)).exit
    assert exit is not None
    assert exit.reason is ExitReason.STOPPED
    registry.resume()
    await backend.start(execution, instance)
    assert stopped(*(await backend.observe()).instances), "it never starts"
    await backend.remove(instance.id, 1)
    assert world.engine.things() == world.things_before


async def test_a_pull_that_an_engine_breaks_off_goes_on(
    world: DockerWorld, backend: DockerBackend, registry: TestRegistry
) -> None:
    image = registry.image()
    registry.pause()
    _, instance = await start(backend, service(world, image))
    world.engine.kill()
    try:
        assert (await backend.observe()).instances == ()
    finally:
        registry.resume()
        world.engine.start()
    assert (await end_of(backend, instance)).reason is ExitReason.COMPLETED


async def test_gpus_are_held_while_the_image_comes(
    world: DockerWorld, backend: DockerBackend, registry: TestRegistry
) -> None:
    image = registry.image()
    registry.pause()
    execution = make_execution(service(world, image), service(world, image, "t"))
    first = replace(make_instance(execution), gpus=("a",))
    await backend.start(execution, first)
    with pytest.raises(Retryable, match="still has the GPU a"):
        await backend.start(execution, replace(make_instance(execution, "f.t"), gpus=("a",)))
    with pytest.raises(Retryable, match=r"attempt 1 of 1/f\.s/0 still runs"):
        await backend.start(execution, make_instance(execution, attempt=2))
    with pytest.raises(Retryable, match="not stopped yet"):
        await backend.remove(first.id, 1)
    with pytest.raises(Refused, match="does not run"):
        await backend.resize(first.id, 1, execution.zapp.service("f.s").resources)


async def test_the_newest_is_pulled_always_or_only_what_is_missing_or_nothing(
    world: DockerWorld, registry: TestRegistry
) -> None:
    repository = "lab/changes"
    image = registry.image("1", repository=repository)
    images = set[str]()
    for ordinal, policy in enumerate(("missing", "missing", "always", "never")):
        backend = world.backend(pull=policy)
        await backend.open()
        execution = make_execution(service(world, image))
        instance = make_instance(execution, ordinal=ordinal)
        await backend.start(execution, instance)
        await end_of(backend, instance)
        images.add(str(world.engine.inspect(world.container(instance))["Image"]))
        assert len(images) == (1 if policy == "missing" else 2)
        if ordinal == 0:
            world.engine.docker("tag", image, "kept:1")
            registry.image("1", repository=repository)
            world.engine.docker("tag", "kept:1", image)
        await backend.close()
    world.engine.docker("rmi", "-f", "kept:1")


async def test_the_stop_of_all_gives_pulls_up(
    world: DockerWorld, backend: DockerBackend, registry: TestRegistry
) -> None:
    image = registry.image()
    registry.pause()
    await start(backend, service(world, image))
    await backend.shutdown(grace_seconds=1)
    registry.resume()
    assert not any(running(one) for one in (await backend.observe()).instances)


async def test_a_node_tells_its_images_and_whether_it_gets_others(world: DockerWorld) -> None:
    for policy, gets in (("missing", True), ("always", True), ("never", False)):
        backend = world.backend(pull=policy)
        await backend.open()
        (node,) = (await backend.observe()).nodes
        assert (node.holds_image(IMAGE), node.pulls) == (True, gets)
        assert (node.has_image("none"), node.holds_image("none")) == (gets, False)
