"""Changes that the store records per second, beside bare updates of the same PostgreSQL."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
from figures import Figures

from rehearsal import execution_of
from zoe.model.change import Change, Defer
from zoe.model.execution import Reason
from zoe.model.resources import Resources
from zoe.sim.workload import uniform_job
from zoe.store.base import NewExecution
from zoe.store.embedded import EmbeddedPostgres
from zoe.store.migrate import migrate
from zoe.store.postgres import PostgresStore

SECONDS = 3.0
EXECUTIONS = 200


async def measure(figures: Figures, folder: Path) -> None:
    """Measure transactions of one change, as a quiet master makes them, and of a hundred."""
    postgres = EmbeddedPostgres(folder)
    try:
        url = await postgres.start()
        await migrate(url)
        store = PostgresStore(url)
        await store.open()
        try:
            await _measure(figures, store, url)
        finally:
            await store.close()
    finally:
        await postgres.stop()


async def _measure(figures: Figures, store: PostgresStore, url: str) -> None:
    zapp = execution_of(uniform_job(1, 0.0, 1.0, 1, 0, Resources(1000, 1024**3, 0))).zapp
    submitted = await asyncio.gather(
        *(
            store.submit(NewExecution(f"bench-{number}", "admin", zapp, "zoe: 4\n"))
            for number in range(EXECUTIONS)
        )
    )
    ids = [execution.id for execution in submitted]
    epoch = await store.lead("bench", 300.0)
    assert epoch is not None
    bare = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with bare:
        await bare.execute("CREATE TABLE bench (id bigint PRIMARY KEY, document text)")
        await bare.execute(
            "INSERT INTO bench SELECT n, repeat('x', 200) FROM generate_series(0, %s) n",
            (EXECUTIONS - 1,),
        )

        async def update(batch: int, turn: int) -> None:
            async with bare.transaction(), bare.cursor() as cursor:
                await cursor.executemany(
                    "UPDATE bench SET document = repeat(%s, 200) WHERE id = %s",
                    [(str(turn % 10), (turn + n) % EXECUTIONS) for n in range(batch)],
                )

        async def record(batch: int, turn: int) -> None:
            changes: list[Change] = [
                Defer(ids[(turn + n) % EXECUTIONS], turn % 9 + 1, float(turn), (_reason(turn),))
                for n in range(batch)
            ]
            await store.record(changes, epoch)

        for batch in (1, 100):
            baseline = await _rate(update, batch)
            rate = await _rate(record, batch)
            figures.add(f"changes, {batch} a transaction", rate, "1/s", baseline=baseline)


def _reason(turn: int) -> Reason:
    return Reason("no-room", f"It needs 4 cores; {turn} are free on the largest node.")


async def _rate(work: Callable[[int, int], Awaitable[None]], batch: int) -> float:
    """Return how many changes ``work`` commits per second in transactions of ``batch``."""
    began = time.perf_counter()
    turn = 0
    while time.perf_counter() - began < SECONDS:
        turn += 1
        await work(batch, turn)
    return turn * batch / (time.perf_counter() - began)
