"""Programs of the workspace, with the same application files without containers and with them."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docker_engine import TestEngine
from stack import Deployment, deployment_in
from walkthrough import walk_through

PAGE = Path(__file__).parents[2] / "docs/howto/batch.md"

SCRIPT = """
echo "counts $1 in $PWD as $ZOE_USER"
wc -w < "$1" > words
exit 3
"""
PROGRAM = """
import pathlib, sys
print("adds up", sys.argv[1])
pathlib.Path("sum").write_text(str(sum(map(int, pathlib.Path(sys.argv[1]).read_text().split()))))
"""
ZAPP = """
zoe: 4
name: sums
frameworks:
  main:
    use: python-batch
    with: {script: sum.py, argument: numbers, cores: 0.1, memory: 64MiB}
"""
pytestmark = pytest.mark.timeout(300)


BOTH = ["process", pytest.param("docker", marks=pytest.mark.component("docker"))]


@pytest.fixture
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    settings = {"ZOE_DEPLOYMENT": "test-batch", "ZOE_BACKEND": request.param}
    engine: TestEngine | None = None
    if request.param == "docker":
        engine = request.getfixturevalue("engine")
        assert isinstance(engine, TestEngine)
        settings["ZOE_DOCKER_ENGINES"] = f"lab {engine.url} memory=1GiB"
    with deployment_in(tmp_path, **settings) as found:
        found.data_dir = tmp_path / ".local/share/zoe"
        found.workspace = found.data_dir / "workspaces/admin"
        found.workspace.mkdir(parents=True)
        found.zoe("up", "--detach")
        yield found
    if engine is not None:
        engine.empty()


@pytest.mark.parametrize("deployment", BOTH, indirect=True)
def test_a_script_of_the_workspace_runs_there(deployment: Deployment) -> None:
    (deployment.workspace / "count.sh").write_text(SCRIPT)
    (deployment.workspace / "text").write_text("one two\nthree\n")
    options = ("script=count.sh", "argument=text", "cores=0.1", "memory=64MiB")
    chosen = [word for option in options for word in ("--set", option)]
    said = deployment.zoe("run", "batch-script", *chosen, "--name", "count", code=3)
    assert "counts text in " in said
    assert "as admin" in said
    assert (deployment.workspace / "words").read_text().strip() == "3"
    said = deployment.zoe(
        "run", "batch-script", "--set", "cores=0.1", "--set", "memory=64MiB", code=2
    )
    assert "job.sh" in said


@pytest.mark.parametrize("deployment", BOTH, indirect=True)
def test_the_page_does_what_it_says(deployment: Deployment) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = deployment.environment | {"PATH": path}
    assert walk_through(PAGE, deployment.folder, environment) >= 5


@pytest.mark.parametrize("deployment", ["process"], indirect=True)
def test_an_application_takes_in_a_program_of_the_workspace(deployment: Deployment) -> None:
    (deployment.workspace / "sum.py").write_text(PROGRAM)
    (deployment.workspace / "numbers").write_text("1 2\n39\n")
    (deployment.folder / "sums.yaml").write_text(ZAPP)
    assert "adds up numbers" in deployment.zoe("run", "sums.yaml")
    assert (deployment.workspace / "sum").read_text() == "42"
