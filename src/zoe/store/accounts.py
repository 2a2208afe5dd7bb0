"""Users and teams with their shares, as every store keeps them: read whole, written one by one.

A small part of the port to the state, :attr:`zoe.store.base.Store.accounts`, with a twin in memory.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

from psycopg.types.json import Jsonb

from zoe.model.codec import from_json, to_json
from zoe.model.quota import Accounts, Team, User
from zoe.store.base import NotFound
from zoe.store.database import Connection, Database
from zoe.store.queries import QUERIES


class AccountBook(Protocol):
    """Who may have how much. Every method may raise StoreUnavailable; nothing is half done then."""

    async def version(self) -> int:
        """Return a number that grows with each change; cheap, to be asked often."""

    async def read(self) -> Accounts:
        """Return all users and teams, with the version that they are of."""

    async def put_user(self, user: User) -> None:
        """Keep a user, in place of what was kept under the name."""

    async def put_team(self, team: Team) -> None:
        """Keep a team, in place of what was kept under the name."""

    async def remove_user(self, name: str) -> None:
        """Forget a user, who has the defaults from then on. Raises NotFound."""

    async def remove_team(self, name: str) -> None:
        """Forget a team; users who name it are not in it any more. Raises NotFound."""


class MemoryAccountBook:
    """The twin in memory."""

    def __init__(self) -> None:
        self._accounts = Accounts()

    async def version(self) -> int:
        """Return the number of changes so far."""
        return self._accounts.version

    async def read(self) -> Accounts:
        """Return all users and teams."""
        return self._accounts

    async def put_user(self, user: User) -> None:
        """Keep a user."""
        self._change(users={**self._accounts.users, user.name: user})

    async def put_team(self, team: Team) -> None:
        """Keep a team."""
        self._change(teams={**self._accounts.teams, team.name: team})

    async def remove_user(self, name: str) -> None:
        """Forget a user."""
        self._change(users=_without(self._accounts.users, "user", name))

    async def remove_team(self, name: str) -> None:
        """Forget a team."""
        self._change(teams=_without(self._accounts.teams, "team", name))

    def _change(self, **parts: Any) -> None:
        version = self._accounts.version + 1
        self._accounts = dataclasses.replace(self._accounts, version=version, **parts)


class PostgresAccountBook:
    """The tables ``user_share``, ``team_share`` and ``share_version``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def version(self) -> int:
        """Return the number of changes so far."""

        async def work(connection: Connection) -> int:
            row = await (await connection.execute(QUERIES["share_version"])).fetchone()
            assert row is not None
            version: int = row["version"]
            return version

        return await self._database.read(work)

    async def read(self) -> Accounts:
        """Return all users and teams, as of one moment."""

        async def work(connection: Connection) -> Accounts:
            row = await (await connection.execute(QUERIES["shares"])).fetchone()
            assert row is not None
            users = [from_json(User, each) for each in row["users"] or ()]
            teams = [from_json(Team, each) for each in row["teams"] or ()]
            return Accounts(
                {user.name: user for user in users},
                {team.name: team for team in teams},
                row["version"],
            )

        return await self._database.read(work)

    async def put_user(self, user: User) -> None:
        """Keep a user."""
        await self._put("put_user", user.name, user)

    async def put_team(self, team: Team) -> None:
        """Keep a team."""
        await self._put("put_team", team.name, team)

    async def remove_user(self, name: str) -> None:
        """Forget a user."""
        await self._remove("user", name)

    async def remove_team(self, name: str) -> None:
        """Forget a team."""
        await self._remove("team", name)

    async def _put(self, query: str, name: str, value: User | Team) -> None:
        parameters = {"name": name, "document": Jsonb(to_json(value))}

        async def work(connection: Connection) -> None:
            await connection.execute(QUERIES[query], parameters)

        await self._database.run(work)

    async def _remove(self, kind: str, name: str) -> None:
        async def work(connection: Connection) -> int:
            done = await connection.execute(QUERIES[f"remove_{kind}"], {"name": name})
            return done.rowcount

        if not name.isprintable() or not await self._database.run(work):
            raise _no_such(kind, name)


def _without(known: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    if name not in known:
        raise _no_such(kind, name)
    return {key: value for key, value in known.items() if key != name}


def _no_such(kind: str, name: str) -> NotFound:
    return NotFound(f"no {kind} called {name!r} has a share of its own")
