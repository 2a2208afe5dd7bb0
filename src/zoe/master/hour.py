"""The last hour of every instance and node, in memory; bounded however many there are."""

from array import array
from bisect import bisect_right

from zoe.model.use import Point

HOUR_SECONDS = 3600.0
"""For how long samples are kept."""
SERIES_MAX = 5000
"""Of how many instances and nodes; of more, those are forgotten that were sampled longest ago."""
POINTS_MAX = 720
"""Points of one series: an hour of samples five seconds apart; more frequent ones last shorter."""
POINTS_TOLD = 120
"""Points that are told of one series."""


class Series:
    """The samples of one instance or node, the oldest first."""

    def __init__(self) -> None:
        self._at = array("d")
        self._cores = array("q")
        self._memory = array("q")

    def add(self, point: Point) -> None:
        """Add a sample; those that are too old, or too many, are dropped now and then."""
        self._at.append(point[0])
        self._cores.append(point[1])
        self._memory.append(point[2])
        if len(self._at) > POINTS_MAX * 5 // 4:
            self._drop(len(self._at) - POINTS_MAX)

    @property
    def last_at(self) -> float:
        """When it was sampled last."""
        return self._at[-1]

    def points(self, now: float) -> list[Point]:
        """Return the samples of the last hour, thinned out evenly to at most POINTS_TOLD."""
        first = bisect_right(self._at, now - HOUR_SECONDS)
        count = len(self._at) - first
        step = max(1, -(-count // POINTS_TOLD))
        # Counted from the newest, which is always told.
        numbers = range(len(self._at) - 1, first - 1, -step)
        return [(self._at[n], self._cores[n], self._memory[n]) for n in reversed(numbers)]

    def _drop(self, count: int) -> None:
        for values in (self._at, self._cores, self._memory):
            del values[:count]


class Hour:
    """All series, by the name of a node or the id of an instance."""

    def __init__(self) -> None:
        self._series: dict[str, Series] = {}

    def __len__(self) -> int:
        return len(self._series)

    def add(self, key: str, point: Point) -> None:
        """Add a sample."""
        series = self._series.pop(key, None) or Series()
        series.add(point)
        self._series[key] = series  # at the end: sampled last

    def forget_old(self, now: float) -> None:
        """Forget what was not sampled within the hour, and what is too much."""
        while self._series:
            key = next(iter(self._series))
            is_old = self._series[key].last_at <= now - HOUR_SECONDS
            if not is_old and len(self._series) <= SERIES_MAX:
                break
            del self._series[key]

    def of(self, key: str, now: float) -> list[Point]:
        """Return the samples of one series."""
        series = self._series.get(key)
        return series.points(now) if series else []

    def of_execution(self, execution_id: int, now: float) -> dict[str, list[Point]]:
        """Return the samples of all instances of an execution."""
        beginning = f"{execution_id}/"
        found = {
            key: series.points(now)
            for key, series in self._series.items()
            if key.startswith(beginning)
        }
        return {key: points for key, points in sorted(found.items()) if points}
