"""What users and teams may have, remembered for a moment: every submission asks."""

import time
from collections.abc import Callable

from zoe.model.did_you_mean import suggestion
from zoe.model.errors import ZoeError
from zoe.model.execution import Reason
from zoe.model.quota import Accounts, taken_to_start, why_too_large, why_too_long
from zoe.model.zapp import ZApp
from zoe.store.accounts import AccountBook

REMEMBERED_SECONDS = 1.0
"""How long a quota that was changed elsewhere may not be known yet; the master decides anyway."""


class ExceedsQuota(ZoeError):
    """It asks for more than its user or team may have at all."""


class NotInTeam(ZoeError):
    """You are not in this team."""


class Shares:
    """The users and teams of the store."""

    def __init__(self, book: AccountBook, now: Callable[[], float] = time.monotonic) -> None:
        self.book = book
        self._now = now
        self._known: tuple[Accounts, float] | None = None

    async def read(self) -> Accounts:
        """Return them as they were at most REMEMBERED_SECONDS ago."""
        asked_at = self._now()
        if self._known is None or asked_at - self._known[1] > REMEMBERED_SECONDS:
            self._known = await self.book.read(), asked_at
        return self._known[0]

    def forget(self) -> None:
        """Ask the store next time: something was changed here."""
        self._known = None


def chosen_team(shares: Accounts, user: str, wanted: str) -> str:
    """Return the team that an execution runs for; raises NotInTeam unless the user is in it."""
    teams = shares.teams_of(user)
    if not wanted:
        return teams[0] if teams else ""
    if wanted not in teams:
        hint = suggestion(wanted, teams) or (
            f"Your teams are {', '.join(teams)}." if teams else "You are in no team."
        )
        raise NotInTeam(f"You are not in a team {wanted!r}.", hint=hint[0].upper() + hint[1:])
    return wanted


def check_quota(shares: Accounts, user: str, team: str, zapp: ZApp) -> Reason | None:
    """Return why it can never start under the present quotas, which may be raised; None if it can.

    Raises ExceedsQuota for a time limit that is too long.
    """
    quotas = shares.quotas_of(user, team)
    if (reason := why_too_long(quotas, zapp.time_limit_seconds)) is not None:
        raise ExceedsQuota(
            f"{reason.message[0].upper()}{reason.message[1:]}.",
            hint="Give it a shorter time_limit, or ask an administrator for more.",
        )
    return why_too_large(quotas, taken_to_start(zapp))
