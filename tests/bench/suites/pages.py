"""Pages of executions from a store that holds very many."""

import time
from pathlib import Path

from deployment import deployment
from figures import Figures, percentile
from rows import ended_executions
from wire import Connection

EXECUTIONS = 100_000
REQUESTS = 200
LIMIT = 50


async def measure(figures: Figures, folder: Path) -> None:
    """Measure the first page, pages far behind it, and filtered ones; one request at a time."""
    async with deployment(folder) as zoe:
        await ended_executions(zoe, EXECUTIONS)
        async with zoe.connection() as api:
            baseline = await _times(api, "/version")
            everything = f"/executions?limit={LIMIT}&all=true"
            for name, path, found in (
                ("first page of all", everything, LIMIT),
                ("first page of one status", f"/executions?limit={LIMIT}&status=terminated", LIMIT),
                ("active executions, of which there are none", "/executions", 0),
            ):
                assert len((await api.get(path))["items"]) == found
                _add(figures, name, await _times(api, path), baseline)
            _add(figures, "readiness, with its counts", await _times(api, "/readyz"), baseline)
            _add(figures, "following page", await _following(api, everything), baseline)


def _add(figures: Figures, name: str, times: list[float], baseline: list[float]) -> None:
    """Print the p95; the baseline is a request that asks the database nothing."""
    figures.add(
        f"{name}, p95",
        percentile(times, 95) * 1000,
        "ms",
        baseline=percentile(baseline, 95) * 1000,
        executions=EXECUTIONS,
    )


async def _times(api: Connection, path: str) -> list[float]:
    """Return the seconds that each request took."""
    times = []
    for _ in range(REQUESTS):
        began = time.perf_counter()
        await api.get(path)
        times.append(time.perf_counter() - began)
    return times


async def _following(api: Connection, first: str) -> list[float]:
    """Turn over page after page."""
    times = []
    cursor = (await api.get(first))["next_cursor"]
    for _ in range(REQUESTS):
        began = time.perf_counter()
        page = await api.get(f"{first}&cursor={cursor}")
        times.append(time.perf_counter() - began)
        assert len(page["items"]) == LIMIT
        cursor = page["next_cursor"]
    return times
