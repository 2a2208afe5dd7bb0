"""The images of the catalogue in an engine of the tests: built once, kept as archives.

What a test runs is built from the Dockerfiles beside the frameworks, as a user builds it. The
archive of an image is found by a hash of its Dockerfile, the files that this copies and the
image that it begins with, in the folder ``images`` of the cache.
"""

import hashlib
import re
import subprocess
from pathlib import Path

from docker_engine import IMAGE, TestEngine, base_image, cache_folder, held
from web_proxy import web_proxy
from zoe.model.zapp_yaml import read_outline

CATALOGUE = Path(__file__).parents[1] / "zapps"
BUILD_SECONDS = 900.0
KEY = "zoe.test.key"
"""The label that has the hash."""
_COPY = re.compile(r"^COPY (.*) \S+$", re.MULTILINE)
_FROM = re.compile(r"^FROM zoe/([\w-]+)", re.MULTILINE)


def image_of(name: str) -> str:
    """Return what an entry of the catalogue calls its image: the default of its parameter."""
    for file in (CATALOGUE / name / "framework.yaml", CATALOGUE / name / "zapp.yaml"):
        if file.exists():
            parameters = read_outline(file.read_text(), file=str(file)).parameters
            (image,) = [str(one.default) for one in parameters if one.name == "image"]
            return image
    raise AssertionError(f"the catalogue has no {name}")


def provide(engine: TestEngine, *names: str) -> None:
    """See to it that the engine has the images of these entries of the catalogue."""
    for name in names:
        provide(engine, *_parents(name))
        _provide(engine, name)


def _provide(engine: TestEngine, name: str) -> None:
    image, key = image_of(name), _key(name)
    wanted = ("--filter", f"label={KEY}={key}", "--filter", f"reference={image}")
    if engine.docker("images", "-q", *wanted):
        return
    archive = cache_folder() / "images" / f"{name}-{key}.tar"
    if not archive.exists():
        with held(cache_folder() / "images.lock", wait=True):
            if not archive.exists():
                _build(engine, name, image, key)
                _keep(engine, image, archive)
                return
    engine.docker("load", "-i", str(archive), seconds=BUILD_SECONDS)


def _keep(engine: TestEngine, image: str, archive: Path) -> None:
    """Save an image in place of older ones of its name."""
    archive.parent.mkdir(exist_ok=True)
    draft = archive.with_suffix(".part")
    engine.docker("save", "-o", str(draft), image, seconds=BUILD_SECONDS)
    name, _, key = archive.stem.rpartition("-")
    older = list(archive.parent.glob(f"{name}-{'?' * len(key)}.tar"))
    draft.rename(archive)
    for file in older:
        file.unlink()
    engine.docker("image", "prune", "-f")


def _build(engine: TestEngine, name: str, image: str, key: str) -> None:
    with web_proxy(engine.host_address) as proxy:
        command = ["docker", "-H", engine.url, "build", "--network", "host", "-t", image]
        command += ["--label", f"{KEY}={key}", "--force-rm", str(CATALOGUE / name)]
        for variable in ("http_proxy", "https_proxy"):
            command += ["--build-arg", f"{variable}={proxy}"]
        done = subprocess.run(
            command,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", "DOCKER_BUILDKIT": "0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    assert done.returncode == 0, f"{name} was not built:\n{done.stdout[-5000:]}"


def _parents(name: str) -> list[str]:
    return _FROM.findall((CATALOGUE / name / "Dockerfile").read_text())


def _key(name: str) -> str:
    """Return what changes when the image of an entry has to be built again."""
    digest = hashlib.sha256(f"{IMAGE} {base_image().name}".encode())
    for parent in _parents(name):
        digest.update(_key(parent).encode())
    recipe = (CATALOGUE / name / "Dockerfile").read_text()
    for file in ("Dockerfile", *" ".join(_COPY.findall(recipe)).split()):
        digest.update((CATALOGUE / name / file).read_bytes())
    return digest.hexdigest()[:16]
