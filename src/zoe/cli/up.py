"""`zoe up` and `zoe down`: PostgreSQL, master and api as processes of one deployment.

The order is the order of need: the database, its migrations, then master and api at once. They get
their settings through the environment, secrets through files. Applications belong to the agent of
the back-end, which outlives us when it is told to.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoe.cli import backend_choice, deployment
from zoe.cli.deployment import Running
from zoe.cli.supervisor import Child, Patience, Program, ending, rotate, tail
from zoe.client import AsyncZoe, Unreachable
from zoe.client.credentials import Credentials, address, keep, kept
from zoe.model.errors import ZoeError
from zoe.settings import CONTAINERS, Settings, to_environment

READY_SECONDS = 60.0
"""How long everything together may take to become ready; the first start makes a database."""
DOWN_SECONDS = 45.0
KEEP_SIGNAL = signal.SIGUSR1
"""Asks `zoe up` to end and to leave the applications running."""
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, KEEP_SIGNAL)


class UpFailed(ZoeError):
    """Zoe could not be started."""


def make_folders(settings: Settings) -> None:
    """Make the folders that everybody needs. Raises UpFailed."""
    # PostgreSQL may run as another user: it must be able to walk through the first one.
    for folder, mode in (
        (settings.data_dir, 0o711),
        (settings.run_dir, 0o700),
        (settings.logs_dir, 0o700),
    ):
        try:
            folder.mkdir(mode=mode, parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UpFailed(
                f"the folder {folder} cannot be made: {error.strerror}",
                hint="--data-dir names another one.",
            ) from error
    if not os.access(settings.data_dir, os.W_OK | os.X_OK):
        raise UpFailed(
            f"the folder {settings.data_dir} cannot be written to",
            hint="--data-dir names another one.",
        )


def deployment_lock(settings: Settings) -> AbstractContextManager[None]:
    """Make the data folder and hold it alone. Raises UpFailed and AlreadyRunning."""
    make_folders(settings)
    return deployment.held(settings.run_dir)


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs of a deployment, by its settings."""

    settings: Settings

    @property
    def database_url_file(self) -> Path:
        """The file that tells the others where the database is."""
        return self.settings.run_dir / "database_url"

    @property
    def environment(self) -> Mapping[str, str]:
        """What the programs are told: our own environment, but for the settings."""
        others = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("ZOE_") or name == "ZOE_TEST_REQUIRE"
        }
        return (
            others
            | to_environment(self.settings)
            | {
                "ZOE_DATABASE_URL_FILE": str(self.database_url_file),
                "PYTHONUNBUFFERED": "1",
            }
        )

    def _python(self, name: str, *arguments: str, announces: bool = False) -> Program:
        log = self.settings.logs_dir / f"{name}.log"
        command = (sys.executable, "-P", "-m", *arguments)
        return Program(name, command, log, self.environment, announces)

    @property
    def postgres(self) -> Program:
        """The embedded database's owner."""
        bin_dir = self.settings.pg_bin
        more = ("--pg-bin", str(bin_dir)) if bin_dir else ()
        folder = str(self.settings.data_dir)
        return self._python("postgres", "zoe.store.embedded", folder, *more, announces=True)

    @property
    def migrate(self) -> Program:
        """What brings a database of the user's to this version; ends by itself."""
        program = self._python("migrate", "zoe.store.migrate")
        database = {"ZOE_DATABASE_URL": self.database_url_file.read_text()}
        return replace(program, environment={**program.environment, **database})

    @property
    def master(self) -> Program:
        """The master."""
        return self._python("master", "zoe.master.main")

    @property
    def api(self) -> Program:
        """The api."""
        return self._python("api", "zoe.api.main")

    @property
    def end_instances(self) -> Program:
        """What ends every application of this deployment; ends by itself."""
        which = (
            *("--deployment", self.settings.deployment),
            *("--data-dir", str(self.settings.data_dir)),
        )
        if self.settings.backend in CONTAINERS:
            module = f"zoe.backends.{self.settings.backend}.shutdown"
            engines = ("--engines", self.settings.engines_text)
            return self._python("shutdown", module, *which, *engines)
        return self._python("agent-shutdown", "zoe.backends.process.shutdown", *which)

    def keep_database_url(self, url: str) -> None:
        """Write down where the database is, for the programs of this deployment alone."""
        part = self.database_url_file.with_suffix(".part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(url)
        part.replace(self.database_url_file)


class Up:
    """A whole deployment, alive from :meth:`start` to :meth:`stop`."""

    def __init__(
        self, settings: Settings, say: Callable[[str], None], patience: Patience = Patience()
    ) -> None:
        self.settings = settings
        self._programs = Programs(settings)
        self._say = say
        self._patience = patience
        self._children: list[Child] = []
        self._is_ready = False

    async def start(self) -> Credentials:
        """Start everything and return the address and token once it is ready."""
        self._record()
        # Each fires once in a life of the deployment, which begins here.
        shutil.rmtree(self.settings.failpoints_dir, ignore_errors=True)
        backend_choice.note_start(self.settings)
        if self.settings.database_url:
            self._programs.keep_database_url(self.settings.database_url)
            await run_to_end(self._programs.migrate)
        else:  # its owner migrates it before it announces it
            await self._add(self._programs.postgres, self._database_announced)
        for program in (self._programs.master, self._programs.api):
            await self._add(program)
        await self._until_ready()
        found = self._keep_credentials()
        self._is_ready = True
        self._record()
        return found

    async def watch(self) -> None:
        """Stay until a program has died too often. Raises GaveUp."""
        watching = [asyncio.create_task(child.watch()) for child in self._children]
        try:
            done, _ = await asyncio.wait(watching, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in watching:
                task.cancel()

    async def stop(self, *, keep_applications: bool) -> None:
        """End everything, in the order that leaves no one waiting for another."""
        for child in reversed(self._children):
            if child.program.name != "postgres":
                await child.stop()
        if not keep_applications:
            try:
                await end_applications(self.settings)
            except UpFailed as error:
                self._say(str(error))
        for child in self._children:
            await child.stop()
        self._programs.database_url_file.unlink(missing_ok=True)

    async def _add(
        self, program: Program, on_announcement: Callable[[str], None] = lambda line: None
    ) -> None:
        child = Child(program, self._say, self._patience, on_announcement, self._record)
        self._children.append(child)
        await child.start()

    def _record(self) -> None:
        """Tell other commands who runs where."""
        pids = {child.program.name: child.pid for child in self._children}
        running = Running(os.getpid(), self.settings.api_url, self._is_ready, pids)
        deployment.write(self.settings.run_dir, running)

    def _database_announced(self, line: str) -> None:
        self._programs.keep_database_url(json.loads(line)["url"])

    async def _until_ready(self) -> None:
        gave_up = asyncio.create_task(self.watch())
        ready = asyncio.create_task(self._ask_until_ready())
        try:
            await asyncio.wait({gave_up, ready}, return_when=asyncio.FIRST_COMPLETED)
            for task in (gave_up, ready):
                if task.done():
                    task.result()
        finally:
            for task in (gave_up, ready):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, ZoeError):
                    await task

    async def _ask_until_ready(self) -> None:
        async with AsyncZoe(f"http://{address(self.settings)}", "none", retry_seconds=0) as zoe:
            until = time.monotonic() + READY_SECONDS
            waits_for = "the api"
            while time.monotonic() < until:
                try:
                    found = await zoe.ready()
                except Unreachable:
                    waits_for = "the api"
                else:
                    if found.store and found.master.up:
                        return
                    waits_for = "the master" if found.store else "the database"
                await asyncio.sleep(0.05)
        log = self.settings.logs_dir / ("master.log" if waits_for == "the master" else "api.log")
        raise UpFailed(
            f"{waits_for} is not ready after {READY_SECONDS:g} s; the end of {log}:\n{tail(log)}",
            hint="`zoe doctor` looks for the reason.",
        )

    def _keep_credentials(self) -> Credentials:
        """Keep what other commands need; the api leaves its first token in a file."""
        first = self.settings.data_dir / "token"
        before = kept(self.settings.data_dir)
        token = before.token if before else ""
        with contextlib.suppress(FileNotFoundError):
            token = first.read_text().strip()
        found = Credentials(self.settings.api_url, token)
        keep(self.settings.data_dir, found)
        first.unlink(missing_ok=True)
        return found


async def end_applications(settings: Settings) -> None:
    """End whatever the back-end runs for this deployment. Raises UpFailed."""
    if settings.backend != "fake":
        await run_to_end(Programs(settings).end_instances)
    backend_choice.note_end(settings)


async def run_to_end(program: Program) -> None:
    """Run a program that ends by itself. Raises UpFailed with what it said."""
    rotate(program.log)
    with program.log.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "TERM", *program.command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=program.environment,
            start_new_session=True,
        )
    try:
        code = await asyncio.wait_for(process.wait(), READY_SECONDS)
    except TimeoutError:
        process.kill()
        code = await process.wait()
    if code:
        raise UpFailed(f"{program.name} {ending(code)}:\n{tail(program.log)}")


async def stay_up(
    settings: Settings, say: Callable[[str], None], greet: Callable[[Credentials, bool], None]
) -> None:
    """Start everything, greet (with the token's first appearance), and stay until told to end."""
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def tell(number: int) -> None:
        if not told.done():
            told.set_result(number)

    for number in ENDING_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, tell, number)
    up = Up(settings, say)
    is_new = kept(settings.data_dir) is None
    living = asyncio.create_task(_live(up, lambda found: greet(found, is_new)))
    waited: list[asyncio.Future[Any]] = [told, living]
    try:
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if living.done():
            living.result()
        say("ending")
    finally:
        living.cancel()
        with contextlib.suppress(asyncio.CancelledError, ZoeError):
            await living
        # What broke down by itself leaves the applications to the next start.
        keep_them = not told.done() or told.result() == KEEP_SIGNAL
        await up.stop(keep_applications=keep_them)


async def _live(up: Up, greet: Callable[[Credentials], None]) -> None:
    greet(await up.start())
    await up.watch()


def detach(arguments: list[str], settings: Settings) -> tuple[Credentials, bool]:
    """Run `zoe up` in the background; when it is ready, return where, and if the token is new.

    Raises UpFailed and AlreadyRunning.
    """
    with deployment_lock(settings):
        is_new = kept(settings.data_dir) is None
    log_path = settings.logs_dir / "up.log"
    rotate(log_path)
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "zoe.cli.main", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    while True:
        running = deployment.read(settings.run_dir)
        if running and running.ready and running.pid == process.pid:
            return kept(settings.data_dir) or Credentials(running.url), is_new
        if (code := process.poll()) is not None:
            raise UpFailed(f"zoe up {ending(code)}:\n{tail(log_path)}")
        time.sleep(0.05)


def _may_run(settings: Settings) -> bool:
    """Whether applications may have outlived the programs."""
    if settings.backend in CONTAINERS:
        return (settings.data_dir / settings.backend).is_dir()
    return (settings.run_dir / "agent.sock").exists()


def down(settings: Settings, *, keep_applications: bool) -> bool:
    """End what runs in the data folder; return whether anything ran. Raises UpFailed."""
    running = deployment.read(settings.run_dir)
    if running is None:
        if keep_applications:
            return False
        if ran := _may_run(settings):
            asyncio.run(end_applications(settings))
        else:
            backend_choice.note_end(settings)
        return ran
    if not running.pid:
        raise UpFailed("Zoe is being started; try again in a moment")
    os.kill(running.pid, KEEP_SIGNAL if keep_applications else signal.SIGTERM)
    until = time.monotonic() + DOWN_SECONDS
    while deployment.read(settings.run_dir) is not None:
        if time.monotonic() > until:
            raise UpFailed(
                f"process {running.pid} has not ended within {DOWN_SECONDS:g} s",
                hint=f"see {settings.logs_dir}; `kill -9 {running.pid}` ends it for certain.",
            )
        time.sleep(0.05)
    if not keep_applications and backend_choice.may_run(settings):
        raise UpFailed(
            f"Zoe has ended, and not all of its applications: see {settings.logs_dir}",
            hint="`zoe down` again ends them once what runs them answers.",
        )
    return True
