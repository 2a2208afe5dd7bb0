"""Logs and history: as they are, as they come, and on from where a stream broke off."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api_serving import Api, submitted, write_log
from zoe.api import logs
from zoe.api.logs import Follower, Selection, log_files, read_place, tail_place
from zoe.model.execution import ExecutionEnd, ExecutionStatus, Outcome
from zoe.model.rest_executions import HistoryView, LogText

END = ExecutionEnd(Outcome.COMPLETED, "driver.count exited with 0.", 0)


class Events:
    """Reads server-sent events of one answer."""

    def __init__(self, response: httpx2.Response) -> None:
        self._lines = response.aiter_lines()

    async def next(self) -> dict[str, Any]:
        event: dict[str, Any] = {}
        async with asyncio.timeout(5):
            async for line in self._lines:
                if not line and event:
                    return event
                if line and not line.startswith(":"):
                    name, _, value = line.partition(": ")
                    event[name] = json.loads(value) if name == "data" else value
        raise EOFError

    async def rest(self) -> list[dict[str, Any]]:
        found = []
        try:
            while True:
                found.append(await self.next())
        except EOFError:
            return found


@asynccontextmanager
async def events(admin: httpx2.AsyncClient, path: str, after: str = "") -> AsyncIterator[Events]:
    headers = {"Last-Event-ID": after} if after else {}
    async with admin.stream("GET", f"/api/v1{path}", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Events(response)


async def new_id(admin: httpx2.AsyncClient) -> int:
    return int((await submitted(admin))["id"])


async def end(api: Api, id: int) -> None:
    await api.master.status(id, ExecutionStatus.TERMINATED, end=END)


async def test_output_is_text_with_its_component(api: Api, admin: httpx2.AsyncClient) -> None:
    id = await new_id(admin)
    write_log(api.settings, f"{id}/dask.scheduler/0", "up\n")
    write_log(api.settings, f"{id}/driver.count/0", "one\ntwo")
    write_log(api.settings, f"{id}/driver.count/0", "again\n", attempt=2, stream="stderr")
    path = f"/api/v1/executions/{id}/logs"
    whole = await admin.get(path)
    assert whole.headers["content-type"].startswith("text/plain")
    assert whole.text == (
        "dask.scheduler.0| up\ndriver.count.0| one\ndriver.count.0| two\ndriver.count.0#2| again\n"
    )
    assert (await admin.get(f"{path}?service=dask.scheduler.0")).text == "dask.scheduler.0| up\n"
    assert (await admin.get(f"{path}?stream=stderr")).text == "driver.count.0#2| again\n"
    assert "one" not in (await admin.get(f"{path}?tail=1")).text
    listed = await admin.get(path, headers={"Accept": "application/json"})
    assert [LogText.model_validate(each).text for each in listed.json()["items"]] == [
        "up\n",
        "one\ntwo",
        "again\n",
    ]
    wrong = await admin.get(f"{path}?service=nothing")
    assert wrong.status_code == 400
    assert "dask.worker" in wrong.json()["hint"]


async def test_output_is_followed_to_the_end(api: Api, admin: httpx2.AsyncClient) -> None:
    id = await new_id(admin)
    write_log(api.settings, f"{id}/driver.count/0", "before\n")
    async with events(admin, f"/executions/{id}/logs?follow=true") as live:
        first = await live.next()
        assert (first["event"], first["data"]["text"]) == ("log", "before\n")
        assert first["data"]["instance"] == f"{id}/driver.count/0"
        write_log(api.settings, f"{id}/driver.count/0", "after\n", stream="stderr")
        second = await live.next()
        assert (second["data"]["stream"], second["data"]["text"]) == ("stderr", "after\n")
        write_log(api.settings, f"{id}/driver.count/0", "a prompt without an end> ")
        assert (await live.next())["data"]["text"] == "a prompt without an end> "
        write_log(api.settings, f"{id}/driver.count/0", "last words")
        await end(api, id)
        rest = await live.rest()
    assert "".join(each["data"]["text"] for each in rest[:-1]) == "last words"
    assert rest[-1]["event"] == "end"
    assert rest[-1]["data"]["end"]["exit_code"] == 0


async def test_a_broken_stream_goes_on_where_it_was(api: Api, admin: httpx2.AsyncClient) -> None:
    id = await new_id(admin)
    written = {}
    for service in ("dask.scheduler", "dask.worker", "driver.count"):
        written[service] = "".join(f"{service} line {n} äöü\n" for n in range(5000))
        write_log(api.settings, f"{id}/{service}/0", written[service])
    await end(api, id)
    got = dict.fromkeys(written, "")
    place = ""
    breaks = 0
    while True:
        async with events(admin, f"/executions/{id}/logs?follow=true", place) as live:
            event = await live.next()
            if event["event"] == "end":
                break
            got[event["data"]["instance"].split("/")[1]] += event["data"]["text"]
            place = event["id"]
            breaks += 1
    assert got == written
    assert breaks > 5
    for nonsense in ("x", "a=-1", "=3", "a=1,", "a=99999999999999999999"):
        response = await admin.get(
            f"/api/v1/executions/{id}/logs?follow=true", headers={"Last-Event-ID": nonsense}
        )
        assert response.status_code == 400, nonsense


async def test_history_is_paged_and_followed(api: Api, admin: httpx2.AsyncClient) -> None:
    id = await new_id(admin)
    await api.master.status(id, ExecutionStatus.QUEUED, reason="It waits for room.")
    path = f"/api/v1/executions/{id}/events"
    first = (await admin.get(f"{path}?limit=1")).json()
    second = (await admin.get(f"{path}?limit=1&cursor={first['next_cursor']}")).json()
    kinds = [HistoryView.model_validate(each["items"][0]).kind for each in (first, second)]
    assert kinds == ["submitted", "status"]
    async with events(admin, f"/executions/{id}/events?follow=true") as live:
        assert (await live.next())["data"]["kind"] == "submitted"
        seen = await live.next()
        await admin.post(f"/api/v1/executions/{id}/stop")
        assert (await live.next())["data"]["kind"] == "stop-requested"
    async with events(admin, f"/executions/{id}/events?follow=true", seen["id"]) as live:
        assert (await live.next())["data"]["kind"] == "stop-requested"
        await end(api, id)
        rest = await live.rest()
    assert [each["event"] for each in rest] == ["history", "end"]
    assert (await admin.get(f"{path}?cursor=x")).status_code == 400


async def test_the_history_of_all_is_followed(api: Api, admin: httpx2.AsyncClient) -> None:
    first = await new_id(admin)
    async with events(admin, "/events?follow=true") as live:
        assert (await live.next())["data"]["execution_id"] == first
        second = await new_id(admin)
        assert (await live.next())["data"]["execution_id"] == second
    assert len((await admin.get("/api/v1/events")).json()["items"]) == 2


async def test_open_streams_end_with_the_api(api: Api, admin: httpx2.AsyncClient) -> None:
    id = await new_id(admin)
    async with events(admin, f"/executions/{id}/logs?follow=true") as live:
        api.feed.close()
        assert await live.rest() == []


def write(folder: Path, name: str, content: bytes) -> None:
    (folder / "1").mkdir(exist_ok=True)
    with (folder / "1" / name).open("ab") as file:
        file.write(content)


def test_characters_and_lines_are_not_cut(tmp_path: Path) -> None:
    follower = Follower(tmp_path, 1, Selection(), {})
    write(tmp_path, "a.b.0.1.stdout", b"one\ntw" + "ö".encode()[:1])
    assert [piece.text for piece, _ in follower.read()] == ["one\n"]
    assert [piece.text for piece, _ in follower.read()] == ["tw"]
    write(tmp_path, "a.b.0.1.stdout", "ö".encode()[1:] + b"\xff\n")
    assert [piece.text for piece, _ in follower.read()] == ["ö\ufffd\n"]
    write(tmp_path, "a.b.0.1.stdout", "ö".encode()[:1])
    assert [piece.text for piece, _ in follower.read(is_last=True)] == ["\ufffd"]
    assert follower.read(is_last=True) == []


def test_a_line_longer_than_a_chunk_is_sent_in_pieces(tmp_path: Path) -> None:
    line = "ä" * logs.CHUNK_BYTES
    write(tmp_path, "a.b.0.1.stdout", line.encode())
    follower = Follower(tmp_path, 1, Selection(), {})
    got = ""
    while found := follower.read(is_last=True):
        got += found[0][0].text
    assert got == line


def test_output_that_was_deleted_while_it_was_listed_is_empty(tmp_path: Path) -> None:
    write(tmp_path, "a.b.0.1.stdout", b"gone")
    files = log_files(tmp_path, 1, Selection())
    files[0].path.unlink()
    assert list(logs.whole_text(files, {})) == []
    assert logs.whole_pieces(1, files, {}, 100) == []
    assert tail_place(files, 5) == {files[0].key: 0}


@pytest.mark.parametrize("text", ["", "\n", "a", "a\n", "a\nb", "a\nb\n", "a\n\nb\n", "\n\n"])
@pytest.mark.parametrize("lines", [1, 2, 3, 9])
@pytest.mark.parametrize("chunk", [1, 2, 65536])
def test_the_tail_is_the_last_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, lines: int, chunk: int
) -> None:
    monkeypatch.setattr(logs, "CHUNK_BYTES", chunk)
    write(tmp_path, "a.b.0.1.stdout", text.encode())
    (offset,) = tail_place(log_files(tmp_path, 1, Selection()), lines).values()
    assert text[offset:] == "".join(text.splitlines(keepends=True)[-lines:])


def test_other_files_are_not_output(tmp_path: Path) -> None:
    for name in ("notes", "a.b.0.1.stdin", "a.b.x.1.stdout", "a.b.0.1.stdout"):
        write(tmp_path, name, b"x")
    assert [file.key for file in log_files(tmp_path, 1, Selection())] == ["a.b.0.1.stdout"]
    assert log_files(tmp_path, 2, Selection()) == []


def test_a_place_is_read_as_it_was_written() -> None:
    place = {"a.b.0.1.stdout": 5, "a.b.0.1.stderr": 0}
    assert read_place(logs.write_place(place)) == place
    assert read_place("") == {}
