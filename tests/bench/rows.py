"""Many ended executions in the store, faster than they could run."""

import psycopg
from deployment import Deployment
from psycopg import sql

DOCUMENT = """
zoe: 4
name: bench-row
frameworks:
  bench:
    services:
      only:
        command: ["true"]
        monitor: true
        resources: {cores: 100m, memory: 16MiB}
"""


async def ended_executions(zoe: Deployment, count: int) -> None:
    """Run one execution, and copy its rows until there are ``count``."""
    async with zoe.connection() as api:
        execution_id = await api.submit(DOCUMENT)
        await api.until_ended(execution_id)
    async with await psycopg.AsyncConnection.connect(zoe.database_url) as bare:
        # The state machine of the database would have each copy begin as submitted, and the
        # counting of so many in one transaction takes long.
        await bare.execute("ALTER TABLE execution DISABLE TRIGGER USER")
        await _copy(bare, "execution", {"id", "idempotency_key"}, execution_id, count - 1)
        await bare.execute("ALTER TABLE execution ENABLE TRIGGER USER")
        await bare.execute(
            "UPDATE execution_count SET count = count + %s WHERE status = 'terminated'",
            (count - 1,),
        )
        await bare.commit()
        await bare.set_autocommit(True)
        await bare.execute("VACUUM ANALYZE execution")


async def _copy(
    bare: psycopg.AsyncConnection[tuple[object, ...]],
    table: str,
    without: set[str],
    row_id: int,
    times: int,
) -> None:
    rows = await bare.execute(
        "SELECT column_name FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND table_name = %s",
        (table,),
    )
    names = [str(name) for (name,) in await rows.fetchall()]
    columns = sql.SQL(", ").join(sql.Identifier(name) for name in names if name not in without)
    statement = sql.SQL(
        "INSERT INTO {table} ({columns}) "
        "SELECT {columns} FROM {table}, generate_series(1, {times}) WHERE id = {row_id}"
    )
    await bare.execute(
        statement.format(
            table=sql.Identifier(table),
            columns=columns,
            times=sql.Literal(times),
            row_id=sql.Literal(row_id),
        )
    )
