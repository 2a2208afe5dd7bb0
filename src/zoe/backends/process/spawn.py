"""Starts a process in its session, groups, limits, folder and files, without an interpreter.

A plain fork and exec: the child enters its control groups and takes its limits between the two, so
nothing that it starts can be outside. What goes wrong in the child is raised in the parent.
"""

import errno
import os
import resource
import shutil
import signal
from collections.abc import Iterable, Mapping
from typing import NamedTuple, NoReturn

from zoe.backends.process import tree


class Program(NamedTuple):
    """What to run, and where its output goes (files that are appended to)."""

    command: list[str]
    environment: Mapping[str, str]
    work_dir: str
    stdout: str
    stderr: str


class Confinement(NamedTuple):
    """What holds the process: its mark, its control groups, else limits of each process."""

    mark: tree.Mark
    entrances: list[str]
    memory_bytes: int = 0
    """Limit of private memory of one process, for want of control groups; 0: none."""


class CannotStart(Exception):
    """The process was not started; ``retryable`` tells whether it may work later."""

    def __init__(self, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.retryable = retryable


def find_program(program: Program) -> str:
    """Return the file to execute; raises CannotStart in words."""
    name = program.command[0]
    if not os.path.isdir(program.work_dir):
        raise CannotStart(f"the folder {program.work_dir} does not exist here", retryable=False)
    if "/" in name:
        path = os.path.join(program.work_dir, name)
        if not os.path.exists(path):
            raise CannotStart(f"the program {name} does not exist here", retryable=False)
        if os.path.isdir(path) or not os.access(path, os.X_OK):
            raise CannotStart(f"{name} is not an executable file", retryable=False)
        return path
    search = program.environment.get("PATH", "")
    found = shutil.which(name, path=search)
    if found is None:
        message = f"the program {name} was not found; the PATH of instances is {search}"
        raise CannotStart(message, retryable=False)
    return found


def spawn(program: Program, confinement: Confinement) -> int:
    """Start it and return its process id; raises CannotStart."""
    file = find_program(program)
    opened: list[int] = []
    try:
        opened.append(os.open(os.devnull, os.O_RDONLY))
        for path in (program.stdout, program.stderr):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            opened.append(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640))
        trouble, told = os.pipe()
        opened += (trouble, told)
        pid = os.fork()
        if pid == 0:
            _become(file, program, confinement, opened[:3], told)
        os.close(opened.pop())
        with os.fdopen(opened.pop(), "rb") as pipe:
            words = pipe.read().decode(errors="replace")
    except OSError as error:
        raise CannotStart(f"the system refused: {error.strerror}", retryable=True) from error
    finally:
        for descriptor in opened:
            os.close(descriptor)
    if words:
        os.waitpid(pid, 0)
        number, _, message = words.partition(" ")
        raise CannotStart(message, retryable=int(number) in _MAY_PASS)
    return pid


_MAY_PASS = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EBUSY})


def _become(
    file: str, program: Program, confinement: Confinement, files: Iterable[int], told: int
) -> NoReturn:
    """Turn the forked child into the program; never returns."""
    step = "could not leave the agent"
    try:
        # A signal that comes now must not wake the agent's loop through the shared socket.
        signal.set_wakeup_fd(-1)
        for number in (
            signal.SIGTERM,
            signal.SIGINT,
            signal.SIGCHLD,
            signal.SIGPIPE,
            signal.SIGHUP,
        ):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.setsid()
        for descriptor, opened in enumerate(files):
            os.dup2(opened, descriptor)
        step = "could not enter its control group"
        for entrance in confinement.entrances:
            with open(entrance, "w") as group:
                group.write("0")
        step = "could not take its limits"
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        tree.wear(confinement.mark)
        if confinement.memory_bytes:
            resource.setrlimit(resource.RLIMIT_DATA, (confinement.memory_bytes,) * 2)
        step = f"could not enter the folder {program.work_dir}"
        os.chdir(program.work_dir)
        os.umask(0o022)
        step = f"could not execute {file}"
        os.execve(file, program.command, program.environment)
    except BaseException as error:
        code = getattr(error, "errno", None) or 0
        why = getattr(error, "strerror", None) or str(error)
        os.write(told, f"{code} {step}: {why}".encode()[:4000])
    os._exit(127)
