"""When will it start? Runs the scheduler itself forward, many times, with likely run times.

Each sample draws a run time for every execution (those that run get more than they have run so
far), and lets the planner that ships admit who waits as others end. The starts that come out of all
samples are the distribution of which an estimate tells two quantiles.

Executions of one owner have the same luck in a sample: in the logs of real clusters they all take
long, or all stop early, and drawing them one by one makes the distribution far too narrow. Nobody
new arrives in a sample; what later ones take from those before them is learnt from how earlier
estimates came true (:mod:`zoe.sim.calibration`).

Work is bounded by the number of samples, of ends in one sample, by a horizon and by time. The first
:data:`LEAST_SAMPLES` get an equal part of the time each: when that is not enough for whole samples,
those at the head of the queue still get a distribution, and the others are too far away.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Protocol

from zoe.scheduler.contender import Contender
from zoe.scheduler.history import quantile
from zoe.scheduler.planner import Planner
from zoe.scheduler.sharing import DAY
from zoe.scheduler.snapshot import Snapshot, thaw

MEDIAN, LATE = 0.5, 0.9
"""The quantiles that an estimate tells."""


LEAST_SAMPLES = 10
"""So many are made, each as far as its part of the time allows; fewer are no distribution."""


class Chance(Protocol):
    """What draws: :class:`random.Random` with a seed, from outside of the core."""

    def random(self) -> float:
        """Return a number from 0 up to, but not including, 1."""
        ...


class Unknown(StrEnum):
    """Why there is no estimate, or no upper one."""

    NEVER = "can-never-start"
    """It asks for what the nodes do not have."""
    FORBIDDEN = "exceeds-quota"
    """A quota forbids it, whatever else runs."""
    OPEN_END = "open-end"
    """It needs room of executions of which nobody can tell when they end."""
    BEYOND = "too-far"
    """It is later than the horizon, or than what a sample has reached within its bounds."""
    STUCK = "stuck"
    """Not even when all others have ended does the scheduler start it."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much work a forecast may be; what is past them has no estimate."""

    samples: int = 100
    horizon_seconds: float = 30 * DAY
    ends: int = 2000
    """Executions that end in one sample, at most."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """When an execution starts: with even chances by ``p50``, with 9 in 10 by ``p90``.

    Times are as the planner's. None: there is no ground for one, ``because`` of what
    ``because_of`` (ids of executions) do.
    """

    p50: float | None
    p90: float | None
    because: Unknown | None = None
    because_of: tuple[int, ...] = ()
    samples: int = 0


def forecast(
    snapshot: Snapshot,
    wanted: Iterable[int] | None,
    chance: Chance,
    bounds: Bounds | None = None,
    *,
    time_spent: Callable[[], float] = lambda: 0.0,
) -> dict[int, Estimate]:
    """Return an estimate for each of ``wanted`` that waits (None: for all that wait), by id.

    ``time_spent`` tells which part of the time for it is over, 1 for all of it.
    """
    bounds = bounds or Bounds()
    first = thaw(snapshot.planner)
    everybody = [each.id for each in first.waiting]
    asked = set(everybody if wanted is None else wanted).intersection(everybody)
    estimates = {}
    for contender in (first.contenders[each] for each in asked):
        if first.reach.excludes(contender):
            estimates[contender.id] = Estimate(None, None, Unknown.NEVER)
        elif first.ledger.why_never(contender) is not None:
            estimates[contender.id] = Estimate(None, None, Unknown.FORBIDDEN)
    asked -= estimates.keys()
    possible = {
        each.id: (
            each.demand.owner,
            snapshot.history.possible_seconds(each.demand, _done(each, snapshot.now)),
        )
        for each in first.contenders.values()
    }
    owners = sorted({owner for owner, _ in possible.values()})
    starts: dict[int, list[float]] = {each: [] for each in asked}
    missed: dict[int, tuple[Unknown, tuple[int, ...]]] = {}
    for number in range(bounds.samples if asked else 0):
        luck = {owner: chance.random() for owner in owners}
        seconds = {
            each: times[int(luck[owner] * len(times))] if times else inf
            for each, (owner, times) in possible.items()
        }
        sample = _Sample(thaw(snapshot.planner) if number else first, snapshot, seconds, set(asked))
        sample.run(bounds, time_spent, min(1.0, (number + 1) / LEAST_SAMPLES))
        if sample.is_unfinished and number >= LEAST_SAMPLES:
            break
        for each in asked:
            starts[each].append(sample.starts.get(each, inf))
        if sample.missing:
            missed |= dict.fromkeys(sample.missing, sample.why_not())
    for each, times in starts.items():
        times.sort()
        p50, p90 = (_finite(quantile(times, share)) for share in (MEDIAN, LATE))
        because, because_of = missed[each] if p90 is None else (None, ())
        estimates[each] = Estimate(p50, p90, because, because_of, len(times))
    return estimates


@dataclass(slots=True)
class _Sample:
    """One future, with these run times."""

    planner: Planner
    snapshot: Snapshot
    seconds: Mapping[int, float]
    missing: set[int]
    """Those of which the start is wanted and has not come."""
    starts: dict[int, float] = field(default_factory=dict)
    now: float = 0.0
    _ends: list[tuple[float, int, int]] = field(default_factory=list)
    _versions: dict[int, int] = field(default_factory=dict)
    """Grows with each change of the rate: an end expected earlier is void then."""
    _deadlines: dict[int, float] = field(default_factory=dict)
    _drains: list[tuple[float, int, int, int, int]] = field(default_factory=list)
    _is_cut: bool = False
    is_unfinished: bool = False
    """Whether its time was up before it came to its end."""

    def run(self, bounds: Bounds, time_spent: Callable[[], float], until: float) -> None:
        """Let everything happen until all that were wanted have started, or a bound is met."""
        snapshot, planner = self.snapshot, self.planner
        self.now = snapshot.now
        self._deadlines = dict(snapshot.deadlines or {})
        for contender in planner.contenders.values():
            for need, counts in enumerate(contender.going):
                for node, count in counts.items():
                    self._drain(contender, need, node, count)
            if contender.is_admitted:
                self._expect_end(contender)
        self._settle()
        ended = 0
        while self.missing and (self._ends or self._drains):
            self.now = max(self.now, min(each[0][0] for each in (self._ends, self._drains) if each))
            self.is_unfinished = time_spent() >= until
            is_far = self.now > snapshot.now + bounds.horizon_seconds
            if is_far or ended >= bounds.ends or self.is_unfinished:
                self._is_cut = True
                break
            while self._ends and self._ends[0][0] <= self.now:
                _, execution_id, version = heapq.heappop(self._ends)
                if self._versions.get(execution_id) == version:
                    del self._versions[execution_id]
                    planner.forget(execution_id, self.now)
                    ended += 1
            while self._drains and self._drains[0][0] <= self.now:
                _, execution_id, need, node, count = heapq.heappop(self._drains)
                if execution_id in planner.contenders:
                    contender = planner.contenders[execution_id]
                    planner.gone(contender, need, (node, count), self.now)
            self._settle()

    def why_not(self) -> tuple[Unknown, tuple[int, ...]]:
        """Say why those that are still missing have not started, and whose fault that is."""
        if self._is_cut:
            return Unknown.BEYOND, ()
        running = [each for each in self.planner.contenders.values() if each.is_admitted]
        running.sort(key=lambda each: (-each.has, each.id))
        return (Unknown.OPEN_END if running else Unknown.STUCK), tuple(each.id for each in running)

    def _settle(self) -> None:
        """Plan, and make it so, until there is nothing more to do."""
        planner, now = self.planner, self.now
        changed: dict[int, Contender] = {}
        while True:
            plan = planner.plan(now)
            for contender in (grant.contender for grant in plan.grants):
                if contender.id not in changed and not contender.is_admitted:
                    self._start(contender)
                changed[contender.id] = contender
            for lending, count, _ in plan.take_back:
                changed[lending.contender.id] = lending.contender
                self._drain(lending.contender, lending.need, lending.node, count)
            planner.commit(plan, now)
            if not plan.grants:
                break
        for contender in changed.values():
            self._expect_end(contender)

    def _start(self, contender: Contender) -> None:
        self.starts[contender.id] = self.now
        self.missing.discard(contender.id)
        limit = contender.demand.run_seconds
        if limit is None:
            limit = self.planner.ledger.time_limit(contender)
        if self.snapshot.deadlines is not None and limit is not None:
            self._deadlines[contender.id] = self.now + limit

    def _drain(self, contender: Contender, need: int, node: int, count: int) -> None:
        at = self.now + self.snapshot.drain_seconds
        heapq.heappush(self._drains, (at, contender.id, need, node, count))

    def _expect_end(self, contender: Contender) -> None:
        """Expect its end at the rate from now on."""
        end = self._deadlines.get(contender.id, inf)
        if contender.is_ending:
            end = self.now + self.snapshot.drain_seconds
        elif contender.rate:
            left = max(0.0, self.seconds[contender.id] - contender.done_seconds)
            end = min(end, contender.at + left / contender.rate)
        version = self._versions[contender.id] = self._versions.get(contender.id, 0) + 1
        if end < inf:
            heapq.heappush(self._ends, (max(end, self.now), contender.id, version))


def _done(contender: Contender, now: float) -> float:
    """How much of its run time it has done."""
    return contender.done_seconds + contender.rate * (now - contender.at)


def _finite(time: float) -> float | None:
    return time if time < inf else None
