"""Ends every instance of one deployment on this machine, and its agent, as a program of its own."""

import argparse
import asyncio
import sys
from pathlib import Path

from zoe.backends.process.connection import CALL_SECONDS, Connection
from zoe.model.errors import ZoeError

GRACE_SECONDS = 5.0


async def shut_down(deployment: str, data_dir: Path, grace_seconds: float) -> None:
    """End the instances with this grace, then the agent.

    When there is no agent one is started first: it ends what a killed one has left behind.
    """
    if not (data_dir / "instances").is_dir():
        return  # nothing has ever run here
    agent = Connection(
        deployment, data_dir, idle_seconds=600.0, cgroups=True, on_event=lambda event: None
    )
    try:
        await agent.call(
            "shutdown", seconds=grace_seconds + CALL_SECONDS, grace_seconds=grace_seconds
        )
    finally:
        await agent.close()


def main() -> int:
    """Run ``python -m zoe.backends.process.shutdown``; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deployment", required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--grace-seconds", type=float, default=GRACE_SECONDS)
    options = parser.parse_args()
    try:
        asyncio.run(shut_down(options.deployment, options.data_dir, options.grace_seconds))
    except ZoeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
