"""A PostgreSQL for the tests: one cluster per session, a fresh migrated database per test.

``postgres_url`` is a database on the embedded PostgreSQL. ``store`` is an open store, on each
implementation in turn; ``another_store`` is what a second program would open on the same state.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from zoe.store.base import Store
from zoe.store.embedded import EmbeddedPostgres
from zoe.store.memory import MemoryStore
from zoe.store.migrate import migrate
from zoe.store.postgres import PostgresStore


class Cluster:
    """A running PostgreSQL that makes databases from a migrated template."""

    def __init__(self, postgres: EmbeddedPostgres, url: str) -> None:
        self.postgres = postgres
        self.url = url

    def url_of(self, database: str) -> str:
        return self.url.replace("/zoe?", f"/{database}?")

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextmanager
    def database(self, template: str = "migrated") -> Iterator[str]:
        """Make a database and yield its URL; it is dropped with all its connections."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url_of(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running_cluster(folder: Path, bin_dir: Path | None = None) -> Iterator[Cluster]:
    """Run a PostgreSQL of its own in ``folder``."""
    postgres = EmbeddedPostgres(folder, bin_dir)
    try:
        cluster = Cluster(postgres, asyncio.run(postgres.start()))
        cluster.execute("CREATE DATABASE migrated")
        asyncio.run(migrate(cluster.url_of("migrated")))
        yield cluster
    finally:
        asyncio.run(postgres.stop())


def debian_bin() -> Path:
    """Return the folder of the newest PostgreSQL that the system has."""
    return max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


@pytest.fixture(scope="session")
def embedded_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("embedded")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def debian_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("debian"), debian_bin()) as cluster:
        yield cluster


@pytest.fixture
def postgres_url(embedded_cluster: Cluster) -> Iterator[str]:
    """The URL of a fresh database with the present schema."""
    with embedded_cluster.database() as url:
        yield url


@pytest.fixture(
    params=[
        "memory",
        "embedded",
        pytest.param("debian", marks=pytest.mark.component("postgres")),
    ]
)
def store_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a fresh database on each PostgreSQL; empty for the store in memory."""
    if request.param == "memory":
        yield ""
        return
    cluster: Cluster = request.getfixturevalue(f"{request.param}_cluster")
    with cluster.database() as url:
        yield url


@pytest_asyncio.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An open store of each implementation in turn."""
    opened = PostgresStore(store_url) if store_url else MemoryStore()
    await opened.open()
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def another_store(store: Store, store_url: str) -> AsyncIterator[Store]:
    """The same state as another program sees it."""
    if not store_url:
        yield store
        return
    opened = PostgresStore(store_url)
    await opened.open()
    yield opened
    await opened.close()
