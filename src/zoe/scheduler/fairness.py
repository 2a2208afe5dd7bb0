"""Fair sharing: whose turn it is, among teams and the users of each.

Dominant-resource fairness (Ghodsi et al., NSDI 2011), weighted, over what each holds at present and
what each has held lately. The latter is an exponential average: what was held a half-life ago
counts half. A *level* is the largest of the shares of cores, memory and GPUs, over the weight; the
lowest comes first.

Everybody in turn: the team with the lowest level, of its users the one with the lowest level, of
their executions the first by size and age. It is counted as if it had got its room, and the next
turn is decided. So each user's first execution comes before somebody's hundredth.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from itertools import islice

from zoe.model.resources import Resources
from zoe.model.zapp import Kind
from zoe.scheduler.contender import Contender
from zoe.scheduler.fitting import Fitting
from zoe.scheduler.queue import Order

COUNTED = 1000
"""Places of the queue that are counted one by one; further back they are estimated."""


@dataclass(slots=True)
class Account:
    """What a user or a team holds, and has held on average: cores, memory, GPUs."""

    weight: float = 1.0
    held: list[int] = field(default_factory=lambda: [0, 0, 0])
    average: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    at: float = 0.0

    def advance(self, now: float, half_life: float) -> None:
        """Bring the average up to date."""
        if now > self.at:
            kept = 0.5 ** ((now - self.at) / half_life)
            for number, held in enumerate(self.held):
                self.average[number] = held + (self.average[number] - held) * kept
            self.at = now


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

    def set_total(self, total: Resources) -> None:
        """Take over how much there is in all."""
        amounts = (total.cores_milli, total.memory_bytes, total.gpus)
        self.total = [float(each) if each else float("inf") for each in amounts]

    def set_weights(self, teams: Mapping[str, float], users: Mapping[str, float]) -> None:
        """Take over the weights; who is not named has weight 1."""
        self._team_weights, self._user_weights = teams, users
        for team, account in self.teams.items():
            account.weight = teams.get(team, 1.0)
        for (_, user), account in self.users.items():
            account.weight = users.get(user, 1.0)

    def count(self, contender: Contender, fitting: Fitting, instances: int, now: float) -> None:
        """Note that so many instances more (or fewer) hold room."""
        team, user = contender.demand.team, contender.demand.owner
        for account in (self.team(team), self.user(team, user)):
            account.advance(now, self.half_life_seconds)
            account.held[0] += fitting.cores * instances
            account.held[1] += fitting.memory * instances
            account.held[2] += fitting.gpus * instances

    def team(self, name: str) -> Account:
        """Return the account of a team."""
        account = self.teams.get(name)
        if account is None:
            account = self.teams[name] = Account(self._team_weights.get(name, 1.0), at=self.now)
        return account

    def user(self, team: str, name: str) -> Account:
        """Return the account of a user in a team."""
        account = self.users.get((team, name))
        if account is None:
            weight = self._user_weights.get(name, 1.0)
            account = self.users[team, name] = Account(weight, at=self.now)
        return account

    def level(self, account: Account) -> float:
        """Return how much it has, at present and on average, for its weight."""
        account.advance(self.now, self.half_life_seconds)
        shares = (
            (held + average) / whole
            for held, average, whole in zip(account.held, account.average, self.total, strict=True)
        )
        return max(shares) / account.weight

    def may_take(self, contender: Contender, other: Contender) -> bool:
        """Whether room of the other may be taken for it: of its own user, or of who has more."""
        own, others = contender.demand, other.demand
        if own.team != others.team:
            return self.level(self.team(others.team)) >= self.level(self.team(own.team))
        level = self.level(self.user(others.team, others.owner))
        return own.owner == others.owner or level >= self.level(self.user(own.team, own.owner))

    def essential_share(self, contender: Contender) -> float:
        """Return the dominant share of an essential set."""
        amounts = contender.total_missing()
        return max(amount / whole for amount, whole in zip(amounts, self.total, strict=True))


class Turns:
    """Who is next, when what each has got in the meantime counts.

    ``by_team``: by team and by user of it, their executions in order.
    """

    def __init__(
        self, fairness: Fairness, by_team: Mapping[str, Mapping[str, Iterable[Contender]]]
    ) -> None:
        self._teams: list[_Turn] = []
        for team, by_user in by_team.items():
            users = []
            for user, contenders in by_user.items():
                account = fairness.user(team, user)
                turn = _Turn(fairness.level(account), user, account.weight, iter(contenders))
                if turn.step():
                    users.append(turn)
            if users:
                heapify(users)
                account = fairness.team(team)
                self._teams.append(
                    _Turn(fairness.level(account), team, account.weight, iter(()), users)
                )
        heapify(self._teams)

    def next(self) -> Contender | None:
        """Return whose turn it is; None when there is nobody."""
        return self._teams[0].users[0].first if self._teams else None

    def charge(self, share: float, *, again: bool = False) -> None:
        """Count this as got by the one whose turn it is; ``again``: it has not had enough."""
        team = self._teams[0]
        user = team.users[0]
        user.level += share / user.weight
        team.level += share / team.weight
        if again or user.step():
            heapreplace(team.users, user)
        else:
            heappop(team.users)
        if team.users:
            heapreplace(self._teams, team)
        else:
            heappop(self._teams)


class _Turn:
    __slots__ = ("_contenders", "first", "level", "name", "users", "weight")

    def __init__(
        self,
        level: float,
        name: str,
        weight: float,
        contenders: Iterator[Contender],
        users: "list[_Turn] | None" = None,
    ) -> None:
        self.level = level
        self.name = name
        self.weight = weight
        self.users = users or []
        self.first: Contender | None = None
        self._contenders = contenders

    def step(self) -> bool:
        """Go on to the next execution; whether there is one."""
        self.first = next(self._contenders, None)
        return self.first is not None

    def __lt__(self, other: "_Turn") -> bool:
        return (self.level, self.name) < (other.level, other.name)


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

    def position(self, execution_id: int) -> int:
        """Return its place, from 1; far back, about that: as deep as it stands among its own."""
        for place, contender in enumerate(islice(self, COUNTED), 1):
            if contender.id == execution_id:
                return place
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
                is_out = contender.is_excluded is True  # it takes nobody's turn
                turns.charge(0.0 if is_out else self._fairness.essential_share(contender))

    def __len__(self) -> int:
        return len(self._order_of)
