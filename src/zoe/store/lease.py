"""The master's lease: a row with an epoch and an end on database time, and a session lock.

The row alone decides who may write: :func:`fence` in the database compares the epoch. The lock, one
number per epoch, is held by the leader's session, so it is free as soon as a killed leader's
connection is gone and the next one need not wait for the end of the lease. A leader that is only
stopped keeps its session; then the end of the lease decides.
"""

from zoe.store.base import StaleEpoch
from zoe.store.database import Connection, Database, translated
from zoe.store.queries import QUERIES


class Lease:
    """What this program holds of the lease."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._session: Connection | None = None

    async def lead(self, holder: str, ttl_seconds: float) -> int | None:
        """Take the lease if it is free, expired, or its holder's session is gone."""
        session = await self._database.connect()
        epoch = None
        try:
            with translated():
                async with session.transaction():
                    epoch = await _take(session, holder, ttl_seconds)
        finally:
            if epoch is None:
                await session.close()
        if epoch is not None:
            await self.close()
            self._session = session
        return epoch

    async def renew(self, epoch: int, ttl_seconds: float) -> None:
        """Put the end of the lease off; take the session lock again if the session broke."""
        if self._session is None or self._session.closed:
            self._session = await self._database.connect()
            with translated():
                await self._session.execute(QUERIES["hold_session_lock"], {"epoch": epoch})
        parameters = {"epoch": epoch, "ttl": ttl_seconds}
        with translated():
            renewed = await self._session.execute(QUERIES["renew_lease"], parameters)
        if not renewed.rowcount:
            raise StaleEpoch(f"epoch {epoch} does not hold the lease any more")

    async def resign(self, epoch: int) -> None:
        """Give the lease up if ``epoch`` holds it."""

        async def work(connection: Connection) -> None:
            await connection.execute(QUERIES["resign_lease"], {"epoch": epoch})

        await self._database.run(work)
        await self.close()

    async def close(self) -> None:
        """Close the session, and with it the lock."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _take(session: Connection, holder: str, ttl_seconds: float) -> int | None:
    leader = await (await session.execute(QUERIES["lock_leader"])).fetchone()
    assert leader is not None, "the migrations make this row"
    if not leader["is_free"]:
        parameters = {"epoch": leader["epoch"]}
        answer = await (await session.execute(QUERIES["is_session_gone"], parameters)).fetchone()
        if not answer or not answer["is_gone"]:
            return None
    taken = await session.execute(QUERIES["take_lease"], {"holder": holder, "ttl": ttl_seconds})
    row = await taken.fetchone()
    assert row is not None, "it was locked above"
    epoch: int = row["epoch"]
    await session.execute(QUERIES["hold_session_lock"], {"epoch": epoch})
    return epoch
