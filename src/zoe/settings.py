"""Every setting, with its default and what it means; read once in each program.

Precedence: command line > environment (``ZOE_<NAME>``, or ``ZOE_<NAME>_FILE`` naming a file that
holds it) > ``zoe.toml`` of the working folder > ``~/.config/zoe/config.toml`` >
``/etc/zoe/zoe.toml`` > default. An unknown setting is an error.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from zoe.model import units
from zoe.model.engines import EngineSpec, parse_engines
from zoe.model.errors import Problem, ZoeError
from zoe.model.gpus import parse_gpus
from zoe.model.volumes import VolumeSpec, parse_volumes
from zoe.setting_checks import ALL, Engines, Failpoint, check_gpus, check_memory, check_volumes

SECRETS = frozenset({"database_url", "token"})
"""Settings that are never shown."""
CONTAINERS = ("docker", "swarm")
"""The back-ends whose instances outlive every program of ours."""


class Settings(BaseModel):
    """All settings of one deployment; immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deployment: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] = "zoe"
    """Name of this deployment; nothing of another deployment is ever touched."""
    data_dir: Path = Field(default_factory=lambda: Path.home() / ".local/share/zoe")
    """Folder of everything that lasts: database, keys, logs, workspaces."""
    database_url: str = ""
    """PostgreSQL to use, as postgresql://...; empty: one of our own in the data folder."""
    pg_bin: Path | None = None
    """Folder of the PostgreSQL programs for the embedded database; empty: the packaged ones."""
    database_pool_size: Annotated[int, Field(ge=2, le=200)] = 8
    """Connections that one program keeps to the database at most."""

    api_host: str = "127.0.0.1"
    """Address the api listens on."""
    api_port: Annotated[int, Field(ge=0, le=65535)] = 8642
    """Port the api listens on; 0 takes a free one."""
    api_url: str = ""
    """Address of the api for the command line and for applications; empty: made of the above."""
    token: str = ""
    """Access token for the command line; empty: the one that `zoe up` or `zoe login` kept."""
    request_max_bytes: Annotated[int, Field(ge=1024)] = 1024 * 1024
    """Largest request body that the api accepts."""

    master_endpoint: str = "tcp://127.0.0.1:8643"
    """ZeroMQ address of the master; tcp://127.0.0.1:0 takes a free port (with `zoe up`)."""
    rpc_timeout_seconds: Annotated[float, Field(gt=0)] = 2.0
    """How long the api waits for an answer of the master."""
    rpc_hint_seconds: Annotated[float, Field(gt=0)] = 0.25
    """How long the api tries to ring the master after a commit."""

    backend: Literal["process", "docker", "swarm", "fake"] = "process"
    """What runs the instances: docs/reference/backends.md. `zoe up` prefers docker, if unset."""
    docker_engines: Engines = "docker unix:///var/run/docker.sock"
    """Docker Engines, `;` between: name, unix:, ssh: or tcp:, then as docs/howto/docker.md."""
    swarm_engines: Engines = "manager unix:///var/run/docker.sock"
    """Engines of the swarm's nodes, managers first, as docker_engines: docs/howto/swarm.md."""
    docker_gpu_driver: Literal["nvidia", "none"] = "nvidia"
    """What gives GPUs to containers; none: their ids are only told, in variables."""
    docker_pull: Literal["missing", "always", "never"] = "missing"
    """When an image is pulled: if the engine has not got it, at every start, or never."""
    docker_auth: Path | None = None
    """File of `docker login` with passwords of registries; empty: ~/.docker/config.json."""
    volumes: Annotated[str, AfterValidator(check_volumes)] = ""
    """Folders that applications may use by name, `;` between: see docs/howto/volumes.md."""
    process_cores: Annotated[float, Field(ge=0)] = 0
    """Cores of this machine to give away; 0: all it has."""
    process_memory: Annotated[str, AfterValidator(check_memory)] = "0"
    """Memory of this machine to give away, as 16GiB; 0: nine tenths of what it has."""
    process_gpus: Annotated[str, AfterValidator(check_gpus)] = ""
    """GPUs of this machine to give away, as 0,1; none: none; empty: all NVIDIA ones it has."""
    process_node: str = ""
    """Name of this machine as a node; empty: its host name."""
    process_shared: bool = False
    """Run applications of more than one user as the same system user, without isolation."""
    process_path: str = ""
    """PATH of instances; empty: the folder of Zoe's own Python, then the system's folders."""

    generation: Literal["flexible", "published", "malleable", "rigid"] = "flexible"
    """Algorithm that gives room; the others are there to compare with."""
    policy: Literal["fair", "priority", "fifo", "sjf", "srpt", "hrrn", "size2d", "size3d"] = "fair"
    """Order of waiting executions: see docs/explanation/scheduling.md."""
    half_life_seconds: Annotated[float, Field(gt=0)] = 259200.0
    """What somebody held so long ago (three days) counts half of what is held now (`fair`)."""
    reclaim: bool = True
    """Take elastic instances back when the essential ones of another execution need their room."""
    grant_seconds: Annotated[float, Field(ge=0)] = 10.0
    """How long an elastic instance is left alone at least before it is taken back."""
    reclaim_per_plan: Annotated[int, Field(ge=1)] = 1000
    """How many elastic instances are taken back at once at most."""
    reclaim_per_hour: Annotated[int, Field(ge=1)] = 60
    """How many times in an hour elastic instances of one execution are taken back at most."""
    lost_seconds: Annotated[float, Field(ge=0)] = 3600.0
    """Work that an instance which is taken back is thought to lose at most, if it has no hook."""
    growth_gain: Annotated[float, Field(ge=0, le=1)] = 0.1
    """What one more elastic instance with a speed-up curve adds at least, while others wait."""
    backfill: Literal["easy", "conservative", "none"] = "easy"
    """Who may overtake: who delays not the first that is blocked, who delays nobody, or nobody."""
    backfill_depth: Annotated[int, Field(ge=1)] = 200
    """How many waiting executions are looked at behind the first that is blocked."""
    patience_seconds: Annotated[float, Field(ge=0)] = 604800.0
    """Who has waited for longer (a week) goes first, whatever the policy says."""
    rank: Literal["pack", "spread", "random"] = "pack"
    """Of several nodes with room: the fullest, the emptiest, or any."""
    start_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """How often an instance that cannot be started is tried."""
    elastic_attempts: Annotated[int, Field(ge=1, le=1000)] = 5
    """How often an elastic instance that dies is replaced."""
    backoff_seconds: Annotated[float, Field(ge=0)] = 1.0
    """Pause before the second attempt; it doubles at each further one, up to a minute."""
    stop_grace_seconds: Annotated[float, Field(ge=0)] = 10.0
    """Time between SIGTERM and SIGKILL for instances without a grace of their own."""

    forecast_pause_seconds: Annotated[float, Field(gt=0)] = 10.0
    """Pause between two forecasts of when waiting executions start; none without a change."""
    forecast_budget_seconds: Annotated[float, Field(gt=0, le=60)] = 3.0
    """How long one forecast may be computed, in a process of its own."""
    forecast_depth: Annotated[int, Field(ge=0, le=10_000)] = 200
    """How many executions, from the head of the queue on, get a forecast; 0: none are made."""

    effects_concurrency: Annotated[int, Field(ge=1, le=256)] = 16
    """Calls to the back-end under way at once."""
    effect_timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    """How long one call to the back-end may take."""
    observe_seconds: Annotated[float, Field(gt=0)] = 5.0
    """Pause between two full looks at the back-end."""
    sample_seconds: Annotated[float, Field(ge=0)] = 10.0
    """Pause between two samples of what instances and nodes use; 0: nothing is sampled."""
    sample_days: Annotated[float, Field(ge=1)] = 30.0
    """For how many days it is kept what was used of nodes."""
    pressure_free_memory: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Where a smaller part of a node's memory is free, elastic instances go; 0: they stay."""
    pressure_memory_stall: Annotated[float, Field(ge=0, le=100)] = 25.0
    """Percent of the time from which programs that wait for memory cost elastic instances; 0:
    never."""
    pressure_cpu_stall: Annotated[float, Field(ge=0, le=100)] = 0.0
    """The same of cores, from which no elastic instance is added; 0: nobody looks."""
    pressure_pause_seconds: Annotated[float, Field(ge=0)] = 300.0
    """How long no elastic instance is added to a node after it was short of something."""
    poll_seconds: Annotated[float, Field(gt=0)] = 1.0
    """How often the master looks for intents when no hint comes."""
    lease_seconds: Annotated[float, Field(ge=1)] = 10.0
    """How long a master that stopped answering keeps the lease."""

    zapps_dir: Path | None = None
    """Folder of the catalogue; empty: the applications that come with Zoe."""
    traces_dir: Path | None = None
    """Folder of the tables that `zoe simulate --workload paper` draws from; empty: none."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much the programs log."""
    log_format: Literal["text", "json"] = "text"
    """How the programs log."""
    failpoint: Failpoint = ""
    """For tests: where programs die or wait, as cp07:kill: see docs/reference/failpoints.md."""

    @property
    def engines(self) -> tuple[EngineSpec, ...]:
        """The Docker Engines of the back-end."""
        return parse_engines(self.engines_text)

    @property
    def engines_text(self) -> str:
        """The setting that names them."""
        return self.swarm_engines if self.backend == "swarm" else self.docker_engines

    @property
    def volume_specs(self) -> tuple[VolumeSpec, ...]:
        """The volumes that applications may name."""
        return parse_volumes(self.volumes)

    @property
    def process_memory_bytes(self) -> int:
        """Memory of this machine to give away, in bytes; 0: nine tenths of what it has."""
        return 0 if self.process_memory in ALL else units.memory_bytes(self.process_memory)

    @property
    def process_gpu_ids(self) -> tuple[str, ...] | None:
        """The GPUs of this machine to give away; None: those that are found."""
        return parse_gpus(self.process_gpus) if self.process_gpus else None

    @property
    def logs_dir(self) -> Path:
        """Folder of the output of instances."""
        return self.data_dir / "logs"

    @property
    def workspaces_dir(self) -> Path:
        """Folder of the users' workspaces, one folder each."""
        return self.data_dir / "workspaces"

    @property
    def keys_dir(self) -> Path:
        """Folder of the CURVE keys of the api and the master."""
        return self.data_dir / "keys"

    @property
    def run_dir(self) -> Path:
        """Folder of sockets, locks and the record of what `zoe up` started."""
        return self.data_dir / "run"

    @property
    def failpoints_dir(self) -> Path:
        """Folder of what tells which failpoints have fired."""
        return self.run_dir / "failpoints"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the value of a setting comes from; ``place`` names the variable or the file:line."""

    source: Literal["command line", "environment", "file", "default"]
    place: str = ""

    def __str__(self) -> str:
        return self.place or self.source


class SettingsInvalid(ZoeError):
    """Settings that cannot be used; carries every problem at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(map(str, problems)),
            hint="`zoe config show --origin` lists the settings; docs/reference/settings.md says "
            "what each one means.",
        )


_OTHER_VARIABLES = frozenset(
    f"ZOE_TEST_{name}" for name in ("REQUIRE", "CACHE", "SEEDS", "TEXT_BYTES", "CRASHES")
)
"""Variables of ours that are no settings."""
_INSTANCE_MARK = "ZOE_EXECUTION_ID"
"""Set in every instance of an application, beside more variables that are no settings."""


def settings_files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that may hold settings, the strongest first."""
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME") or "~", ".config")
    user_file = Path(home).expanduser() / "zoe/config.toml"
    return (Path("zoe.toml").absolute(), user_file, Path("/etc/zoe/zoe.toml"))


def load_settings(
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] = os.environ,
    files: Sequence[Path] | None = None,
) -> tuple[Settings, Mapping[str, Origin]]:
    """Return the settings and where each came from; raises SettingsInvalid with all problems.

    ``overrides`` are the values of the command line, by setting. ``files`` replaces the usual
    places, the strongest first; those that do not exist are skipped.
    """
    problems: list[Problem] = []
    layers: list[_Layer] = []
    for file in reversed(settings_files(environ) if files is None else files):
        layers.append(_read_file(file, problems))
    layers.append(_read_environment(environ, problems))
    layers.append(
        {
            name: (value, Origin("command line", f"--{name.replace('_', '-')}"))
            for name, value in (overrides or {}).items()
        }
    )

    merged: _Layer = {}
    for layer in layers:
        merged.update(layer)
    values = {name: _as_path(name, value, origin) for name, (value, origin) in merged.items()}
    origins = {name: origin for name, (_, origin) in merged.items()}
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += _wrong_values(error, origins)
    if problems:
        raise SettingsInvalid(problems)
    return settings, {name: origins.get(name, Origin("default")) for name in Settings.model_fields}


def to_environment(settings: Settings) -> dict[str, str]:
    """Return the variables from which a child process reads exactly these settings.

    Secrets are left out: give them in files of their own, with ``ZOE_<NAME>_FILE``.
    """
    return {
        f"ZOE_{name.upper()}": "" if value is None else str(value)
        for name, value in settings
        if name not in SECRETS
    }


_Layer = dict[str, tuple[object, Origin]]


def _read_file(file: Path, problems: list[Problem]) -> _Layer:
    try:
        text = file.read_text()
        table = tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(f"it cannot be read: {error}", file=str(file)))
        return {}
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line, column = map(int, place.groups()) if place else (len(text.splitlines()), 1)
        problems.append(Problem(f"this is not TOML: {error}", "", str(file), line, column))
        return {}
    layer: _Layer = {}
    for key, value in table.items():
        line = _line_of(key, text)
        if key in Settings.model_fields:
            layer[key] = (value, Origin("file", f"{file}:{line}"))
        else:
            problems.append(
                Problem("there is no such setting", key, str(file), line, 1, _did_you_mean(key))
            )
    return layer


def _line_of(key: str, text: str) -> int:
    """Return the line on which a top-level ``key`` is set (tomllib does not tell)."""
    pattern = re.compile(rf"""\s*\[?\s*["']?{re.escape(key)}["']?\s*[=.\]]""")
    return next((n for n, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 1)


def _read_environment(environ: Mapping[str, str], problems: list[Problem]) -> _Layer:
    layer: _Layer = {}
    for variable in sorted(environ):  # ZOE_TOKEN before ZOE_TOKEN_FILE
        if not variable.startswith("ZOE_"):
            continue
        name = variable.removeprefix("ZOE_").lower()
        named_by_file = name.removesuffix("_file")
        origin = Origin("environment", variable)
        if name in Settings.model_fields:
            layer[name] = (environ[variable], origin)
        elif name.endswith("_file") and named_by_file in Settings.model_fields:
            if named_by_file in layer:
                problems.append(
                    Problem(f"set it or ZOE_{named_by_file.upper()}, not both", path=variable)
                )
                continue
            try:
                layer[named_by_file] = (Path(environ[variable]).read_text().strip(), origin)
            except (OSError, UnicodeDecodeError) as error:
                problems.append(Problem(f"the file cannot be read: {error}", path=variable))
        elif variable not in _OTHER_VARIABLES and _INSTANCE_MARK not in environ:
            hint = _did_you_mean(name, lambda match: f"ZOE_{match.upper()}")
            problems.append(
                Problem("no setting belongs to this variable", path=variable, hint=hint)
            )
    return layer


def _did_you_mean(name: str, spell: Callable[[str], str] = str) -> str:
    matches = difflib.get_close_matches(name, Settings.model_fields, n=1)
    return f"did you mean {spell(matches[0])}?" if matches else ""


def _as_path(name: str, value: object, origin: Origin) -> object:
    """Make folders absolute: those of a file are relative to it, others to the working folder."""
    if name not in _PATHS or not isinstance(value, str | Path):
        return value
    if not str(value):
        return None
    base = Path(origin.place).parent if origin.source == "file" else Path.cwd()
    return Path(os.path.normpath(base / Path(value).expanduser()))


_PATHS = frozenset({"data_dir", "pg_bin", "zapps_dir", "traces_dir", "docker_auth"})


def _wrong_values(error: ValidationError, origins: Mapping[str, Origin]) -> Iterator[Problem]:
    for wrong in error.errors():
        name = str(wrong["loc"][0])
        allowed = wrong["msg"][:1].lower() + wrong["msg"][1:]
        shown = "this value" if name in SECRETS else f"{wrong['input']!r}"
        origin = origins.get(name, Origin("default"))
        if wrong["type"] == "extra_forbidden":
            yield Problem("there is no such setting", path=name, hint=_did_you_mean(name))
        else:
            yield Problem(f"{shown} is not allowed: {allowed}", path=f"{origin}: {name}")
