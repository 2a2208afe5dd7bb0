"""Offered load, and the same workload at another."""

import math

import pytest

from zoe.model.cluster import Node
from zoe.model.resources import Resources
from zoe.sim.load import LoadInvalid, arrival_window, capacity_of, offered_load, scaled
from zoe.sim.metrics import Shares
from zoe.sim.workload import uniform_job

NODES = (Node("a", Resources(4000, 100, 2)), Node("b", Resources(4000, 100)))
JOBS = (
    uniform_job(1, 0.0, 10.0, 1, 3, Resources(1000, 50, 1)),
    uniform_job(2, 20.0, 10.0, 2, 0, Resources(2000, 0)),
)


def test_offered_load_is_work_over_what_there_is() -> None:
    assert capacity_of(NODES) == Resources(8000, 200, 2)
    assert arrival_window(JOBS) == 20.0
    load = offered_load(JOBS, NODES)
    assert load.cores == pytest.approx((10 * 4 * 1000 + 10 * 2 * 2000) / (8000 * 20))
    assert load.memory == pytest.approx(10 * 4 * 50 / (200 * 20))
    assert load.gpus == pytest.approx(10 * 4 / (2 * 20))
    half = offered_load(JOBS, NODES, 40.0)
    assert (half.cores, half.gpus) == (pytest.approx(0.25), pytest.approx(0.5))


def test_where_there_is_no_load_it_has_no_value() -> None:
    load = offered_load(JOBS, [Node("a", Resources(1000))])
    assert load.cores is not None
    assert (load.memory, load.gpus) == (None, None), "the nodes have none of it"
    assert offered_load(JOBS[1:], NODES, 10.0) == Shares(0.5, 0.0, 0.0)
    assert offered_load((), NODES) == offered_load(JOBS[:1], NODES) == Shares()


@pytest.mark.parametrize("window", [0.0, -1.0, math.nan, math.inf])
def test_a_window_without_a_length_has_no_load(window: float) -> None:
    assert offered_load(JOBS, NODES, window) == Shares()


def test_scaled_arrivals_scale_the_load() -> None:
    faster = scaled(JOBS, 2.0)
    assert [job.arrival_seconds for job in faster] == [0.0, 10.0]
    assert [job.seconds for job in faster] == [10.0, 10.0]
    assert offered_load(JOBS, NODES).cores == pytest.approx(0.5)
    assert offered_load(faster, NODES).cores == pytest.approx(1.0)


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_a_load_factor_is_a_positive_number(factor: float) -> None:
    with pytest.raises(LoadInvalid, match="cannot be scaled"):
        scaled(JOBS, factor)
