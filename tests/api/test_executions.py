"""Submitting, listing, showing, stopping, scaling and forgetting executions."""

import httpx2
from serving import DASK


async def submitted(admin: httpx2.AsyncClient, **more: object) -> dict:
    response = await admin.post("/api/v1/executions", json={"document": DASK} | more)
    assert response.status_code == 201, response.text
    return response.json()


async def test_an_application_is_submitted_and_shown(admin: httpx2.AsyncClient) -> None:
    response = await admin.post("/api/v1/executions", json={"document": DASK, "name": "first"})
    assert response.status_code == 201, response.text
    shown = await admin.get(response.headers["location"])
    assert shown.json()["name"] == "first"
    assert shown.json()["status"] == "submitted"
    assert [each["name"] for each in shown.json()["frameworks"]] == ["dask", "driver"]
