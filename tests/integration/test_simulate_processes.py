"""Simulations in processes of their own: one may die, and ctrl-C ends them all."""

import contextlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from stack import until
from zoe.cli.simulator.runs import Plan, SimulationDied, run_all
from zoe.model.cluster import Node
from zoe.model.resources import Resources
from zoe.sim.experiment import Experiment
from zoe.sim.variant import variants

NODES = (Node("n1", Resources(4000, 4 * 1024**3)),)


class Deadly(tuple):  # type: ignore[type-arg]  # it stands for jobs that nobody survives
    """Kills the process that takes it over."""

    def __reduce__(self) -> tuple[object, ...]:
        return _die, ()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies_is_said() -> None:
    plan = Plan(Experiment(Deadly()), variants([], NODES), (1, 2))
    with pytest.raises(SimulationDied, match="has died"):
        run_all(plan, 2, lambda: None)


def test_ctrl_c_ends_it_with_all_its_processes(tmp_path: Path) -> None:
    """It is interrupted when the first of many long simulations has begun."""
    chance = random.Random(1)
    rows = [f"{n},{chance.randint(50, 900)},{n % 3 + 1},8,1,1GiB\n" for n in range(20_000)]
    head = "arrival,seconds,essential,elastic,cores,memory\n"
    (tmp_path / "many.csv").write_text(head + "".join(rows))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "zoe.cli.main", "simulate", "--workload", "many.csv"),
            *("--nodes", "9x9c64gi", "--compare", "fifo,sjf,hrrn,srpt", "--jobs", "2"),
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        preexec_fn=heed_ctrl_c,
    )
    assert process.stderr is not None
    try:
        assert "20,000 jobs" in process.stderr.readline()
        until(lambda: len(members(process.pid)) > 2)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (130, "")
        assert "Traceback" not in err
        until(lambda: not members(process.pid))
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def heed_ctrl_c() -> None:
    """Whoever runs the tests in the background has it ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def members(group: int) -> list[int]:
    """Return the processes of a group that have not ended."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found
