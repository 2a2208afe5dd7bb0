"""Who may: tokens, sessions, other users, other hosts, forms of other sites."""

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest

from api_serving import DASK, Api
from zoe.api.access import first_token, new_token_text, token_hash
from zoe.api.session import cookie_name, local_path
from zoe.store.base import Token
from zoe.store.memory import MemoryStore


async def test_the_first_token_is_made_once_and_only_its_hash_is_kept() -> None:
    store = MemoryStore()
    text = await first_token(store)
    assert text is not None
    assert text.startswith("zoe_")
    assert await first_token(store) is None
    (kept,) = await store.tokens()
    assert kept.hash == token_hash(text)
    assert (kept.user, kept.role) == ("admin", "admin")


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer zoe_x", "Basic eDp5", "zoe_x"])
async def test_without_a_known_token_nothing_is_told(api: Api, authorization: str) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    async with api.client(token="", **headers) as c:
        for method, path in [
            ("GET", "/executions"),
            ("POST", "/executions"),
            ("GET", "/executions/1"),
            ("POST", "/executions/1/stop"),
            ("DELETE", "/executions/1"),
            ("GET", "/executions/1/logs"),
            ("GET", "/events"),
            ("GET", "/apps"),
            ("GET", "/apps/hello"),
            ("GET", "/nodes"),
            ("PUT", "/nodes/n1"),
            ("POST", "/plan"),
            ("POST", "/validate"),
            ("POST", "/convert"),
            ("GET", "/schema"),
            ("GET", "/metrics"),
            ("GET", "/whoami"),
        ]:
            response = await c.request(method, f"/api/v1{path}")
            assert response.status_code == 401, (method, path)
            assert response.headers["www-authenticate"].startswith("Bearer")
            assert response.json()["code"] == "unauthenticated"


async def test_everybody_may_ask_how_the_server_is(api: Api) -> None:
    async with api.client(token="") as client:
        for path in ("/livez", "/readyz", "/api/v1/livez", "/api/v1/readyz", "/api/v1/version"):
            assert (await client.get(path)).status_code == 200


async def test_what_is_somebody_elses_looks_like_nothing(
    api: Api, admin: httpx2.AsyncClient
) -> None:
    text = new_token_text()
    await api.store.add_token(Token(token_hash(text), "t", "eve", "user", time.time()))
    mine = (await admin.post("/api/v1/executions", json={"document": DASK})).json()
    async with api.client(token=text) as eve:
        foreign = await eve.get(f"/api/v1/executions/{mine['id']}")
        absent = await eve.get("/api/v1/executions/4711")
        assert foreign.status_code == absent.status_code == 404
        assert foreign.text.replace(str(mine["id"]), "4711") == absent.text
        assert (await eve.post(f"/api/v1/executions/{mine['id']}/stop")).status_code == 404
        assert (await eve.get("/api/v1/executions?all=true")).json()["items"] == []
        assert (await eve.get("/api/v1/executions?owner=admin")).json()["items"] == []
        assert (await eve.get("/api/v1/nodes")).json()["code"] == "forbidden"
        assert (await eve.get("/api/v1/events")).json()["code"] == "forbidden"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "10.0.0.1", "[::"])
async def test_other_host_names_are_refused(api: Api, host: str) -> None:
    async with api.client() as client:
        response = await client.get("/api/v1/executions", headers={"Host": host})
        assert response.status_code == 421
        assert response.json()["code"] == "wrong-host"


async def test_every_answer_carries_the_security_headers(api: Api) -> None:
    async with api.client() as client:
        for path in ("/api/v1/executions", "/nowhere", "/sign-in", "/static/zoe.css"):
            headers = (await client.get(path)).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert "access-control-allow-origin" not in headers
            assert "server" not in headers


def test_pages_have_neither_inline_script_nor_style() -> None:
    from zoe.api.web import render

    for name in render._environment.list_templates():
        text = (render.Path(render.__file__).parent / "templates" / name).read_text()
        assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|<style|\son[a-z]+=", text), name


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        ("/nodes", "/nodes"),
        ("/executions/7?x=1", "/executions/7?x=1"),
        ("", "/executions"),
        ("https://evil.example/", "/executions"),
        ("//evil.example/", "/executions"),
        ("//[", "/executions"),
        ("/\\evil.example", "/executions"),
        ("/a\nb", "/executions"),
        ("nodes", "/executions"),
    ],
)
def test_signing_in_leads_to_our_own_pages_only(wanted: str, path: str) -> None:
    assert local_path(wanted) == path


@asynccontextmanager
async def signed_in(api: Api) -> AsyncIterator[httpx2.AsyncClient]:
    async with api.client(token="", Origin=api.url, Accept="text/html") as client:
        response = await client.post("/sign-in", data={"token": api.token, "next": "/nodes"})
        assert (response.status_code, response.headers["location"]) == (303, "/nodes")
        cookie = response.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        yield client


async def csrf_of(client: httpx2.AsyncClient) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', (await client.get("/submit")).text)
    assert found
    return found[1]


async def test_a_session_reads_and_sends_forms_of_its_own(api: Api) -> None:
    async with signed_in(api) as client:
        form = {"csrf": await csrf_of(client), "document": DASK, "name": "by-form"}
        response = await client.post("/submit", data=form)
        assert response.status_code == 303, response.text
        assert "by-form" in (await client.get("/executions")).text
        assert (await client.get("/api/v1/executions/by-form")).status_code == 200
        refused = await client.post("/api/v1/executions/by-form/stop")
        assert refused.status_code == 401


@pytest.mark.parametrize("how", ["no csrf", "other csrf", "other origin", "no origin"])
async def test_forms_of_other_sites_change_nothing(api: Api, how: str) -> None:
    async with signed_in(api) as client:
        form = {"csrf": await csrf_of(client), "document": DASK}
        match how:
            case "no csrf":
                del form["csrf"]
            case "other csrf":
                form["csrf"] = "x" * 32
            case "other origin":
                client.headers["Origin"] = "https://evil.example"
            case "no origin":
                del client.headers["Origin"]
        response = await client.post("/submit", data=form)
        assert response.status_code == 403
        assert not (await api.store.page()).items


@pytest.mark.parametrize("origin", ["https://evil.example", "http://[", "null"])
async def test_signing_in_from_another_site_is_refused(api: Api, origin: str) -> None:
    async with api.client(token="", Origin=origin) as client:
        response = await client.post("/sign-in", data={"token": api.token})
        assert response.status_code == 403


async def test_a_forged_or_foreign_cookie_is_no_session(api: Api) -> None:
    async with signed_in(api) as client:
        name = cookie_name(api.settings.deployment)
        real = client.cookies[name]
    for forged in (real[:-1], "x" + real, "eyJ0b2tlbiI6IngifQ.aaaa.bbbb", ""):
        async with api.client(token="", Accept="text/html", Cookie=f"{name}={forged}") as stranger:
            response = await stranger.get("/executions")
            assert response.status_code == 303, forged
            assert "/sign-in?next=%2Fexecutions" in response.headers["location"]


async def test_signing_out_ends_the_session(api: Api) -> None:
    async with signed_in(api) as client:
        response = await client.post("/sign-out", data={"csrf": await csrf_of(client)})
        assert response.status_code == 303
        assert (await client.get("/executions")).status_code == 303


async def test_the_session_key_is_private_and_lasts(api: Api) -> None:
    file = api.settings.data_dir / "session.key"
    assert file.stat().st_mode & 0o077 == 0
    assert len(file.read_bytes()) == 32
    assert [each.name for each in api.settings.data_dir.glob("session.key*")] == ["session.key"]
