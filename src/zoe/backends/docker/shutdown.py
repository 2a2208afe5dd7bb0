"""Stops every container of one deployment, as a program of its own."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from zoe.backends.docker.backend import DockerBackend
from zoe.backends.docker.notes import Notes
from zoe.model.engines import EngineSpec, parse_engines
from zoe.model.errors import ZoeError

GRACE_SECONDS = 5.0
KILL_SECONDS = 30.0
"""How long after the grace the last one may take to end."""


async def shut_down(
    deployment: str,
    data_dir: Path,
    engines: Sequence[EngineSpec],
    grace_seconds: float,
    kind: type[DockerBackend] = DockerBackend,
) -> None:
    """Stop everything, also on engines that were added since; how it ended is kept for the next.

    Raises ZoeError when something may go on: it takes too long, or its engine does not answer.
    """
    backend = kind(
        deployment,
        data_dir,
        engines,
        logs_dir=data_dir / "logs",
        workspaces_dir=data_dir / "workspaces",
    )
    await backend.open()
    try:
        if added := Notes(data_dir / kind.name).engines():
            await backend.use(added)
            await backend.observe()
        async with asyncio.timeout(grace_seconds + KILL_SECONDS):
            await backend.shutdown(grace_seconds=grace_seconds)
    except TimeoutError:
        raise ZoeError("some containers have not ended; `docker ps` lists them") from None
    finally:
        await backend.close()


def main(kind: type[DockerBackend] = DockerBackend) -> int:
    """Run ``python -m zoe.backends.docker.shutdown``; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deployment", required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--engines", type=parse_engines, required=True)
    parser.add_argument("--grace-seconds", type=float, default=GRACE_SECONDS)
    options = parser.parse_args()
    try:
        asyncio.run(
            shut_down(
                options.deployment,
                options.data_dir,
                options.engines,
                options.grace_seconds,
                kind,
            )
        )
    except ZoeError as error:
        sys.stderr.write(f"{error}\n{error.hint}\n" if error.hint else f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
