"""Names of images, and what a file of Docker's client says of registries."""

import base64
import json
from pathlib import Path

import pytest

from zoe.backends.base import Refused
from zoe.backends.docker.engine import Engine
from zoe.backends.docker.pulls import CannotPull, Pulls
from zoe.backends.docker.registries import ImageName, Passwords, image_name
from zoe.model.engines import EngineSpec


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("debian", ImageName("docker.io", "debian", "latest")),
        ("lab/spark:4", ImageName("docker.io", "lab/spark", "4")),
        ("localhost/a", ImageName("localhost", "localhost/a", "latest")),
        ("reg.example.org/a/b", ImageName("reg.example.org", "reg.example.org/a/b", "latest")),
        ("10.0.0.1:5000/a:1", ImageName("10.0.0.1:5000", "10.0.0.1:5000/a", "1")),
        ("r.io/a@sha256:12", ImageName("r.io", "r.io/a", "sha256:12")),
        ("r.io/a:1@sha256:12", ImageName("r.io", "r.io/a", "sha256:12")),
    ],
)
def test_a_name_is_taken_apart_as_docker_does(image: str, name: ImageName) -> None:
    assert image_name(image) == name


def told(passwords: Passwords, registry: str) -> dict[str, str]:
    header = passwords.header(registry)
    return dict(json.loads(base64.urlsafe_b64decode(header["X-Registry-Auth"]))) if header else {}


def test_each_registry_gets_its_own_password(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    passwords = Passwords(file)
    assert told(passwords, "docker.io") == {}, "there is no file"
    pair = base64.b64encode(b"ada:love:lace").decode()
    auths = {
        "https://index.docker.io/v1/": {"auth": pair},
        "lab.example.org:5000": {"username": "bob", "password": "b"},
        "token.example.org": {"auth": pair, "identitytoken": "t"},
        "helped.example.org": {},
    }
    file.write_text(json.dumps({"auths": auths, "credHelpers": {"helped.example.org": "pass"}}))
    assert told(passwords, "docker.io") == {
        "username": "ada",
        "password": "love:lace",
        "serveraddress": "docker.io",
    }
    assert told(passwords, "lab.example.org:5000")["username"] == "bob"
    assert told(passwords, "token.example.org")["identitytoken"] == "t"
    assert told(passwords, "other.example.org") == {}
    assert told(passwords, "helped.example.org") == {}
    assert passwords.helper("helped.example.org") == "docker-credential-pass"
    assert passwords.helper("lab.example.org:5000") == ""


@pytest.mark.parametrize("text", ["{", "\xff", '{"auths": {"r.io": {"auth": "###"}}}'])
def test_a_broken_file_is_said(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(Refused, match=r"config\.json"):
        Passwords(file).header("r.io")


async def test_without_its_passwords_no_registry_is_asked(tmp_path: Path) -> None:
    """It is final, and no word of it is taken for that of a registry, as `denied` is."""
    file = tmp_path / "denied.json"
    file.write_text("{")
    engine = Engine(EngineSpec("lab", f"unix://{tmp_path}/none"), "test")
    said: list[str] = []
    with pytest.raises(CannotPull, match=r"pulled on lab: .*denied\.json cannot be read") as raised:
        await Pulls(engine, Passwords(file)).pull("r.io/a", said.append)
    assert "docker login" not in str(raised.value)
    assert said == ["waits until lab has pulled r.io/a"], "it is tried once"


@pytest.mark.parametrize("text", ["[]", '{"auths": 7}', '{"auths": {"r.io": 7}}'])
def test_what_means_nothing_is_no_password(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    assert Passwords(file).header("r.io") == {}
