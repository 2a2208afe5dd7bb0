"""Real components that a machine may lack: their tests are skipped there, unless they must run.

A test says ``@pytest.mark.component("postgres")``. When ``ZOE_TEST_REQUIRE`` is set, only a test
of a component that it does not name may be skipped; any other skip, whatever its reason, fails.
"""

import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest

from traces import TRACES

ZAPPS = TRACES.parent / "zapps"
CONTAINERS = ("docker", "swarm")
CONTAINERS_SECONDS = 300.0
"""How long a test of them may take that says nothing else: it may be the one that starts them."""
LACKING = "this machine has no "
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def is_present(component: str) -> bool:
    """Whether this machine has ``component``."""
    match component:
        case "postgres":
            return any(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        case "browser":
            return shutil.which("chromium") is not None
        case "root":
            return os.geteuid() == 0
        case "cgroups":
            return os.geteuid() == 0 and Path("/sys/fs/cgroup").is_dir()
        case "ssh":
            return shutil.which("ssh") is not None
        case "docker" | "swarm":
            needed = ("dockerd", "docker-registry", "iptables", "ip", "mmdebstrap")
            return os.geteuid() == 0 and all(map(shutil.which, needed))
        case "shared":
            return TRACES.is_dir() and ZAPPS.is_dir()
        case _:
            raise AssertionError(f"nobody said how to find the component {component}")


def required() -> set[str] | None:
    """Return the components that must be there; None when any may be absent."""
    names = os.environ.get("ZOE_TEST_REQUIRE")
    return None if names is None else set(names.split(","))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests with containers their time."""
    for item in items:
        uses = any(mark.args[0] in CONTAINERS for mark in item.iter_markers("component"))
        if uses and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(CONTAINERS_SECONDS))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test for the one reason there may be; no test skips itself."""
    for mark in item.iter_markers("component"):
        if not is_present(mark.args[0]):
            # The one skip there is: counted, and refused where ZOE_TEST_REQUIRE names it.
            pytest.skip(LACKING + mark.args[0])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return refuse_skip((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return refuse_skip((yield))


def refuse_skip(report: Report) -> Report:
    """Make a failure of a skip that the person who runs the tests did not allow.

    A known fault (``xfail``) is reported as a skip, too; but such a test did run, and
    ``xfail_strict`` in pyproject.toml makes a failure of it once it passes.
    """
    names = required()
    if names is None or not report.skipped or hasattr(report, "wasxfail"):
        return report
    assert isinstance(report.longrepr, tuple)
    reason = report.longrepr[2].removeprefix("Skipped: ")
    lacking = reason.removeprefix(LACKING)
    if lacking == reason or lacking in names:
        report.outcome = "failed"
        report.longrepr = f"skipped, and must not be (ZOE_TEST_REQUIRE): {reason}"
    return report
