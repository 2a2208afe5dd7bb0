"""Notebooks of the catalogue: a server lets in who has its token; a cell computes on Spark."""

import asyncio
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from catalogue_world import OWNER, Place, catalogue_on, chosen, until_working
from stack import Deployment, until

pytestmark = pytest.mark.timeout(1200)

CELL = """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
numbers = spark.sparkContext.parallelize(range(1000), 8)
import os
print(spark.sparkContext.master, numbers.map(lambda n: n * n).sum(), os.getuid())
hosts = numbers.map(lambda _: __import__("socket").gethostname()).distinct().collect()
print(sorted(hosts))
"""
CELL_SECONDS = 180


@pytest.fixture
def deployment(
    request: pytest.FixtureRequest, place: Place, tmp_path: Path
) -> Iterator[Deployment]:
    # Beside the notebook server: a master of 0.2, and two workers of 0.4.
    with catalogue_on(place, tmp_path, request.param, room="cores=1.2 memory=8GiB") as found:
        yield found


def address_and_token(deployment: Deployment) -> tuple[str, str]:
    """Return where the notebook server is, and the token that it said, as its user reads them."""
    found = until(
        lambda: re.search(r"[?]token=(\w+)", deployment.zoe("logs", "notebook", "jupyter.lab")),
        what=lambda: deployment.zoe("logs", "notebook"),
    )
    with deployment.client() as client:
        (url,) = [e.url for e in client.show("notebook").endpoints if e.name == "JupyterLab"]
    return url.rstrip("/"), found[1]


async def run_cell(url: str, token: str, code: str) -> str:
    """Run code in a new kernel, as a browser does it; return what it printed."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "version": "5.3"}
    header |= {"username": "", "session": uuid.uuid4().hex, "date": "2026-01-01T00:00:00Z"}
    message = {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "channel": "shell",
        "content": {"code": code, "silent": False, "allow_stdin": False},
    }
    headers = {"Authorization": f"token {token}"}
    async with aiohttp.ClientSession(headers=headers) as session, asyncio.timeout(CELL_SECONDS):
        async with session.post(f"{url}/api/kernels", json={}) as answer:
            assert answer.status == 201, await answer.text()
            kernel = (await answer.json())["id"]
        printed = ""
        async with session.ws_connect(f"{url}/api/kernels/{kernel}/channels") as channels:
            await channels.send_str(json.dumps(message))
            async for received in channels:
                answer_to = json.loads(received.data)
                if answer_to["parent_header"].get("msg_id") != header["msg_id"]:
                    continue
                content = answer_to["content"]
                match answer_to["msg_type"]:
                    case "stream":
                        printed += content["text"]
                    case "error":
                        printed += "\n".join(content["traceback"])
                    case "status" if content["execution_state"] == "idle":
                        break
        return printed


async def status_without(url: str, token: str) -> int:
    headers = {"Authorization": f"token {token}"} if token else {}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{url}/api/contents") as answer,
    ):
        return answer.status


@pytest.mark.parametrize("deployment", ["jupyter"], indirect=True)
def test_a_server_lets_in_who_has_its_token(deployment: Deployment) -> None:
    deployment.zoe("submit", "jupyter", "--name", "notebook", *chosen("memory=1GiB"))
    with deployment.client() as client:
        until_working(client, "notebook", "jupyter.lab", 1)
    url, token = address_and_token(deployment)
    assert len(token) >= 32
    assert asyncio.run(status_without(url, "")) == 403
    assert asyncio.run(status_without(url, "guessed")) == 403
    code = "import os, pathlib; pathlib.Path('here').touch(); print(6 * 7, os.getuid())"
    assert asyncio.run(run_cell(url, token, code)) == f"42 {OWNER}\n"
    assert (deployment.workspace / "here").is_file()
    deployment.zoe("stop", "notebook")
    deployment.zoe("wait", "notebook", code=101)


@pytest.mark.parametrize("deployment", ["jupyter-spark"], indirect=True)
def test_a_cell_computes_on_spark(deployment: Deployment) -> None:
    choices = chosen("workers=1", "worker_cores=0.4", "cores=0.2", "memory=1GiB")
    deployment.zoe("submit", "jupyter-spark", "--name", "notebook", *choices)
    with deployment.client() as client:
        until_working(client, "notebook", "spark.worker", 2, 180)
        until_working(client, "notebook", "jupyter.lab", 1, 180)
    url, token = address_and_token(deployment)
    printed = asyncio.run(run_cell(url, token, CELL))
    assert f"spark://0.master.spark:7077 332833500 {OWNER}\n" in printed
    assert re.search(r"[01]\.worker\.spark", printed), printed
    deployment.zoe("stop", "notebook")
    deployment.zoe("wait", "notebook", code=101)
