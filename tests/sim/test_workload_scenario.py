"""Scenario files, and where their mistakes are."""

import random
from itertools import pairwise

import pytest

from zoe.model.cluster import Node
from zoe.model.resources import Resources
from zoe.sim.failures import Failure, RandomFailures, draw_failures
from zoe.sim.workloads.places import Places
from zoe.sim.workloads.problems import ScenarioInvalid
from zoe.sim.workloads.scenario import read_scenario

WHOLE = """\
name = "two jobs and a failure"

[[nodes]]
name = "big"
cores = 8
memory = "16GiB"
gpus = 1
labels = ["ssd"]

[[nodes]]
count = 2
cores = "500m"

[[failures]]
node = "node002"
at = "2h"
repaired_at = "3h"

[[failures]]
node = "big"
at = 60

[random_failures]
mean_up = "30d"
mean_repair = "4h"

[[jobs]]
id = 9
arrival = 5
seconds = "10m"
essential = 3
elastic = 5
labels = ["ssd"]

[[jobs]]
seconds = 1.5
"""


def test_a_whole_scenario() -> None:
    scenario = read_scenario(WHOLE)
    assert scenario.name == "two jobs and a failure"
    assert scenario.nodes == (
        Node("big", Resources(8000, 16 * 1024**3, 1), labels=frozenset({"ssd"})),
        Node("node002", Resources(500)),
        Node("node003", Resources(500)),
    )
    assert scenario.failures == (Failure("big", 60.0), Failure("node002", 7200.0, 10800.0))
    assert scenario.random_failures == RandomFailures(30 * 86400.0, 4 * 3600.0)
    assert [(job.id, job.seconds) for job in scenario.jobs] == [(2, 1.5), (9, 600.0)]
    assert scenario.jobs[1].demand.needs[0].shape.labels == {"ssd"}


def test_a_short_scenario_refers_to_its_workload() -> None:
    scenario = read_scenario('nodes = "100x1c"\nworkload = "kth.swf.gz"\n')
    assert (len(scenario.nodes), scenario.jobs, scenario.workload) == (100, (), "kth.swf.gz")


NODES = 'nodes = "2x4c"\n'


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", "s.toml: nodes", "is missing (write nodes ="),
        ("a = \n", "s.toml:1:5", "Invalid value"),
        ("nodes = 5", "s.toml:1:1: nodes", "is not a list of tables: write [[nodes]]"),
        ("nodes = [5]", "s.toml:1:1: nodes[0]", "5 is not a table"),
        ('\nnodes = "2x4c,y"', "s.toml:2:1: nodes", "at character 6: the cores are missing"),
        (NODES + "jbos = 1", "s.toml:2:1: jbos", "did you mean jobs?"),
        (NODES + "[[jobs]]\nsecnds = 5", "s.toml:2:1: jobs[0]", "did you mean seconds?"),
        (NODES + "[[jobs]]\nid = 1", "s.toml:2:1: jobs[0]", "seconds is missing"),
        (NODES + "[[jobs]]\nseconds = ''", "s.toml:3:1: jobs[0].seconds", "is missing"),
        (NODES + "[[jobs]]\nseconds = nan", "s.toml:3:1: jobs[0].seconds", "not a finite"),
        (NODES + "[[jobs]]\nseconds = 2020-01-01", "s.toml:3:1: jobs[0].seconds", "not a number"),
        (NODES + "[[jobs]]\nseconds = true", "s.toml:3:1: jobs[0].seconds", "not a number"),
        (
            NODES + "[[jobs]]\nseconds = 1\nid = 2\n[[jobs]]\nseconds = 1\nid = 2",
            "s.toml:7:1: jobs[1].id",
            "a job 2 already",
        ),
        (NODES + "[[jobs]]\nseconds=1\nessential=1000000", "s.toml:4:1: jobs[0].essential", "more"),
        (NODES + "[[jobs]]\nseconds=1\nlabels=[1.5]", "s.toml:4:1: jobs[0].labels", "not a text"),
        (NODES + "workload = 'a'\n[[jobs]]\nseconds=1", "s.toml:2:1: workload", "jobs, too"),
        (NODES + "workload = 5.5", "s.toml:2:1: workload", "not a text"),
        ("[[nodes]]\ncores = 0", "s.toml:2:1: nodes[0].cores", "at least 1m"),
        ("[[nodes]]\nmemory = '1g'", "s.toml:1:1: nodes[0].cores", "is missing"),
        ("[[nodes]]\ncores = 1\nname = ''", "s.toml:3:1: nodes[0].name", "is empty"),
        ("[[nodes]]\ncores=1\nname='a'\ncount=2", "s.toml:3:1: nodes[0].name", "one name"),
        ("[[nodes]]\ncores=1\nram=2", "s.toml:3:1: nodes[0].ram", "there is no 'ram'"),
        ("[[nodes]]\ncores=1\ncount=1000000", "s.toml:3:1: nodes[0].count", "more than 100,000"),
        (
            "[[nodes]]\ncores=1\nname='a'\n" * 2,
            "s.toml:6:1: nodes[1].name",
            "there is a node a already",
        ),
        (
            NODES + "[[failures]]\nnode='node01'\nat=1",
            "s.toml:3:1: failures[0].node",
            "did you mean node001?",
        ),
        (NODES + "[[failures]]\nat=1", "s.toml:2:1: failures[0].node", "is missing"),
        (NODES + "[[failures]]\nnode=1\nat=1", "s.toml:3:1: failures[0].node", "not a text"),
        (NODES + "[[failures]]\nnode='node001'", "s.toml:2:1: failures[0].at", "is missing"),
        (
            NODES + "[[failures]]\nnode='node001'\nat=5\nrepaired_at=5",
            "s.toml:5:1: failures[0].repaired_at",
            "later than the failure",
        ),
        (NODES + "[[failures]]\nnod='a'", "s.toml:3:1: failures[0].nod", "did you mean node?"),
        (NODES + "random_failures = 5", "s.toml:2:1: random_failures", "is not a table"),
        (NODES + "[random_failures]\nmean_up=1", "s.toml:2:1: random_failures.mean_rep", "missing"),
        (
            NODES + "[random_failures]\nmean_up=0\nmean_repair=1",
            "s.toml:3:1: random_failures.mean_up",
            "longer than nothing",
        ),
        (NODES + "[random_failures]\nup=0", "s.toml:3:1: random_failures.up", "there is no 'up'"),
        ("a = " + "[" * 10_000, "s.toml", "TOML"),
    ],
)
def test_a_mistake_has_its_line_and_path(text: str, place: str, message: str) -> None:
    with pytest.raises(ScenarioInvalid) as refused:
        read_scenario(text, "s.toml")
    assert str(refused.value).startswith(place), str(refused.value)
    assert message in str(refused.value)


def test_all_mistakes_are_said_at_once() -> None:
    with pytest.raises(ScenarioInvalid) as refused:
        read_scenario("x = 1\n[[jobs]]\nseconds = 0\ncores = -1\n[[failures]]\n")
    paths = [problem.path for problem in refused.value.problems]
    assert paths == [
        "x",
        "nodes",
        "failures[0].at",
        "failures[0].node",
        "jobs[0].seconds",
        "jobs[0].cores",
    ]


def test_places_of_what_is_not_found_are_those_of_what_holds_it() -> None:
    places = Places('a = 1\n["b c"]\n  "x" = 2\n[[d.e]]\ny.z = 3\n')
    assert [places.line(path) for path in ("a", "b c", "b c.x", "b c.q")] == [1, 2, 3, 2]
    assert [places.line(path) for path in ("d.e[0].y.z", "d.e[7]", "q", "")] == [5, 4, 0, 0]


def test_drawn_failures_have_the_means_they_are_drawn_with() -> None:
    nodes = [Node(f"n{place}", Resources(1000)) for place in range(50)]
    model = RandomFailures(1000.0, 100.0)
    failures = draw_failures(nodes, model, 100_000.0, random.Random(1))
    assert len(failures) == pytest.approx(50 * 100_000 / 1100, rel=0.05)
    repairs = [failure.repaired_at - failure.at for failure in failures if failure.repaired_at]
    assert sum(repairs) / len(failures) == pytest.approx(100.0, rel=0.05)
    assert list(failures) == sorted(failures, key=lambda failure: (failure.at, failure.node))
    for node in nodes:
        mine = [failure for failure in failures if failure.node == node.name]
        for one, two in pairwise(mine):
            assert one.repaired_at is not None
            assert one.repaired_at < two.at
