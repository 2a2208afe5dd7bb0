"""Every setting, with its default and what it means; read once in each program.

Precedence: command line > environment (``ZOE_<NAME>``, or ``ZOE_<NAME>_FILE`` naming a file that
holds it) > ``zoe.toml`` of the working folder > ``~/.config/zoe/config.toml`` >
``/etc/zoe/zoe.toml`` > default. An unknown setting is an error.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


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

    backend: Literal["process", "fake"] = "process"
    """What runs the instances."""
    process_cores: Annotated[float, Field(ge=0)] = 0
    """Cores of this machine to give away; 0: all it has."""
    process_memory: str = "0"
    """Memory of this machine to give away, as 16GiB; 0: nine tenths of what it has."""
    process_node: str = ""
    """Name of this machine as a node; empty: its host name."""
    process_shared: bool = False
    """Run applications of more than one user as the same system user, without isolation."""
    process_path: str = ""
    """PATH of instances; empty: the folder of Zoe's own Python, then the system's folders."""

    generation: Literal["flexible"] = "flexible"
    """Which scheduling algorithm is used."""
    policy: Literal["fifo", "size"] = "fifo"
    """Order of waiting executions: by submission, or smallest first."""
    start_attempts: Annotated[int, Field(ge=1, le=100)] = 3
    """How often an instance that cannot be started is tried."""
    elastic_attempts: Annotated[int, Field(ge=1, le=1000)] = 5
    """How often an elastic instance that dies is replaced."""
    backoff_seconds: Annotated[float, Field(ge=0)] = 1.0
    """Pause before the second attempt; it doubles at each further one, up to a minute."""
    stop_grace_seconds: Annotated[float, Field(ge=0)] = 10.0
    """Time between SIGTERM and SIGKILL for instances without a grace of their own."""

    effects_concurrency: Annotated[int, Field(ge=1, le=256)] = 16
    """Calls to the back-end under way at once."""
    effect_timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    """How long one call to the back-end may take."""
    observe_seconds: Annotated[float, Field(gt=0)] = 5.0
    """Pause between two full looks at the back-end."""
    poll_seconds: Annotated[float, Field(gt=0)] = 1.0
    """How often the master looks for intents when no hint comes."""
    lease_seconds: Annotated[float, Field(ge=1)] = 10.0
    """How long a master that stopped answering keeps the lease."""

    zapps_dir: Path | None = None
    """Folder of the catalogue; empty: the applications that come with Zoe."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much the programs log."""
    log_format: Literal["text", "json"] = "text"
    """How the programs log."""

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
