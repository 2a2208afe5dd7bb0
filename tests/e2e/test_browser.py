"""Chromium goes through all pages, on a desktop and on a phone, in both themes.

The pages are served by the real api; the state behind them comes from real calls of the store.
Pictures of every page are left in ``test-results/``, to be looked at.
"""

import asyncio
import re
import threading
import time
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, Page, expect

from api_serving import BROKEN, DASK, Api, machines, serving, write_log
from chromium import PICTURES, chromium, page_of, picture
from zoe.model.change import Defer
from zoe.model.execution import (
    ExecutionEnd,
    ExecutionStatus,
    Exit,
    ExitReason,
    InstanceStatus,
    Outcome,
    Reason,
)
from zoe.model.quota import Quota, Team, User
from zoe.model.zapp_yaml import read_zapp
from zoe.store.base import NewExecution

pytestmark = pytest.mark.component("browser")
T = TypeVar("T")


class Deployment:
    """An api in a thread of its own: the browser is driven from this one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "Deployment":
        self._thread.start()
        self._serving = serving(self._folder)
        self.api: Api = self.do(self._serving.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self._serving.__aexit__(None, None, None))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def submit(self, name: str, document: str = DASK) -> int:
        new = NewExecution(name, "admin", read_zapp(document), document)
        return self.do(self.api.store.submit(new)).id


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    with Deployment(tmp_path) as running:
        yield running


@pytest.fixture
def page(browser: Browser, deployment: Deployment) -> Iterator[Page]:
    with page_of(browser, deployment.api.url) as page:
        yield page


def sign_in(page: Page, deployment: Deployment) -> None:
    page.goto("/")
    page.get_by_label("Access token").fill(deployment.api.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Executions")).to_be_visible()


def test_who_has_no_token_gets_no_further(page: Page, deployment: Deployment) -> None:
    page.goto("/nodes")
    expect(page).to_have_url(re.compile("/sign-in"))
    page.get_by_label("Access token").fill("zoe_nonsense")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not known")
    picture(page, "sign-in-wrong")
    page.get_by_label("Access token").fill(deployment.api.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(re.compile("/nodes$"))
    expect(page.get_by_text("No nodes yet")).to_be_visible()
    picture(page, "nodes-empty")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Access token")).to_be_visible()
    page.goto("/executions")
    expect(page.get_by_label("Access token")).to_be_visible()


def test_an_application_is_submitted_with_its_errors_put_right(
    page: Page, deployment: Deployment, tmp_path: Path
) -> None:
    sign_in(page, deployment)
    expect(page.get_by_text("Nothing has been submitted yet")).to_be_visible()
    picture(page, "executions-empty")
    page.get_by_role("link", name="Submit an application").first.click()
    picture(page, "submit")
    file = tmp_path / "wordcount.yaml"
    file.write_text(BROKEN)
    page.get_by_label("From a file").set_input_files(file)
    expect(page.get_by_label("Application description")).to_have_value(BROKEN)
    page.get_by_label("Name").fill("my-count")
    page.get_by_role("button", name="Submit").click()
    wrong = page.locator("li.is-wrong")
    expect(wrong.first).to_contain_text("comand")
    expect(page.get_by_role("alert")).to_contain_text("wordcount.yaml")
    picture(page, "submit-errors")
    page.get_by_label("Application description").fill(DASK)
    page.get_by_label("Parameters").fill("workers=2")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="my-count")).to_be_visible()
    expect(page.get_by_text("up to 2 elastic")).to_be_visible()
    expect(page.get_by_text("The master does not answer.")).to_be_visible()
    picture(page, "execution-submitted")


def test_executions_are_watched_live(page: Page, deployment: Deployment) -> None:
    api, do = deployment.api, deployment.do
    sign_in(page, deployment)
    do(api.master.nodes(*machines()))
    first = deployment.submit("night-count")
    row = page.locator(f"#execution-{first}")
    expect(row).to_contain_text("submitted")
    do(api.master.run(first))
    expect(row).to_contain_text("running")
    second = deployment.submit("big-count")
    do(api.master.status(second, ExecutionStatus.QUEUED))
    reason = Reason("no-room", "Its essential part needs 4 cores; the most free on a node is 2.")
    do(api.master.record(Defer(second, 1, time.time(), (reason,))))
    expect(page.locator(f"#execution-{second}")).to_contain_text("No. 1 in the queue")
    failed = deployment.submit("broken-count")
    do(api.master.run(failed))
    end = ExecutionEnd(Outcome.FAILED, "driver.count failed with exit code 3.", 3)
    do(api.master.status(failed, ExecutionStatus.STOPPING, ExecutionStatus.FAILED, end=end))
    page.get_by_role("link", name="All").click()
    expect(page.locator(f"#execution-{failed}")).to_contain_text("exit code 3")
    picture(page, "executions")
    page.get_by_label("Name begins with").fill("big")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="big-count").click()
    expect(page.get_by_text("Number 1 in the queue")).to_be_visible()
    picture(page, "execution-queued")
    page.get_by_role("link", name="Nodes").click()
    expect(page.locator("#node-node-1")).to_contain_text("night-count")
    picture(page, "nodes")


def test_an_execution_is_followed_scaled_and_stopped(page: Page, deployment: Deployment) -> None:
    api, do = deployment.api, deployment.do
    do(api.master.nodes(*machines()))
    id = deployment.submit("night-count")
    instances = do(api.master.run(id, elastic=2))
    sign_in(page, deployment)
    page.goto(f"/executions/{id}")
    expect(page.get_by_text("No output yet")).to_be_visible()
    write_log(api.settings, f"{id}/dask.scheduler/0", "Scheduler at tcp://127.20.0.1:8786\n")
    write_log(api.settings, f"{id}/driver.count/0", "counted 1,204 files\ncounted 2,950 files\n")
    write_log(api.settings, f"{id}/dask.worker/1", "memory is short\n", stream="stderr")
    log = page.get_by_role("log")
    expect(log).to_contain_text("counted 2,950 files")
    expect(log).to_contain_text("memory is short")
    expect(page.get_by_role("link", name="Dask dashboard")).to_have_attribute(
        "href", "http://127.20.0.1:8787"
    )
    worker = next(
        each for each in instances if each.service == "dask.worker" and not each.essential
    )
    do(api.master.instance(worker, InstanceStatus.STOPPING))
    expect(page.locator(f'[id="instance-{worker.id}"]')).to_contain_text("stopping")
    picture(page, "execution-running")
    page.get_by_label("Component", exact=True).select_option("driver.count")
    expect(log).not_to_contain_text("memory is short")
    expect(log).to_contain_text("counted 1,204 files")

    page.get_by_label("Elastic instances, keep").fill("1")
    page.get_by_label("at most").fill("2")
    page.get_by_role("button", name="Scale").click()
    expect(page.get_by_text("up to 2 elastic, 1 of them kept")).to_be_visible()
    scaled = do(api.store.get(id))
    assert (scaled.elastic, scaled.elastic_min) == ({"dask.worker": 2}, {"dask.worker": 1})

    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("dialog")).to_contain_text("night-count")
    page.screenshot(path=PICTURES / "execution-stop-desktop-light.png")
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Stop it").click()
    expect(page.get_by_text("Stop was asked for")).to_be_visible()

    end = ExecutionEnd(Outcome.STOPPED, "admin stopped it.")
    do(api.master.status(id, ExecutionStatus.STOPPING, end=end))
    for each in do(api.store.get(id)).instances:
        stopped = Exit(ExitReason.STOPPED)
        do(api.master.stopped(each, stopped))
    do(api.master.status(id, ExecutionStatus.TERMINATED, end=end))
    expect(page.get_by_text("admin stopped it.").first).to_be_visible()
    expect(page.get_by_text("was stopped").first).to_be_visible()
    expect(page.locator("#log-state")).to_have_text("complete")
    page.get_by_text("The submitted file").click()
    picture(page, "execution-ended")
    page.reload()
    page.get_by_role("button", name="Forget").click()
    page.get_by_role("button", name="Forget it").click()
    expect(page.locator(f"#execution-{id}")).to_have_count(0)


def test_errors_are_pages_and_the_keyboard_reaches_the_theme(
    page: Page, deployment: Deployment
) -> None:
    sign_in(page, deployment)
    page.goto("/executions/4711")
    expect(page.get_by_text("There is no execution '4711'.")).to_be_visible()
    picture(page, "missing")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.get_by_role("button", name="Switch between light and dark").focus()
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_quotas_are_shown_and_a_team_is_chosen(page: Page, deployment: Deployment) -> None:
    api, do = deployment.api, deployment.do
    do(api.store.accounts.put_team(Team("physics", quota=Quota(cores_milli=10_000, gpus=2))))
    do(api.store.accounts.put_team(Team("art", quota=Quota(memory_bytes=2**34))))
    user = User("admin", ("physics", "art"), quota=Quota(executions=1, memory_bytes=2**36))
    do(api.store.accounts.put_user(user))
    sign_in(page, deployment)
    page.get_by_role("link", name="Usage").click()
    own = page.get_by_role("region", name="User admin")
    expect(own).to_contain_text("0 executions of 1 execution")
    do(api.master.run(deployment.submit("night-count")))
    expect(own).to_contain_text("1 execution of 1 execution")
    expect(own.get_by_role("link", name="night-count")).to_be_visible()
    picture(page, "usage")
    page.get_by_role("link", name="Submit").first.click()
    expect(page.get_by_label("Team", exact=True)).to_have_value("physics")
    page.get_by_label("Team", exact=True).select_option("art")
    page.get_by_label("Application description").fill(DASK)
    picture(page, "submit-team")
    page.get_by_role("button", name="Submit").click()
    expect(page).to_have_url(re.compile("/executions/2$"))
    assert do(api.store.get(2)).team == "art"
