"""From the submission to the running process, beside starting the same process directly."""

import subprocess
import time
from pathlib import Path

from deployment import deployment
from figures import Figures, percentile
from wire import Connection

ROUNDS = 40
COMMAND = ["date", "+%s%N"]
"""The program that is started says itself when it ran, in nanoseconds since 1970."""

DOCUMENT = """
zoe: 4
name: bench-start
frameworks:
  bench:
    services:
      only:
        command: [date, "+%s%N"]
        monitor: true
        resources: {cores: 100m, memory: 16MiB}
"""


async def measure(figures: Figures, folder: Path) -> None:
    """Measure one submission after the other, each on an idle Zoe."""
    bare: list[float] = []
    through: list[float] = []
    async with deployment(folder) as zoe, zoe.connection() as api:
        await _round(api)
        for _ in range(ROUNDS):
            began = time.time_ns()
            told = subprocess.run(COMMAND, capture_output=True, check=True).stdout  # noqa: ASYNC221  # bare
            bare.append((int(told) - began) / 1e6)
            through.append(await _round(api))
    baseline = percentile(bare, 50)
    median = percentile(through, 50)
    figures.add("submit to process running, median", median, "ms", baseline=baseline)
    figures.add("the part of Zoe, median", median - baseline, "ms", aim=50)
    figures.add("the part of Zoe, p95", percentile(through, 95) - baseline, "ms", rounds=ROUNDS)


async def _round(api: Connection) -> float:
    """Return how many milliseconds after the submission the process ran."""
    began = time.time_ns()
    execution_id = await api.submit(DOCUMENT)
    await api.until_ended(execution_id)
    return (int(await _output(api, execution_id)) - began) / 1e6


async def _output(api: Connection, execution_id: int) -> str:
    text: str = (await api.get(f"/executions/{execution_id}/logs"))["items"][0]["text"]
    return text
