"""Nodes from one line."""

import pytest

from zoe.model.cluster import Node
from zoe.model.resources import Resources
from zoe.sim.cluster import read_nodes
from zoe.sim.workloads.problems import ClusterInvalid

GB = 1000**3


@pytest.mark.parametrize(
    ("text", "count", "capacity"),
    [
        ("100x1c", 100, Resources(1000)),
        ("25x32c128g", 25, Resources(32_000, 128 * GB)),
        ("32c128gi", 1, Resources(32_000, 128 * 1024**3)),
        ("2 x 0.5c512MiB", 2, Resources(500, 512 * 1024**2)),
        ("4X64c256g8g", 4, Resources(64_000, 256 * GB, 8)),
        ("64c1.5tb2gpus", 1, Resources(64_000, 1500 * GB, 2)),
        ("64c8gpu", 1, Resources(64_000, 0, 8)),
    ],
)
def test_nodes_of_one_kind(text: str, count: int, capacity: Resources) -> None:
    nodes = read_nodes(text)
    assert len(nodes) == count
    assert {node.capacity for node in nodes} == {capacity}


def test_kinds_are_numbered_through_and_have_labels() -> None:
    assert read_nodes("2x1c, 1c2g+ssd+zone=a") == (
        Node("node001", Resources(1000)),
        Node("node002", Resources(1000)),
        Node("node003", Resources(1000, 2 * GB), labels=frozenset({"ssd", "zone=a"})),
    )


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 1, "nothing is written here"),
        ("1c,", 4, "nothing is written here"),
        ("1c, x", 5, "the cores are missing at 'x'"),
        ("3x", 3, "the cores are missing"),
        ("0x1c", 1, "0 nodes"),
        ("1c,200000x1c", 4, "200000 nodes are more than 100,000"),
        ("60000x1c, 60000x1c", 11, "120,000 nodes, more than 100,000"),
        ("1c4g0gpu", 5, "0 GPUs"),
        ("1c9999g9999g", 8, "9999 GPUs are more than 1,024"),
        ("2x0c", 3, "at least 1m"),
        ("2x99999999c", 3, "more than 10000"),
        ("2x0.0001c", 3, "finer than"),
        ("1c2k", 3, "less than 1MiB"),
        ("1c9999p", 3, "more than 1PiB"),
        ("1c2g+", 5, "'+' is not understood"),
        ("-1c", 1, "the cores are missing"),
        ("9" * 30 + "x1c", 1, "nodes are more than"),
    ],
)
def test_a_mistake_has_its_column(text: str, column: int, message: str) -> None:
    with pytest.raises(ClusterInvalid) as refused:
        read_nodes(text)
    (problem,) = refused.value.problems
    assert (problem.line, problem.column) == (1, column)
    assert message in problem.message


def test_all_mistakes_are_said() -> None:
    with pytest.raises(ClusterInvalid) as refused:
        read_nodes("x," * 300 + "1c")
    assert (len(refused.value.problems), refused.value.count) == (100, 300)
