"""Quotas on the real stack: a wait with its reason, a quota that is raised, a limit of run time."""

import json
from pathlib import Path

import pytest

from stack import Deployment, deployment_in, until

ZAPP = """\
zoe: 4
name: nap
kind: batch
parameters:
  seconds: {type: number, default: 600}
frameworks:
  f:
    services:
      main:
        command: [sleep, "${parameters.seconds}"]
        resources: {cores: 0.2, memory: 32MiB}
        monitor: true
      helper:
        command: [sleep, "600"]
        resources: {cores: 0.2, memory: 32MiB}
        count: {essential: 1, elastic: 4}
"""

pytestmark = pytest.mark.timeout(300)  # many processes, on machines that may be busy


def status(deployment: Deployment, name: str) -> str:
    found: str = json.loads(deployment.zoe("show", name, "--json"))["status"]
    return found


def placed(deployment: Deployment, name: str) -> int:
    shown = json.loads(deployment.zoe("show", name, "--json"))
    return sum(each["status"] != "stopped" for each in shown["instances"])


def test_a_wait_for_a_quota_says_so_and_ends_when_it_is_raised(tmp_path: Path) -> None:
    (tmp_path / "nap.yaml").write_text(ZAPP)
    with deployment_in(tmp_path) as deployment:
        deployment.zoe("up", "--detach")
        deployment.zoe("admin", "quota", "set", "admin", "cores=1", "executions=1")
        deployment.zoe("submit", "nap.yaml", "--name", "first")
        until(lambda: status(deployment, "first") == "running")
        deployment.zoe("submit", "nap.yaml", "--name", "second")
        said = until(lambda: _reason(deployment, "second"))
        assert "admin may run 1 execution at a time; 1 (first) runs" in said
        assert "admin may run 1 execution" in deployment.zoe("why", "second")
        assert "admin may run 1 execution" in deployment.zoe("show", "second")
        assert "It would wait, number 2 in the queue:" in deployment.zoe("plan", "nap.yaml")
        assert placed(deployment, "first") == 5  # elastic growth stops at one core
        assert "executions  1       1 " in deployment.zoe("usage")

        deployment.zoe("admin", "quota", "set", "admin", "executions=2")
        until(lambda: status(deployment, "second") == "running")
        assert placed(deployment, "first") == 3  # two elastic instances have made room
        assert placed(deployment, "second") == 2

        deployment.zoe("stop", "first")
        deployment.zoe("stop", "second")
        deployment.zoe("admin", "quota", "set", "admin", "run_time=1s")
        name = deployment.zoe("submit", "nap.yaml").strip()
        deployment.zoe("wait", name, code=102)


def _reason(deployment: Deployment, name: str) -> str:
    shown = json.loads(deployment.zoe("show", name, "--json"))
    return "; ".join(each["message"] for each in shown["reasons"] if each["code"] == "over-quota")
