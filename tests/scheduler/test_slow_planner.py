"""The planner judged by one that has no indexes, no shortcuts and no memory of what did not fit."""

import random

import pytest

from slow_planner import SlowPlanner, placed_by
from zoe.model.resources import Resources
from zoe.scheduler.demand import Demand, Need, Shape
from zoe.scheduler.planner import Planner
from zoe.scheduler.sharing import Sharing
from zoe.sim.cluster import read_nodes

GIB = 1024**3


def drawn(number: int, rng: random.Random) -> Demand:
    """An application of one or two services, of which one in twenty can never start."""
    needs = tuple(
        Need(
            f"work.{name}",
            Shape(Resources(rng.choice((500, 1000, 4000)), rng.choice((1, 2, 8)) * GIB)),
            rng.randint(1, 200 if rng.random() < 0.05 else 6),
            rng.choice((0, 3, 20)),
        )
        for name in ("leader", "worker")[: rng.randint(1, 2)]
    )
    return Demand(number, float(number // 3), needs)


@pytest.mark.parametrize("seed", range(12))
def test_every_instance_goes_where_the_slow_planner_puts_it(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The slow one takes the best node each time; what this misses, test_search.py judges.
    monkeypatch.setattr("zoe.scheduler.search.SEARCH_CELLS", 0)
    rng = random.Random(seed)
    nodes = read_nodes("3x8c32g,2x16c16g,1x4c64g")
    planner = Planner(Sharing(reclaim=False))
    slow = SlowPlanner(nodes)
    planner.set_nodes(nodes)
    number = 0
    for step in range(60):
        now = float(step)
        for _ in range(rng.choice((0, 1, 3))):
            number += 1
            demand = drawn(number, rng)
            planner.wait(planner.add(demand, now), now)
            slow.add(demand)
        running = [each.id for each in planner.contenders.values() if each.is_admitted]
        for ended in rng.sample(running, min(len(running), rng.choice((0, 0, 1, 2)))):
            planner.forget(ended, now)
            slow.end(ended)
        plan = planner.plan(now)
        planner.commit(plan, now)
        assert placed_by([plan]) == slow.plan(), f"step {step}"
    assert number > 40
