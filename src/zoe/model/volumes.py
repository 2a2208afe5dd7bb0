"""The volumes of a deployment, as the administrator writes them down, and who may use them.

``<name> <folder> [read-only] [users=ann,bob] [teams=physics] [unsafe]``, several with
``;`` between. Applications name them, and never a folder of a machine.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from zoe.model.did_you_mean import suggestion
from zoe.model.zapp import VolumeMount

MAX_VOLUMES = 1000
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_FLAGS = ("read-only", "unsafe")
_LISTS = ("users", "teams")
_GUARDED = tuple(
    map(
        PurePosixPath,
        (
            *("/boot", "/dev", "/etc", "/proc", "/root", "/run", "/sys", "/usr", "/var/run"),
            *("/var/lib/docker", "/var/lib/containerd"),
        ),
    )
)
"""Who writes there, or reaches a socket there, owns the machine."""


@dataclass(frozen=True, slots=True)
class VolumeSpec:
    """A folder of the machines that applications may use under a name."""

    name: str
    folder: str
    read_only: bool = False
    users: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    """Who may use it, beside ``users``; both empty: everybody."""
    unsafe: bool = False
    """The administrator wants this folder, whatever it opens."""

    def is_for(self, user: str, team: str) -> bool:
        """Whether what ``user`` runs, for a team or for none (""), may use it."""
        everybody = not self.users and not self.teams
        return everybody or user in self.users or (bool(team) and team in self.teams)


def parse_volumes(text: str) -> tuple[VolumeSpec, ...]:
    """Return the volumes that ``text`` names; raises ValueError, in words."""
    found = tuple(_volume(part.split()) for part in text.split(";") if part.strip())
    names = [volume.name for volume in found]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two volumes have the name {twice[0]}")
    if len(found) > MAX_VOLUMES:
        raise ValueError(f"at most {MAX_VOLUMES} volumes can be defined")
    return found


def danger(folder: str, guarded: Iterable[str] = ()) -> str:
    """Return what a folder would open to applications that must stay closed; "" if nothing."""
    path = PurePosixPath(folder)
    for closed in (*_GUARDED, *map(PurePosixPath, guarded)):
        if path.is_relative_to(closed) or closed.is_relative_to(path):
            return str(closed)
    return ""


def refusals(
    defined: Iterable[VolumeSpec], wanted: Iterable[VolumeMount], user: str | None, team: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield for each volume that ``user`` (None: everybody) cannot have why not, and what there is.

    Those of others are told as those that nobody defined.
    """
    theirs = [each.name for each in defined if user is None or each.is_for(user, team)]
    who = f" that {user} may use" if user else ""
    for mount in wanted:
        if mount.name not in theirs:
            hint = suggestion(mount.name, theirs, "volumes")
            yield f"there is no volume {mount.name}{who}", hint


def _volume(words: list[str]) -> VolumeSpec:
    if len(words) < 2 or not _NAME.fullmatch(words[0]):
        raise ValueError("a volume is a name and a folder, as datasets /srv/datasets")
    name, folder, *more = words
    if not folder.startswith("/") or ".." in PurePosixPath(folder).parts:
        raise ValueError(f"{folder} is not an absolute folder without ..")
    options: dict[str, str] = {}
    for option in more:
        key, equals, value = option.partition("=")
        if key not in _LISTS and option not in _FLAGS:
            raise ValueError(f"{option} is none of read-only, users=, teams=, unsafe")
        if key in _LISTS and not equals:
            raise ValueError(f"{key}= is names with commas between")
        if key in options:
            raise ValueError(f"the volume {name} has {key} twice")
        options[key] = value
    volume = VolumeSpec(
        name,
        str(PurePosixPath("/", folder.lstrip("/"))),  # to it, //etc is not in /
        read_only="read-only" in options,
        users=_names(options, "users"),
        teams=_names(options, "teams"),
        unsafe="unsafe" in options,
    )
    if not volume.unsafe and (opened := danger(volume.folder)):
        raise ValueError(
            f"the volume {name} at {folder} would open {opened} to applications; "
            "name another folder, or add the word unsafe if that is meant"
        )
    return volume


def _names(options: dict[str, str], key: str) -> tuple[str, ...]:
    names = tuple(filter(None, options.get(key, "").split(",")))
    if key in options and not names:
        raise ValueError(f"{key}= is names with commas between")
    return names
