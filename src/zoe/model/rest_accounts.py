"""The shapes of users, teams and their quotas in the REST interface.

Requests take amounts as people write them (``"64GiB"``, ``2.5``, ``"2h"``); answers have them in
the units of all answers. Null limits nothing.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from zoe.model import units
from zoe.model.did_you_mean import suggestion
from zoe.model.limits import MAX_GPUS
from zoe.model.quota import MAX_COUNT, MAX_TEAMS, MAX_WEIGHT, Quota, Team, User
from zoe.model.resources import Resources
from zoe.model.rest import Answer, Page, Question, ResourcesView

# Requests.


def _amount(read: Callable[[object], float]) -> BeforeValidator:
    """Check an amount as it was written; it is read when all of the request is known to be good."""

    def check(value: object) -> object:
        if value is not None:
            try:
                read(value)
            except ValueError as error:
                raise PydanticCustomError("amount", "{said}", {"said": str(error)}) from error
        return value

    return BeforeValidator(check)


Cores = Annotated[str | float | None, _amount(units.cores_milli)]
Memory = Annotated[str | int | None, _amount(units.memory_bytes)]
Duration = Annotated[str | float | None, _amount(units.duration_seconds)]
Gpus = Annotated[int, Field(ge=0, le=MAX_GPUS)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Weight = Annotated[float, Field(gt=0, le=MAX_WEIGHT, allow_inf_nan=False)]


class Form(Question):
    """A request of which an unknown key is answered with the one that may be meant."""

    @model_validator(mode="before")
    @classmethod
    def _know_keys(cls, given: Any) -> Any:
        for key in given if isinstance(given, Mapping) else ():
            if key not in cls.model_fields:
                hint = suggestion(str(key), cls.model_fields, "keys here")
                raise PydanticCustomError("key", f"unknown key {str(key)[:60]!r}: {hint}")
        return given


class AmountForm(Form):
    """An amount of each resource; what is not given is none."""

    cores: Cores = None
    memory: Memory = None
    gpus: Gpus = 0

    @property
    def resources(self) -> Resources:
        """The amount in the units of the model."""
        return Resources(
            units.cores_milli(self.cores) if self.cores is not None else 0,
            units.memory_bytes(self.memory) if self.memory is not None else 0,
            self.gpus,
        )

    @staticmethod
    def of(amount: ResourcesView) -> "AmountForm":
        """Return the request for an amount that is known, to the last byte."""
        return AmountForm(
            cores=f"{amount.cores_milli}m" if amount.cores_milli else None,
            memory=f"{amount.memory_bytes}B" if amount.memory_bytes else None,
            gpus=amount.gpus,
        )


class QuotaForm(Form):
    """What somebody may have at a time; null, or absent: as much as there is."""

    cores: Cores = None
    memory: Memory = None
    gpus: Gpus | None = None
    executions: Count | None = None
    """Executions that have room."""
    sessions: Count | None = None
    """Interactive ones among them."""
    run_time: Duration = None
    """The longest time limit of an execution, and the one of those that declare none."""

    @property
    def quota(self) -> Quota:
        """The quota in the units of the model."""
        return Quota(
            units.cores_milli(self.cores) if self.cores is not None else None,
            units.memory_bytes(self.memory) if self.memory is not None else None,
            self.gpus,
            self.executions,
            self.sessions,
            units.duration_seconds(self.run_time) if self.run_time is not None else None,
        )

    @staticmethod
    def of(quota: "Quota | QuotaView") -> "QuotaForm":
        """Return the request for a quota that is known, to the last byte."""
        return QuotaForm(
            cores=f"{quota.cores_milli}m" if quota.cores_milli is not None else None,
            memory=f"{quota.memory_bytes}B" if quota.memory_bytes is not None else None,
            gpus=quota.gpus,
            executions=quota.executions,
            sessions=quota.sessions,
            run_time=quota.run_seconds,
        )


class TeamForm(Form):
    """A team as it is to be."""

    weight: Weight = 1.0
    guaranteed: AmountForm = AmountForm()
    """What the team gets back whenever it needs it; others may use it meanwhile."""
    quota: QuotaForm = QuotaForm()

    def team(self, name: str) -> Team:
        """Return the team. Raises ValueError for a bad name."""
        return Team(name, self.weight, self.guaranteed.resources, self.quota.quota)


class UserForm(Form):
    """A user as it is to be."""

    teams: Annotated[tuple[str, ...], Field(max_length=MAX_TEAMS)] = ()
    """The first is that of executions for which no other is chosen."""
    weight: Weight = 1.0
    quota: QuotaForm | None = None
    """Null: that of the user ``default``."""

    def user(self, name: str) -> User:
        """Return the user. Raises ValueError for a bad name, and for a team named twice."""
        quota = None if self.quota is None else self.quota.quota
        return User(name, self.teams, self.weight, quota)


# Answers.


class QuotaView(Answer):
    """What somebody may have at a time; null: as much as there is."""

    cores_milli: int | None = None
    memory_bytes: int | None = None
    gpus: int | None = None
    executions: int | None = None
    sessions: int | None = None
    run_seconds: float | None = None


class TeamView(Answer):
    """A team with what it may have."""

    name: str
    weight: float
    guaranteed: ResourcesView
    quota: QuotaView


class UserView(Answer):
    """A user who was named, with what is in force for them."""

    name: str
    teams: list[str]
    weight: float
    quota: QuotaView
    has_own_quota: bool
    """False: the quota is that of the user ``default``."""


class TeamPage(Page[TeamView]):
    """Every team, by name; always one page."""


class UserPage(Page[UserView]):
    """Every user who was named, by name; always one page."""


class UsedView(Answer):
    """What counts against a quota."""

    cores_milli: int = 0
    memory_bytes: int = 0
    gpus: int = 0
    executions: int = 0
    sessions: int = 0


class HolderView(UsedView):
    """One execution, and what of a quota it uses."""

    execution_id: int
    name: str


class UsageView(Answer):
    """What a user, or a team together, uses and may use."""

    kind: Literal["user", "team"]
    name: str
    weight: float
    guaranteed: ResourcesView
    quota: QuotaView
    used: UsedView
    holders: tuple[HolderView, ...] = ()
    """The user's own executions that have room; those of others in the team are only summed up."""

    @property
    def has_limits(self) -> bool:
        """Whether any of what is counted is limited."""
        return any(getattr(self.quota, name) is not None for name in UsedView.model_fields)


class UsagePage(Page[UsageView]):
    """The user first, then each of the user's teams; always one page."""
