"""What the texts of settings must be like; each check raises ValueError, in words."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from zoe import failpoints
from zoe.model import units
from zoe.model.engines import parse_engines
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


def check_failpoint(text: str) -> str:
    """Check which failpoints are armed."""
    failpoints.parse(text)
    return text


Failpoint = Annotated[str, AfterValidator(check_failpoint)]


def check_volumes(text: str, info: ValidationInfo) -> str:
    """Check a list of volumes: none may open what Zoe itself keeps, or the socket of an engine.

    Neither may a link on this machine that leads there.
    """
    own = [str(info.data[name]) for name in ("data_dir",) if name in info.data]
    for setting in ("docker_engines", "swarm_engines"):
        engines = parse_engines(info.data[setting]) if setting in info.data else ()
        own += filter(None, (each.socket or each.remote_socket for each in engines))
    own += _resolved(own)
    for volume in parse_volumes(text):
        for folder in (volume.folder, *_resolved([volume.folder])):
            if not volume.unsafe and (opened := danger(folder, own)):
                raise ValueError(
                    f"the volume {volume.name} at {volume.folder} would open {opened} "
                    "to applications"
                )
    return text


def _resolved(folders: Iterable[str]) -> list[str]:
    """Return where folders of this machine lead to."""
    return [str(Path(folder).resolve()) for folder in folders]
