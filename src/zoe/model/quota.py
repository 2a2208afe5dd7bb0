"""Who may have how much: users, teams, their quotas, weights and guaranteed shares.

A *quota* is what somebody may have at one time; the scheduler enforces it when it admits an
execution and when it lets one grow. *Weights* and *guaranteed* amounts say how room is shared
between those who want more than there is.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from zoe.model import amounts
from zoe.model.execution import Reason
from zoe.model.limits import (
    MAX_CORES_MILLI,
    MAX_DURATION_SECONDS,
    MAX_GPUS,
    MAX_MEMORY_BYTES,
    MIN_MEMORY_BYTES,
)
from zoe.model.resources import NOTHING, Resources
from zoe.model.zapp import Kind, ZApp

DEFAULT = "default"
"""The name under which the quota of all users is kept who have none of their own."""

OVER_QUOTA = "over-quota"
"""Code of the reason of what waits until others of the same user or team have ended."""
EXCEEDS_QUOTA = "exceeds-quota"
"""Code of the reason of what can never start under a quota, whatever else runs."""

MAX_COUNT = 1_000_000
"""Of executions and sessions in a quota."""
MAX_WEIGHT = 1_000_000.0
MAX_TEAMS = 32
"""Teams that one user is in."""
MAX_NAME = 63

_NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9_.@+-]{{0,{MAX_NAME - 1}}}", re.ASCII)


def check_name(name: str) -> str:
    """Return ``name`` if a user or a team can be called so; else raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name[:80]!r} is not a name: use 1 to {MAX_NAME} letters, digits and . _ @ + -, "
            "not one of the last four first"
        )
    return name


@dataclass(frozen=True, slots=True)
class Quota:
    """What one user, or one team together, may have at a time; None: as much as there is.

    ``executions`` counts those that have room, ``sessions`` the interactive ones among them.
    ``run_seconds`` is the longest time limit of one execution; those that have none get it as
    theirs. Raises ValueError for a value out of its bounds.
    """

    cores_milli: int | None = None
    memory_bytes: int | None = None
    gpus: int | None = None
    executions: int | None = None
    sessions: int | None = None
    run_seconds: float | None = None

    def __post_init__(self) -> None:
        for name, (least, most) in _BOUNDS.items():
            value: float | None = getattr(self, name)
            if value is not None and not least <= value <= most:  # NaN is not either
                raise ValueError(f"{name} must be from {least:g} to {most:g}, not {value:g}")

    @property
    def is_unlimited(self) -> bool:
        """Whether it limits nothing."""
        return self == UNLIMITED


_BOUNDS: Mapping[str, tuple[float, float]] = {
    "cores_milli": (1, MAX_CORES_MILLI),
    "memory_bytes": (MIN_MEMORY_BYTES, MAX_MEMORY_BYTES),
    "gpus": (0, MAX_GPUS),
    "executions": (0, MAX_COUNT),
    "sessions": (0, MAX_COUNT),
    "run_seconds": (0.001, MAX_DURATION_SECONDS),
}
UNLIMITED = Quota()
LIMITS = tuple(each.name for each in fields(Quota))
"""The names of what a quota may limit."""


@dataclass(frozen=True, slots=True)
class Team:
    """People who share: together they have the quota, and a claim to the guaranteed amount."""

    name: str
    weight: float = 1.0
    guaranteed: Resources = NOTHING
    quota: Quota = UNLIMITED

    def __post_init__(self) -> None:
        check_name(self.name)
        _check_weight(self.weight)
        for name in ("cores_milli", "memory_bytes", "gpus"):
            value, most = getattr(self.guaranteed, name), _BOUNDS[name][1]
            if not 0 <= value <= most:
                raise ValueError(f"guaranteed {name} must be from 0 to {most:g}, not {value:g}")


@dataclass(frozen=True, slots=True)
class User:
    """A person with teams, the first of which is that of executions for which none is chosen.

    ``quota`` None: that of the user :data:`DEFAULT`.
    """

    name: str
    teams: tuple[str, ...] = ()
    weight: float = 1.0
    quota: Quota | None = None

    def __post_init__(self) -> None:
        check_name(self.name)
        _check_weight(self.weight)
        if len(self.teams) > MAX_TEAMS:
            raise ValueError(f"a user is in at most {MAX_TEAMS} teams, not {len(self.teams)}")
        if len(set(self.teams)) < len(self.teams):
            raise ValueError("a team is named twice")
        if self.teams and self.name == DEFAULT:
            raise ValueError(f"{DEFAULT} stands for those who were not named, who are in no team")
        for team in self.teams:
            check_name(team)


def _check_weight(weight: float) -> None:
    if not (math.isfinite(weight) and 0 < weight <= MAX_WEIGHT):
        raise ValueError(f"the weight must be above 0 and at most {MAX_WEIGHT:g}, not {weight:g}")


@dataclass(frozen=True, slots=True)
class Accounts:
    """All users and teams that were named; whoever was not has the defaults.

    ``version`` grows with each change, so that a reader can tell whether there was one.
    """

    users: Mapping[str, User] = field(default_factory=dict)
    teams: Mapping[str, Team] = field(default_factory=dict)
    version: int = 0

    def weight_of_user(self, name: str) -> float:
        """Return the weight of a user; 1 for one who was not named."""
        return self.users[name].weight if name in self.users else 1.0

    def team(self, name: str) -> Team | None:
        """Return a team; None for the empty name, and for a team that is not there any more."""
        return self.teams.get(name)

    def quota_of_user(self, name: str) -> Quota:
        """Return the quota that is in force for a user."""
        for key in (name, DEFAULT):
            user = self.users.get(key)
            if user is not None and user.quota is not None:
                return user.quota
        return UNLIMITED

    def quota_of_team(self, name: str) -> Quota:
        """Return the quota that is in force for a team; unlimited when there is none."""
        team = self.teams.get(name)
        return UNLIMITED if team is None else team.quota

    def teams_of(self, user: str) -> tuple[str, ...]:
        """Return the teams of a user that are there, in the user's order."""
        known = self.users.get(user)
        return tuple(team for team in known.teams if team in self.teams) if known else ()

    def quotas_of(self, owner: str, team: str) -> "Limited":
        """Return who limits what ``owner`` runs in ``team``, as in a sentence, and how."""
        both = (owner, self.quota_of_user(owner)), (f"the team {team}", self.quota_of_team(team))
        return tuple((who, quota) for who, quota in both if not quota.is_unlimited)


Limited = tuple[tuple[str, Quota], ...]
"""Who is limited (``alice``, ``the team physics``), and how."""


def longest_run_seconds(quotas: Limited) -> float | None:
    """Return the time limit of what declares none; None when nothing limits it."""
    limits = [quota.run_seconds for _, quota in quotas if quota.run_seconds is not None]
    return min(limits, default=None)


def why_too_long(quotas: Limited, limit_seconds: float | None) -> Reason | None:
    """Say which quota a declared time limit exceeds; None when it exceeds none."""
    for who, quota in quotas:
        most = quota.run_seconds
        if limit_seconds is not None and most is not None and limit_seconds > most:
            return Reason(
                EXCEEDS_QUOTA,
                f"what {who} runs may have a time limit of {amounts.duration(most)} at most; this "
                f"has {amounts.duration(limit_seconds)}: it can never start under this quota",
            )
    return None


def why_too_large(quotas: Limited, taken: Mapping[str, int]) -> Reason | None:
    """Say which quota an execution exceeds even when nothing else runs; None when it exceeds none.

    ``taken`` is what it takes to start, by :data:`LIMITS`.
    """
    for who, quota in quotas:
        for name, wanted in taken.items():
            most = getattr(quota, name)
            if most is not None and wanted > most:
                return Reason(
                    EXCEEDS_QUOTA,
                    f"{may(who, name, most)}; this needs {said(name, wanted)}: it can never start "
                    "under this quota",
                )
    return None


def taken_to_start(zapp: ZApp) -> Mapping[str, int]:
    """Return what an application takes to start: its essential set, by :data:`LIMITS`."""
    total = NOTHING
    for _, service in zapp.services():
        total += service.resources * service.essential
    return {
        "cores_milli": total.cores_milli,
        "memory_bytes": total.memory_bytes,
        "gpus": total.gpus,
        "executions": 1,
        "sessions": int(zapp.kind is Kind.INTERACTIVE),
    }


def may(who: str, name: str, most: float) -> str:
    """Say what somebody may have: ``alice may use 16 cores at a time``."""
    return f"{who} may {_USES[name]} {said(name, most)} at a time"


def said(name: str, value: float) -> str:
    """Say one value of a quota: ``16 cores``, ``64 GiB``, ``2 hours``."""
    match name:
        case "cores_milli":
            return amounts.cores(int(value))
        case "memory_bytes":
            return amounts.memory(int(value))
        case "gpus":
            return amounts.counted(int(value), "GPU")
        case "executions":
            return amounts.counted(int(value), "execution")
        case "sessions":
            return amounts.counted(int(value), "interactive session")
        case _:
            return amounts.duration(value)


_USES = {
    "cores_milli": "use",
    "memory_bytes": "use",
    "gpus": "use",
    "executions": "run",
    "sessions": "run",
}
