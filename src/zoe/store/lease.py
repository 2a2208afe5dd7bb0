"""The master's lease: a row with an epoch and an end on database time, and a session lock.

The row alone decides who may write: :func:`fence` in the database compares the epoch. The lock, one
number per epoch, is held by the leader's session, so it is free as soon as a killed leader's
connection is gone and the next one need not wait for the end of the lease. A leader that is only
stopped keeps its session; then the end of the lease decides.
"""

import asyncio

from zoe.store.base import Masters, StaleEpoch
from zoe.store.database import Connection, Database, translated
from zoe.store.queries import QUERIES

LOCK_TRIES = 20
LOCK_PAUSE_SECONDS = 0.01
"""Who stands by holds the lock of a living leader now and then, for the moment of a question."""


class Lease:
    """What this program holds of the lease."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._session: Connection | None = None
        self._candidate: Connection | None = None
        """The session of who does not lead, and looks again and again whether it can."""
        self._one = asyncio.Lock()

    async def lead(self, holder: str, ttl_seconds: float, endpoint: str) -> int | None:
        """Take the lease if it is free, expired, or its holder's session is gone."""
        parameters = {"holder": holder, "endpoint": endpoint, "ttl": ttl_seconds}
        async with self._one:
            session = self._candidate
            if session is None or session.closed:
                session = self._candidate = await self._database.connect()
            epoch = None
            with translated():
                if await _is_free(session, "look_at_leader"):
                    async with session.transaction():
                        epoch = await _take(session, parameters)
                if epoch is None:
                    await session.execute(QUERIES["stand_by"], parameters)
            if epoch is not None:
                await self._close_session()
                self._session, self._candidate = session, None
            return epoch

    async def hold(self, seconds: float) -> bool:
        """Wait; return at once, and False, when the session breaks: then the lock is free."""
        if self._session is None or self._session.closed:
            return False
        # Nobody speaks in this session meanwhile: what arrives is its end.
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()
        descriptor = self._session.fileno()
        loop.add_reader(descriptor, arrived.set)
        try:
            async with asyncio.timeout(seconds):
                await arrived.wait()
        except TimeoutError:
            return True
        finally:
            loop.remove_reader(descriptor)
        await self._close_session()
        return False

    async def renew(self, epoch: int, ttl_seconds: float) -> None:
        """Put the end of the lease off; take the session lock again if the session broke."""
        try:
            await self._renew(epoch, ttl_seconds)
        except Exception:  # whatever it was, and it is told: nobody knows what the session holds
            await self._close_session()  # the next try has a new one
            raise

    async def _renew(self, epoch: int, ttl_seconds: float) -> None:
        if self._session is None or self._session.closed:
            self._session = await self._database.connect()
            await _hold_lock(self._session, epoch)
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
        await self._close_session()

    async def masters(self) -> Masters:
        """Return who leads and who stands by."""

        async def work(connection: Connection) -> Masters:
            row = await (await connection.execute(QUERIES["masters"])).fetchone()
            assert row is not None, "the migrations make this row"
            standby = tuple(row["standing_by"])
            if row["holder"] is None:
                return Masters(epoch=row["epoch"], standby=standby)
            return Masters(row["holder"], row["endpoint"], row["epoch"], row["since"], standby)

        return await self._database.read(work)

    async def close(self) -> None:
        """Close the sessions, and with them the lock."""
        await self._close_session()
        session, self._candidate = self._candidate, None
        if session is not None:
            await session.close()

    async def _close_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()


async def _is_free(session: Connection, question: str) -> bool:
    leader = await (await session.execute(QUERIES[question])).fetchone()
    assert leader is not None, "the migrations make this row"
    if leader["is_free"]:
        return True
    parameters = {"epoch": leader["epoch"]}
    answer = await (await session.execute(QUERIES["is_session_gone"], parameters)).fetchone()
    return bool(answer and answer["is_gone"])


async def _take(session: Connection, parameters: dict[str, object]) -> int | None:
    if not await _is_free(session, "lock_leader"):
        return None
    row = await (await session.execute(QUERIES["take_lease"], parameters)).fetchone()
    assert row is not None, "it was locked above"
    epoch: int = row["epoch"]
    await session.execute(QUERIES["stand_by_no_more"], parameters)
    await session.execute(QUERIES["hold_session_lock"], {"epoch": epoch})
    return epoch


async def _hold_lock(session: Connection, epoch: int) -> None:
    for _ in range(LOCK_TRIES):
        with translated():
            answer = await session.execute(QUERIES["hold_session_lock"], {"epoch": epoch})
        row = await answer.fetchone()
        if row and row["is_held"]:
            return
        await asyncio.sleep(LOCK_PAUSE_SECONDS)
