"""A person with a browser and the whole stack behind it: from the token to the end in words.

Everything is real: `zoe up`, its database, its master, and instances that are processes. Nothing
is reloaded: what changes must appear by itself. Pictures are left in ``test-results/stack-*``.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from chromium import PICTURES, chromium, page_of, picture
from stack import Deployment, deployment_in

BUSY = """\
zoe: 4
name: busy
frameworks:
  main:
    services:
      holder:
        command: [sh, -c, "until test -e $ZOE_WORKSPACE/free; do sleep 0.1; done"]
        resources: {cores: 0.8, memory: 64MiB}
        monitor: true
"""
SITE = """\
zoe: 4
name: site
time_limit: 1h
parameters:
  helpers: {type: integer, default: 1, min: 0, max: 8}
frameworks:
  web:
    services:
      server:
        command: [python3, -u, -m, http.server, --bind, "${instance.listen}", "8000"]
        work_dir: ${workspace}/pages
        resources: {cores: 0.2, memory: 128MiB}
        ports: [{name: Pages, port: 8000, protocol: http}]
        ready: {http: {port: 8000}, interval: 100ms}
      helper:
        command: [sh, -c, "echo helper ${instance.ordinal} helps; sleep 1000"]
        resources: {cores: 0.1, memory: 32MiB}
        count: {essential: 1, elastic: "${parameters.helpers}"}
        depends_on: {server: ready}
  main:
    depends_on: {web: ready}
    services:
      counter:
        command: [sh, -c, "n=0; while sleep 0.2; do n=$((n + 1)); echo step $n; done"]
        resources: {cores: 0.1, memory: 32MiB}
        monitor: true
"""
WRONG = SITE.replace("depends_on: {server: ready}", "depends_on: {sever: ready}").replace(
    "resources: {cores: 0.2, memory: 128MiB}", "resources: {cores: 0.2, memory: lots}"
)
SOON = 20_000
"""Milliseconds in which the whole stack must show a change, on machines that may be busy."""

pytestmark = [pytest.mark.component("browser"), pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("stack")
    with deployment_in(folder, ZOE_PROCESS_CORES="1", ZOE_PROCESS_NODE="workshop") as found:
        (found.workspace / "pages").mkdir(parents=True)
        (found.workspace / "pages/index.html").write_text("<h1>Served by an instance</h1>")
        found.zoe("up", "--detach")
        yield found


@pytest.fixture
def page(deployment: Deployment) -> Iterator[Page]:
    url = json.loads((deployment.data_dir / "credentials.json").read_text())["url"]
    with chromium() as browser, page_of(browser, url) as page:
        yield page


def test_from_the_token_to_the_end_of_an_execution(
    page: Page, deployment: Deployment, tmp_path: Path
) -> None:
    token = json.loads((deployment.data_dir / "credentials.json").read_text())["token"]
    page.goto("/")
    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Executions")).to_be_visible()

    with deployment.client() as zoe:
        zoe.submit(BUSY, name="night-batch")
    row = page.locator("tbody tr", has_text="night-batch")
    expect(row).to_contain_text("running", timeout=SOON)

    submit_with_its_errors_put_right(page, tmp_path)
    page.evaluate("window.notReloaded = true")
    badge = page.locator("h1 .badge")
    expect(badge).to_have_text("queued", timeout=SOON)
    expect(page.get_by_text("Number 1 in the queue")).to_be_visible()
    expect(page.locator(".zoe-why")).to_contain_text("night-batch")
    picture(page, "stack-queued")

    (deployment.workspace / "free").touch()  # the other one ends
    expect(badge).to_have_text("running", timeout=SOON)
    helpers = page.locator('tr[id*="/web.helper/"]')
    expect(helpers).to_have_count(2)
    log = page.get_by_role("log")
    expect(log).to_contain_text("helper 0 helps")
    expect(log).to_contain_text(re.compile(r"step \d\d"), timeout=SOON)
    with page.context.expect_page() as opening:
        page.get_by_role("link", name="Pages").click()
    expect(opening.value.get_by_role("heading")).to_have_text("Served by an instance")
    opening.value.close()
    expect(log).to_contain_text('"GET / HTTP/1.1" 200')
    picture(page, "stack-running")
    assert page.evaluate("window.notReloaded"), "the page was reloaded"

    page.get_by_label("at most").fill("3")
    page.get_by_role("button", name="Scale").click()
    expect(helpers.filter(has_text="running")).to_have_count(4, timeout=SOON)
    page.get_by_label("at most").fill("0")
    page.get_by_role("button", name="Scale").click()
    expect(helpers.filter(has_text="running")).to_have_count(1, timeout=SOON)
    expect(page.get_by_text("up to 0 elastic")).to_be_visible()
    picture(page, "stack-scaled")

    page.get_by_role("link", name="Nodes").click()
    node = page.locator("#node-workshop")
    expect(node).to_contain_text("my-site")
    expect(node).to_contain_text("main.counter.0")
    expect(node).to_contain_text("0.4 of 1")
    picture(page, "stack-nodes")
    node.get_by_role("link", name="my-site").first.click()

    page.evaluate("window.notReloaded = true")
    page.get_by_role("button", name="Stop").click()
    page.screenshot(path=PICTURES / "stack-stop-desktop-light.png")
    page.get_by_role("button", name="Stop it").click()
    expect(page.locator(".zoe-why-title")).to_have_text("Stopped by admin.", timeout=SOON)
    expect(badge).to_have_text("stopped", timeout=SOON)
    expect(page.locator("#log-state")).to_have_text("complete", timeout=SOON)
    expect(page.get_by_text("nothing listens any more")).to_be_visible()
    expect(page.get_by_text("main.counter.0: stopped", exact=True)).to_be_visible()
    picture(page, "stack-ended")

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Access token")).to_be_visible()
    page.goto("/nodes")
    expect(page.get_by_label("Access token")).to_be_visible()


def submit_with_its_errors_put_right(page: Page, folder: Path) -> None:
    """Upload a file with errors, read them at their lines, and submit what is right."""
    page.get_by_role("link", name="Submit", exact=True).click()
    file = folder / "site.yaml"
    file.write_text(WRONG)
    page.get_by_label("From a file").set_input_files(file)
    expect(page.get_by_label("Application description")).to_have_value(WRONG)
    page.get_by_label("Name").fill("my-site")
    page.get_by_role("button", name="Submit").click()
    wrong = page.locator("li.is-wrong")
    expect(wrong).to_have_count(2)
    expect(wrong.first).to_contain_text("lots")
    expect(wrong.last).to_contain_text("sever")
    picture(page, "stack-errors")
    page.get_by_label("Application description").fill(SITE)
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="my-site")).to_be_visible()
