"""One figure, one JSON line on stdout."""

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figures:
    """Prints the figures of one suite."""

    suite: str

    def add(
        self,
        name: str,
        value: float,
        unit: str,
        *,
        baseline: float | None = None,
        must: float | None = None,
        aim: float | None = None,
        **detail: object,
    ) -> None:
        """Print a figure; ``baseline`` is the same work done bare, in the same run and unit.

        ``must`` has to be reached, ``aim`` is wanted: a rate or a share at least, all else at most.
        """
        line: dict[str, object] = {"suite": self.suite, "name": name}
        line |= {"value": _rounded(value), "unit": unit}
        if baseline is not None:
            line |= {"baseline": _rounded(baseline), "ratio": _rounded(value / baseline)}
        if must is not None:
            line["must"] = must
        if aim is not None:
            line["aim"] = aim
        sys.stdout.write(json.dumps(line | detail) + "\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Say on stderr what is going on."""
        sys.stderr.write(f"{self.suite}: {text}\n")


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value below which ``percent`` of the values lie."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
