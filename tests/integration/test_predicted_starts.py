"""Predicted starts of real processes come true within their range, seen through every door."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack import Deployment, deployment_in, until
from zoe.client import Zoe
from zoe.model.rest_executions import ExecutionDetail, ForecastView

ZAPP = """\
zoe: 4
name: sleeper
kind: batch
time_limit: 20s
frameworks:
  f:
    services:
      main:
        image: unused
        command: [sleep, "2"]
        resources: {cores: 2, memory: 32MiB}
        monitor: true
"""
LATE_SECONDS = 5.0
"""What starting and stopping may take on a busy machine, beside what was predicted."""

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    (tmp_path / "sleeper.yaml").write_text(ZAPP)
    with deployment_in(tmp_path, ZOE_FORECAST_PAUSE_SECONDS="0.2") as found:
        yield found


def told(zoe: Zoe, name: str) -> tuple[ForecastView, ExecutionDetail] | None:
    """Return its predicted start and how it is; None when it waits for one."""
    found = zoe.show(name)
    assert found.started_at is None, "it has started before anything was predicted"
    return (found.forecast, found) if found.forecast and found.forecast.p90 else None


def started(zoe: Zoe, name: str) -> float:
    return until(lambda: zoe.show(name).started_at).timestamp()


def test_a_predicted_start_comes_true(deployment: Deployment) -> None:
    deployment.zoe("up", "--detach")
    with deployment.client() as zoe:
        for name in ("first", "second", "third"):
            zoe.submit(ZAPP, name=name)
        first = started(zoe, "first")
        forecast, _ = until(lambda: told(zoe, "third"))
        assert forecast.p50 is not None
        assert forecast.p90 is not None
        # All that is known of the two before it is that they take 20 seconds at most.
        assert forecast.p90.timestamp() <= first + 40 + LATE_SECONDS
        true = started(zoe, "third")
        assert forecast.at.timestamp() <= true <= forecast.p90.timestamp()

        for number in range(4):  # so that enough past runs tell how long it really takes
            zoe.submit(ZAPP, name=f"more-{number}")
        for number in range(4):
            zoe.wait(f"more-{number}", timeout=60)
        before, after = (zoe.submit(ZAPP, name=name) for name in ("before", "after"))
        second = started(zoe, before.name)
        forecast, waiting = until(lambda: told(zoe, after.name))
        assert forecast.p90 is not None
        # It is a matter of seconds now, and not of the time limit.
        assert forecast.p90.timestamp() < second + 20
        assert waiting.queue_position == 1
        true = started(zoe, after.name)
        assert forecast.at.timestamp() <= true <= forecast.p90.timestamp() + LATE_SECONDS

    with deployment.client() as zoe:
        for number in range(10):  # enough to be busy until all that follows has been said
            zoe.submit(ZAPP, name=f"busy-{number}")
    plan = json.loads(deployment.zoe("plan", "sleeper.yaml", "--json"))
    assert not plan["fits_now"]
    assert plan["queue_position"] >= 1
    assert plan["forecast"]["p90"]
    assert "EXPECTED" in deployment.zoe("queue")
    (deployment.folder / "large.yaml").write_text(ZAPP.replace("cores: 2", "cores: 200"))
    assert "it can never start here" in deployment.zoe("submit", "large.yaml")
    assert "It can never start here" in deployment.zoe("plan", "large.yaml")
