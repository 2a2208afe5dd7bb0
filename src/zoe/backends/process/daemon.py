"""The program of the agent: one at a time, in the background, started once it listens."""

import argparse
import asyncio
import ctypes
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from zlib import crc32

from zoe import __version__, failpoints
from zoe.backends.process.agent import Agent
from zoe.backends.process.cgroups import Cgroups, find_cgroups
from zoe.backends.process.frames import listen, short_path
from zoe.backends.process.journal import Journal

STOP_GRACE_SECONDS = 10.0
"""Grace of instances when the agent itself is told to end."""
LOCK_SECONDS = 10.0
"""How long another agent may take to end, or to answer."""
_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Start an agent in the background; returns when it listens, or another one does."""
    parser = argparse.ArgumentParser(description="Owns the instances of one deployment.")
    parser.add_argument("--deployment", required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--idle-seconds", type=float, default=600.0)
    parser.add_argument("--no-cgroups", action="store_true")
    parser.add_argument("--lock", type=int, default=-1, help="of the agent that this one replaces")
    options = parser.parse_args()
    run_dir = options.data_dir / "run"
    endpoint = run_dir / "agent.sock"
    failpoints.arm(os.environ.get("ZOE_FAILPOINT", ""), run_dir / "failpoints")
    lock = options.lock if options.lock >= 0 else _lock(run_dir / "agent.lock", endpoint)
    replaces = options.lock >= 0
    journal = Journal(options.data_dir / "logs" / "agent.log")
    listener = listen(endpoint)
    if not replaces and os.fork() > 0:
        os._exit(0)  # whoever asked may connect now
    os.chdir("/")
    journal.take_stderr()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Two deployments of one name, in two folders, have groups of their own.
    name = f"zoe-{options.deployment}-{crc32(bytes(options.data_dir)):08x}"
    cgroups = None if options.no_cgroups else find_cgroups(name)
    replacement = asyncio.run(_run(options, listener, endpoint, cgroups, journal, replaces))
    if replacement:
        journal.write("is replaced")
        os.set_inheritable(lock, True)
        command = [*replacement, "--lock", str(lock)]
        os.execv(command[0], command)
    if cgroups is not None:
        cgroups.remove()
    journal.write("ends")


async def _run(
    options: argparse.Namespace,
    listener: socket.socket,
    endpoint: Path,
    cgroups: Cgroups | None,
    journal: Journal,
    replaces: bool,
) -> Sequence[str]:
    folder = options.data_dir / "instances"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    agent = Agent(options.deployment, folder, cgroups, journal)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGCHLD, agent.reap)
    agent.take_over(as_parent=replaces)
    agent.reap()
    background: set[asyncio.Task[None]] = set()

    def end() -> None:
        background.add(loop.create_task(agent.call_shutdown({"grace_seconds": STOP_GRACE_SECONDS})))

    loop.add_signal_handler(signal.SIGTERM, end)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    server = await asyncio.start_unix_server(agent.serve, sock=listener)
    journal.write(f"version {__version__} serves {endpoint} as process {os.getpid()}")
    background.add(loop.create_task(_end_when_idle(agent, endpoint, options.idle_seconds, end)))
    await agent.done.wait()
    server.close()
    if not agent.replacement:
        os.unlink(endpoint)
    return agent.replacement


def _lock(path: Path, endpoint: Path) -> int:
    """Return the held lock of the deployment; exits when another agent holds it and answers."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _answers(endpoint):
                sys.exit(0)
            if time.monotonic() > until:
                sys.exit(f"another agent holds {path} and does not answer")
            time.sleep(0.02)
        else:
            return lock


def _answers(endpoint: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client, short_path(endpoint) as name:
        return client.connect_ex(name) == 0


async def _end_when_idle(
    agent: Agent, endpoint: Path, idle_seconds: float, end: Callable[[], None]
) -> None:
    """End when nobody needed the agent for a while, or when its folder was deleted."""
    inode = _inode(endpoint)
    needed_at = time.monotonic()
    while True:
        await asyncio.sleep(min(10.0, idle_seconds / 4))
        if not agent.is_idle:
            needed_at = time.monotonic()
        if _inode(endpoint) != inode or time.monotonic() - needed_at > idle_seconds:
            end()
            return


def _inode(path: Path) -> int:
    """Return what tells this file from another of its name; 0 when it is gone."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


if __name__ == "__main__":
    main()
