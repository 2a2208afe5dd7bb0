"""Control groups of instances: limits, the count of kills for memory, and the end of a whole tree.

Version 2 when it has the controllers, else version 1 with its controllers in several hierarchies.
Groups are made below the agent's own group, so limits above it hold; or at the nearest place above
where that is allowed.
"""

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from zoe.backends.process import tree

CONTROLLERS = ("memory", "pids", "cpu")
"""In the order in which a process enters their groups: once its cores are limited it is slow."""
COUNTING = "cpuacct"
"""Counts the time on cores in version 1, with a hierarchy of its own where ``cpu`` has it not."""
PROCESSES_MAX = 4096
"""Processes and threads of one instance: a fork bomb ends here."""
_PERIOD_MICROSECONDS = 100_000


class Limits(NamedTuple):
    """What an instance may use; a zero means no limit."""

    memory_bytes: int = 0
    cores_milli: int = 0
    """Its weight when cores are short."""
    quota_milli: int = 0
    """Cores that it never exceeds."""


class Cgroups:
    """The place for the groups of one deployment."""

    def __init__(self, version: int, parents: Mapping[str, Path]) -> None:
        self.version = version
        self._parents = parents
        """The deployment's folder in each hierarchy: by controller, or "all" for version 2."""

    def group(self, name: str) -> "Group":
        """Return the group of an instance, which may not exist yet; ``name`` has no slash."""
        return Group(self.version, {key: path / name for key, path in self._parents.items()})

    def names(self) -> set[str]:
        """Return the names of the groups that exist."""
        return {
            entry.name
            for path in self._parents.values()
            if path.is_dir()
            for entry in path.iterdir()
            if entry.is_dir()
        }

    def remove(self) -> None:
        """Remove the deployment's own folders, when they are empty."""
        for path in self._parents.values():
            _remove(path)

    @property
    def places(self) -> list[str]:
        """The deployment's folders."""
        return [str(path) for path in self._parents.values()]


class Group:
    """The control group of one attempt of one instance."""

    def __init__(self, version: int, folders: Mapping[str, Path]) -> None:
        self._version = version
        self._folders = folders

    def create(self, limits: Limits) -> None:
        """Make it, with its limits; raises OSError."""
        for folder in self._folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        _write(self._folder("pids") / "pids.max", PROCESSES_MAX)
        self.limit(limits)

    def limit(self, limits: Limits) -> None:
        """Set other limits; raises OSError when it uses more than that already."""
        memory, cpu = self._folder("memory"), self._folder("cpu")
        quota = limits.quota_milli * _PERIOD_MICROSECONDS // 1000
        if self._version == 2:
            _write(memory / "memory.max", limits.memory_bytes or "max")
            _try_write(memory / "memory.swap.max", 0 if limits.memory_bytes else "max")
            _try_write(memory / "memory.oom.group", 1)
            _write(cpu / "cpu.weight", min(10_000, max(1, limits.cores_milli // 10)))
            _write(cpu / "cpu.max", f"{quota or 'max'} {_PERIOD_MICROSECONDS}")
            return
        files = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        # The limit with swap may never be below the one without: raise it first, lower it last.
        _try_write(memory / files[1], limits.memory_bytes or -1)
        _write(memory / files[0], limits.memory_bytes or -1)
        _try_write(memory / files[1], limits.memory_bytes or -1)
        _write(cpu / "cpu.shares", max(2, limits.cores_milli * 1024 // 1000))
        _write(cpu / "cpu.cfs_period_us", _PERIOD_MICROSECONDS)
        _write(cpu / "cpu.cfs_quota_us", quota or -1)

    @property
    def entrances(self) -> list[str]:
        """The files to which a process of one thread writes 0 to enter."""
        # To move whole processes the kernel stops forks on all cores, which takes milliseconds.
        name = "cgroup.procs" if self._version == 2 else "tasks"
        return [str(folder / name) for folder in self._folders.values()]

    def memory_kills(self) -> int:
        """How many of its processes the kernel has killed because memory ran out."""
        name = "memory.events" if self._version == 2 else "memory.oom_control"
        return _value_of(_read(self._folder("memory") / name), "oom_kill")

    def memory_bytes(self) -> tuple[int, int]:
        """Return the memory that it has now, and the most that it had, without cache of files.

        How much of the most was such cache nobody tells: as much as is there now.
        """
        folder = self._folder("memory")
        names = ("memory.current", "memory.peak", "inactive_file")
        if self._version == 1:
            names = ("memory.usage_in_bytes", "memory.max_usage_in_bytes", "total_inactive_file")
        cache = _value_of(_read(folder / "memory.stat"), names[2])
        now = _number(_read(folder / names[0])) - cache
        return max(0, now), max(0, now, _number(_read(folder / names[1])) - cache)

    def core_seconds(self) -> float:
        """How long its processes have worked, those that have ended, too."""
        if self._version == 2:
            return _value_of(_read(self._folder("cpu") / "cpu.stat"), "usage_usec") / 1e6
        folder = self._folders.get(COUNTING, self._folder("cpu"))
        return _number(_read(folder / "cpuacct.usage")) / 1e9

    def pids(self, *, everywhere: bool = True) -> set[int]:
        """Return its processes: of every hierarchy, as one may be about to enter the next.

        Not ``everywhere``: only those that count for its memory.
        """
        found: set[int] = set()
        for folder in self._folders.values() if everywhere else (self._folder("memory"),):
            for path in (folder, *_below(folder)):
                found.update(map(int, _read(path / "cgroup.procs").split()))
        return found

    def kill(self) -> None:
        """Send SIGKILL to everything in it, also to what is being forked now."""
        _try_write(self._folder("pids") / "pids.max", 0)
        for folder in self._folders.values():
            _try_write(folder / "cgroup.kill", 1)
        tree.kill(self.pids(), signal.SIGKILL)

    def remove(self) -> bool:
        """Remove it; whether it is gone (it is not while a process is in it)."""
        return all([_remove(folder) for folder in self._folders.values()])

    def _folder(self, controller: str) -> Path:
        return self._folders["all" if self._version == 2 else controller]


def find_cgroups(name: str) -> Cgroups | None:
    """Return a place for groups below a folder called ``name``, or None where we may not."""
    mounts = dict(_mounts(Path("/proc/self/mountinfo").read_text()))
    own = dict(_own_groups(Path("/proc/self/cgroup").read_text()))
    if set(CONTROLLERS) <= mounts.keys():
        parents = {key: _make_below(mounts[key], own.get(key, "/"), name) for key in CONTROLLERS}
        made = {key: path for key, path in parents.items() if path is not None}
        if len(made) == len(CONTROLLERS):
            counting = (
                _make_below(mounts[COUNTING], own.get(COUNTING, "/"), name)
                if (mounts.get(COUNTING, mounts["cpu"]) != mounts["cpu"])
                else None
            )
            return Cgroups(1, made if counting is None else made | {COUNTING: counting})
        for path in made.values():
            _remove(path)
    elif "all" in mounts:
        delegated = _make_delegated(mounts["all"], own.get("all", "/"), name)
        if delegated is not None:
            return Cgroups(2, {"all": delegated})
    return None


def _mounts(text: str) -> Iterator[tuple[str, Path]]:
    """Yield where each controller is mounted; "all" stands for version 2."""
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        point = Path(before.split()[4])
        kind, _, options = after.split()[:3]
        if kind == "cgroup2":
            yield "all", point
        elif kind == "cgroup":
            yield from (
                (key, point) for key in options.split(",") if key in (*CONTROLLERS, COUNTING)
            )


def _own_groups(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        yield from ((key, path) for key in controllers.split(",") if key)
        if not controllers:
            yield "all", path


def _upwards(mount: Path, own: str) -> Iterator[Path]:
    """Yield the own group and those above, as far as this mount shows them."""
    inside = mount / own.lstrip("/")
    if not inside.is_dir():  # a container sees its own group as the root
        inside = mount
    yield inside
    for above in inside.parents:
        if not above.is_relative_to(mount):
            return
        yield above


def _make_below(mount: Path, own: str, name: str) -> Path | None:
    for place in _upwards(mount, own):
        try:
            (place / name).mkdir(exist_ok=True)
        except OSError:
            continue
        if os.access(place / name / "cgroup.procs", os.W_OK):
            return place / name
    return None


def _make_delegated(mount: Path, own: str, name: str) -> Path | None:
    """Version 2: groups with processes of their own cannot pass controllers on."""
    wanted = " ".join(f"+{controller}" for controller in CONTROLLERS)
    for place in _upwards(mount, own):
        folder = place / name
        try:
            _write(place / "cgroup.subtree_control", wanted)
            folder.mkdir(exist_ok=True)
            _write(folder / "cgroup.subtree_control", wanted)
        except OSError:
            _remove(folder)
            continue
        return folder
    return None


def _below(folder: Path) -> Iterator[Path]:
    try:
        inside = [Path(entry) for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:
        return
    for path in inside:
        yield from _below(path)
        yield path


def _remove(folder: Path) -> bool:
    for path in (*_below(folder), folder):
        try:
            path.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(text: str) -> int:
    return int(text) if text.strip().isdigit() else 0


def _value_of(text: str, key: str) -> int:
    """Return the number behind ``key`` at the beginning of a line; 0 where there is none."""
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return _number(value)
    return 0


def _write(path: Path, value: object) -> None:
    path.write_text(str(value))


def _try_write(path: Path, value: object) -> None:
    """Write where the file exists and allows it: not every kernel has every file."""
    try:
        if path.exists():
            _write(path, value)
    except OSError:
        pass
