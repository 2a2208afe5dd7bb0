"""Where images come from, and as whom: the names of images, and what Docker's client keeps.

The file is the one that ``docker login`` writes. Helpers that it names are programs of that user,
which a server must not start: what only they know is missing, and is said so.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoe.backends.base import Refused

HUB = "docker.io"
_HUB_KEYS = {HUB, "index.docker.io", "registry-1.docker.io"}


@dataclass(frozen=True, slots=True)
class ImageName:
    """The name of an image, taken apart as the engine wants it."""

    registry: str
    repository: str
    """With the registry, as it was written."""
    version: str
    """A tag, or a digest as ``sha256:...``; never empty: the engine would take all tags."""


def image_name(image: str) -> ImageName:
    """Take the name of an image apart, as Docker does."""
    repository, at, version = image.partition("@")
    folder, slash, last = repository.rpartition("/")
    last, _, tag = last.partition(":")
    return ImageName(
        registry_of(repository) or HUB, folder + slash + last, version if at else tag or "latest"
    )


def registry_of(repository: str) -> str:
    """Return the host that the name of an image begins with; empty: it names none."""
    first, slash, _ = repository.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else ""


class Passwords:
    """What a file of Docker's client says of registries; it is read anew each time."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def header(self, registry: str) -> Mapping[str, str]:
        """Return what the engine is told so that it may read from ``registry``.

        Raises Refused when the file cannot be read.
        """
        entry = _of_registry(self._read().get("auths"), registry)
        if not isinstance(entry, dict) or not any(map(entry.get, ("auth", *_FIELDS))):
            return {}
        said = {key: value for key, value in entry.items() if key in _FIELDS and value}
        if entry.get("auth"):
            try:
                pair = base64.b64decode(entry["auth"], validate=True).decode()
            except (ValueError, TypeError) as error:
                raise Refused(f"{self._file} has no password for {registry}: {error}") from error
            said["username"], _, said["password"] = pair.rstrip("\0").partition(":")
        said["serveraddress"] = registry
        return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(said).encode()).decode()}

    def helper(self, registry: str) -> str:
        """Return the program that keeps the password for ``registry``, if it is not in the file."""
        found = self._read()
        name = _of_registry(found.get("credHelpers"), registry) or found.get("credsStore")
        return f"docker-credential-{name}" if name and not self.header(registry) else ""

    def _read(self) -> Mapping[str, Any]:
        try:
            found = json.loads(self._file.read_text())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError) as error:
            raise Refused(f"{self._file} cannot be read: {error}") from error
        return found if isinstance(found, dict) else {}


NO_PASSWORDS = Passwords(Path("/dev/null/none"))

_FIELDS = ("username", "password", "identitytoken", "registrytoken")


def _of_registry(table: object, registry: str) -> Any:
    """Return what a table says of a registry: its keys may be written as addresses."""
    wanted = _HUB_KEYS if registry in _HUB_KEYS else {registry}
    for key, value in table.items() if isinstance(table, dict) else ():
        host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
        if host in wanted:
            return value
    return None
