"""A real master on real processes: who uses too much memory is noticed, told, and taken back."""

from collections.abc import Iterator

import pytest

from stack import Deployment, deployment_in, until
from zoe.client import Zoe
from zoe.model.rest_executions import HistoryView
from zoe.model.rest_use import InstanceUseView

MIB = 2**20
HOLDS = "import time; x = b'x' * ({} << 20); time.sleep(600)"
HUNGRY = f"""\
zoe: 4
name: hungry
kind: batch
frameworks:
  f:
    services:
      main:
        command: [python, -c, "{HOLDS.format(150)}"]
        resources: {{cores: 0.1, memory: 200MiB}}
        monitor: true
      small:
        command: [sleep, "600"]
        resources: {{cores: 0.1, memory: 32MiB}}
        count: {{essential: 0, elastic: 1}}
      worker:
        command: [python, -c, "{HOLDS.format(320)}"]
        resources: {{cores: 0.1, memory: 32MiB}}
        limits: {{cores: 1, memory: 1GiB}}
        count: {{essential: 0, elastic: 1}}
        shrink: {{command: [touch, DRAINED], grace: 20s}}
"""
CHILD = f"""\
zoe: 4
name: child
kind: batch
frameworks:
  f:
    services:
      main:
        command: [sh, -c, "python -c \\"{HOLDS.format(200)}\\"; exec sleep 600"]
        resources: {{cores: 0.1, memory: 64MiB}}
        monitor: true
"""

pytestmark = [pytest.mark.timeout(300), pytest.mark.component("cgroups")]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    settings = {
        "ZOE_PROCESS_MEMORY": "512MiB",
        "ZOE_SAMPLE_SECONDS": "0.3",
        # Both hold nine tenths of what Zoe has; what else the machine does hardly gets there.
        "ZOE_PRESSURE_FREE_MEMORY": "0.1",
        "ZOE_PRESSURE_MEMORY_STALL": "0",
        "ZOE_PRESSURE_PAUSE_SECONDS": "3600",
    }
    with deployment_in(tmp_path_factory.mktemp("zoe"), **settings) as found:
        found.zoe("up", "--detach")
        yield found


def said(zoe: Zoe, name: str, words: str) -> list[HistoryView]:
    return [entry for entry in zoe.events(name).items if words in entry.message]


def use_of(zoe: Zoe, name: str, instance: str) -> InstanceUseView | None:
    found = zoe.execution_use(name).instances
    return next((use for use in found if use.id.endswith(instance)), None)


def test_a_hungry_elastic_instance_is_taken_back(deployment: Deployment) -> None:
    with deployment.client() as zoe:
        drained = deployment.folder / "drained"
        zoe.submit(HUNGRY.replace("DRAINED", str(drained)), name="app")
        until(lambda: said(zoe, "app", "is short of memory"), what=lambda: zoe.top())
        (loss,) = until(lambda: zoe.why("app").losses)
        assert (loss.service, loss.rule, loss.instances) == ("f.worker", "pressure", 1)
        assert "less than 10% of its memory is free" in loss.message
        until(drained.exists)

        def placed() -> list[str]:
            found = zoe.show("app").instances
            return sorted(each.service for each in found if each.status != "stopped")

        until(lambda: placed() == ["f.main", "f.small"], what=placed)
        (node,) = zoe.nodes().items
        assert node.pressure == "less than 10% of its memory is free"
        ended = until(lambda: use_of(zoe, "app", "f.worker/0"))
        # It may be told to end before it has filled all: what is told is what brought it there.
        assert ended.peak_bytes >= 256 * MIB
        assert ended.core_seconds > 0
        main = until(lambda: use_of(zoe, "app", "f.main/0"))
        assert 150 * MIB <= main.memory_bytes < 250 * MIB
        until(lambda: zoe.execution_use("app").hour[main.id][-1].memory_bytes >= 150 * MIB)
        assert zoe.node_use(node.name).hour
        shown = deployment.zoe("show", "app")
        assert "PEAK" in shown
        assert "MiB of 200MiB" in shown
        assert "less than 10% of its memory is free" in deployment.zoe("nodes")
        assert "f.main/0" in deployment.zoe("top")
        assert deployment.zoe("top", "-o", "name").split()[0].endswith("f.main/0")
        zoe.stop("app")


def test_a_child_that_the_kernel_kills_for_memory_is_told(deployment: Deployment) -> None:
    with deployment.client() as zoe:
        zoe.submit(CHILD, name="child")
        (entry, *_) = until(
            lambda: said(zoe, "child", "needed more than"), what=lambda: zoe.events("child").items
        )
        assert "64 MiB" in entry.message
        assert "raise `memory`" in entry.message
        use = until(lambda: use_of(zoe, "child", "f.main/0"))
        assert use.memory_kills >= 1
        assert use.peak_bytes > 48 * MIB
