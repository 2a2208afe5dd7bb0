"""Durable submissions per second through the api, beside bare inserts into the same PostgreSQL."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
from deployment import Deployment, deployment
from figures import Figures, percentile

SECONDS = 4.0
CLIENTS = (1, 16)

DOCUMENT = """
zoe: 4
name: bench-submit
frameworks:
  bench:
    services:
      only:
        command: [sleep, "3600"]
        monitor: true
        resources: {cores: 1, memory: 1GiB}
"""
"""It waits: the one node of these benchmarks has less than a core to give."""

SETTINGS = {"ZOE_PROCESS_CORES": "0.5"}

Work = Callable[[], Awaitable[object]]


async def measure(figures: Figures, folder: Path) -> None:
    """Measure with one client and with sixteen, the master at work and the master away."""
    acknowledged: set[int] = set()
    async with deployment(folder, **SETTINGS) as zoe:
        await _bare_table(zoe)
        for clients in CLIENTS:
            baseline, _ = await _inserts(zoe, clients)
            before = zoe.cpu_seconds("api")
            rate, times = await _submissions(zoe, clients, acknowledged)
            used = (zoe.cpu_seconds("api") - before) / len(times)
            name = f"submissions, {clients} client{'s' * (clients > 1)}"
            figures.add(name, rate, "1/s", baseline=baseline)
            figures.add(f"{name}, p95", percentile(times, 95) * 1000, "ms")
            figures.add(f"{name}, processor time of the api for each", used * 1000, "ms")
        await zoe.stop("master")
        rate, _ = await _submissions(zoe, CLIENTS[-1], acknowledged)
        figures.add(f"submissions, {CLIENTS[-1]} clients, master away", rate, "1/s")
        await _check_durable(zoe, acknowledged)


async def _submissions(
    zoe: Deployment, clients: int, acknowledged: set[int]
) -> tuple[float, list[float]]:
    async with AsyncExitStack() as stack:
        connections = [await stack.enter_async_context(zoe.connection()) for _ in range(clients)]

        def submits(number: int) -> Work:
            async def submit() -> None:
                acknowledged.add(await connections[number].submit(DOCUMENT))

            return submit

        return await _rate([submits(number) for number in range(clients)])


async def _bare_table(zoe: Deployment) -> None:
    async with await psycopg.AsyncConnection.connect(zoe.database_url, autocommit=True) as bare:
        await bare.execute("CREATE TABLE bench (id bigserial PRIMARY KEY, document text)")


async def _inserts(zoe: Deployment, clients: int) -> tuple[float, list[float]]:
    """Insert the same text, one commit each, over as many connections as there are clients."""
    async with AsyncExitStack() as stack:
        connections = [
            await stack.enter_async_context(
                await psycopg.AsyncConnection.connect(zoe.database_url, autocommit=True)
            )
            for _ in range(clients)
        ]

        def inserts(number: int) -> Work:
            statement = "INSERT INTO bench (document) VALUES (%s)"
            return lambda: connections[number].execute(statement, (DOCUMENT,))

        return await _rate([inserts(number) for number in range(clients)])


async def _rate(workers: list[Work]) -> tuple[float, list[float]]:
    """Return how often all workers together did their work per second, and its times."""
    times: list[float] = []

    async def go_on(work: Work, until: float) -> None:
        while (began := time.perf_counter()) < until:
            await work()
            times.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(go_on(work, began + SECONDS) for work in workers))
    return len(times) / (time.perf_counter() - began), times


async def _check_durable(zoe: Deployment, acknowledged: set[int]) -> None:
    """Every id that was acknowledged is in the database."""
    async with await psycopg.AsyncConnection.connect(zoe.database_url) as bare:
        rows = await (await bare.execute("SELECT id FROM execution")).fetchall()
    lost = acknowledged - {row[0] for row in rows}
    if lost:
        raise RuntimeError(f"{len(lost)} acknowledged submissions are not in the database")
