"""Which back-end `zoe up` takes when nobody says: Docker where it answers, and then always that.

A file of the data folder says what the deployment was started with, and whether its applications
were ended since: what one back-end runs, no other one knows.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from zoe.cli.engines import engine_finding
from zoe.model.engines import SCHEME, parse_engines
from zoe.model.errors import ZoeError
from zoe.settings import Origin, Settings


class BackendInUse(ZoeError):
    """Applications of another back-end may still run."""


@dataclass(frozen=True, slots=True)
class Started:
    """What a deployment was last started with."""

    backend: str
    docker_engines: str
    swarm_engines: str
    ended: bool
    """Whether its applications were ended since."""


def choose(
    settings: Settings, origins: Mapping[str, Origin], environ: Mapping[str, str] = os.environ
) -> tuple[Settings, str]:
    """Return the settings with the back-end to use, and why that one; raises BackendInUse."""
    before = _read(settings)
    origin = origins["backend"]
    if origin.source != "default":
        if before and not before.ended and before.backend != settings.backend:
            raise BackendInUse(
                f"applications of this deployment may still run with {before.backend}, "
                f"and {origin} says {settings.backend}",
                hint="`zoe down` ends them, whatever the settings say; then start again.",
            )
        return settings, f"{origin} says so"
    if before:
        return _as(settings, before, origins), "as it was started before"
    if (settings.data_dir / "postgres").exists():
        return settings, "as it was started before"
    text, whose = _default_engines(settings, origins, environ)
    for finding in map(engine_finding, parse_engines(text)):
        if not finding.is_usable:
            return settings, f"{whose} is not used: {finding.found}"
    return settings.model_copy(update={"backend": "docker", "docker_engines": text}), finding.found


def as_started(settings: Settings) -> Settings:
    """Return the settings with the back-end that runs what runs, whatever they say."""
    before = _read(settings)
    return _as(settings, before, {}) if before else settings


def note_start(settings: Settings) -> None:
    """Write down that applications may run with the back-end of the settings."""
    _write(settings, ended=False)


def note_end(settings: Settings) -> None:
    """Write down that none do any more, if any did."""
    if _read(settings):
        _write(settings, ended=True)


def may_run(settings: Settings) -> bool:
    """Whether the deployment was started, and nobody has ended its applications since."""
    before = _read(settings)
    return before is not None and not before.ended


def _default_engines(
    settings: Settings, origins: Mapping[str, Origin], environ: Mapping[str, str]
) -> tuple[str, str]:
    """Return the engines to try, as the setting, else as Docker's own client finds its one."""
    address = environ.get("DOCKER_HOST", "")
    if origins["docker_engines"].source != "default" or not address.startswith(f"{SCHEME}/"):
        return settings.docker_engines, "Docker"
    return f"docker {address}", "Docker at DOCKER_HOST"


def _as(settings: Settings, before: Started, origins: Mapping[str, Origin]) -> Settings:
    """Return the settings with what was started, but for engines that are named otherwise now."""
    values = asdict(before)
    engines = {
        name: values[name]
        for name in ("docker_engines", "swarm_engines")
        if name not in origins or origins[name].source == "default"
    }
    return settings.model_copy(update={"backend": before.backend, **engines})


def _file(settings: Settings) -> Path:
    return settings.data_dir / "backend.json"


def _read(settings: Settings) -> Started | None:
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError, ValueError, TypeError):
        return Started(**json.loads(_file(settings).read_text()))
    return None


def _write(settings: Settings, *, ended: bool) -> None:
    started = Started(settings.backend, settings.docker_engines, settings.swarm_engines, ended)
    draft = _file(settings).with_suffix(".part")
    draft.write_text(json.dumps(asdict(started)) + "\n")
    draft.replace(_file(settings))
