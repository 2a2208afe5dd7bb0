"""What users and teams use of their quotas, and who has to wait for that.

An execution is charged for from its admission until nothing of it is left: for the room of its
instances, also of those that are being stopped, and for essential instances whose node has gone,
because they come back. What a plan is about to give is charged for beside that, until the next
plan. Executions of users and teams without a quota have no allowances, and cost nothing here.
"""

from collections.abc import Callable, Iterable
from math import inf
from typing import TYPE_CHECKING

from zoe.model.execution import Reason
from zoe.model.quota import (
    LIMITS,
    OVER_QUOTA,
    Accounts,
    Quota,
    longest_run_seconds,
    may,
    said,
    why_too_large,
    why_too_long,
)
from zoe.model.zapp import Kind
from zoe.scheduler import words

if TYPE_CHECKING:
    from zoe.scheduler.contender import Contender
    from zoe.scheduler.stock import Places

COUNTED = LIMITS[:5]
"""What is counted: cores, memory, GPUs, executions, interactive sessions."""
NAMED = 3
"""How many executions are named in one reason."""
RENEWED = 100
"""How many of those over a quota have their reason renewed after each plan; others on demand."""

Amounts = tuple[int, int, int, int, int]
"""One amount of each of :data:`COUNTED`."""
_NOTHING: Amounts = (0, 0, 0, 0, 0)


class Allowance:
    """What a user, or a team, may use and uses, by :data:`COUNTED`."""

    __slots__ = ("limits", "planned", "run_seconds", "used", "who")

    def __init__(self, who: str, quota: Quota) -> None:
        self.who = who
        self.limits: list[float] = [
            inf if (limit := getattr(quota, name)) is None else limit for name in COUNTED
        ]
        self.run_seconds = inf if quota.run_seconds is None else quota.run_seconds
        self.used = list(_NOTHING)
        self.planned = list(_NOTHING)
        """What the present plan gives or keeps beyond what is used."""

    def short_of(self, wanted: Amounts) -> int | None:
        """Return the number of one of :data:`COUNTED` of which too little is left.

        Executions and sessions come first: elastic instances may leave the others to it.
        """
        for number in (3, 4, 0, 1, 2):
            if wanted[number] and wanted[number] > self._left(number):
                return number
        return None

    def room_for(self, each: tuple[int, int, int]) -> float:
        """Return how many instances of this size it leaves room for, at least 0."""
        fit = inf
        for number, amount in enumerate(each):
            if amount and self.limits[number] < inf:
                fit = min(fit, self._left(number) // amount)
        return max(fit, 0)

    def _left(self, number: int) -> float:
        return self.limits[number] - self.used[number] - self.planned[number]


def taken_to_start(contender: "Contender") -> Amounts:
    """Return what a waiting execution is charged for once it has started."""
    is_session = contender.demand.kind is Kind.INTERACTIVE
    return (*contender.total_missing(), 1, int(is_session))


def is_over(contender: "Contender") -> bool:
    """Whether a waiting execution would be over a quota if it started now."""
    taken, limit = taken_to_start(contender), contender.demand.limit_seconds
    return any(
        allowance.short_of(taken) is not None
        or (limit is not None and limit > allowance.run_seconds)
        for allowance in contender.allowances
    )


def charge_start(contender: "Contender") -> None:
    """Charge, until the next plan, for all that a waiting execution takes to start."""
    if not contender.allowances:
        return
    taken = taken_to_start(contender)
    for allowance in contender.allowances:
        for number, amount in enumerate(taken):
            allowance.planned[number] += amount


def charge(contender: "Contender", need: int, places: "Places", sign: int = 1) -> None:
    """Charge, until the next plan, for instances of one need; or take the charge back (-1)."""
    if not contender.allowances:
        return
    count = sign * sum(count for _, count in places)
    fitting = contender.fittings[need]
    for allowance in contender.allowances:
        for number, amount in enumerate((fitting.cores, fitting.memory, fitting.gpus)):
            allowance.planned[number] += amount * count


def growth(contender: "Contender", need: int, missing: int) -> int:
    """Return how many of the missing elastic instances of one need its quotas leave room for."""
    fitting = contender.fittings[need]
    each = (fitting.cores, fitting.memory, fitting.gpus)
    return int(min(missing, *(allowance.room_for(each) for allowance in contender.allowances)))


class Ledger:
    """The allowances of everybody who has a quota, kept up to date by what the planner is told."""

    def __init__(self) -> None:
        self.shares = Accounts()
        self.passed_over: list[int] = []
        """The first of those that the present plan let wait because of a quota."""
        self._users: dict[str, Allowance] = {}
        self._teams: dict[str, Allowance] = {}
        self.charged: dict[int, tuple[tuple[Allowance, ...], Amounts]] = {}
        """What each execution that has allowances and room is charged for, by id."""
        self._changed: dict[int, Contender] = {}

    def set_shares(self, shares: Accounts, contenders: Iterable["Contender"]) -> None:
        """Have other quotas from now on; ``contenders`` are all there are."""
        self.shares = shares
        self._users, self._teams = {}, {}
        self.charged, self._changed = {}, {}
        for contender in contenders:
            self.open(contender)
            self.note(contender)

    def open(self, contender: "Contender") -> None:
        """Find the allowances that an execution is charged to."""
        owner, team = contender.demand.owner, contender.demand.team
        found = []
        for name, known, who, quota in (
            (owner, self._users, owner, self.shares.quota_of_user(owner)),
            (team, self._teams, f"the team {team}", self.shares.quota_of_team(team)),
        ):
            if not quota.is_unlimited:
                if name not in known:
                    known[name] = Allowance(who, quota)
                found.append(known[name])
        contender.allowances = tuple(found)
        contender.is_over = False

    def note(self, contender: "Contender") -> None:
        """Note that what it is charged for may have changed."""
        if contender.allowances and (contender.is_admitted or contender.id in self.charged):
            self._changed[contender.id] = contender

    def begin_plan(self) -> None:
        """Forget what the last plan charged for; what came of it is known by now."""
        self.settle()
        self.passed_over = []

    def settle(self) -> None:
        """Bring the allowances up to date with what was noted; nothing is planned any more."""
        for contender in self._changed.values():
            _, before = self.charged.pop(contender.id, ((), _NOTHING))
            now = _charge_of(contender)
            if now != _NOTHING:
                self.charged[contender.id] = (contender.allowances, now)
            for allowance in contender.allowances:
                for number in range(len(COUNTED)):
                    allowance.used[number] += now[number] - before[number]
        self._changed.clear()
        for allowance in (*self._users.values(), *self._teams.values()):
            allowance.planned = list(_NOTHING)

    def passes_over(self, contender: "Contender") -> bool:
        """Whether a waiting execution has to wait for a quota; then it is noted."""
        if not is_over(contender):
            return False
        if len(self.passed_over) < RENEWED:
            self.passed_over.append(contender.id)
        return True

    def why_over(self, contender: "Contender", title: Callable[[int], str]) -> Reason | None:
        """Say which quota it would exceed if it started now, and who uses that; None: none.

        ``title`` names an execution that has room. :meth:`settle` comes before.
        """
        if (never := self.why_never(contender)) is not None:
            return never
        taken = taken_to_start(contender)
        for allowance in contender.allowances:
            if (number := allowance.short_of(taken)) is not None:
                name = COUNTED[number]
                limit = may(allowance.who, name, allowance.limits[number])
                holders = self._holders(allowance, number, title)
                used = _uses(name, allowance.used[number], holders)
                needs = f"this needs {said(name, taken[number])}"
                return Reason(OVER_QUOTA, f"{limit}; {used}; {needs}")
        return None

    def why_never(self, contender: "Contender") -> Reason | None:
        """Say which quota it exceeds even when nothing else runs; None when it exceeds none."""
        if not contender.allowances:
            return None
        demand = contender.demand
        quotas = self.shares.quotas_of(demand.owner, demand.team)
        taken = dict(zip(COUNTED, taken_to_start(contender), strict=True))
        return why_too_large(quotas, taken) or why_too_long(quotas, demand.limit_seconds)

    def time_limit(self, contender: "Contender") -> float | None:
        """Return the time limit that a quota sets where the application has none."""
        demand = contender.demand
        if not contender.allowances or demand.limit_seconds is not None:
            return None
        return longest_run_seconds(self.shares.quotas_of(demand.owner, demand.team))

    def _holders(self, allowance: Allowance, number: int, title: Callable[[int], str]) -> list[str]:
        """Name the executions that use most of an allowance, the largest first."""
        found = sorted(
            (-amounts[number], execution_id)
            for execution_id, (allowances, amounts) in self.charged.items()
            if amounts[number] and allowance in allowances
        )
        named = [title(execution_id) for _, execution_id in found[:NAMED]]
        if len(found) > NAMED:
            named.append(words.counted(len(found) - NAMED, "other"))
        return named


def _charge_of(contender: "Contender") -> Amounts:
    if not contender.is_admitted:
        return _NOTHING
    cores, memory, gpus = (0, 0, 0) if contender.is_ending else contender.total_missing()
    for fitting, counts in contender.held():
        count = sum(counts.values())
        cores += fitting.cores * count
        memory += fitting.memory * count
        gpus += fitting.gpus * count
    return (cores, memory, gpus, 1, int(contender.demand.kind is Kind.INTERACTIVE))


def _uses(name: str, used: int, holders: list[str]) -> str:
    """Say who uses how much: ``17 (a) and 18 (b) use 12 cores``."""
    if not holders:
        return f"{said(name, used)} in use"
    verb = "use" if name in LIMITS[:3] else "run"
    if len(holders) == 1:
        verb += "s"
    amount = f" {said(name, used)}" if verb.startswith("use") else ""
    return f"{words.listed(holders)} {verb}{amount}"
