"""Users, teams, quotas and usage: who may see and set them, and what submitting says of them."""

import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2
import pytest

from api_serving import DASK, Api
from zoe.api.access import new_token_text, token_hash
from zoe.api.shares import Shares
from zoe.model.execution import InstanceStatus
from zoe.model.quota import Quota, Team, User
from zoe.model.resources import Resources
from zoe.model.rest_accounts import TeamPage, TeamView, UsagePage, UserPage, UserView
from zoe.model.zapp_yaml import read_zapp
from zoe.store.accounts import MemoryAccountBook
from zoe.store.base import NewExecution, Token

GIB = 2**30
QUOTA = {"cores": 2.5, "memory": "16GiB", "gpus": 0, "executions": 3, "run_time": "1h30m"}


async def eve_of(api: Api) -> httpx2.AsyncClient:
    text = new_token_text()
    await api.store.add_token(Token(token_hash(text), "t", "eve", "user", time.time()))
    return api.client(token=text)


async def put(
    client: httpx2.AsyncClient, path: str, body: Mapping[str, object]
) -> dict[str, object]:
    response = await client.put(f"/api/v1{path}", json=body)
    assert response.status_code == 200, response.text
    found: dict[str, object] = response.json()
    return found


async def test_what_is_put_is_kept_in_our_units(api: Api, admin: httpx2.AsyncClient) -> None:
    guaranteed = {"cores": "500m", "memory": "4GiB", "gpus": 1}
    team = TeamView.model_validate(
        await put(admin, "/teams/physics", {"weight": 2, "guaranteed": guaranteed})
    )
    assert (team.weight, team.guaranteed.cores_milli, team.quota.cores_milli) == (2, 500, None)
    user = UserView.model_validate(
        await put(admin, "/users/ann", {"teams": ["physics"], "quota": QUOTA})
    )
    assert (user.quota.memory_bytes, user.quota.run_seconds) == (16 * GIB, 5400)
    assert user.has_own_quota
    kept = await api.store.accounts.read()
    expected = User("ann", ("physics",), 1.0, Quota(2500, 16 * GIB, 0, 3, None, 5400.0))
    assert kept.users["ann"] == expected
    assert kept.teams["physics"] == Team("physics", 2.0, Resources(500, 4 * GIB, 1))
    listed = UserPage.model_validate((await admin.get("/api/v1/users")).json())
    assert listed.items == [user]
    teams = TeamPage.model_validate((await admin.get("/api/v1/teams")).json())
    assert teams.items == [team]


async def test_who_was_not_named_has_the_defaults(admin: httpx2.AsyncClient) -> None:
    await put(admin, "/users/default", {"quota": {"cores": 4}})
    await put(admin, "/users/bob", {"weight": 3})
    for name, weight in (("bob", 3), ("carl", 1)):
        found = UserView.model_validate((await admin.get(f"/api/v1/users/{name}")).json())
        assert (found.quota.cores_milli, found.has_own_quota, found.weight) == (4000, False, weight)
    assert (await admin.delete("/api/v1/users/default")).status_code == 204
    found = UserView.model_validate((await admin.get("/api/v1/users/carl")).json())
    assert found.quota.cores_milli is None


@pytest.mark.parametrize(
    ("path", "body", "status", "said"),
    [
        ("/users/ann", {"quota": {"core": 1}}, 422, "did you mean cores?"),
        ("/users/ann", {"quota": {"memory": "16"}}, 422, "is a unit missing, as in 16GiB?"),
        ("/users/ann", {"quota": {"gpus": -1}}, 422, "greater than or equal to 0"),
        ("/users/ann", {"quota": {"run_time": "soon"}}, 422, "'soon' is not a length of time"),
        ("/users/ann", {"weight": 0}, 422, "greater than 0"),
        ("/users/ann", {"teams": ["phisics"]}, 400, "Did you mean physics?"),
        ("/users/ann", {"teams": ["physics", "physics"]}, 400, "A team is named twice."),
        ("/users/default", {"teams": ["physics"]}, 400, "who are in no team"),
        ("/users/-x", {}, 400, "is not a name"),
        ("/teams/a%20b", {}, 400, "is not a name"),
        ("/teams/t", {"guaranteed": {"cores": "many"}}, 422, "not a number of cores"),
    ],
)
async def test_what_is_wrong_is_said_with_its_place(
    admin: httpx2.AsyncClient, path: str, body: Mapping[str, object], status: int, said: str
) -> None:
    await put(admin, "/teams/physics", {})
    response = await admin.put(f"/api/v1{path}", json=body)
    assert response.status_code == status
    problem = response.json()
    assert said in problem["detail"] + problem["hint"] + str(problem["errors"])
    if status == 422:
        wrong = next(iter(body))
        assert problem["errors"][0]["path"].startswith(f"body.{wrong}")


async def test_what_is_not_there_cannot_be_removed(admin: httpx2.AsyncClient) -> None:
    await put(admin, "/teams/physics", {})
    response = await admin.delete("/api/v1/teams/phsics")
    assert response.status_code == 404
    assert "Did you mean physics?" in response.json()["hint"]
    assert (await admin.delete("/api/v1/teams/physics")).status_code == 204
    assert (await admin.delete("/api/v1/users/nobody")).status_code == 404


async def test_only_administrators_see_and_set_what_others_may_have(api: Api) -> None:
    async with await eve_of(api) as eve:
        for method, path in (
            ("GET", "/users"),
            ("GET", "/users/eve"),
            ("PUT", "/users/eve"),
            ("DELETE", "/users/eve"),
            ("GET", "/teams"),
            ("PUT", "/teams/t"),
            ("DELETE", "/teams/t"),
            ("GET", "/usage?user=admin"),
            ("PUT", "/nodes/n1"),
        ):
            body = {"status": "ready"} if "nodes" in path else {} if method == "PUT" else None
            response = await eve.request(method, f"/api/v1{path}", json=body)
            assert (response.status_code, response.json()["code"]) == (403, "forbidden"), path
        assert (await eve.get("/api/v1/usage")).status_code == 200
    assert await api.store.accounts.version() == 0
    async with api.client(token="") as nobody:
        for path in ("/users", "/teams", "/usage"):
            assert (await nobody.get(f"/api/v1{path}")).status_code == 401


async def test_usage_says_what_is_used_of_which_quota(api: Api, admin: httpx2.AsyncClient) -> None:
    await put(admin, "/teams/physics", {"quota": {"cores": 8}})
    await put(admin, "/users/eve", {"teams": ["physics"], "quota": {"cores": 4, "sessions": 1}})
    await put(admin, "/users/admin", {"teams": ["physics"]})
    async with await eve_of(api) as eve:
        mine = (
            await eve.post("/api/v1/executions", json={"document": DASK, "name": "mine"})
        ).json()
        theirs = (await admin.post("/api/v1/executions", json={"document": DASK})).json()
        await eve.post("/api/v1/executions", json={"document": DASK})  # waits: uses nothing
        assert mine["team"] == "physics"
        instances = await api.master.run(mine["id"], elastic=2)
        await api.master.run(theirs["id"], elastic=0)
        elastic = next(each for each in instances if not each.essential)
        await api.master.instance(elastic, InstanceStatus.STOPPING)
        page = UsagePage.model_validate((await eve.get("/api/v1/usage")).json())
    user, team = page.items
    assert (user.kind, user.name, user.quota.cores_milli) == ("user", "eve", 4000)
    assert (user.used.cores_milli, user.used.executions, user.used.sessions) == (4500, 1, 0)
    assert [each.name for each in user.holders] == ["mine"]
    assert (team.kind, team.name, team.quota.cores_milli) == ("team", "physics", 8000)
    assert (team.used.cores_milli, team.used.executions) == (4500 + 2500, 2)
    assert [each.name for each in team.holders] == ["mine"]


async def test_an_execution_runs_for_a_team_of_its_user(admin: httpx2.AsyncClient) -> None:
    await put(admin, "/teams/physics", {})
    await put(admin, "/teams/art", {})
    await put(admin, "/users/admin", {"teams": ["physics", "art"]})
    first = await admin.post("/api/v1/executions", json={"document": DASK})
    chosen = await admin.post("/api/v1/executions", json={"document": DASK, "team": "art"})
    bare = await admin.post(
        "/api/v1/executions?team=art", content=DASK, headers={"Content-Type": "application/yaml"}
    )
    assert [each.json()["team"] for each in (first, chosen, bare)] == ["physics", "art", "art"]
    for path in ("executions", "plan"):
        wrong = await admin.post(f"/api/v1/{path}", json={"document": DASK, "team": "arts"})
        assert wrong.status_code == 400
        assert wrong.json()["hint"] == "Did you mean art?"
    key = {"Idempotency-Key": "once"}
    for team, status in (("art", 201), ("", 201), ("physics", 422)):
        body = {"document": DASK, "team": team, "name": "one"}
        answer = await admin.post("/api/v1/executions", json=body, headers=key)
        assert answer.status_code == status


async def test_what_exceeds_a_quota_is_said_when_it_is_submitted(
    api: Api, admin: httpx2.AsyncClient
) -> None:
    await put(admin, "/users/admin", {"quota": {"cores": 2}})
    submitted = (await admin.post("/api/v1/executions", json={"document": DASK})).json()
    (reason,) = submitted["reasons"]
    assert reason["code"] == "exceeds-quota"
    assert "admin may use 2 cores at a time; this needs 2.5 cores" in reason["message"]
    await put(admin, "/users/admin", {"quota": {"run_time": "1h"}})
    refused = await admin.post("/api/v1/executions", json={"document": DASK})
    assert (refused.status_code, refused.json()["code"]) == (422, "exceeds-quota")
    assert "a time limit of 1 hour at most; this has 2 hours" in refused.json()["detail"]
    assert len((await api.store.page()).items) == 1


async def test_a_form_that_exceeds_a_quota_is_shown_again(api: Api) -> None:
    await api.store.accounts.put_user(User("admin", quota=Quota(run_seconds=3600.0)))
    async with signed_in(api) as (browser, csrf):
        form = {"csrf": csrf, "document": DASK, "name": "by-form"}
        shown = await browser.post("/submit", data=form)
    assert shown.status_code == 422
    assert "a time limit of 1 hour at most" in shown.text
    assert "wordcount" in shown.text


async def test_the_pages_show_what_is_used_and_left(api: Api) -> None:
    book = api.store.accounts
    await book.put_team(Team("physics", quota=Quota(cores_milli=2500, gpus=0)))
    await book.put_team(Team("art"))
    await book.put_user(User("admin", ("physics", "art"), quota=Quota(executions=2)))
    async with signed_in(api) as (browser, _):
        execution = await api.store.submit(
            NewExecution("night", "admin", read_zapp(DASK), DASK, team="physics")
        )
        await api.master.run(execution.id, elastic=0)
        shown = (await browser.get("/usage")).text
        assert "Cores: 2.5 cores of 2.5 cores" in shown, "the team's"
        assert 'class="zoe-full">2.5 cores of 2.5 cores' in shown
        assert "Executions: 1 execution of 2 executions" in shown
        assert "2.5 cores, no limit" in shown, "the user's"
        assert "GPUs: 0 GPUs of 0 GPUs" in shown
        assert shown.count(f'href="/executions/{execution.id}"') == 2
        form = (await browser.get("/submit")).text
        assert 'aria-label="Quota of user admin"' in form
        assert 'aria-label="Quota of team physics"' in form
        assert 'aria-label="Quota of team art"' not in form, "it has no limits"


async def test_who_has_no_limits_and_no_team_is_shown_no_choice(api: Api) -> None:
    async with signed_in(api) as (browser, _):
        form = (await browser.get("/submit")).text
        assert 'name="team"' not in form
        assert "Quota of" not in form
        assert "0 cores, no limit" in (await browser.get("/usage")).text


async def test_the_team_is_chosen_in_the_form(api: Api) -> None:
    book = api.store.accounts
    for name in ("physics", "art"):
        await book.put_team(Team(name))
    await book.put_user(User("admin", ("physics", "art")))
    async with signed_in(api) as (browser, csrf):
        form = {"csrf": csrf, "document": DASK}
        for team in ("art", ""):
            done = await browser.post("/submit", data=form | {"team": team})
            assert done.status_code == 303
        teams = [each.team for each in (await api.store.page()).items]
        assert teams == ["physics", "art"], "the newest first; without a choice the first team"
        again = (await browser.get("/submit", params={"again": "1"})).text
        assert '<option value="art" selected>' in again
        refused = await browser.post("/submit", data=form | {"team": "law"})
        assert refused.status_code == 422
        assert "You are not in a team" in refused.text
        assert len((await api.store.page()).items) == 2


@asynccontextmanager
async def signed_in(api: Api) -> AsyncIterator[tuple[httpx2.AsyncClient, str]]:
    """Give a browser's client, and the secret of its forms."""
    async with api.client(token="", Origin=api.url, Accept="text/html") as browser:
        await browser.post("/sign-in", data={"token": api.token, "next": "/submit"})
        csrf = re.search(r'name="csrf" value="([^"]+)"', (await browser.get("/submit")).text)
        assert csrf
        yield browser, csrf[1]


async def test_shares_are_read_again_after_a_moment() -> None:
    times, book = iter([0.0, 0.5, 1.6, 1.7]), MemoryAccountBook()
    shares = Shares(book, lambda: next(times))
    assert not (await shares.read()).users
    await book.put_user(User("ann"))
    assert not (await shares.read()).users
    assert (await shares.read()).users
    await book.remove_user("ann")
    shares.forget()
    assert not (await shares.read()).users
