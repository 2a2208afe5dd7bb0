"""The catalogue in the REST interface."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest_asyncio

from api_serving import serving
from zoe.catalogue import frameworks
from zoe.model.rest_apps import AppDetail, AppPage

OTHER = "zoe: 4\nname: other\nframeworks: {f: {services: {s: {command: [ls], monitor: true}}}}\n"


@pytest_asyncio.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx2.AsyncClient]:
    known = dict(frameworks())
    async with serving(tmp_path, frameworks=lambda: known) as api, api.client() as client:
        yield client


async def test_the_catalogue_is_listed_and_what_it_shows_can_be_submitted(
    client: httpx2.AsyncClient,
) -> None:
    page = AppPage.model_validate((await client.get("/api/v1/apps")).json())
    found = {one.name: one for one in page.items}
    assert {"hello", "dask-wordcount"} <= set(found)
    assert all(not one.errors for one in page.items)
    workers = found["dask-wordcount"].parameters[0]
    assert (workers.name, workers.type) == ("workers", "integer")
    assert (workers.default, workers.max) == (4, 64)
    shown = await client.get("/api/v1/apps/dask-wordcount")
    detail = AppDetail.model_validate(shown.json())
    assert detail.readme.startswith("# dask-wordcount")
    submitted = await client.post("/api/v1/executions", json={"document": detail.document})
    assert submitted.status_code == 201
    missing = await client.get("/api/v1/apps/helo")
    assert (missing.status_code, missing.json()["code"]) == (404, "not-found")
    assert "hello" in missing.json()["hint"]


async def test_one_that_is_wrong_is_listed_with_what_is_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "zapps"
    (folder / "broken").mkdir(parents=True)
    (folder / "broken" / "zapp.yaml").write_text(OTHER)
    async with serving(tmp_path / "api", zapps_dir=folder) as api, api.client() as client:
        (one,) = AppPage.model_validate((await client.get("/api/v1/apps")).json()).items
        assert (one.name, one.kind) == ("broken", None)
        assert "calls itself other" in one.errors[0].message
        shown = AppDetail.model_validate((await client.get("/api/v1/apps/broken")).json())
        assert (shown.readme, shown.errors[0].path) == ("", "name")
