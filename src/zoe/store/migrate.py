"""Brings a database to the schema of this version: numbered files, each applied once.

Each file runs in a transaction of its own together with its row in ``schema_migration``, which
keeps the file's sha256: a file that changed after it was applied is refused, and so is a database
that a newer version has migrated further. One migration runs at a time.
"""

import argparse
import asyncio
import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from zoe.model.errors import ZoeError
from zoe.store.base import StoreUnavailable

LOCK = 1517249862
LOCK_SECONDS = 60

_TABLE = b"""
CREATE TABLE IF NOT EXISTS schema_migration (
    number integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


class SchemaMismatch(ZoeError):
    """The database has not the schema of this version of Zoe."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of ``migrations``: ``0001_name.sql``."""

    number: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        """The digest of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_migrations(folder: Traversable | None = None) -> Sequence[Migration]:
    """Read the migrations that come with this version, in order."""
    folder = folder or files("zoe.store") / "migrations"
    found = [
        Migration(int(file.name[:4]), file.name.removesuffix(".sql"), file.read_text("utf-8"))
        for file in sorted(folder.iterdir(), key=lambda file: file.name)
        if file.name.endswith(".sql")
    ]
    assert [each.number for each in found] == list(range(1, len(found) + 1)), "a number is missing"
    return found


async def migrate(url: str, migrations: Sequence[Migration] | None = None) -> Sequence[str]:
    """Apply what is missing and return its names; raises SchemaMismatch or StoreUnavailable."""
    migrations = read_migrations() if migrations is None else migrations
    done = []
    try:
        async with await psycopg.AsyncConnection.connect(url, connect_timeout=10) as connection:
            await connection.set_autocommit(True)
            await connection.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'".encode())
            await connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            await connection.execute("SET client_min_messages = warning")
            await connection.execute(_TABLE)
            for migration in _missing(migrations, await _applied(connection)):
                async with connection.transaction():
                    await connection.execute(migration.text.encode())
                    await connection.execute(
                        "INSERT INTO schema_migration (number, name, sha256) VALUES (%s, %s, %s)",
                        [migration.number, migration.name, migration.sha256],
                    )
                done.append(migration.name)
    except psycopg.OperationalError as error:
        raise StoreUnavailable(f"the database could not be migrated: {error}") from error
    return done


async def check_schema(connection: psycopg.AsyncConnection[Any]) -> None:
    """Raise SchemaMismatch, with what to do, unless the database has exactly our schema."""
    missing = _missing(read_migrations(), await _applied(connection))
    if missing:
        raise SchemaMismatch(
            f"the database lacks {', '.join(migration.name for migration in missing)}",
            hint="back it up, then: python -m zoe.store.migrate DATABASE_URL (zoe up does it)",
        )


def _missing(
    migrations: Sequence[Migration], applied: Mapping[int, tuple[str, str]]
) -> Sequence[Migration]:
    for number, (name, sha256) in sorted(applied.items()):
        if number > len(migrations):
            raise SchemaMismatch(
                f"the database was migrated by a newer version of Zoe ({name}); "
                f"this one knows {len(migrations)} migrations",
                hint="install that version again, or restore the backup from before the upgrade",
            )
        if migrations[number - 1].sha256 != sha256:
            raise SchemaMismatch(
                f"migration {name} is not the one that was applied to the database",
                hint="install the version of Zoe that made the database; a migration never changes",
            )
    return [migration for migration in migrations if migration.number not in applied]


async def _applied(connection: psycopg.AsyncConnection[Any]) -> Mapping[int, tuple[str, str]]:
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute("SELECT to_regclass('schema_migration') IS NOT NULL")
    if await cursor.fetchone() == (False,):
        return {}
    await cursor.execute("SELECT number, name, sha256 FROM schema_migration")
    return {number: (name, sha256) for number, name, sha256 in await cursor.fetchall()}


def main() -> int:
    """Run ``python -m zoe.store.migrate [DATABASE_URL]``."""
    parser = argparse.ArgumentParser(prog="python -m zoe.store.migrate")
    parser.add_argument("url", nargs="?", default=os.environ.get("ZOE_DATABASE_URL", ""))
    try:
        done = asyncio.run(migrate(parser.parse_args().url))
    except ZoeError as error:
        sys.stderr.write(f"{error}\n" + (f"{error.hint}\n" if error.hint else ""))
        return 1
    sys.stdout.write("".join(f"applied {name}\n" for name in done) or "nothing to do\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
