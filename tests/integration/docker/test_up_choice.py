"""The real `zoe up` that is not told what runs applications, with a real engine or without."""

from pathlib import Path

import pytest

from docker_engine import IMAGE, TestEngine
from stack import deployment_in, until

ZAPP = f"""\
zoe: 4
name: sleeps
kind: batch
frameworks:
  f:
    services:
      main:
        image: {IMAGE}
        command: [sleep, "1000"]
        resources: {{cores: 0.1, memory: 32MiB}}
        monitor: true
"""

pytestmark = [pytest.mark.component("docker"), pytest.mark.timeout(300)]


def test_docker_is_taken_kept_and_left_only_when_all_has_ended(
    tmp_path: Path, engine: TestEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    (tmp_path / "sleeps.yaml").write_text(ZAPP)
    try:
        with deployment_in(tmp_path, ZOE_DEPLOYMENT="test-choice", ZOE_BACKEND="") as found:
            assert "Back-end: docker (Docker 2" in found.zoe("up", "--detach")
            name = found.zoe("submit", "sleeps.yaml").strip()
            until(lambda: "running" in found.zoe("show", name))
            assert engine.docker("ps", "-q")
            found.zoe("down", "--keep")
            refused = found.zoe("up", "--detach", "--backend", "process", code=1)
            assert "may still run with docker, and --backend says process" in refused
            assert "zoe down" in refused
            assert "docker (as it was started before)" in found.zoe("doctor")
            found.zoe("down")
            assert not engine.docker("ps", "-q")
            assert "Back-end: process" in found.zoe("up", "--detach", "--backend", "process")
            found.zoe("down")
            assert "Back-end: process (as it was" in found.zoe("up", "--detach")
    finally:
        engine.empty()
