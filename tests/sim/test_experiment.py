"""Variants in words, and experiments of several of them."""

import math
import pickle
import random
from itertools import count

import pytest

from zoe.model.cluster import Node
from zoe.model.errors import Problem
from zoe.model.resources import Resources
from zoe.model.zapp import Speedup
from zoe.scheduler.planner import Sharing
from zoe.sim.experiment import Experiment, Published, horizon, jobs_of, run, with_nodes
from zoe.sim.failures import Failure, RandomFailures
from zoe.sim.simulation import Physics
from zoe.sim.variant import MAX_VARIANTS, Variant, VariantInvalid, changed, variants
from zoe.sim.workload import uniform_job
from zoe.sim.workloads.paper import Tables
from zoe.sim.workloads.problems import InputInvalid, ScenarioInvalid, WorkloadInvalid

UNIT = Resources(1000, 1024**3)
NODES = (Node("node001", UNIT * 4),)
JOBS = (uniform_job(1, 0.0, 10.0, 2, 2, UNIT), uniform_job(2, 1.0, 10.0, 2, 0, UNIT))
TABLES = Tables((1.0, 3.0), (100.0, 200.0), (1.0, 2.0), (1.0, 2.0), (1.0, 2.0))
FEW = Published(TABLES, 1, repeats=(("batch", 8), ("mpi", 2)))


def test_words_say_how_a_variant_differs() -> None:
    found = variants(
        ["policy=sjf", "no-reclaim"], NODES, "published+no-backfill, size3d+patience-seconds=9"
    )
    assert found == (
        Variant(
            "published+no-backfill",
            Sharing("published", "sjf", reclaim=False, backfill="none"),
            NODES,
        ),
        Variant(
            "size3d+patience-seconds=9",
            Sharing(policy="size3d", reclaim=False, patience_seconds=9.0),
            NODES,
        ),
    )
    assert variants([], NODES) == (Variant("flexible+fifo", Sharing(), NODES),)


@pytest.mark.parametrize(
    ("word", "sharing"),
    [
        ("rigid", Sharing("rigid")),
        ("easy", Sharing()),
        ("backfill=none", Sharing(backfill="none")),
        ("reclaim=false", Sharing(reclaim=False)),
        ("backfill_depth=5", Sharing(backfill_depth=5)),
        ("patience_seconds=inf", Sharing(patience_seconds=math.inf)),
        ("patience_seconds=1e12", Sharing(patience_seconds=1e12)),
    ],
)
def test_a_word(word: str, sharing: Sharing) -> None:
    assert changed(Sharing(), word) == sharing


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sfj", "'sfj' is no word"),
        ("none", "'none' is no word"),
        ("fifo,", "'' is no word"),
        ("policy=round", "'round' is no policy"),
        ("speed=3", "sharing has no setting 'speed'"),
        ("backfill_depth=nan", "not a finite number"),
        ("backfill_depth=-1", "negative"),
        ("patience_seconds=nan", "not a finite number"),
        ("reclaim=maybe", "true or false"),
        ("fifo,sjf,fifo", "'fifo' is compared with itself"),
        (",".join(f"backfill_depth={n}" for n in range(MAX_VARIANTS + 1)), "more than"),
        ("x" * 10_000, "is no word"),
    ],
)
def test_what_nobody_knows_is_refused(text: str, said: str) -> None:
    with pytest.raises(VariantInvalid, match=said) as caught:
        variants([], NODES, text)
    assert len(str(caught.value)) < 200


def test_the_same_seed_gives_every_variant_the_same_executions_and_failures() -> None:
    experiment = Experiment(FEW, random_failures=RandomFailures(3e5, 1e4))
    found = []
    for variant in variants([], (Node("n", Resources(32_000, 128 * 1024**3)),) * 1, "fifo,sjf"):
        ticks = count()
        answer, result = run(experiment, variant, 7, random.Random(7), lambda t=ticks: next(t))
        found.append((answer, result))
    (first, fifo), (second, sjf) = found
    assert (first.name, second.name, first.seed) == ("fifo", "sjf", 7)
    assert first.metrics.jobs_per_second == 10.0, "ten executions in one second of that clock"
    assert first.metrics.offered_load == second.metrics.offered_load
    assert sorted(one.job.demand.submitted_at for one in fifo.outcomes) == sorted(
        one.job.demand.submitted_at for one in sjf.outcomes
    )


def test_load_and_speedup_change_the_jobs() -> None:
    faster = jobs_of(Experiment(JOBS, load_factor=2.0), random.Random(0), NODES)
    assert [job.arrival_seconds for job in faster] == [0.0, 0.5]
    curved = jobs_of(Experiment(JOBS, speedup=Speedup(0.5)), random.Random(0), NODES)
    assert [job.demand.needs[0].speedup for job in curved] == [Speedup(0.5), None]
    assert not Experiment(JOBS).is_drawn
    assert Experiment(FEW).is_drawn


def test_listed_failures_happen_and_spans_are_kept_of_few() -> None:
    experiment = Experiment(JOBS, Physics(restarts=0), failures=(Failure("node001", 2.0, 3.0),))
    (variant,) = variants([], NODES)
    _, result = run(experiment, variant, 0, random.Random(0), lambda: 0.0)
    assert [one.ending.value for one in result.outcomes] == ["lost", "lost"]
    assert result.spans


def test_nodes_are_added_under_names_of_their_own() -> None:
    pair = with_nodes(variants([], NODES), (Node("node001", UNIT),), "1c")
    assert [variant.name for variant in pair] == ["flexible+fifo", "flexible+fifo and 1c"]
    assert [node.name for node in pair[1].nodes] == ["node001", "added-node001"]


def test_failures_are_drawn_for_twice_the_work() -> None:
    work = (10 * 4 + 10 * 2) / 4
    assert horizon(JOBS, NODES) == 1.0 + 2 * (work + 10.0)
    assert horizon((), NODES) == 0.0


@pytest.mark.parametrize("error", [WorkloadInvalid, ScenarioInvalid])
def test_errors_cross_processes(error: type[InputInvalid]) -> None:
    copy = pickle.loads(pickle.dumps(error([Problem("wrong", file="x", line=3)], 7)))
    assert (type(copy), copy.count, str(copy)) == (error, 7, "x:3:0: wrong\n... and 6 more")
