"""Fair sharing: whose turn it is, among teams and the users of each.

Dominant-resource fairness (Ghodsi et al., NSDI 2011), weighted, over what each holds at present and
what each has held lately. The latter is an exponential average: what was held a half-life ago
counts half. A *level* is the largest of the shares of cores, memory and GPUs, over the weight; the
lowest comes first.

A team may have a *guaranteed* amount. While it holds less than that, it comes before all that do
not hold less than theirs, and may take back elastic instances of those that hold more than theirs,
whatever their levels: they have only borrowed. What it holds of its own amount no other team takes.

Everybody in turn: the team with the lowest level, of its users the one with the lowest level, of
their executions the first by size and age. It is counted as if it had got its room, and the next
turn is decided. So each user's first execution comes before somebody's hundredth.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import heapify, heappop, heapreplace
from itertools import islice
from math import inf

from zoe.model.balance import Balance
from zoe.model.resources import NOTHING, Resources
from zoe.model.zapp import Kind
from zoe.scheduler.account import NO_AMOUNTS, Account, account_of, balance_of
from zoe.scheduler.contender import Contender
from zoe.scheduler.fitting import Fitting
from zoe.scheduler.queue import Order

COUNTED = 100
"""Places of the queue that are counted one by one; further back they are estimated."""


class Fairness:
    """The accounts of all teams and users.

    ``half_life_seconds``: what was held so long ago counts half as much as what is held now.
    """

    def __init__(self, half_life_seconds: float) -> None:
        self.half_life_seconds = half_life_seconds
        self.total = [1.0, 1.0, 1.0]
        self.now = 0.0
        self.teams: dict[str, Account] = {}
        self.users: dict[tuple[str, str], Account] = {}
        """By team and user: who works for two teams has an account in each."""
        self._team_weights: Mapping[str, float] = {}
        self._user_weights: Mapping[str, float] = {}
        self._guaranteed: Mapping[str, Resources] = {}
        self._planned: list[Account] = []
        self._changed: dict[tuple[str, str], None] = {}
        """Users, by team, who hold more or less than their balance says."""

    def begin_plan(self, now: float) -> None:
        """Forget what the last plan gave, and judge at this time."""
        self.now = now
        self.end_plan()

    def end_plan(self) -> None:
        """Forget what the plan gave: what comes of it is told by :meth:`count`."""
        for account in self._planned:
            account.planned = [0, 0, 0]
        self._planned.clear()

    def plan_for(self, contender: Contender) -> None:
        """Have its team need no guarantee for what an essential set gets from the present plan."""
        account = self.team(contender.demand.team)
        if account.guaranteed != NO_AMOUNTS:
            amounts = contender.total_missing()
            account.planned = [a + b for a, b in zip(account.planned, amounts, strict=True)]
            self._planned.append(account)

    def set_total(self, total: Resources) -> None:
        """Take over how much there is in all."""
        self.total = [float(each) if each else inf for each in _amounts(total)]

    def set_weights(self, teams: Mapping[str, float], users: Mapping[str, float]) -> None:
        """Take over the weights; who is not named has weight 1."""
        self._team_weights, self._user_weights = teams, users
        for team, account in self.teams.items():
            account.weight = teams.get(team, 1.0)
        for (_, user), account in self.users.items():
            account.weight = users.get(user, 1.0)

    def set_guaranteed(self, teams: Mapping[str, Resources]) -> None:
        """Take over what teams are guaranteed; those that are not named, nothing."""
        self._guaranteed = teams
        for team, account in self.teams.items():
            account.guaranteed = _amounts(teams.get(team, NOTHING))

    def count(self, contender: Contender, fitting: Fitting, instances: int, now: float) -> None:
        """Note that so many instances more (or fewer) hold room."""
        team, user = contender.demand.team, contender.demand.owner
        for account in (self.team(team), self.user(team, user)):
            account.advance(now, self.half_life_seconds)
            account.held[0] += fitting.cores * instances
            account.held[1] += fitting.memory * instances
            account.held[2] += fitting.gpus * instances
        self._changed[team, user] = None

    def restore(self, balances: Iterable[Balance], now: float) -> None:
        """Take over what was used before there were these accounts; nobody holds anything yet.

        Until ``now`` everybody held what the balance says.
        """
        self.now = now
        for each in balances:
            kept = account_of(each, now, self.half_life_seconds)
            for account in (self.team(each.team), self.user(each.team, each.user)):
                account.advance(now, self.half_life_seconds)
                account.average = [
                    a + b for a, b in zip(account.average, kept.average, strict=True)
                ]
            if any(each.held):
                self._changed[each.team, each.user] = None

    def changed_balances(self, now: float) -> tuple[Balance, ...]:
        """Return the balances that have changed since they were last asked for."""
        balances = []
        for team, name in self._changed:
            account = self.user(team, name)
            account.advance(now, self.half_life_seconds)
            balances.append(balance_of(team, name, account))
        self._changed.clear()
        return tuple(balances)

    def expect(self, contender: Contender, fitting: Fitting, instances: int) -> None:
        """Note that so many instances more (or fewer) of what holds room are being stopped."""
        going = self.team(contender.demand.team).going
        going[0] += fitting.cores * instances
        going[1] += fitting.memory * instances
        going[2] += fitting.gpus * instances

    def team(self, name: str) -> Account:
        """Return the account of a team."""
        account = self.teams.get(name)
        if account is None:
            account = self.teams[name] = Account(
                self._team_weights.get(name, 1.0),
                guaranteed=_amounts(self._guaranteed.get(name, NOTHING)),
                at=self.now,
            )
        return account

    def user(self, team: str, name: str) -> Account:
        """Return the account of a user in a team."""
        account = self.users.get((team, name))
        if account is None:
            weight = self._user_weights.get(name, 1.0)
            account = self.users[team, name] = Account(weight, at=self.now)
        return account

    def level(self, account: Account) -> float:
        """Return how much it has, at present and on average, for its weight.

        Below 0 for a team that holds less than it is guaranteed: the more of that, the higher.
        """
        part = inf if account.guaranteed == NO_AMOUNTS else account.part(account.has)
        return part - 1 if part < 1 else self.usage(account)

    def usage(self, account: Account) -> float:
        """Return the level without regard to what is guaranteed."""
        account.advance(self.now, self.half_life_seconds)
        held, average, total = account.held, account.average, self.total
        most = max(
            (held[0] + average[0]) / total[0],
            (held[1] + average[1]) / total[1],
            (held[2] + average[2]) / total[2],
        )
        return most / account.weight

    def may_take(self, contender: Contender, other: Contender) -> bool:
        """Whether room of the other may be taken for it: of its own user, or of who has more.

        Of another team only what it holds beyond its guaranteed amount: see :meth:`spare`.
        """
        own, others = contender.demand, other.demand
        if own.team != others.team:
            theirs = self.team(others.team)
            left = [held - going for held, going in zip(theirs.held, theirs.going, strict=True)]
            if theirs.part(left) <= 1:
                return False
            return self.level(theirs) >= self.level(self.team(own.team))
        level = self.level(self.user(others.team, others.owner))
        return own.owner == others.owner or level >= self.level(self.user(own.team, own.owner))

    def spare(self, team: str, taken: Sequence[int], each: Sequence[int], count: int) -> int:
        """Return how many of ``count`` instances a team can lose and keep what it is guaranteed.

        ``each`` is the size of one; the team loses ``taken`` besides, and all that is being
        stopped.
        """
        account = self.team(team)
        if account.guaranteed == NO_AMOUNTS:
            return count
        most = 0
        for number, whole in enumerate(account.guaranteed):
            left = account.held[number] - account.going[number] - taken[number] - whole
            if whole and left >= 0:
                most = max(most, left // each[number] if each[number] else count)
        return min(count, most)

    def is_below(self, team: str) -> bool:
        """Whether a team holds less than it is guaranteed: it may have that whatever it costs."""
        account = self.team(team)
        return account.part(account.has) < 1

    def share(self, amounts: Sequence[int]) -> float:
        """Return the dominant share of so many cores, so much memory and so many GPUs."""
        cores, memory, gpus = self.total
        return max(amounts[0] / cores, amounts[1] / memory, amounts[2] / gpus)


class Turns:
    """Who is next, when what each has got in the meantime counts.

    ``by_team``: by team and by user of it, their executions in order.
    """

    def __init__(
        self, fairness: Fairness, by_team: Mapping[str, Mapping[str, Iterable[Contender]]]
    ) -> None:
        self._fairness = fairness
        self._teams: list[tuple[float, str, _Turn]] = []
        """A heap, as are the users of each team: of (level, name, turn), the lowest first."""
        for team, by_user in by_team.items():
            users = []
            for user, contenders in by_user.items():
                turn = _Turn(fairness, fairness.user(team, user), user, iter(contenders))
                if turn.step():
                    users.append(turn.entry)
            if users:
                heapify(users)
                turn = _Turn(fairness, fairness.team(team), team, iter(()), users)
                self._teams.append(turn.entry)
        heapify(self._teams)

    def next(self) -> Contender | None:
        """Return whose turn it is; None when there is nobody."""
        return self._teams[0][2].users[0][2].first if self._teams else None

    def charge(self, amounts: Sequence[int], *, again: bool = False) -> None:
        """Count this as got by the one whose turn it is; ``again``: it has not had enough.

        ``amounts`` are of cores, memory and GPUs.
        """
        team = self._teams[0][2]  # much of a plan's time goes by here, with a long queue
        users = team.users
        user = users[0][2]
        share = self._fairness.share(amounts)
        user.charge(share, amounts)
        team.charge(share, amounts)
        if again or user.step():
            heapreplace(users, (user.level, user.name, user))
        else:
            heappop(users)
        if users:
            heapreplace(self._teams, (team.level, team.name, team))
        else:
            heappop(self._teams)


class _Turn:
    __slots__ = (
        "_account", "_contenders", "_has", "_usage", "_weight", "first", "level", "name", "users"
    )  # fmt: skip

    def __init__(
        self,
        fairness: Fairness,
        account: Account,
        name: str,
        contenders: Iterator[Contender],
        users: "list[tuple[float, str, _Turn]] | None" = None,
    ) -> None:
        self.name = name
        self.users = users or []
        self._account = account
        self._weight = account.weight
        self._usage = self.level = fairness.usage(account)
        self._has: list[int] = []
        """Of a team: what it has, as far as that decides its level."""
        if account.guaranteed != NO_AMOUNTS:
            self._has = account.has
            self.level = fairness.level(account)
        self.first: Contender | None = None
        self._contenders = contenders

    @property
    def entry(self) -> "tuple[float, str, _Turn]":
        """What stands for it in a heap: names differ, so that no two turns are ever compared."""
        return self.level, self.name, self

    def step(self) -> bool:
        """Go on to the next execution; whether there is one."""
        self.first = next(self._contenders, None)
        return self.first is not None

    def charge(self, share: float, amounts: Sequence[int]) -> None:
        """Count this as got, of which ``share`` is the dominant share."""
        self._usage += share / self._weight
        if self.level < 0:
            self._has = [a + b for a, b in zip(self._has, amounts, strict=True)]
            self.level = self._account.part(self._has) - 1
            if self.level < 0:
                return
        self.level = self._usage


class FairOrder:
    """Those that wait, in the order of their turns, interactive ones first.

    The same as :class:`zoe.scheduler.queue.Order`, but that the order follows what each has got.
    """

    def __init__(self, contenders: Mapping[int, Contender], fairness: Fairness) -> None:
        self._contenders = contenders
        self._fairness = fairness
        self._parts: dict[bool, dict[str, dict[str, Order]]] = {True: {}, False: {}}
        self._order_of: dict[int, tuple[bool, str, str]] = {}

    def add(self, contender: Contender) -> None:
        """Add it, or move it to its new place."""
        self.discard(contender.id)
        demand = contender.demand
        where = (demand.kind is not Kind.BATCH, demand.team, demand.owner)
        users = self._parts[where[0]].setdefault(demand.team, {})
        if demand.owner not in users:
            users[demand.owner] = Order(self._contenders)
        users[demand.owner].add(contender)
        self._order_of[contender.id] = where

    def discard(self, execution_id: int) -> None:
        """Take it out, if it is in."""
        where = self._order_of.pop(execution_id, None)
        if where is not None:
            teams = self._parts[where[0]]
            users = teams[where[1]]
            users[where[2]].discard(execution_id)
            if not users[where[2]]:
                del users[where[2]]
                if not users:
                    del teams[where[1]]

    def moved_from(self, execution_id: int) -> int:
        """Return the first place that may have another holder once this one comes or goes."""
        return 1

    def position(self, execution_id: int) -> int:
        """Return its place, from 1; far back, about that: as deep as it stands among its own."""
        return self.positions([execution_id])[0]

    def positions(self, execution_ids: Sequence[int]) -> list[int]:
        """Return the places of several: see :meth:`position`."""
        exact: dict[int, int] = {}
        if execution_ids:
            first = enumerate(islice(self, COUNTED), 1)
            exact = {contender.id: place for place, contender in first}
        return [exact.get(each) or self._about(each) for each in execution_ids]

    def _about(self, execution_id: int) -> int:
        is_interactive, team, user = self._order_of[execution_id]
        own = self._parts[is_interactive][team][user]
        return max(COUNTED + 1, len(self) * own.position(execution_id) // len(own))

    def part(self, first: int, last: int) -> Sequence[Contender]:
        """Return those at these places, both included."""
        return list(islice(self, first - 1, last))

    def sort(self) -> None:
        """Do nothing: the keys within a user do not change."""

    def __contains__(self, execution_id: object) -> bool:
        return execution_id in self._order_of

    def __iter__(self) -> Iterator[Contender]:
        for is_interactive in (True, False):
            turns = Turns(self._fairness, self._parts[is_interactive])
            while (contender := turns.next()) is not None:
                yield contender
                is_out = contender.is_excluded is True or contender.is_over
                turns.charge(
                    NO_AMOUNTS if is_out else contender.total_missing()
                )  # who is out has none

    def __len__(self) -> int:
        return len(self._order_of)


def _amounts(resources: Resources) -> tuple[int, int, int]:
    return (resources.cores_milli, resources.memory_bytes, resources.gpus)
