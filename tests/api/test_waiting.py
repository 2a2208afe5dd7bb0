"""What is told of an execution that waits: its place, its start, and who or what holds it up."""

import re
import time
from dataclasses import replace

import httpx2
import pytest

from api_serving import DASK, Api, submitted
from zoe.api.access import new_token_text, token_hash
from zoe.model.change import Cause, Defer, Foretell, SetInstance
from zoe.model.execution import (
    ExecutionStatus,
    Forecast,
    InstanceStatus,
    Reason,
)
from zoe.model.rest_executions import QueuePage, WhyView
from zoe.model.zapp_yaml import read_zapp
from zoe.store.base import NewExecution, Token


async def test_predicted_starts_are_shown_while_it_waits(
    api: Api, admin: httpx2.AsyncClient
) -> None:
    first, second, third = [int((await submitted(admin))["id"]) for _ in range(3)]
    for id in (first, second, third):
        await api.master.status(id, ExecutionStatus.QUEUED)
    behind = (Reason("behind", "1 is before it"),)
    await api.master.record(Defer(second, 1, 1.0, ()), Defer(first, 2, 1.0, behind))
    told = Forecast(1.0, 1_700_000_000.0, 1_700_000_600.5)
    vague = Forecast(1.0, None, None, "nobody can tell when 3 (nap) ends")
    await api.master.record(Foretell(((first, told), (second, vague))))
    why = WhyView.model_validate((await admin.get(f"/api/v1/executions/{first}/why")).json())
    assert why.forecast is not None
    assert why.forecast.p50 is not None
    assert why.forecast.p50.timestamp() == told.p50
    shown = (await admin.get(f"/api/v1/executions/{first}")).json()["forecast"]
    assert shown == {
        "at": "1970-01-01T00:00:01Z",
        "p50": "2023-11-14T22:13:20Z",
        "p90": "2023-11-14T22:23:20.500000Z",
        "because": "",
    }
    queue = QueuePage.model_validate((await admin.get("/api/v1/queue")).json())
    assert [each.id for each in queue.items] == [second, first, third]
    assert queue.items[0].forecast is not None
    assert queue.items[0].forecast.because == vague.because
    assert queue.items[2].forecast is None
    (only,) = (await admin.get("/api/v1/queue?limit=1")).json()["items"]
    assert only["id"] == second
    await api.master.status(first, ExecutionStatus.STARTING)
    assert (await admin.get(f"/api/v1/executions/{first}")).json()["forecast"] is None


async def test_the_pages_show_when_it_starts_and_what_was_taken(
    api: Api, admin: httpx2.AsyncClient
) -> None:
    waiting, running = [int((await submitted(admin))["id"]) for _ in range(2)]
    await api.master.status(waiting, ExecutionStatus.QUEUED)
    told = Forecast(1.0, 4_000_000_000.0, 4_000_002_100.0)
    reason = (Reason("behind", "behind 1 execution in the queue"),)
    await api.master.record(Defer(waiting, 1, 1.0, reason), Foretell(((waiting, told),)))
    *_, last = await api.master.run(running)
    lost = replace(last, status=InstanceStatus.STOPPING, ready=False)
    said = f"its room is needed for {waiting} (urgent)"
    await api.master.record(SetInstance(lost, 5.0, said, Cause("reclaim", waiting)))
    async with api.client(token="", Origin=api.url) as browser:
        await browser.post("/sign-in", data={"token": api.token})
        listed = (await browser.get("/executions")).text
        page = (await browser.get(f"/executions/{waiting}")).text
        other = (await browser.get(f"/executions/{running}")).text
    start = "Predicted start: 2096-10-02 07:06, by 2096-10-02 07:41 UTC at the latest with 9 in 10."
    assert f"Behind 1 execution in the queue. {start}" in listed
    assert start in page
    assert f"had to go (rule reclaim): {said}" in other


async def test_the_queue_of_a_user_is_their_own(api: Api, admin: httpx2.AsyncClient) -> None:
    await submitted(admin)
    eve = await api.store.submit(NewExecution("hers", "eve", read_zapp(DASK), DASK))
    text = new_token_text()
    await api.store.add_token(Token(token_hash(text), "laptop", "eve", "user", 1.0))
    async with api.client(text) as client:
        found = (await client.get("/api/v1/queue")).json()["items"]
    assert [each["id"] for each in found] == [eve.id]


async def test_how_forecasts_came_true_is_a_metric(api: Api, admin: httpx2.AsyncClient) -> None:
    assert "zoe_forecasts_judged 0.0" in (await admin.get("/api/v1/metrics")).text
    for p50, p90 in ((-10.0, -5.0), (-4.0, 1000.0), (1000.0, 1001.0)):
        id = int((await submitted(admin))["id"])
        await api.master.status(id, ExecutionStatus.QUEUED)
        now = time.time()
        await api.master.record(Foretell(((id, Forecast(now - 60, now + p50, now + p90)),)))
        await api.master.status(id, ExecutionStatus.STARTING)
    text = (await admin.get("/api/v1/metrics")).text
    assert "zoe_forecasts_judged 3.0" in text
    assert 'zoe_forecast_started_by_ratio{quantile="0.5"} 0.333' in text
    assert 'zoe_forecast_started_by_ratio{quantile="0.9"} 0.666' in text
    error = re.search(r"zoe_forecast_error_seconds ([0-9.]+)", text)
    assert error is not None
    assert float(error[1]) == pytest.approx(10, abs=5)


async def test_why_says_what_was_taken_and_for_whom(api: Api, admin: httpx2.AsyncClient) -> None:
    id = int((await submitted(admin))["id"])
    instances = await api.master.run(id, elastic=2)
    elastic = [each for each in instances if not each.essential]
    said = "its room is needed for 9 (urgent)"
    stopping = [replace(each, status=InstanceStatus.STOPPING, ready=False) for each in elastic]
    await api.master.record(*(SetInstance(e, 5.0, said, Cause("reclaim", 9)) for e in stopping))
    why = WhyView.model_validate((await admin.get(f"/api/v1/executions/{id}/why")).json())
    (loss,) = why.losses
    assert (loss.instances, loss.rule, loss.for_execution, loss.message) == (2, "reclaim", 9, said)
    assert loss.service == elastic[0].service


async def test_why_says_the_place_in_the_queue(api: Api, admin: httpx2.AsyncClient) -> None:
    id = (await submitted(admin))["id"]
    first = WhyView.model_validate((await admin.get(f"/api/v1/executions/{id}/why")).json())
    assert "safely stored" in first.summary
    await api.master.status(id, ExecutionStatus.QUEUED)
    await api.master.record(Defer(id, 3, 1.0, (Reason("no-room", "no node has 8 cores"),)))
    why = WhyView.model_validate((await admin.get(f"/api/v1/executions/{id}/why")).json())
    assert why.summary == "It is number 3 in the queue: no node has 8 cores."
    assert [each.code for each in why.reasons] == ["no-room"]


CURVED = """
zoe: 4
name: curved
kind: service
frameworks:
  f:
    services:
      s:
        command: [x]
        count: {essential: 1, elastic: 5}
        speedup: {points: [{instances: 2, speed: 1.05}]}
"""


async def test_why_says_who_does_not_grow_for_the_sake_of_others(
    api: Api, admin: httpx2.AsyncClient
) -> None:
    async def why() -> list[str]:
        return [
            each["code"] for each in (await admin.get("/api/v1/executions/1/why")).json()["reasons"]
        ]

    async def wait_because(code: str) -> None:
        await api.master.record(Defer(2, 1, 0.0, (Reason(code, "it waits"),)))

    await admin.post("/api/v1/executions", json={"document": CURVED})
    await api.master.run(1, elastic=0)
    assert await why() == [], "nobody waits"
    await admin.post("/api/v1/executions", json={"document": CURVED})
    await api.master.status(await api.store.get(2), ExecutionStatus.QUEUED)
    await wait_because("over-quota")
    assert await why() == [], "who waits does not wait for room"
    await wait_because("behind")
    assert await why() == ["little-gain"]
    async with api.client(token="", Origin=api.url) as browser:
        await browser.post("/sign-in", data={"token": api.token})
        page = (await browser.get("/executions/1")).text
    assert "f.s gets no more than 1 instance while others wait" in page
