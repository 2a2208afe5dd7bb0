import pytest

from zoe.model.resources import NOTHING, Resources
from zoe.scheduler import words

GIB = 1024**3


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        (NOTHING, "0 cores"),
        (Resources(1000), "1 core"),
        (Resources(500, GIB), "0.5 cores and 1 GiB"),
        (Resources(0, 1536 * 1024**2), "1.5 GiB"),
        (Resources(2000, 4 * GIB, 2), "2 cores, 4 GiB and 2 GPUs"),
        (Resources(0, 0, 1), "1 GPU"),
        (Resources(0, 512), "512 bytes"),
    ],
)
def test_amounts(resources: Resources, said: str) -> None:
    assert words.amount(resources) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (1, "1 second"),
        (0.5, "0.5 seconds"),
        (60, "1 minute"),
        (90, "90 seconds"),
        (7200, "2 hours"),
        (86400, "1 day"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said
