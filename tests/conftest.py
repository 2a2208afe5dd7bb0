"""What all tests share: real components that may be absent, and the demand that they are not."""

import os
import shutil
from pathlib import Path

import pytest

pytest_plugins = ["database"]

TRACES = Path(__file__).parents[2] / "shared" / "traces"
ZAPPS = Path(__file__).parents[2] / "shared" / "zapps"


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
        case "shared":
            return TRACES.is_dir() and ZAPPS.is_dir()
        case _:
            raise AssertionError(f"nobody said how to find the component {component}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    required = set(os.environ.get("ZOE_TEST_REQUIRE", "").split(",")) - {""}
    for mark in item.iter_markers("component"):
        name = mark.args[0]
        if not is_present(name):
            if name in required:
                pytest.fail(f"{name} is required here (ZOE_TEST_REQUIRE) and absent")
            pytest.skip(f"this machine has no {name}")
