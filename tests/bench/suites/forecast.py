"""How well starts are predicted: a real log, with its users' own estimates as time limits.

The log is run under EASY backfilling. When a job of a random sample has to wait, its start is
predicted from what is known at that moment: the planner, the jobs that have ended before, and how
the predictions before came true. It is compared with its true start, and with what EASY itself
would say, which takes the users' estimates for exact.
"""

import os
import random
import statistics
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from figures import Figures

from traces import KTH
from zoe.scheduler.contender import Contender
from zoe.scheduler.history import History
from zoe.scheduler.plan import Plan
from zoe.scheduler.planner import Planner, Sharing
from zoe.scheduler.snapshot import Snapshot, freeze
from zoe.sim.calibration import Calibration, Outturn
from zoe.sim.cluster import read_nodes
from zoe.sim.forecast import Bounds, Estimate, forecast
from zoe.sim.simulation import simulate
from zoe.sim.workload import Job
from zoe.sim.workloads.swf import read_swf

NODES = "100x1c"
FORECASTS = 250
SAMPLES = 30
SEED = 1


class _Watched(Planner):
    """Keeps everything as it was when a job of the sample had to wait."""

    def __init__(self, sharing: Sharing, jobs: Iterable[Job], sample: frozenset[int]) -> None:
        super().__init__(sharing)
        plain = set(vars(self))
        self.seconds = {job.id: job.seconds for job in jobs}
        self.sample = sample
        self.history = History()
        self.snapshots: list[tuple[int, Snapshot]] = []
        self.came: list[int] = []
        self.plain = plain
        """What a planner that is not watched has, too."""

    def wait(self, contender: Contender, now: float) -> None:
        super().wait(contender, now)
        if contender.id in self.sample:
            self.came.append(contender.id)

    def plan(self, now: float) -> Plan:
        plan = super().plan(now)
        if self.came and not plan.grants and not plan.take_back:
            for each in self.came:
                if each in self.waiting:
                    self.snapshots.append((each, self._snapshot(now)))
            self.came = []
        return plan

    def forget(self, execution_id: int, now: float) -> None:
        demand = self.contenders[execution_id].demand
        seconds = self.seconds[execution_id]
        self.history.add(demand.application, demand.owner, demand.run_seconds, seconds)
        super().forget(execution_id, now)

    def _snapshot(self, now: float) -> Snapshot:
        plain = Planner(self.sharing)
        vars(plain).update((k, v) for k, v in vars(self).items() if k in self.plain)
        demands = (each.demand for each in self.contenders.values())
        return Snapshot(freeze(plain), now, self.history.about(demands))


@dataclass(frozen=True, slots=True)
class _Forecast:
    job: int
    made_at: float
    ours: Estimate
    easy: Estimate


def _predict(asked: tuple[int, Snapshot]) -> _Forecast:
    job, snapshot = asked
    ours = forecast(snapshot, [job], random.Random(job), Bounds(samples=SAMPLES))[job]
    # With no history the declared times count as exact, and the only future is that of EASY.
    as_declared = replace(snapshot, history=History())
    easy = forecast(as_declared, [job], random.Random(job), Bounds(samples=1))[job]
    return _Forecast(job, snapshot.now, ours, easy)


async def measure(figures: Figures, folder: Path) -> None:
    """Predict the starts of a few hundred jobs of the log, and compare."""
    if not KTH.exists():
        figures.note(f"left out: there is no {KTH}")
        return
    jobs = read_swf(KTH.read_bytes(), KTH.name).jobs
    nodes = read_nodes(NODES)
    true = simulate(jobs, nodes, Planner(Sharing()))
    started = {one.job.id: one.started for one in true.outcomes if one.started is not None}
    waited = sorted(one.job.id for one in true.outcomes if one.wait_seconds > 0)
    sample = frozenset(random.Random(SEED).sample(waited, FORECASTS))
    watched = _Watched(Sharing(), jobs, sample)
    simulate(jobs, nodes, watched)
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        made = list(pool.map(_predict, watched.snapshots, chunksize=4))
    told = _calibrated(made, started)
    _report(figures, "", told, started)
    _report(figures, ", before correction", [(one, one.ours) for one in made], started)
    _report(figures, ", of EASY as it is", [(one, one.easy) for one in made], started)


def _calibrated(
    made: Iterable[_Forecast], started: dict[int, float]
) -> list[tuple[_Forecast, Estimate]]:
    """Correct each estimate by those before it that had come true when it was made."""
    told: list[tuple[_Forecast, Estimate]] = []
    ordered = sorted(made, key=lambda one: one.made_at)
    for one in ordered:
        known = [
            Outturn(earlier.made_at, earlier.ours.p50, earlier.ours.p90, started[earlier.job])
            for earlier in ordered
            if started[earlier.job] <= one.made_at and earlier.ours.p50 and earlier.ours.p90
        ]
        told.append((one, Calibration(known).corrected(one.ours, one.made_at)))
    return told


def _report(
    figures: Figures,
    which: str,
    told: list[tuple[_Forecast, Estimate]],
    started: dict[int, float],
) -> None:
    errors, early, late, waits = [], 0, 0, []
    for one, estimate in told:
        assert estimate.p50 is not None
        assert estimate.p90 is not None
        errors.append(abs(started[one.job] - estimate.p50))
        early += started[one.job] <= estimate.p50
        late += started[one.job] <= estimate.p90
        waits.append(estimate.p90 - one.made_at)
    detail = {"forecasts": len(told), "samples": SAMPLES, "nodes": NODES}
    figures.add(f"median error{which}", statistics.median(errors), "s", **detail)
    figures.add(f"mean error{which}", statistics.fmean(errors), "s")
    if which != ", of EASY as it is":
        figures.add(f"starts by p90{which}", 100 * late / len(told), "%")
        figures.add(f"starts by p50{which}", 100 * early / len(told), "%")
        figures.add(f"median wait until p90{which}", statistics.median(waits), "s")
