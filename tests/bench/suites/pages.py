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
            version, _ = await _times(api, ["/version"] * REQUESTS)
            baseline = percentile(version, 95) * 1000
            first = f"/executions?limit={LIMIT}"
            for name, query in (
                ("first page", first),
                ("first page, ended only", f"{first}&status=terminated"),
                ("first page, one that matches nothing", f"{first}&status=failed"),
            ):
                times, _ = await _times(api, [query] * REQUESTS)
                figures.add(
                    f"{name}, p95",
                    percentile(times, 95) * 1000,
                    "ms",
                    baseline=baseline,
                    executions=EXECUTIONS,
                )
            times = await _following(api, first)
            figures.add(
                "following page, p95",
                percentile(times, 95) * 1000,
                "ms",
                baseline=baseline,
                executions=EXECUTIONS,
            )


async def _times(api: Connection, paths: list[str]) -> tuple[list[float], object]:
    """Return the seconds that each request took, and the last answer."""
    times = []
    answer = None
    for path in paths:
        began = time.perf_counter()
        answer = await api.get(path)
        times.append(time.perf_counter() - began)
    return times, answer


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
