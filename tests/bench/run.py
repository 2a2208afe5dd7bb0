"""Measures Zoe and prints one JSON line for each figure.

``python tests/bench/run.py [suite ...]``: without a name, all suites, one after the other, in about
twenty minutes. Each works in a folder of its own that is removed afterwards, on free ports.
docs/reference/benchmarks.md says what the figures mean.
"""

import argparse
import asyncio
import importlib
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from figures import Figures

from zoe.garbage import look_seldom

Suite = Callable[[Figures, Path], Awaitable[None]]

SUITES = (
    "scheduler", "planner", "simulator", "batsim", "fairness", "experiment", "forecast",
    "rpc", "store", "start", "submit", "memory", "pages", "containers",
)  # fmt: skip
"""Each is a module of ``suites`` with a function ``measure``."""

LIMIT_SECONDS = 120.0
"""A suite that takes longer has failed, unless its module has a LIMIT_SECONDS of its own."""


async def measure(name: str) -> None:
    """Run one suite; raises what it raises."""
    figures = Figures(name)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="zoe-bench-", ignore_cleanup_errors=True) as folder:
        module = importlib.import_module(f"suites.{name}")
        suite: Suite = module.measure
        async with asyncio.timeout(getattr(module, "LIMIT_SECONDS", LIMIT_SECONDS)):
            await suite(figures, Path(folder))
    figures.note(f"done in {time.monotonic() - began:.0f} s")


def main() -> int:
    """Run the suites that were named; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(description="Measure Zoe; prints JSON lines.")
    parser.add_argument("suites", nargs="*", metavar="suite", help=f"one of {', '.join(SUITES)}")
    parser.add_argument("--suite", action="append", default=[], help="the same")
    options = parser.parse_args()
    names = options.suites + options.suite or list(SUITES)
    if unknown := set(names) - set(SUITES):
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    look_seldom()  # as the programs do that are measured here
    failed = False
    for name in names:
        try:
            asyncio.run(measure(name))
        except Exception as error:  # the other suites still have something to say
            Figures(name).note(f"failed: {error!r}")
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
