"""The real `zoe up`: everything as processes, killed one by one, and nothing left at the end."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from database import Cluster
from stack import SECONDS, Deployment, deployment_in, until
from zoe.store.migrate import read_migrations

ZAPP = """\
zoe: 4
name: small
kind: batch
parameters:
  seconds: {type: number, default: 0.1}
frameworks:
  f:
    services:
      main:
        image: unused
        command: [sh, -c, "echo begins; sleep ${parameters.seconds}; echo ends; exit 3"]
        resources: {cores: 0.1, memory: 32MiB}
        monitor: true
"""
APPLIED = "".join(f"applied {migration.name}\n" for migration in read_migrations())

pytestmark = pytest.mark.timeout(300)  # many processes, on machines that may be busy


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    (tmp_path / "small.yaml").write_text(ZAPP)
    with deployment_in(tmp_path) as found:
        yield found


def test_from_up_to_down(deployment: Deployment) -> None:
    said = deployment.zoe("up", "--detach")
    assert "Zoe is ready at http://127.0.0.1:" in said
    assert (
        (deployment.data_dir / "logs/postgres.log")
        .read_text()
        .startswith("applied 0001_foundation\n")
    )
    assert (deployment.data_dir / "credentials.json").stat().st_mode & 0o777 == 0o600
    assert "already running at http://127.0.0.1:" in deployment.zoe("up", code=1)
    assert "master: leads" in deployment.zoe("doctor")

    told = deployment.zoe("run", "small.yaml", "--name", "first", code=3)
    assert "f.main.0| begins\n" in told
    assert "first failed" in told
    name = deployment.zoe("submit", "small.yaml").strip()
    deployment.zoe("wait", name, code=3)
    assert deployment.zoe("logs", name) == "f.main.0| begins\nf.main.0| ends\n"
    listed = json.loads(deployment.zoe("ps", "-a", "--json"))
    assert [item["status"] for item in listed] == ["failed", "failed"]
    deployment.zoe("rm", name)
    deployment.zoe("show", name, code=4)

    long = deployment.zoe("submit", "small.yaml", "--set", "seconds=600").strip()
    until(lambda: "begins" in deployment.zoe("logs", long))
    deployment.zoe("wait", long, "--timeout", "0.1", code=8)
    deployment.zoe("stop", long)
    deployment.zoe("wait", long, code=101)

    assert "Zoe has ended" in deployment.zoe("down")
    assert "does not run" in deployment.zoe("down", "--keep")
    deployment.zoe("ps", code=7)


@pytest.mark.parametrize("part", ["postgres", "master", "api"])
def test_a_part_that_is_killed_comes_back_and_the_work_goes_on(
    deployment: Deployment, part: str
) -> None:
    deployment.zoe("up", "--detach")
    name = deployment.zoe("submit", "small.yaml", "--set", "seconds=8").strip()
    until(lambda: "begins" in deployment.zoe("logs", name))
    before = deployment.programs()[part]
    os.kill(before, signal.SIGKILL)
    until(lambda: deployment.programs()[part] not in (None, before))
    deployment.zoe("wait", name, code=3)
    assert deployment.zoe("logs", name) == "f.main.0| begins\nf.main.0| ends\n"


def test_when_up_is_killed_its_programs_end_and_applications_are_adopted(
    deployment: Deployment,
) -> None:
    deployment.zoe("up", "--detach")
    name = deployment.zoe("submit", "small.yaml", "--set", "seconds=12").strip()
    until(lambda: "begins" in deployment.zoe("logs", name))
    programs = deployment.programs()
    os.kill(programs["up"], signal.SIGKILL)
    until(lambda: not deployment.processes() & set(programs.values()))
    postmaster = deployment.data_dir / "postgres/cluster/postmaster.pid"
    until(lambda: not postmaster.exists())  # it has stopped cleanly
    deployment.zoe("up", "--detach")
    deployment.zoe("wait", name, code=3)
    assert deployment.zoe("logs", name) == "f.main.0| begins\nf.main.0| ends\n"


def test_a_database_of_the_users_is_migrated_at_the_first_start_and_left_running(
    tmp_path: Path, embedded_cluster: Cluster
) -> None:
    (tmp_path / "small.yaml").write_text(ZAPP)
    embedded_cluster.execute("CREATE DATABASE of_the_user")
    url = embedded_cluster.url_of("of_the_user")
    with deployment_in(tmp_path, ZOE_DATABASE_URL=url) as deployment:
        migrated = deployment.data_dir / "logs/migrate.log"
        for said in (APPLIED, "nothing to do\n"):
            deployment.zoe("up", "--detach")
            assert migrated.read_text() == said
            assert "postgres" not in deployment.programs()
            deployment.zoe("run", "small.yaml", code=3)
            deployment.zoe("down")
    embedded_cluster.execute("DROP DATABASE of_the_user")  # nobody is connected, and it runs


def test_down_keep_leaves_applications_to_the_next_up(deployment: Deployment) -> None:
    deployment.zoe("up", "--detach")
    name = deployment.zoe("submit", "small.yaml", "--set", "seconds=10").strip()
    until(lambda: "begins" in deployment.zoe("logs", name))
    deployment.zoe("down", "--keep")
    deployment.zoe("up", "--detach")
    deployment.zoe("wait", name, code=3)


def test_ctrl_c_ends_everything_in_the_foreground(deployment: Deployment) -> None:
    with deployment.popen("up") as up:
        assert up.stdout
        assert up.stderr
        assert "Zoe is ready at http://127.0.0.1:" in up.stdout.readline()
        assert up.stdout.readline().startswith("Back-end: process (")
        assert up.stdout.readline().startswith("Your access token, shown only now: zoe_")
        deployment.zoe("submit", "small.yaml", "--set", "seconds=600")
        up.send_signal(signal.SIGINT)
        up.communicate(timeout=SECONDS)
    assert up.returncode == 0
    until(lambda: not deployment.processes(), 15)
