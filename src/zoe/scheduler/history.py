"""What past runs tell of the next one: how long executions of an application held their room.

The runs of the same owner tell most, then those of anybody. Where a time limit was declared, what
counts is the share of it that was used: users leave about the same margin again and again.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from zoe.scheduler.demand import Demand

RUNS_KEPT = 100
"""The newest runs that are remembered of each application, and of each owner of it."""
KEYS_KEPT = 10_000
"""Applications, and owners of them, that are remembered: those that ran last."""
LEAST_RUNS = 5
"""So many runs must be left to tell anything; otherwise a wider circle is asked."""

Key = tuple[str, str | None]
"""An application, and an owner of it or None: all of them."""


@dataclass(frozen=True, slots=True)
class Run:
    """One past run: its declared time limit, if it had one, and how long it took (seconds)."""

    declared: float | None
    seconds: float


class History:
    """The newest past runs, by application and owner; bounded in size."""

    def __init__(self, runs_kept: int = RUNS_KEPT, keys_kept: int = KEYS_KEPT) -> None:
        self._runs: OrderedDict[Key, deque[Run]] = OrderedDict()
        self._runs_kept = runs_kept
        self._keys_kept = keys_kept

    def add(self, application: str, owner: str, declared: float | None, seconds: float) -> None:
        """Remember a run that has ended."""
        run = Run(declared, max(0.0, seconds))
        for key in ((application, owner), (application, None)):
            self._runs.setdefault(key, deque(maxlen=self._runs_kept)).append(run)
            self._runs.move_to_end(key)
        while len(self._runs) > self._keys_kept:
            self._runs.popitem(last=False)

    def runs(self, application: str, owner: str | None = None) -> Sequence[Run]:
        """Return the runs that are remembered, the newest last; of anybody when owner is None."""
        return tuple(self._runs.get((application, owner), ()))

    def possible_seconds(self, demand: Demand, done_seconds: float = 0.0) -> tuple[float, ...]:
        """Return equally likely run times of an execution that has run for ``done_seconds``.

        All are longer than that, and none is longer than what was declared, unless that is over:
        then it counts as ending now. Empty: nobody can tell.
        """
        declared = demand.run_seconds
        if declared is not None and done_seconds >= declared:
            return (done_seconds,)
        for owner in (demand.owner, None):
            known = self.runs(demand.application, owner)
            left = [each for each in _seconds(known, declared) if each > done_seconds]
            if len(left) >= LEAST_RUNS:
                return tuple(sorted(left))
        return () if declared is None else (declared,)

    def typical_seconds(self, demand: Demand) -> float | None:
        """Return the median run time for an execution that declares none; None: unknown."""
        known = self.possible_seconds(demand) if demand.run_seconds is None else ()
        return quantile(known, 0.5) if known else None

    def about(self, demands: Iterable[Demand]) -> "History":
        """Return the part that tells something of these executions."""
        part = History(self._runs_kept, self._keys_kept)
        for demand in demands:
            for owner in (None, demand.owner):
                key = (demand.application, owner)
                if key in self._runs and key not in part._runs:
                    part._runs[key] = self._runs[key].copy()
        return part


def quantile(ascending: Sequence[float], share: float) -> float:
    """Return the smallest of the values that at least ``share`` of them do not exceed."""
    rank = -int(-share * len(ascending) // 1)
    return ascending[min(max(rank, 1), len(ascending)) - 1]


def _seconds(runs: Iterable[Run], declared: float | None) -> list[float]:
    """Return what each run says of one for which ``declared`` is the limit, if that is known."""
    if declared is None:
        return [run.seconds for run in runs]
    return [
        min(1.0, run.seconds / run.declared) * declared
        if run.declared
        else min(run.seconds, declared)
        for run in runs
    ]
