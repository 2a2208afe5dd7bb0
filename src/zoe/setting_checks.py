"""What the texts of settings must be like; each check raises ValueError, in words."""

from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from zoe.model import units
from zoe.model.engines import SCHEME, parse_engines
from zoe.model.gpus import parse_gpus
from zoe.model.volumes import danger, parse_volumes

ALL = ("", "0")
"""Amounts that mean everything there is."""


def check_memory(text: str) -> str:
    """Check an amount of memory."""
    if text not in ALL:
        units.memory_bytes(text)
    return text


def check_gpus(text: str) -> str:
    """Check a list of GPUs."""
    parse_gpus(text)
    return text


def check_engines(text: str) -> str:
    """Check a list of engines."""
    parse_engines(text)
    return text


Engines = Annotated[str, AfterValidator(check_engines)]


def check_volumes(text: str, info: ValidationInfo) -> str:
    """Check a list of volumes: none may open what Zoe itself keeps, or the socket of an engine."""
    own = [str(info.data[name]) for name in ("data_dir",) if name in info.data]
    for setting in ("docker_engines", "swarm_engines"):
        engines = parse_engines(info.data[setting]) if setting in info.data else ()
        own += [each.url.removeprefix(SCHEME) for each in engines if each.url.startswith(SCHEME)]
    for volume in parse_volumes(text):
        if not volume.unsafe and (opened := danger(volume.folder, own)):
            raise ValueError(
                f"the volume {volume.name} at {volume.folder} would open {opened} to applications"
            )
    return text
