"""Corrects estimates by how earlier ones came true.

What a forecast cannot know (who arrives later, what users will do) makes its errors alike from one
day to the next. So the waits that it predicts are stretched: the median by the median of ``true
wait / predicted wait`` of the last estimates that have come true, the upper quantile by as much as
would have covered nine in ten of them.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from zoe.scheduler.history import quantile
from zoe.sim.forecast import LATE, MEDIAN, Estimate

KEPT = 200
"""The newest estimates that are remembered with what came of them."""
LEAST = 20
"""With fewer of them nothing is corrected."""
LARGEST = 10.0
"""No wait is stretched, or shrunk, by more than this."""
SHORTEST_SECONDS = 1.0
"""Waits count as at least so long: what takes no time has no ratio."""


@dataclass(frozen=True, slots=True)
class Outturn:
    """An estimate made at ``made_at``, before any correction, and the start that came true."""

    made_at: float
    p50: float
    p90: float
    started_at: float


class Calibration:
    """What the last estimates say about the next one."""

    def __init__(self, outturns: Iterable[Outturn] = ()) -> None:
        self._medians: deque[float] = deque(maxlen=KEPT)
        self._lates: deque[float] = deque(maxlen=KEPT)
        for each in outturns:
            self.add(each)

    def add(self, outturn: Outturn) -> None:
        """Learn what came of an estimate."""
        true_wait = max(SHORTEST_SECONDS, outturn.started_at - outturn.made_at)
        for ratios, predicted in ((self._medians, outturn.p50), (self._lates, outturn.p90)):
            ratios.append(true_wait / max(SHORTEST_SECONDS, predicted - outturn.made_at))

    @property
    def factors(self) -> tuple[float, float]:
        """By how much the waits until p50 and p90 are stretched."""
        if len(self._medians) < LEAST:
            return 1.0, 1.0
        stretch = quantile(sorted(self._medians), MEDIAN), quantile(sorted(self._lates), self._late)
        median, late = (min(max(each, 1 / LARGEST), LARGEST) for each in stretch)
        return median, late

    @property
    def _late(self) -> float:
        """The share of them that has to be covered so that the next one is with LATE.

        It is one more than they are, and may be the worst of all.
        """
        return min(1.0, LATE * (len(self._lates) + 1) / len(self._lates))

    def corrected(self, estimate: Estimate, now: float) -> Estimate:
        """Return an estimate that was made at ``now`` with its waits stretched."""
        median, late = self.factors
        p50, p90 = estimate.p50, estimate.p90
        if p50 is not None:
            p50 = now + (p50 - now) * median
            if p90 is not None:
                p90 = max(p50, now + (p90 - now) * late)
        return replace(estimate, p50=p50, p90=p90)
