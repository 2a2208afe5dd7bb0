"""The volumes that an administrator defines, who may use them, and what they must not open."""

from pathlib import Path

import pytest

from zoe.model.volumes import VolumeSpec, danger, parse_volumes, refusals
from zoe.model.zapp import VolumeMount
from zoe.settings import SettingsInvalid, load_settings

DEFINED = parse_volumes(
    "datasets /srv/datasets/ read-only; scratch /srv/scratch users=ada,bob teams=physics;"
    "engine /run/docker.sock unsafe users=root"
)


def test_a_volume_is_a_name_and_a_folder_and_more() -> None:
    assert (
        VolumeSpec("datasets", "/srv/datasets", read_only=True),
        VolumeSpec("scratch", "/srv/scratch", users=("ada", "bob"), teams=("physics",)),
        VolumeSpec("engine", "/run/docker.sock", users=("root",), unsafe=True),
    ) == DEFINED
    assert parse_volumes("") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("datasets", "a name and a folder"),
        ("Data /srv", "a name and a folder"),
        ("a srv", "not an absolute folder"),
        ("a /srv/../etc", "without .."),
        ("a /srv/a writable", "none of read-only"),
        ("a /srv/a users=", "names with commas"),
        ("a /srv/a users", "names with commas"),
        ("a /srv/a users=ada users=bob", "the volume a has users twice"),
        ("a /srv/a read-only read-only", "has read-only twice"),
        ("a /srv/a read-only=no", "read-only=no is none of read-only"),
        ("a /etc unsafe=no", "unsafe=no is none of read-only"),
        ("a /srv/a; a /srv/b", "two volumes have the name a"),
    ],
)
def test_what_is_wrong_is_said(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_volumes(text)


@pytest.mark.parametrize(
    "folder",
    [
        *("/", "/var", "/var/run", "/var/run/docker.sock", "/run", "/run/docker.sock", "/etc"),
        *("/etc/ssl", "/proc/1", "/sys", "/dev/sda", "/root/.ssh", "/usr/bin", "/boot"),
        *("/var/lib", "/var/lib/docker/volumes", "//", "/var/./run"),
    ],
)
def test_what_would_open_the_machine_is_refused_unless_it_is_meant(folder: str) -> None:
    with pytest.raises(ValueError, match="would open"):
        parse_volumes(f"a {folder}")
    assert parse_volumes(f"a {folder} unsafe")[0].unsafe


def test_what_zoe_keeps_is_closed_too(tmp_path: Path) -> None:
    def settings(folder: Path) -> None:
        load_settings(
            {
                "data_dir": tmp_path / "lab/data",
                "docker_engines": f"lab unix://{tmp_path}/sockets/docker.sock",
                "volumes": f"a {folder}",
            },
            {},
            (),
        )

    for closed in ("lab", "lab/data/keys", "sockets"):
        with pytest.raises(SettingsInvalid, match="would open"):
            settings(tmp_path / closed)
    (tmp_path / "lab").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "lab")
    with pytest.raises(SettingsInvalid, match="would open"):
        settings(tmp_path / "link")
    settings(tmp_path / "datasets")
    assert danger("/runs") == danger("/srv/etc") == "", "names that only begin alike are fine"


def refused(name: str, user: str | None, team: str = "") -> list[tuple[str, str]]:
    return list(refusals(DEFINED, [VolumeMount(name, "/data")], user, team))


def test_each_may_use_what_is_theirs() -> None:
    assert refused("datasets", "eve") == []
    assert refused("scratch", "bob") == refused("scratch", "eve", "physics") == []
    assert refused("scratch", None) == [], "for somebody"
    ((message, hint),) = refused("scratch", "eve", "maths")
    assert message == "there is no volume scratch that eve may use"
    assert hint == "the volumes are datasets"
    ((message, hint),) = refused("data", None)
    assert message == "there is no volume data"
    assert hint == "did you mean datasets?"
    assert list(refusals((), [VolumeMount("x", "/x")], "eve")) == [
        ("there is no volume x that eve may use", "there are no volumes")
    ]
