"""Resident memory of master and api: idle, and with many executions in the store."""

import asyncio
from pathlib import Path

from deployment import Deployment, deployment
from figures import Figures
from rows import ended_executions
from suites.submit import DOCUMENT, SETTINGS

AIM_MB = 120
WAITING = 500
ENDED = 10_000
SETTLE_SECONDS = 2.0


async def measure(figures: Figures, folder: Path) -> None:
    """Measure the programs as they are, without the processes that they start."""
    async with deployment(folder, **SETTINGS) as zoe:
        await _add(figures, zoe, "idle")
        await ended_executions(zoe, ENDED)
        await _restart(zoe)
        await _read_some(zoe)
        await _add(figures, zoe, f"with {ENDED} executions in the store")
        async with zoe.connection() as api:
            for _ in range(WAITING):
                await api.submit(DOCUMENT)
        await _add(figures, zoe, f"with {WAITING} more of them waiting")


async def _add(figures: Figures, zoe: Deployment, when: str) -> None:
    await asyncio.sleep(SETTLE_SECONDS)
    for program in ("master", "api"):
        figures.add(f"{program}, {when}", zoe.rss_bytes(program) / 1e6, "MB", aim=AIM_MB)


async def _restart(zoe: Deployment) -> None:
    """Let the programs find the executions there when they start."""
    for program in ("api", "master"):
        await zoe.stop(program)
    for program in ("master", "api"):
        await zoe.start(program)


async def _read_some(zoe: Deployment) -> None:
    """Have the api show some of them, as people do."""
    async with zoe.connection() as api:
        await api.until_there_are_nodes()
        for _ in range(50):
            await api.get("/executions?limit=100&all=true")
