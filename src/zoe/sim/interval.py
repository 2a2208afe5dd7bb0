"""How sure a mean over a few seeds is: intervals of confidence after Student."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum, sqrt

# Two-sided 95 % quantiles of Student's t for 1 to 30 degrees of freedom.
_T = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
_NORMAL = 1.960


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean of ``count`` values; the true one is within ``half`` of it, 95 times of 100.

    ``half`` is None for a single value, which says nothing about its own spread.
    """

    mean: float
    half: float | None
    count: int

    @property
    def low(self) -> float:
        """The lower end."""
        return self.mean - (self.half or 0.0)

    @property
    def high(self) -> float:
        """The upper end."""
        return self.mean + (self.half or 0.0)


def interval(values: Iterable[float | None]) -> Interval | None:
    """Return the mean of the values that are not None, with its 95 % interval."""
    known = [value for value in values if value is not None]
    count = len(known)
    if not known:
        return None
    mean = fsum(known) / count
    if count == 1:
        return Interval(mean, None, 1)
    variance = fsum((value - mean) ** 2 for value in known) / (count - 1)
    return Interval(mean, student(count - 1) * sqrt(variance / count), count)


def student(freedom: int) -> float:
    """Return the two-sided 95 % quantile of Student's t with ``freedom`` degrees of freedom.

    Past the table it is the normal quantile and the first term of the expansion around it, which
    continues the table without a step and is right to three digits.
    """
    if freedom <= len(_T):
        return _T[freedom - 1]
    return _NORMAL + (_NORMAL**3 + _NORMAL) / (4 * freedom)
