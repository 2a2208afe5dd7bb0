"""Runs simulations, in processes of their own where there are several.

A worker ends when it is asked to, and when the process that started it has gone.
"""

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import product

from zoe.garbage import look_seldom
from zoe.model.errors import ZoeError
from zoe.sim.experiment import Experiment, run
from zoe.sim.outcome import Result
from zoe.sim.report import Run
from zoe.sim.variant import Variant


class SimulationDied(ZoeError):
    """A process that simulated has died."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Every variant with every seed; of the first seed the results are kept on request."""

    experiment: Experiment
    variants: Sequence[Variant]
    seeds: Sequence[int]
    keeps_results: bool = False

    @property
    def tasks(self) -> list[tuple[int, int]]:
        """The number of the variant and of the seed of each simulation, in the order of reports."""
        return list(product(range(len(self.variants)), range(len(self.seeds))))

    def simulate(self, task: tuple[int, int]) -> tuple[Run, Result | None]:
        """Do one of :attr:`tasks`."""
        variant, seed = self.variants[task[0]], self.seeds[task[1]]
        chance = random.Random(seed)
        found, result = run(self.experiment, variant, seed, chance, time.perf_counter)
        return found, result if self.keeps_results and task[1] == 0 else None


def run_all(
    plan: Plan, processes: int, done: Callable[[], object]
) -> tuple[list[Run], dict[str, Result]]:
    """Run all simulations; ``done`` is called after each. Raises ZoeError for the first failure."""
    look_seldom()
    tasks = plan.tasks
    if min(processes, len(tasks)) == 1:
        found = _each(plan, tasks, done)
    else:
        found = _in_processes(plan, tasks, min(processes, len(tasks)), done)
    answers = dict(found)
    runs = [answers[task][0] for task in tasks]
    kept = {run.name: result for run, result in map(answers.__getitem__, tasks) if result}
    return runs, kept


Answer = tuple[tuple[int, int], tuple[Run, Result | None]]


def _each(
    plan: Plan, tasks: Sequence[tuple[int, int]], done: Callable[[], object]
) -> Iterator[Answer]:
    for task in tasks:
        yield task, plan.simulate(task)
        done()


def _in_processes(
    plan: Plan, tasks: Sequence[tuple[int, int]], processes: int, done: Callable[[], object]
) -> Iterator[Answer]:
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(plan,))
    try:
        # Workers begin with ctrl-C blocked: this process alone takes it, and ends them.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            asked: dict[Future[tuple[Run, Result | None]], tuple[int, int]] = {
                pool.submit(_do, task): task for task in tasks
            }
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for future in as_completed(asked):
            yield asked[future], future.result()
            done()
    except BrokenProcessPool as error:
        raise SimulationDied(
            "a process that simulated has died: it was killed, or ran out of memory",
            hint="`--jobs 1` simulates one after the other, in this process",
        ) from error
    except BaseException:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


_plan: Plan
"""Of a worker: it comes once, not with each task."""


def _begin(plan: Plan) -> None:
    global _plan
    _plan = plan
    look_seldom()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(task: tuple[int, int]) -> tuple[Run, Result | None]:
    return _plan.simulate(task)
