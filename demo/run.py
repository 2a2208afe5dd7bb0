"""The demo: a distributed application, and a second one that takes room from it and gives it back.

It drives the command `zoe` as a person would, in a folder of its own, and checks what it shows:
anything that does not come as it should ends it with an error.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psutil
from place import DemoFailed, Place, choose
from timeline import draw, of_execution

from zoe.client import RequestFailed, Zoe
from zoe.model.errors import ZoeError
from zoe.model.execution import ExecutionStatus, InstanceStatus
from zoe.model.rest_executions import ExecutionDetail

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".demo"
DATA = FOLDER / "data"
WORKER = "dask.worker"
WORKERS = 5
"""One essential, four elastic: all that fit beside the scheduler and the driver."""
ENOUGH = "enough"
"""The word count ends when this file is in its workspace: once it has its worker again."""
DEPLOYMENT = "demo"
PATIENCE_SECONDS = 120.0
"""How long anything of the story may take."""

SETTINGS = {
    "HOME": str(FOLDER / "home"),  # nobody's own settings change what is shown
    "ZOE_DATA_DIR": str(DATA),
    "ZOE_DEPLOYMENT": DEPLOYMENT,
    "ZOE_API_PORT": "0",
    "ZOE_MASTER_ENDPOINT": "tcp://127.0.0.1:0",
    "ZOE_STOP_GRACE_SECONDS": "3",  # a Dask worker that sees its scheduler go first may hang
}


def say(text: str) -> None:
    """Print a heading."""
    print(f"\n== {text}", flush=True)


def zoe(*arguments: str) -> None:
    """Run the command `zoe`, showing it and its output."""
    print("$ zoe", *arguments, flush=True)
    program = str(Path(sys.executable).parent / "zoe")
    code = subprocess.run([program, *arguments], cwd=FOLDER, check=False).returncode
    if code != 0:
        raise DemoFailed(f"`zoe {' '.join(arguments)}` ended with exit code {code}")


def ours() -> list[psutil.Process]:
    """Return the processes that belong to this demo: by environment, arguments or folder."""
    found = []
    for process in psutil.process_iter():
        try:
            marks = [*process.cmdline(), process.cwd(), process.environ().get("ZOE_DATA_DIR", "")]
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if process.pid != os.getpid() and any(str(FOLDER) in mark for mark in marks):
            found.append(process)
    return found


def left_of(place: Place) -> list[str]:
    """Return what of the demo is there: processes and containers."""
    processes = [f"process {process.pid} {process.name()}" for process in ours()]
    return processes + [f"container {one}" for one in place.containers(DEPLOYMENT)]


def wait_for(condition: Callable[[], bool], what: str, seconds: float) -> None:
    """Wait until ``condition`` holds; DemoFailed after ``seconds``."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise DemoFailed(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.1)


@contextmanager
def everything_up() -> Iterator[None]:
    """Start PostgreSQL, master and api with `zoe up`; end them all with `zoe down`."""
    print("$ zoe up &", flush=True)
    log = FOLDER / "up.log"
    with log.open("wb") as output:
        up = subprocess.Popen(
            [str(Path(sys.executable).parent / "zoe"), "up"],
            cwd=FOLDER,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def is_ready() -> bool:
        if up.poll() is not None:
            raise DemoFailed(f"`zoe up` ended with exit code {up.returncode}")
        try:
            with Zoe(retry_seconds=0) as client:
                return client.ready().master.up
        except RequestFailed:
            return False

    try:
        wait_for(is_ready, "everything to be ready", PATIENCE_SECONDS)
        yield
        say("End everything")
        zoe("down")
        wait_for(lambda: up.poll() is not None, "`zoe up` to end", 20)
    except BaseException:
        print(f"\nthe end of {log}:\n{log.read_text(errors='replace')[-4000:]}", file=sys.stderr)
        raise
    finally:
        if up.poll() is None:
            up.terminate()
            up.wait(20)


def workers(execution: ExecutionDetail) -> int:
    """Count the Dask workers that do their work."""
    return sum(
        instance.service == WORKER and instance.ready and instance.status is InstanceStatus.RUNNING
        for instance in execution.instances
    )


def is_whole(execution: ExecutionDetail) -> bool:
    """Whether the word count runs, with all of its workers."""
    return execution.status is ExecutionStatus.RUNNING and workers(execution) == WORKERS


class Story:
    """Follows executions, says what happens to them, and waits for what is to come."""

    def __init__(self, client: Zoe) -> None:
        self.client = client
        self.names: list[str] = []
        self.began: datetime | None = None
        self.cursors: dict[str, str] = {}
        self.workers: dict[str, str] = {}
        self.said = ""

    def look(self) -> dict[str, ExecutionDetail]:
        """Print what has happened since the last look; return the executions as they are now."""
        # Asked before the events: what is seen here has been told when this returns.
        found = {name: self.client.show(name) for name in self.names}
        news = [
            (entry, name)
            for name in self.names
            for entry in self.client.events(name, cursor=self.cursors.get(name, "")).items
        ]
        for entry, name in sorted(news, key=lambda each: each[0].id):
            self.cursors[name] = str(entry.id)
            self.began = self.began or entry.at
            seconds = (entry.at - self.began).total_seconds()
            match entry.kind:
                case "status":
                    print(f"{seconds:6.1f} s  {name:<10} {entry.detail['status']}", flush=True)
                case "instance" if f"/{WORKER}/" in entry.detail["id"]:
                    self.workers[entry.detail["id"]] = entry.detail["status"]
                    self.say_workers(seconds)
                case _:
                    pass
        for name, execution in found.items():
            if execution.status is ExecutionStatus.FAILED:
                raise DemoFailed(f"{name} failed: {execution.end.message if execution.end else ''}")
        return found

    def say_workers(self, seconds: float) -> None:
        """Print how many workers run, and how many stop, when that has changed."""
        statuses = list(self.workers.values())
        line = f"{statuses.count('running')} running"
        if leaving := statuses.count("stopping"):
            line += f", {leaving} stopping"
        if line != self.said:
            self.said = line
            print(f"{seconds:6.1f} s  workers    {line}", flush=True)

    def until(self, condition: Callable[[dict[str, ExecutionDetail]], bool], what: str) -> None:
        """Follow until ``condition`` holds."""
        wait_for(lambda: condition(self.look()), what, PATIENCE_SECONDS)


def show_everything() -> None:
    """Run both applications and show how they share the machine."""
    workspace = DATA / "workspaces/admin"
    workspace.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "zapps/dask-wordcount/wordcount.py", workspace)

    with Zoe() as client:
        story = Story(client)
        say("A word count on a Dask cluster: one worker, and four more while there is room")
        zoe("plan", str(ROOT / "zapps/dask-wordcount/zapp.yaml"))
        zoe(
            *("submit", str(ROOT / "zapps/dask-wordcount/zapp.yaml")),
            *("--name", "wordcount", "--set", "seconds=300", "--set", f"until={ENOUGH}"),
        )
        story.names.append("wordcount")
        story.until(lambda now: is_whole(now["wordcount"]), "all five workers and the driver")

        say("A second application: its room is held by an elastic worker")
        zoe("submit", str(ROOT / "demo/second.yaml"), "--name", "primes")
        zoe("why", "primes")
        story.names.append("primes")
        story.until(
            lambda now: now["primes"].status is ExecutionStatus.RUNNING, "the second one to run"
        )
        if workers(story.look()["wordcount"]) != WORKERS - 1:
            raise DemoFailed("the second one runs, and not exactly one worker was taken back")
        story.until(lambda now: now["primes"].is_ended, "the second one to end")
        story.until(lambda now: workers(now["wordcount"]) == WORKERS, "the worker to return")
        (workspace / ENOUGH).touch()
        story.until(lambda now: now["wordcount"].is_ended, "the word count to end")

        say("What they wrote")
        zoe("logs", "wordcount", "driver.count", "--stream", "stdout", "--bare")
        zoe("logs", "primes", "--bare")
        show_timeline(client, story.names)


def show_timeline(client: Zoe, names: Sequence[str]) -> None:
    """Print why the second one waited, what happened when, and the drawing."""
    say("What happened to them")
    histories = {name: client.events(name).items for name in names}
    waits = [entry for entry in histories["primes"] if entry.kind == "deferred"]
    if not waits:
        raise DemoFailed("the second application never waited")
    entries = sorted((e for items in histories.values() for e in items), key=lambda e: e.id)
    owners = {items[0].execution_id: name for name, items in histories.items()}
    for entry in entries:
        after = (entry.at - entries[0].at).total_seconds()
        what = entry.detail.get("id", "").partition("/")[2] or owners[entry.execution_id]
        status = entry.detail.get("status", entry.kind)
        print(f"{after:6.1f} s  {what:<18} {status:<10} {entry.message}")
    say("Timeline")
    print(draw([span for n in names for span in of_execution(client.show(n), histories[n])]))


def main() -> int:
    """Run the demo; 1 with a reason when something did not come as it should."""
    if running := ours():
        pids = [process.pid for process in running]
        print(f"processes of an earlier demo still run: {pids}", file=sys.stderr)
        return 1
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "home").mkdir(parents=True)
    for name in [name for name in os.environ if name.startswith("ZOE_")]:
        del os.environ[name]
    place = choose(ROOT / "zapps/dask")
    os.environ.update({**SETTINGS, **place.settings})
    began = time.monotonic()
    try:
        say("Start everything in .demo: PostgreSQL, master, api")
        print(f"Applications run {place.why}.")
        with everything_up():
            show_everything()
        wait_for(lambda: not left_of(place), "everything to be gone", 20)
    except (DemoFailed, ZoeError) as failure:
        print(f"\nThe demo failed: {failure}", file=sys.stderr)
        try:
            left = ", ".join(left_of(place)) or "nothing"
        except DemoFailed as unknown:
            left = f"nobody knows what, as {unknown}"
        print(f"Left: {left}. Files are in .demo.", file=sys.stderr)
        return 1
    print(f"\nDone in {time.monotonic() - began:.0f} s, and nothing is left.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
