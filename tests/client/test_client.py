"""Both clients against a scripted server: what they send, what they make of the answers."""

import asyncio
import inspect
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from zoe.client import (
    AsyncZoe,
    Conflict,
    NotAllowed,
    NotFound,
    Rejected,
    RequestFailed,
    TimedOut,
    Unreachable,
    Zoe,
    calls,
    retries,
)
from zoe.client.connection import target
from zoe.client.credentials import Credentials, CredentialsBroken, credentials, keep, kept
from zoe.model.rest_executions import FollowEnd, HistoryView, LogText
from zoe.settings import Settings

Answer = Callable[[httpx2.Request], httpx2.Response]

EXECUTION = {
    "id": 7,
    "name": "brave-otter",
    "owner": "admin",
    "application": "wordcount",
    "kind": "batch",
    "status": "running",
    "desired": "run",
    "generation": 1,
    "submitted_at": "2026-11-22T17:00:00Z",
    "something_newer": True,
}


class Script:
    """A server that answers each request with the next answer of its script."""

    def __init__(self, *answers: httpx2.Response | httpx2.TransportError) -> None:
        self._answers = list(answers)
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, httpx2.TransportError):
            raise answer
        return answer

    def zoe(self, **options: Any) -> Zoe:
        transport = httpx2.MockTransport(self)
        return Zoe("http://127.0.0.1:1", "zoe_t", transport=transport, **options)


def ok(body: object, status: int = 200) -> httpx2.Response:
    return httpx2.Response(status, json=body)


def problem(status: int, code: str = "", **more: Any) -> httpx2.Response:
    body = {"title": "No", "status": status, "code": code, "detail": "it is so"} | more
    return httpx2.Response(
        status, content=json.dumps(body), headers={"Content-Type": "application/problem+json"}
    )


def stream(*messages: tuple[str, str, object]) -> httpx2.Response:
    text = ":\n\n" + "".join(
        f"id: {id}\nevent: {event}\ndata: {json.dumps(body)}\n\n" for id, event, body in messages
    )
    return httpx2.Response(200, text=text, headers={"Content-Type": "text/event-stream"})


def log(text: str) -> dict[str, object]:
    return {"instance": "7/a.b/0", "attempt": 1, "stream": "stdout", "text": text}


def test_submitting_sends_the_document_and_reads_the_execution() -> None:
    script = Script(ok(EXECUTION, 201))
    found = script.zoe().submit("zoe: 4", name="brave-otter", parameters={"workers": 2})
    assert (found.id, found.name) == (7, "brave-otter")
    (request,) = script.requests
    assert request.url.path == "/api/v1/executions"
    assert request.headers["Authorization"] == "Bearer zoe_t"
    sent = json.loads(request.content)
    assert sent == {
        "document": "zoe: 4",
        "file": "",
        "name": "brave-otter",
        "parameters": {"workers": 2},
        "team": "",
    }


def test_a_request_is_repeated_with_the_same_key_when_nobody_answers() -> None:
    script = Script(
        httpx2.ConnectError("refused"),
        httpx2.RemoteProtocolError("cut off"),
        problem(503, "store-unavailable"),
        ok(EXECUTION, 201),
    )
    assert script.zoe().submit("zoe: 4").id == 7
    keys = {request.headers["Idempotency-Key"] for request in script.requests}
    assert len(script.requests) == 4
    assert len(keys) == 1


def test_a_refusal_that_took_long_is_final() -> None:
    script = Script(problem(503, "master-unavailable"))
    with pytest.raises(Unreachable):
        script.zoe(retry_seconds=1e-9).plan("zoe: 4")
    assert len(script.requests) == 1


def test_two_submissions_have_different_keys() -> None:
    script = Script(ok(EXECUTION, 201))
    with script.zoe() as zoe:
        zoe.submit("zoe: 4")
        zoe.submit("zoe: 4")
    assert len({request.headers["Idempotency-Key"] for request in script.requests}) == 2


def test_a_server_that_stays_away_is_unreachable() -> None:
    script = Script(httpx2.ConnectError("refused"))
    with pytest.raises(Unreachable, match=r"127.0.0.1:1 cannot be reached: refused") as raised:
        script.zoe(retry_seconds=0.1).nodes()
    assert "zoe up" in raised.value.hint
    assert len(script.requests) > 1


def test_attempts_that_take_long_count_as_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(retries, "monotonic", lambda: clock[0])
    pauses = retries.patience(1.0)
    clock[0] = 40.0  # the first one began before anything was wrong
    assert next(pauses) == 0.05
    clock[0] += 2.0
    assert next(pauses, None) is None
    assert len(list(retries.patience(1.0))) > 3, "quick failures are tried again more often"
    assert list(retries.patience(0)) == []


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "request-invalid", Rejected),
        (401, "unauthenticated", NotAllowed),
        (403, "forbidden", NotAllowed),
        (404, "not-found", NotFound),
        (404, "no-such-route", RequestFailed),
        (409, "conflict", Conflict),
        (412, "precondition-failed", Conflict),
        (422, "zapp-invalid", Rejected),
        (500, "internal", RequestFailed),
        (503, "master-unavailable", Unreachable),
    ],
)
def test_errors_have_their_classes(status: int, code: str, kind: type[RequestFailed]) -> None:
    script = Script(problem(status, code, hint="try this"))
    with pytest.raises(RequestFailed) as raised:
        script.zoe(retry_seconds=0).show("x")
    assert type(raised.value) is kind
    assert (str(raised.value), raised.value.hint) == ("it is so", "try this")
    assert raised.value.code == code


def test_every_mistake_of_a_rejected_application_arrives() -> None:
    errors = [{"message": "unknown key", "file": "a.yaml", "line": 3, "column": 1}]
    script = Script(problem(422, "zapp-invalid", errors=errors))
    with pytest.raises(Rejected) as raised:
        script.zoe().submit("zoe: 4")
    assert [(error.line, error.message) for error in raised.value.errors] == [(3, "unknown key")]


def test_what_the_api_could_only_reject_is_not_sent() -> None:
    script = Script(ok(EXECUTION))
    with pytest.raises(Rejected) as raised:
        script.zoe().submit("zoe: 4", name="Not A Name")
    assert raised.value.errors[0].path == "name"
    with pytest.raises(Rejected):
        script.zoe().scale(7, "a.b", -1)
    assert not script.requests


def test_a_minimum_is_sent_with_the_maximum() -> None:
    script = Script(ok(EXECUTION))
    script.zoe().scale(7, "a.b", 8, elastic_min=2)
    assert json.loads(script.requests[0].content) == {
        "service": "a.b",
        "elastic": 8,
        "elastic_min": 2,
    }


def test_what_is_not_zoe_is_said_so() -> None:
    with pytest.raises(RequestFailed, match="answered 502, and not as a Zoe api does"):
        Script(httpx2.Response(502, text="<html>")).zoe(retry_seconds=0).version()


def test_an_unready_server_is_an_answer() -> None:
    found = Script(ok({"status": "unready", "store": False, "master": {"up": False}}, 503)).zoe()
    assert found.ready().store is False


@pytest.mark.parametrize("ref", ["../nodes?x", "", " ", "Night", "n\n"])
def test_what_no_execution_can_be_called_is_not_asked_for(ref: str) -> None:
    script = Script()
    with pytest.raises(NotFound, match="There is no execution"):
        script.zoe().show(ref)
    assert not script.requests


def test_a_token_that_cannot_be_sent_is_refused() -> None:
    with pytest.raises(NotAllowed, match="no token has"):
        Zoe("http://127.0.0.1:1", "zoe_ü")


def test_waiting_asks_until_the_end() -> None:
    script = Script(ok(EXECUTION), ok(EXECUTION), ok(EXECUTION | {"status": "terminated"}))
    assert script.zoe().wait(7).is_ended
    assert len(script.requests) == 3


def test_waiting_has_a_limit() -> None:
    with pytest.raises(TimedOut, match="brave-otter is still running after 0 s"):
        Script(ok(EXECUTION)).zoe().wait(7, timeout=0)


def test_following_goes_on_after_the_last_message() -> None:
    script = Script(
        stream(("a", "log", log("one\n")), ("b", "log", log("two\n"))),
        httpx2.ConnectError("refused"),
        stream(("b", "newer", {}), ("c", "log", log("three\n"))),
        stream(("d", "end", {"status": "terminated"})),
    )
    found = list(script.zoe().follow_logs(7, service="a.b", tail=5))
    assert [message.text for message in found if isinstance(message, LogText)] == [
        "one\n",
        "two\n",
        "three\n",
    ]
    assert isinstance(found[-1], FollowEnd)
    asked = [request.headers.get("Last-Event-ID") for request in script.requests]
    assert asked == [None, "b", "b", "c"]
    query = dict(script.requests[0].url.params)
    assert query == {"service": "a.b", "tail": "5", "follow": "true"}


def test_following_what_does_not_exist_is_an_error_at_once() -> None:
    script = Script(problem(404, "not-found"))
    with pytest.raises(NotFound):
        next(script.zoe().follow_events("x"))
    assert len(script.requests) == 1


def test_events_of_all_go_on_after_an_id() -> None:
    entry = {"id": 4, "execution_id": 7, "at": "2026-11-22T17:00:00Z", "kind": "status"}
    script = Script(stream(("4", "history", entry | {"message": "it runs"})))
    found = next(script.zoe().follow_events(after="3"))
    assert isinstance(found, HistoryView)
    assert found.message == "it runs"
    assert script.requests[0].url.path == "/api/v1/events"
    assert script.requests[0].headers["Last-Event-ID"] == "3"


async def test_the_async_client_does_the_same() -> None:
    script = Script(
        httpx2.ConnectError("refused"),
        ok(EXECUTION, 201),
        ok(EXECUTION | {"status": "failed"}),
        stream(("a", "log", log("one\n"))),
        stream(("b", "end", {"status": "failed"})),
        problem(404, "not-found"),
    )
    transport = httpx2.MockTransport(script)
    async with AsyncZoe("http://127.0.0.1:1", "zoe_t", transport=transport) as zoe:
        assert (await zoe.submit("zoe: 4")).id == 7
        assert (await asyncio.wait_for(zoe.wait(7), 10)).is_ended
        found = [message async for message in zoe.follow_logs(7)]
        assert [type(message) for message in found] == [LogText, FollowEnd]
        with pytest.raises(NotFound):
            await zoe.show(8)


def test_both_clients_offer_the_same() -> None:
    def offered(client: type) -> set[str]:
        return {name for name in vars(client) if not name.startswith("_")} - {"close", "aclose"}

    assert offered(Zoe) == offered(AsyncZoe)
    described = {
        name
        for name, function in inspect.getmembers(calls, inspect.isfunction)
        if "Call[" in str(inspect.signature(function).return_annotation)
    }
    assert "submit" in described
    assert described <= offered(Zoe)


def test_credentials_are_kept_for_the_present_user_alone(tmp_path: Path) -> None:
    path = keep(tmp_path / "new", Credentials("http://here", "zoe_s"))
    assert path.stat().st_mode & 0o777 == 0o600
    assert kept(tmp_path / "new") == Credentials("http://here", "zoe_s")
    assert kept(tmp_path / "absent") is None


@pytest.mark.parametrize("text", ["{", "[]", '{"token": 1}', '{"url": 3}'])
def test_broken_credentials_say_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / "credentials.json").write_text(text)
    with pytest.raises(CredentialsBroken, match=r"credentials.json") as raised:
        kept(tmp_path)
    assert "zoe login" in raised.value.hint


def test_a_kept_token_goes_only_to_its_own_address(tmp_path: Path) -> None:
    keep(tmp_path, Credentials("http://here", "zoe_s"))
    assert credentials(Settings(data_dir=tmp_path)) == Credentials("http://here", "zoe_s")
    elsewhere = Settings(data_dir=tmp_path, api_url="http://there")
    assert credentials(elsewhere) == Credentials("http://there", "")
    assert credentials(Settings(data_dir=tmp_path, token="mine")).token == "mine"


def test_without_anything_kept_the_usual_address_is_asked(tmp_path: Path) -> None:
    assert credentials(Settings(data_dir=tmp_path)).url == "http://127.0.0.1:8642"
    everywhere = Settings(data_dir=tmp_path, api_host="::")
    assert credentials(everywhere).url == "http://[::1]:8642"


def test_quotas_are_sent_as_they_are_written_and_names_are_quoted() -> None:
    user = {"name": "ann@x", "teams": [], "weight": 2, "quota": {"gpus": 0}, "has_own_quota": True}
    script = Script(ok(user))
    quota = {"cores": 2.5, "memory": "16GiB", "gpus": 0}
    found = script.zoe().put_user("ann@x", weight=2, quota=quota)
    assert (found.quota.gpus, found.quota.cores_milli) == (0, None)
    (request,) = script.requests
    assert (request.method, request.url.raw_path) == ("PUT", b"/api/v1/users/ann%40x")
    sent = json.loads(request.content)
    assert sent["quota"] == quota | {"executions": None, "sessions": None, "run_time": None}
    assert (sent["weight"], sent["teams"]) == (2, [])


def test_what_the_api_would_refuse_is_refused_here() -> None:
    zoe = Script(ok({})).zoe()
    with pytest.raises(Rejected) as refusal:
        zoe.put_team("physics", quota={"memory": "16 apples"})
    (error,) = refusal.value.errors
    assert error.path == "quota.memory"
    assert "'16 apples' is not an amount of memory" in error.message


@pytest.mark.parametrize(
    ("url", "trusts_authorities"),
    [
        ("http://127.0.0.1:5001", False),
        ("http://localhost:5001", False),
        ("https://127.0.0.1:5001", True),
        ("http://zoe.example.org", True),
        ("https://zoe.example.org", True),
    ],
)
def test_authorities_are_read_where_they_may_be_needed(url: str, trusts_authorities: bool) -> None:
    verify = target(url, "token").verify
    if trusts_authorities:
        assert verify is True
    else:
        assert isinstance(verify, ssl.SSLContext)
        assert verify.verify_mode is ssl.CERT_REQUIRED
        assert not verify.get_ca_certs()
