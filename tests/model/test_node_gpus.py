"""What is said of machines."""

import pytest

from zoe.model.cluster import Node
from zoe.model.resources import Resources


def test_gpus_have_names_or_numbers() -> None:
    assert Node("n", Resources(gpus=2)).gpu_ids == ("0", "1")
    assert Node("n", Resources(gpus=2), gpus=("b", "a")).gpu_ids == ("b", "a")
    assert Node("n", Resources()).gpu_ids == ()


@pytest.mark.parametrize("gpus", [("a",), ("a", "a"), ("a", "b", "c")])
def test_as_many_gpus_are_named_as_there_are(gpus: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="n has 2 GPUs, but names a"):
        Node("n", Resources(gpus=2), gpus=gpus)
