"""The application as the user meant it: a ZApp of frameworks of services, fully resolved.

Everything here is a checked value: :mod:`zoe.model.zapp_yaml` makes it from a document after
substituting parameters and catalogue frameworks. What can only be known when an instance starts
(``${dns...}``, ``${workspace}``) is still in the strings; :mod:`zoe.model.launch` resolves it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from zoe.model.resources import Resources


class Kind(StrEnum):
    """What the user expects of an execution's end; only ``batch`` ends by itself."""

    BATCH = "batch"
    INTERACTIVE = "interactive"
    SERVICE = "service"


class Condition(StrEnum):
    """The state a dependency must have reached before its dependant may start."""

    STARTED = "started"
    READY = "ready"
    COMPLETED = "completed"


@dataclass(frozen=True, slots=True)
class Port:
    """A port that the service listens on; ``name`` is shown to users."""

    name: str
    port: int
    protocol: Literal["http", "https", "tcp", "udp"] = "tcp"


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """Ready when a GET answers with a status below 400."""

    port: int
    path: str = "/"
    kind: Literal["http"] = "http"


@dataclass(frozen=True, slots=True)
class TcpCheck:
    """Ready when the port accepts a connection."""

    port: int
    kind: Literal["tcp"] = "tcp"


@dataclass(frozen=True, slots=True)
class CommandCheck:
    """Ready when the command, run inside the instance, exits with 0."""

    command: tuple[str, ...]
    kind: Literal["command"] = "command"


@dataclass(frozen=True, slots=True)
class ReadyCheck:
    """How to tell that an instance is ready, and after how long it counts as failed to start."""

    check: HttpCheck | TcpCheck | CommandCheck
    timeout_seconds: float = 60.0
    interval_seconds: float = 0.5


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """A named volume that the administrator defined, at a path inside the instance."""

    name: str
    path: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class ShrinkHook:
    """What to run inside an elastic instance before it is taken back, and how long it may take."""

    command: tuple[str, ...] = ()
    grace_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Whether an instance that failed is started again; the back-off doubles at each attempt."""

    policy: Literal["never", "on-failure"] = "never"
    attempts: int = 3
    backoff_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Speedup:
    """What more instances bring: by Amdahl's law, or as it was measured.

    ``parallel_fraction`` is the part of the work that runs in parallel. ``points`` go before it:
    numbers of instances, growing from 2 on, and how many times faster each is than one instance,
    never falling. Between two points the speed is on the line, after the last it stays.
    """

    parallel_fraction: float = 1.0
    points: tuple[tuple[int, float], ...] = ()

    def speed(self, count: int) -> float:
        """Return how many times faster ``count`` instances (at least one) are than one."""
        if self.points:
            return self._measured(count)
        serial = 1.0 - self.parallel_fraction
        return 1.0 / (serial + self.parallel_fraction / count)

    def gain(self, count: int) -> float:
        """Return what one more than ``count`` instances adds, in parts of what one alone does."""
        return self.speed(count + 1) - (self.speed(count) if count else 0.0)

    def _measured(self, count: int) -> float:
        below, slower = 1, 1.0
        for instances, speed in self.points:
            if count < instances:
                return slower + (speed - slower) * (count - below) / (instances - below)
            below, slower = instances, speed
        return slower


@dataclass(frozen=True, slots=True)
class Service:
    """One kind of container: what to run, what it needs, how many, and what it waits for."""

    name: str
    image: str = ""
    command: tuple[str, ...] = ()
    process_command: tuple[str, ...] = ()
    """What runs on the ``process`` back-end in place of ``command``; empty: the same."""
    resources: Resources = field(default_factory=Resources)
    limits: Resources | None = None
    """Hard limits, each at least ``resources``; a zero means no limit beyond the node."""
    essential: int = 1
    elastic: int = 0
    ports: tuple[Port, ...] = ()
    ready: ReadyCheck | None = None
    depends_on: Mapping[str, Condition] = field(default_factory=dict)
    """Other services of the same framework, by name."""
    monitor: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    work_dir: str = ""
    volumes: tuple[VolumeMount, ...] = ()
    labels: tuple[str, ...] = ()
    spread: bool = False
    shm_bytes: int = 0
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    shrink: ShrinkHook = field(default_factory=ShrinkHook)
    speedup: Speedup | None = None


@dataclass(frozen=True, slots=True)
class Framework:
    """A named group of services that start, depend and are reused together."""

    name: str
    services: tuple[Service, ...]
    depends_on: Mapping[str, Condition] = field(default_factory=dict)
    """Other frameworks of the application, by name."""


@dataclass(frozen=True, slots=True)
class ZApp:
    """A whole application; ``frameworks`` is in the order of the document."""

    name: str
    kind: Kind
    frameworks: tuple[Framework, ...]
    time_limit_seconds: float | None = None
    parameters: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """The values that were substituted, as chosen for this execution."""

    def services(self) -> Iterator[tuple[str, Service]]:
        """Yield ``("framework.service", service)`` in the order of the document."""
        for framework in self.frameworks:
            for service in framework.services:
                yield f"{framework.name}.{service.name}", service

    def service(self, full_name: str) -> Service:
        """Return the service called ``framework.service``; KeyError when there is none."""
        framework_name, _, name = full_name.partition(".")
        for framework in self.frameworks:
            if framework.name == framework_name:
                for service in framework.services:
                    if service.name == name:
                        return service
        raise KeyError(full_name)
