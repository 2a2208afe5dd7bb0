"""What an application can have of a machine: its workspace and named volumes, and nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest

from backend_worlds import (
    SLEEPS,
    end_of,
    make_execution,
    make_instance,
    output,
    run,
    start,
)
from container_worlds import DockerWorld
from zoe.backends.base import Refused
from zoe.backends.docker.backend import DockerBackend
from zoe.model.volumes import VolumeSpec
from zoe.model.zapp import Framework, Kind, VolumeMount, ZApp

pytestmark = pytest.mark.component("docker")


async def test_volumes_are_folders_of_the_machine_by_name(
    world: DockerWorld, tmp_path: Path
) -> None:
    for name in ("datasets", "scratch"):
        (tmp_path / name).mkdir()
    (tmp_path / "datasets/numbers").write_text("1 2 3\n")
    backend = world.backend(
        volumes=[
            VolumeSpec("datasets", str(tmp_path / "datasets"), read_only=True),
            VolumeSpec("scratch", str(tmp_path / "scratch"), users=("ada",)),
        ]
    )
    await backend.open()
    script = """
        cat /data/numbers; echo made > /tmp/x:y/file; echo 4 > /data/numbers || echo refused
        echo 5 > /again/file || echo refused
    """
    service = replace(
        world.service(SLEEPS),
        command=("sh", "-c", script),
        volumes=(
            VolumeMount("datasets", "/data"),
            VolumeMount("scratch", "/tmp/x:y"),
            VolumeMount("scratch", "/again", read_only=True),
        ),
    )
    _, instance = await start(backend, service)
    await end_of(backend, instance)
    assert output(world, instance) == "1 2 3\nrefused\nrefused\n"
    assert (tmp_path / "scratch/file").read_text() == "made\n"
    with pytest.raises(Refused, match="no volume scratch that eve may use; the volumes are data"):
        await start(backend, service, id=2, owner="eve")
    zapp = ZApp(
        "a", Kind.BATCH, (Framework("f", (replace(service, volumes=(VolumeMount("x", "/x"),)),)),)
    )
    (note,) = backend.describe(zapp)
    assert note == "f.s cannot run here: there is no volume x; the volumes are datasets, scratch"


async def test_a_folder_that_is_not_there_is_refused_and_not_made(
    world: DockerWorld, tmp_path: Path
) -> None:
    backend = world.backend(volumes=[VolumeSpec("gone", str(tmp_path / "gone"))])
    await backend.open()
    with pytest.raises(Refused, match="source path does not exist"):
        await start(backend, world.service(SLEEPS, volumes=(VolumeMount("gone", "/gone"),)))
    assert not (tmp_path / "gone").exists()


async def test_a_link_to_what_is_closed_is_refused(world: DockerWorld, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    service = world.service(SLEEPS, volumes=(VolumeMount("link", "/x"),))
    backend = world.backend(volumes=[VolumeSpec("link", str(tmp_path / "link"))])
    await backend.open()
    with pytest.raises(Refused, match="leads to /etc, which would open /etc"):
        await start(backend, service)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to(world.logs_dir)
    with pytest.raises(Refused, match=f"which would open {world.data_dir.resolve()}"):
        await start(backend, service)
    (tmp_path / "link").unlink()
    (tmp_path / "link").symlink_to("/etc")
    meant = world.backend(volumes=[VolumeSpec("link", str(tmp_path / "link"), unsafe=True)])
    await meant.open()
    _, instance = await start(meant, replace(service, command=("test", "-e", "/x/passwd")))
    assert (await end_of(meant, instance)).code == 0


async def test_a_container_has_no_rights(world: DockerWorld, backend: DockerBackend) -> None:
    _, instance = await run(world, backend)
    found = world.engine.inspect(world.container(instance))
    config = found["HostConfig"]
    assert isinstance(config, dict)
    assert config["Privileged"] is False
    assert config["CapDrop"] == ["ALL"]
    assert config["SecurityOpt"] == ["no-new-privileges"]
    for nothing in ("CapAdd", "Devices", "VolumesFrom", "PidMode", "UTSMode", "UsernsMode"):
        assert not config[nothing], nothing
    assert config["IpcMode"] == "private"
    assert config["NetworkMode"] == f"zoe-{world.deployment}-1"
    mounts = found["Mounts"]
    assert isinstance(mounts, list)
    assert [mount["Source"] for mount in mounts] == [str(world.data_dir / "workspaces/ada")]


async def test_nothing_becomes_more_inside(world: DockerWorld, backend: DockerBackend) -> None:
    """Not by a program that is root's, and not by what looks like one of the machine's."""
    script = """
        grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status | tr -s '\\t' ' '
        mount -t tmpfs x /mnt 2>/dev/null || echo no mount
        mknod /tmp/sda b 8 0 2>/dev/null || echo no device
        ls /var/run/docker.sock 2>/dev/null || echo no engine
    """
    execution = make_execution(replace(world.service(SLEEPS), command=("sh", "-c", script)))
    instance = make_instance(execution)
    await backend.start(execution, instance)
    await end_of(backend, instance)
    nothing = "0" * 16
    assert output(world, instance).splitlines() == [
        f"CapEff: {nothing}",
        f"CapBnd: {nothing}",
        "NoNewPrivs: 1",
        "no mount",
        "no device",
        "no engine",
    ]
