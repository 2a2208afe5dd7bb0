"""The api as a program on a real PostgreSQL: starts, keeps, survives the database, ends quickly."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from api_serving import DASK
from zoe.store.embedded import EmbeddedPostgres
from zoe.store.migrate import migrate

LIMIT_SECONDS = 30.0


class Program:
    """A running ``python -m zoe.api.main``."""

    def __init__(self, process: subprocess.Popen[str], url: str, token: str) -> None:
        self.process = process
        self.url = url
        self.token = token

    def client(self) -> httpx2.Client:
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx2.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=10)


@contextmanager
def api_program(folder: Path, database_url: str) -> Iterator[Program]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ZOE_")},
        "ZOE_DATA_DIR": str(folder),
        "ZOE_DATABASE_URL": database_url,
        "ZOE_API_PORT": "0",
        "ZOE_MASTER_ENDPOINT": "tcp://127.0.0.1:1",
    }
    ready_file = folder / "run/api.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "zoe.api.main"],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + LIMIT_SECONDS
        while not ready_file.exists():
            assert process.poll() is None, f"it ended with {process.returncode}"
            assert time.monotonic() < deadline, "it is not ready"
            time.sleep(0.02)
        url = json.loads(ready_file.read_text())["url"]
        yield Program(process, url, (folder / "token").read_text().strip())
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def postgres(folder: Path) -> Iterator[tuple[EmbeddedPostgres, str]]:
    embedded = EmbeddedPostgres(folder)
    url = asyncio.run(embedded.start())
    try:
        asyncio.run(migrate(url))
        yield embedded, url
    finally:
        asyncio.run(embedded.stop())


def test_the_api_serves_survives_its_database_and_ends_with_open_streams(tmp_path: Path) -> None:
    with postgres(tmp_path) as (database, url), api_program(tmp_path, url) as api:
        with api.client() as client:
            created = client.post("/executions", json={"document": DASK, "name": "kept"})
            assert created.status_code == 201, created.text
            assert client.get("/readyz").json()["master"]["up"] is False
            stop = client.post("/executions/kept/stop")
            assert (stop.status_code, stop.json()["desired"]) == (202, "stop")

            asyncio.run(database.stop())
            away = client.get("/executions")
            assert (away.status_code, away.json()["code"]) == (503, "store-unavailable")
            assert client.get("/livez").status_code == 200
            asyncio.run(database.start())
            deadline = time.monotonic() + LIMIT_SECONDS
            while (back := client.get("/executions/kept")).status_code == 503:
                assert time.monotonic() < deadline, "it does not recover"
                time.sleep(0.05)
            assert back.json()["desired"] == "stop"

            follow = "/executions/kept/logs?follow=true"
            with client.stream("GET", follow) as logs, client.stream("GET", "/events?follow=true"):
                assert logs.status_code == 200
                api.process.send_signal(signal.SIGTERM)
                assert api.process.wait(LIMIT_SECONDS) == 0  # its streams would last for ever
        assert not (tmp_path / "run/api.json").exists()
        assert api.process.stdout is not None
        assert "zoe_" not in api.process.stdout.read()

        with api_program(tmp_path, url) as again:
            again.process.send_signal(signal.SIGTERM)
            assert again.process.wait(LIMIT_SECONDS) == 0
            assert again.token == api.token
