"""Submitting, listing, showing, waiting for, stopping, scaling and forgetting executions."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api_serving import BROKEN, DASK, Api, serving, submitted, until, write_log
from zoe import failpoints
from zoe.model.change import SetStatus
from zoe.model.execution import (
    Execution,
    ExecutionEnd,
    ExecutionStatus,
    Outcome,
)
from zoe.model.logs import log_folder
from zoe.model.rest_cluster import ConvertView, ValidateView
from zoe.model.rest_executions import ExecutionDetail, ExecutionPage
from zoe.store.memory import MemoryStore

STOPPED = ExecutionEnd(Outcome.STOPPED, "admin stopped it.")


def code_of(response: httpx2.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
    return str(response.json()["code"])


async def test_a_volume_that_its_user_cannot_have_is_refused_with_what_there_is(
    tmp_path: Path,
) -> None:
    wanted = "        volumes: [{name: %s, path: /data}]"
    volumes = "datasets /srv/datasets; theirs /srv/theirs users=eve"
    async with serving(tmp_path, volumes=volumes) as api, api.client(api.token) as admin:
        for name in ("scratch", "theirs"):
            document = f"{DASK.rstrip()}\n{wanted % name}"
            response = await admin.post("/api/v1/executions", json={"document": document})
            assert code_of(response, 422) == "zapp-invalid"
            (problem,) = response.json()["errors"]
            assert problem["message"] == f"there is no volume {name} that admin may use"
            assert problem["path"] == "driver.count.volumes"
            assert problem["hint"] == "the volumes are datasets"
        await submitted(admin, document=f"{DASK.rstrip()}\n{wanted % 'datasets'}")


async def test_an_application_is_submitted_and_shown(admin: httpx2.AsyncClient) -> None:
    response = await admin.post(
        "/api/v1/executions",
        json={"document": DASK, "name": "first", "parameters": {"workers": 5}},
    )
    assert response.status_code == 201, response.text
    shown = await admin.get(response.headers["location"])
    execution = ExecutionDetail.model_validate(shown.json())
    assert (execution.name, execution.status, execution.owner) == ("first", "submitted", "admin")
    assert shown.json()["submitted_at"].endswith("Z")
    assert [each.name for each in execution.frameworks] == ["dask", "driver"]
    assert execution.frameworks[0].services[1].elastic == 5
    by_name = await admin.get("/api/v1/executions/fir")
    assert by_name.json() == shown.json()


async def test_a_bare_description_is_submitted_as_yaml(admin: httpx2.AsyncClient) -> None:
    response = await admin.post(
        "/api/v1/executions?name=bare&set=workers=7&file=a.yaml",
        content=DASK,
        headers={"Content-Type": "application/yaml"},
    )
    assert response.status_code == 201, response.text
    assert response.json()["name"] == "bare"
    assert response.json()["parameters"] == {"workers": 7}
    source = await admin.get("/api/v1/executions/bare/source")
    assert source.text == DASK
    assert source.headers["content-type"].startswith("text/plain")


async def test_a_name_is_made_up_if_none_is_given(admin: httpx2.AsyncClient) -> None:
    first, second = (await submitted(admin))["name"], (await submitted(admin))["name"]
    assert first != second
    assert len(first.split("-")) == 3


async def test_the_errors_of_a_description_come_with_their_lines(
    admin: httpx2.AsyncClient,
) -> None:
    response = await admin.post(
        "/api/v1/executions", json={"document": BROKEN, "file": "broken.yaml"}
    )
    assert code_of(response, 422) == "zapp-invalid"
    errors = response.json()["errors"]
    assert [(each["file"], each["line"]) for each in errors][:2] == [
        ("broken.yaml", 8),
        ("broken.yaml", 9),
    ]
    assert "command" in errors[0]["hint"]
    listed = await admin.get("/api/v1/executions?all=true")
    assert listed.json()["items"] == []


async def test_the_same_key_submits_once(admin: httpx2.AsyncClient) -> None:
    key = {"Idempotency-Key": "7f0c"}
    first = await admin.post("/api/v1/executions", json={"document": DASK}, headers=key)
    again = await admin.post("/api/v1/executions", json={"document": DASK}, headers=key)
    assert again.status_code == 201
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    other = {"document": DASK, "parameters": {"workers": 9}}
    reused = await admin.post("/api/v1/executions", json=other, headers=key)
    assert code_of(reused, 422) == "idempotency-key-reused"
    long = await admin.post(
        "/api/v1/executions", json={"document": DASK}, headers={"Idempotency-Key": "k" * 300}
    )
    assert code_of(long, 400) == "request-invalid"
    assert len((await admin.get("/api/v1/executions")).json()["items"]) == 1


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "request-invalid"),
        (b"[" * 100_000, "application/json", 400, "request-invalid"),
        (b'{"document": ' + b"9" * 5000 + b"}", "application/json", 400, "request-invalid"),
        (b"[]", "application/json", 422, "request-invalid"),
        (b"{}", "application/json", 422, "request-invalid"),
        (b'{"document": 1}', "application/json", 422, "request-invalid"),
        (b'{"document": "", "colour": "red"}', "application/json", 422, "request-invalid"),
        (b'{"document": "", "name": "Not A Name"}', "application/json", 422, "request-invalid"),
        (b'{"document": "", "name": "17"}', "application/json", 422, "request-invalid"),
        (b"\xff\xfe", "application/yaml", 400, "request-invalid"),
        (b"zoe: 4", "application/yaml", 422, "zapp-invalid"),
        (b"a=b", "application/x-www-form-urlencoded", 415, "unsupported-media-type"),
        (b"zoe: 4", "", 415, "unsupported-media-type"),
    ],
)
async def test_what_cannot_be_understood_changes_nothing(
    admin: httpx2.AsyncClient, body: bytes, kind: str, status: int, code: str
) -> None:
    response = await admin.post(
        "/api/v1/executions", content=body, headers={"Content-Type": kind} if kind else {}
    )
    assert code_of(response, status) == code
    assert (await admin.get("/api/v1/executions?all=true")).json()["items"] == []


async def test_a_request_may_not_be_too_large(api: Api, admin: httpx2.AsyncClient) -> None:
    much = b"x" * (api.settings.request_max_bytes + 1)
    kind = {"Content-Type": "application/yaml"}
    told = await admin.post("/api/v1/executions", content=much, headers=kind)
    assert code_of(told, 413) == "request-too-large"

    async def pieces() -> Any:
        for begin in range(0, len(much), 65536):
            yield much[begin : begin + 65536]

    untold = await admin.post("/api/v1/executions", content=pieces(), headers=kind)
    assert code_of(untold, 413) == "request-too-large"


async def test_executions_are_listed_in_pages_and_filtered(
    api: Api, admin: httpx2.AsyncClient
) -> None:
    ids = [(await submitted(admin, name=f"{'ab'[n % 2]}-{n}"))["id"] for n in range(5)]
    await api.master.status(ids[0], ExecutionStatus.TERMINATED, end=STOPPED)
    seen: list[int] = []
    cursor = ""
    while True:
        response = await admin.get("/api/v1/executions", params={"limit": 2, "cursor": cursor})
        page = ExecutionPage.model_validate(response.json())
        seen += [each.id for each in page.items]
        cursor = page.next_cursor
        if not cursor:
            break
    assert seen == ids[:0:-1]

    async def ids_of(query: str) -> list[int]:
        response = await admin.get(f"/api/v1/executions?{query}")
        return [each["id"] for each in response.json()["items"]]

    assert await ids_of("all=true") == ids[::-1]
    assert await ids_of("status=terminated") == ids[:1]
    assert await ids_of("status=terminated&status=submitted&name=a") == [ids[4], ids[2], ids[0]]
    assert await ids_of("owner=somebody") == []
    assert code_of(await admin.get("/api/v1/executions?cursor=x"), 400) == "request-invalid"
    assert code_of(await admin.get("/api/v1/executions?limit=0"), 422) == "request-invalid"
    assert code_of(await admin.get("/api/v1/executions?status=x"), 422) == "request-invalid"


async def test_a_prefix_of_several_names_is_a_conflict(admin: httpx2.AsyncClient) -> None:
    await submitted(admin, name="night-1")
    await submitted(admin, name="night-2")
    response = await admin.get("/api/v1/executions/night")
    assert code_of(response, 409) == "conflict"
    assert "night-1" in response.text


async def test_waiting_ends_with_the_execution(api: Api, admin: httpx2.AsyncClient) -> None:
    id = (await submitted(admin))["id"]
    soon = await admin.get(f"/api/v1/executions/{id}/wait?timeout=0.05")
    assert soon.json()["status"] == "submitted"
    waiting = asyncio.create_task(admin.get(f"/api/v1/executions/{id}/wait?timeout=9"))
    await until(lambda: api.feed.subscriptions == 1)
    await api.master.status(id, ExecutionStatus.TERMINATED, end=STOPPED)
    ended = ExecutionDetail.model_validate((await waiting).json())
    assert ended.is_ended
    assert ended.end is not None
    assert ended.end.message == "admin stopped it."


async def test_stop_is_an_intent_that_needs_no_master(api: Api, admin: httpx2.AsyncClient) -> None:
    id = (await submitted(admin))["id"]
    response = await admin.post(f"/api/v1/executions/{id}/stop")
    assert response.status_code == 202
    assert (response.json()["desired"], response.json()["desired_by"]) == ("stop", "admin")
    assert [each.id for each in await api.store.intents()] == [id]


async def test_scale_is_an_intent_for_elastic_services(api: Api, admin: httpx2.AsyncClient) -> None:
    id = (await submitted(admin))["id"]
    path = f"/api/v1/executions/{id}/scale"
    response = await admin.post(path, json={"service": "dask.worker", "elastic": 2})
    assert response.status_code == 202
    assert response.json()["frameworks"][0]["services"][1]["elastic"] == 2
    assert response.json()["frameworks"][0]["services"][1]["elastic_declared"] == 3
    for wrong in ("dask.scheduler", "dask.nothing", ""):
        refused = await admin.post(path, json={"service": wrong, "elastic": 2})
        assert code_of(refused, 400) == "request-invalid"
        assert "dask.worker" in refused.json()["hint"]
    negative = await admin.post(path, json={"service": "dask.worker", "elastic": -1})
    assert code_of(negative, 422) == "request-invalid"
    await api.master.status(id, ExecutionStatus.TERMINATED, end=STOPPED)
    late = await admin.post(path, json={"service": "dask.worker", "elastic": 2})
    assert code_of(late, 409) == "conflict"


async def test_a_minimum_is_set_with_the_maximum(api: Api, admin: httpx2.AsyncClient) -> None:
    id = (await submitted(admin))["id"]
    path = f"/api/v1/executions/{id}/scale"
    wanted = {"service": "dask.worker", "elastic": 8, "elastic_min": 2}
    worker = (await admin.post(path, json=wanted)).json()["frameworks"][0]["services"][1]
    assert (worker["elastic_min"], worker["elastic"], worker["elastic_declared"]) == (2, 8, 3)
    for least, most, said in ((4, 8, "declares 3"), (2, 1, "above the maximum, 1")):
        refused = await admin.post(path, json=wanted | {"elastic": most, "elastic_min": least})
        assert code_of(refused, 400) == "request-invalid"
        assert said in refused.json()["detail"]
    assert (await api.store.get(id)).elastic_min == {"dask.worker": 2}
    await api.master.run(id, elastic=1)
    why = (await admin.get(f"/api/v1/executions/{id}/why")).json()["summary"]
    assert "It has 1 of the 2 elastic instances of dask.worker that it may keep" in why
    without = {"service": "dask.worker", "elastic": 8}
    worker = (await admin.post(path, json=without)).json()["frameworks"][0]["services"][1]
    assert worker["elastic_min"] == 0


async def test_forgetting_stops_first(api: Api, admin: httpx2.AsyncClient) -> None:
    id = (await submitted(admin))["id"]
    assert (await admin.delete(f"/api/v1/executions/{id}")).status_code == 202
    ended = (await submitted(admin))["id"]
    await api.master.status(ended, ExecutionStatus.TERMINATED, end=STOPPED)
    assert (await admin.delete(f"/api/v1/executions/{ended}")).status_code == 204
    assert code_of(await admin.get(f"/api/v1/executions/{ended}"), 404) == "not-found"


async def test_what_is_half_deleted_can_be_deleted_again(
    api: Api, admin: httpx2.AsyncClient, tmp_path: Path
) -> None:
    id = (await submitted(admin))["id"]
    await api.master.status(id, ExecutionStatus.TERMINATED, end=STOPPED)
    write_log(api.settings, f"{id}/driver.count/0", "counted")
    output = Path(log_folder(api.settings.logs_dir, id))
    failpoints.arm("cp20:raise", tmp_path / "failpoints")
    try:
        assert (await admin.delete(f"/api/v1/executions/{id}")).status_code == 500
    finally:
        failpoints.arm("", tmp_path)
    assert (await admin.get(f"/api/v1/executions/{id}")).status_code == 200
    assert (await admin.delete(f"/api/v1/executions/{id}")).status_code == 204
    assert code_of(await admin.get(f"/api/v1/executions/{id}"), 404) == "not-found"
    assert not await asyncio.to_thread(output.exists)


class RacingStore(MemoryStore):
    """Executions end in it right before somebody deletes them."""

    async def request_delete(self, execution_id: int, by: str) -> Execution:
        epoch = await self.lead("test", 60)
        assert epoch is not None
        await self.record(
            [SetStatus(execution_id, ExecutionStatus.TERMINATED, 1.0, "stopped", STOPPED)], epoch
        )
        return await super().request_delete(execution_id, by)


async def test_no_output_is_left_of_what_ends_while_it_is_deleted(tmp_path: Path) -> None:
    async with serving(tmp_path, store=RacingStore()) as api, api.client() as admin:
        id = (await submitted(admin))["id"]
        write_log(api.settings, f"{id}/driver.count/0", "counted")
        assert (await admin.delete(f"/api/v1/executions/{id}")).status_code == 202
        assert code_of(await admin.get(f"/api/v1/executions/{id}"), 404) == "not-found"
        output = Path(log_folder(api.settings.logs_dir, id))
        assert not await asyncio.to_thread(output.exists)


async def test_an_etag_saves_an_answer_and_guards_a_change(
    api: Api, admin: httpx2.AsyncClient
) -> None:
    id = (await submitted(admin))["id"]
    path = f"/api/v1/executions/{id}"
    etag = (await admin.get(path)).headers["etag"]
    same = await admin.get(path, headers={"If-None-Match": etag})
    assert (same.status_code, same.content) == (304, b"")
    await api.master.status(id, ExecutionStatus.QUEUED)
    stale = await admin.post(f"{path}/stop", headers={"If-Match": etag})
    assert code_of(stale, 412) == "precondition-failed"
    assert (await admin.get(path, headers={"If-None-Match": etag})).status_code == 200
    fresh = (await admin.get(path)).headers["etag"]
    assert (await admin.post(f"{path}/stop", headers={"If-Match": fresh})).status_code == 202


async def test_validate_lists_every_error(admin: httpx2.AsyncClient) -> None:
    good = await admin.post("/api/v1/validate", json={"document": DASK})
    view = ValidateView.model_validate(good.json())
    assert (view.valid, view.application, view.kind) == (True, "wordcount", "batch")
    bad = ValidateView.model_validate(
        (await admin.post("/api/v1/validate", json={"document": BROKEN})).json()
    )
    assert not bad.valid
    assert len(bad.errors) >= 2


async def test_an_older_format_is_converted(admin: httpx2.AsyncClient) -> None:
    service = {"name": "job", "image": "debian", "monitor": True, "networks": ["abc"]}
    old = {"name": "old", "version": 3, "will_end": True, "services": [service]}
    answer = await admin.post("/api/v1/convert", json={"document": json.dumps(old)})
    view = ConvertView.model_validate(answer.json())
    assert (view.converted, view.version, len(view.warnings)) == (True, 3, 1)
    new = {"document": json.dumps(view.document)}
    assert (await admin.post("/api/v1/executions", json=new)).status_code == 201
    refused = await admin.post("/api/v1/convert", json={"document": DASK, "file": "dask.yaml"})
    view = ConvertView.model_validate(refused.json())
    assert not view.converted
    assert [(one.path, one.line) for one in view.errors] == [("zoe", 1)]


async def test_a_framework_comes_from_the_catalogue(tmp_path: Any) -> None:
    use = "zoe: 4\nname: a\nkind: service\nframeworks:\n  cache: {use: cache}\n"
    async with serving(tmp_path) as api, api.client() as client:
        missing = await client.post("/api/v1/validate", json={"document": use})
        assert missing.json()["valid"] is False
        assert "cache" in missing.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/why"),
        ("GET", "/wait"),
        ("GET", "/logs"),
        ("GET", "/events"),
        ("GET", "/source"),
        ("POST", "/stop"),
        ("DELETE", ""),
    ],
)
async def test_what_is_not_there_is_404(admin: httpx2.AsyncClient, method: str, path: str) -> None:
    for ref in ("4711", "nobody", "999999999999999999999999"):
        response = await admin.request(method, f"/api/v1/executions/{ref}{path}")
        assert code_of(response, 404) == "not-found"
        assert response.json()["detail"] == f"There is no execution {ref!r}."
