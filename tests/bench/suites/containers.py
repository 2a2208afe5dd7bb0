"""What Zoe adds to a Docker Engine: starts and stops beside the engine alone, and its idle cost.

The engine is one of its own, as the tests have it; without root or Docker the suite says so.
"""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from deployment import Deployment, deployment
from figures import Figures, percentile

from components import is_present
from docker_engine import IMAGE, engine_of_its_own
from zoe.backends.docker.engine import Engine
from zoe.backends.docker.host import CONCURRENCY
from zoe.model.engines import EngineSpec

LIMIT_SECONDS = 900.0
ROUNDS = 15
MANY = 50
CROWD = 200
WATCHED_SECONDS = 20.0
STOP_SECONDS = 300.0
LOOK_SECONDS = 0.1
"""Between two looks: they take processors away from what is measured."""
DEPLOYMENT = "bench"
ALONE = "bench-alone"
TOLD = ["date", "+%s%N"]
"""The program says itself when it ran, in nanoseconds since 1970."""

ONE = f"""
zoe: 4
name: bench-one
frameworks:
  bench:
    services:
      only:
        image: {IMAGE}
        command: [date, "+%s%N"]
        monitor: true
        resources: {{cores: 100m, memory: 16MiB}}
"""
SEVERAL = """
zoe: 4
name: bench-several
kind: service
frameworks:
  bench:
    services:
      sleeper:
        image: {image}
        command: [sleep, infinity]
        count: {{essential: {count}, elastic: 0}}
        resources: {{cores: 5m, memory: 8MiB}}
"""


async def measure(figures: Figures, folder: Path) -> None:
    """Measure on an engine that does nothing else."""
    if not is_present("docker"):
        figures.note("left out: it needs root, and Docker as docs/howto/docker.md says")
        return
    with engine_of_its_own() as there:
        settings = {
            "ZOE_BACKEND": "docker",
            "ZOE_DEPLOYMENT": DEPLOYMENT,
            "ZOE_DOCKER_ENGINES": f"lab {there.url} cores=4 memory=8GiB",
        }
        engine = Engine(EngineSpec("lab", there.url), DEPLOYMENT)
        try:
            async with deployment(folder, **settings) as zoe:
                await _idle(figures, zoe, "with no container")
                for part in (_one, _several, _crowd):
                    await part(figures, engine, zoe)
        finally:
            await engine.close()


async def _one(figures: Figures, engine: Engine, zoe: Deployment) -> None:
    """From the submission to the running program, on an idle Zoe."""
    bare: list[float] = []
    through: list[float] = []
    command = ["docker", "-H", engine.spec.url, "run", "--rm", "--init", IMAGE, *TOLD]
    async with zoe.connection() as api:
        for _ in range(ROUNDS):
            began = time.time_ns()
            told = subprocess.run(command, capture_output=True, check=True).stdout  # noqa: ASYNC221  # bare
            bare.append((int(told) - began) / 1e6)
            began = time.time_ns()
            id = await api.submit(ONE)
            await api.until_ended(id, 60, LOOK_SECONDS)
            (line,) = (await api.get(f"/executions/{id}/logs"))["items"]
            through.append((int(line["text"]) - began) / 1e6)
            await _until_gone(engine)
    figures.add(
        "submit to container running, median",
        percentile(through, 50),
        "ms",
        baseline=percentile(bare, 50),
        rounds=ROUNDS,
    )


async def _several(figures: Figures, engine: Engine, zoe: Deployment) -> None:
    """Fifty at once, beside the engine that this program alone asks for as many of the same."""
    names = [f"alone-{number}" for number in range(MANY)]
    await engine.create_network(ALONE, {})
    start = await _timed(lambda: _all(names, lambda name: _start(engine, name)))
    stop = await _timed(lambda: _all(names, lambda name: _end(engine, name)))
    await engine.remove_network(ALONE)
    id, started = await _running(zoe, MANY)
    stopped = await _timed(lambda: _stop(engine, zoe, id))
    figures.add(f"submit to {MANY} containers running", started, "s", baseline=start)
    for name, ours, bare in (("started", started, start), ("stopped", stopped, stop)):
        figures.add(
            f"containers {name}", MANY / ours, "1/s", baseline=MANY / bare, must=0.85 * MANY / bare
        )


async def _crowd(figures: Figures, engine: Engine, zoe: Deployment) -> None:
    id, _ = await _running(zoe, CROWD)
    await _idle(figures, zoe, f"with {CROWD} containers")
    await _stop(engine, zoe, id)


async def _idle(figures: Figures, zoe: Deployment, when: str) -> None:
    """The share of a core that a master uses while nothing happens but its own looking."""
    before = zoe.cpu_seconds("master")
    await asyncio.sleep(WATCHED_SECONDS)
    share = (zoe.cpu_seconds("master") - before) / WATCHED_SECONDS
    figures.add(f"master {when}", 100 * share, "% of a core", seconds=WATCHED_SECONDS)


async def _running(zoe: Deployment, count: int) -> tuple[int, float]:
    """Return an execution of so many containers, and in how many seconds the last one ran."""
    async with zoe.connection() as api, asyncio.timeout(LIMIT_SECONDS):
        began = datetime.now(UTC)
        id = await api.submit(SEVERAL.format(image=IMAGE, count=count))
        while (shown := await api.get(f"/executions/{id}"))["status"] != "running":
            await asyncio.sleep(1.0)  # what it shows of so many costs as much as a start
    last = max(datetime.fromisoformat(each["started_at"]) for each in shown["instances"])
    return id, (last - began).total_seconds()


async def _stop(engine: Engine, zoe: Deployment, id: int) -> None:
    async with zoe.connection() as api:
        status, body = await api.request("POST", f"/executions/{id}/stop")
    if status >= 300:
        raise RuntimeError(f"stop: {status}: {body!r}")
    await _until_gone(engine)


async def _until_gone(engine: Engine) -> None:
    async with asyncio.timeout(STOP_SECONDS):
        while await engine.containers():
            await asyncio.sleep(LOOK_SECONDS)


async def _start(engine: Engine, name: str) -> None:
    host = {"Init": True, "NetworkMode": ALONE, "Memory": 8 * 2**20, "MemorySwap": 8 * 2**20}
    config = {"Image": IMAGE, "Cmd": ["sleep", "infinity"], "HostConfig": host}
    await engine.start(await engine.create(name, config))


async def _end(engine: Engine, name: str) -> None:
    """As `docker stop` and `docker rm` do it, with the time to end that Zoe gives, too."""
    await engine._ask("POST", f"containers/{name}/stop", {"t": "10"})
    await engine.remove(name)


async def _all(names: list[str], what: Callable[[str], Awaitable[None]]) -> None:
    """Do it to all, with as many at once as Zoe has under way."""
    free = asyncio.Semaphore(CONCURRENCY)

    async def one(name: str) -> None:
        async with free:
            await what(name)

    await asyncio.gather(*(one(name) for name in names))


async def _timed(what: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await what()
    return time.perf_counter() - began
