"""The shapes of an application description, as written: what the JSON Schema is made of.

Amounts are already in the model's units after validation; relations between fields that need more
than one value (limits and resources, names and dependencies) are judged in
:mod:`zoe.model.zapp_checks`.
"""

from typing import Any, Literal, Self, get_args

from pydantic import (
    ConfigDict,
    Field,
    model_validator,
)

from zoe.model.limits import (
    MAX_ATTEMPTS,
    MAX_FRAMEWORKS,
    MAX_GPUS,
    MAX_INSTANCES,
    MAX_ITEMS,
    MAX_SERVICES,
)
from zoe.model.parameter_document import Parameters
from zoe.model.zapp_values import (
    AbsolutePath,
    AnyScalar,
    Command,
    Cores,
    Document,
    Duration,
    Folder,
    HttpPath,
    Image,
    InstanceCount,
    Label,
    Memory,
    Name,
    ParameterName,
    PortNumber,
    Text,
    Title,
    VariableName,
)

Dependency = Literal["started", "ready", "completed"]


class ResourcesDocument(Document):
    """What an instance reserves; nobody else gets it."""

    cores: Cores = Field(default=1000, description="Cores: 2, 0.5 or 500m. Default 1.")
    memory: Memory = Field(default=1024**3, description="Memory: 16GiB or 500MB. Default 1GiB.")
    gpus: int = Field(default=0, ge=0, le=MAX_GPUS, description="Whole GPUs. Default 0.")


class LimitsDocument(Document):
    """What an instance may use at most; at least what it reserves."""

    cores: Cores | None = Field(default=None, description="Cores; default: no limit but the node.")
    memory: Memory | None = Field(
        default=None, description="Memory; default: no limit but the node."
    )


class CountDocument(Document):
    """How many instances: the essential ones start together, the elastic ones as room allows.

    A number alone is that of the essential ones.
    """

    essential: InstanceCount = Field(
        default=1, description="Needed for the application to run. Default 1."
    )
    elastic: InstanceCount = Field(
        default=0, description="Useful on top, can be taken back. Default 0."
    )

    @model_validator(mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"essential": value}
        if not isinstance(value, dict):
            raise ValueError("must be a whole number, or a mapping of essential and elastic")
        return value


class PortDocument(Document):
    """A port that the service listens on."""

    name: Title = Field(
        default="", description="Shown to users. Default: the protocol and the number."
    )
    port: PortNumber = Field(description="1 to 65535.")
    protocol: Literal["http", "https", "tcp", "udp"] = Field(
        default="tcp", description="Users open http and https ones in the browser. Default tcp."
    )


class HttpDocument(Document):
    """Ready when a GET answers with a status below 400."""

    port: PortNumber = Field(description="Port that is asked.")
    path: HttpPath = Field(default="/", description="Path that is asked. Default /.")


class TcpDocument(Document):
    """Ready when the port accepts a connection."""

    port: PortNumber = Field(description="Port that is connected to.")


class ReadyDocument(Document):
    """How to tell that an instance is ready: exactly one of http, tcp and command."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [check]} for check in ("http", "tcp", "command")],
        }
    )

    http: HttpDocument | None = Field(
        default=None, description="A GET answers with a status below 400."
    )
    tcp: TcpDocument | None = Field(default=None, description="A port accepts a connection.")
    command: Command | None = Field(
        default=None, description="A command, run inside the instance, exits with 0."
    )
    timeout: Duration = Field(
        default=60.0, description="Not ready after this: it counts as not started. Default 60s."
    )
    interval: Duration = Field(
        default=0.5, description="Longest time between two tries. Default 500ms."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(check is not None for check in (self.http, self.tcp, self.command)) != 1:
            raise ValueError("must have exactly one of http, tcp and command")
        return self


class VolumeDocument(Document):
    """A volume that the administrator defined, inside the instance."""

    name: Name = Field(description="Name of the volume.")
    path: AbsolutePath = Field(description="Where it is inside the instance.")
    read_only: bool = Field(default=False, description="Whether writing is refused. Default false.")


class ShrinkDocument(Document):
    """What happens before an elastic instance is taken back."""

    command: Command | None = Field(default=None, description="Run inside the instance first.")
    grace: Duration = Field(
        default=10.0,
        description="Time that the command and the end may take together. Default 10s.",
    )


class RestartDocument(Document):
    """Whether an essential instance that failed is started again."""

    policy: Literal["never", "on-failure"] = Field(default="never", description="Default never.")
    attempts: int = Field(
        default=3, ge=1, le=MAX_ATTEMPTS, description="How often it is started again. Default 3."
    )
    backoff: Duration = Field(
        default=10.0, description="Wait before the first new start; doubles each time. Default 10s."
    )


class SpeedupPointDocument(Document):
    """How much faster so many instances are than one."""

    instances: int = Field(ge=2, le=MAX_INSTANCES, description="How many instances; at least 2.")
    speed: float = Field(
        ge=1, le=MAX_INSTANCES, description="How many times faster they are than one; at least 1."
    )


class SpeedupDocument(Document):
    """What more instances bring: exactly one of parallel_fraction and points."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [way]} for way in ("parallel_fraction", "points")],
        }
    )

    parallel_fraction: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="By Amdahl's law: the part of the work that runs in parallel, 0 to 1.",
    )
    points: list[SpeedupPointDocument] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_ITEMS,
        description="As measured: more instances from point to point, never slower.",
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.parallel_fraction is None) == (self.points is None):
            raise ValueError("must have exactly one of parallel_fraction and points")
        return self


class ProcessDocument(Document):
    """What differs when the application runs as processes, without containers."""

    command: Command = Field(description="Runs in place of the service's command.")


class ServiceDocument(Document):
    """One kind of container: what to run, what it needs, how many, what it waits for."""

    image: Image | None = Field(default=None, description="Container image.")
    command: Command | None = Field(
        default=None, description="Program and arguments; default: the image's own."
    )
    process: ProcessDocument | None = Field(
        default=None, description="What differs when it runs as a process, without a container."
    )
    resources: ResourcesDocument = Field(
        default_factory=ResourcesDocument, description="What each instance reserves."
    )
    limits: LimitsDocument | None = Field(
        default=None, description="What each instance may use at most; at least what it reserves."
    )
    count: CountDocument = Field(
        default_factory=CountDocument,
        description="Instances: a number of essential ones, or {essential, elastic}. Default 1.",
    )
    ports: list[PortDocument] = Field(
        default_factory=list, max_length=MAX_ITEMS, description="Ports that it listens on."
    )
    ready: ReadyDocument | None = Field(
        default=None, description="How to tell that an instance is ready; default: when it runs."
    )
    depends_on: dict[Name, Dependency] = Field(
        default_factory=dict,
        description="Services of the same framework, and what they must have reached before.",
    )
    monitor: bool = Field(
        default=False, description="Its end ends the execution; its exit code is the execution's."
    )
    environment: dict[VariableName, Text] = Field(
        default_factory=dict, max_length=MAX_ITEMS, description="Environment variables."
    )
    work_dir: Folder | None = Field(default=None, description="Folder that the command starts in.")
    volumes: list[VolumeDocument] = Field(
        default_factory=list, max_length=MAX_ITEMS, description="Named volumes."
    )
    labels: list[Label] = Field(
        default_factory=list, max_length=MAX_ITEMS, description="Labels that its nodes must have."
    )
    spread: bool = Field(default=False, description="Whether instances prefer different nodes.")
    shm: Memory | None = Field(default=None, description="Shared memory at /dev/shm.")
    restart: RestartDocument = Field(
        default_factory=RestartDocument, description="Whether a failed instance starts again."
    )
    shrink: ShrinkDocument = Field(
        default_factory=ShrinkDocument,
        description="What to do first when an elastic instance is taken back.",
    )
    speedup: SpeedupDocument | None = Field(
        default=None,
        description="What more instances bring; one that brings little waits for others.",
    )


class FrameworkHeading(Document):
    """A framework of an application, without its services."""

    use: Name | None = Field(default=None, description="Name of a catalogue framework to take.")
    with_: dict[ParameterName, AnyScalar] = Field(
        default_factory=dict,
        alias="with",
        description="Values of the parameters of the catalogue framework.",
    )
    depends_on: dict[Name, Dependency] = Field(
        default_factory=dict,
        description="Frameworks of this application, and what they must have reached before.",
    )


class FrameworkDocument(FrameworkHeading):
    """A group of services that start and depend together, written here or from the catalogue."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["services"]}, {"required": ["use"]}],
            "dependentRequired": {"with": ["use"]},
        }
    )

    services: dict[Name, ServiceDocument] = Field(
        default_factory=dict, max_length=MAX_SERVICES, description="The services, by name."
    )


class ZAppHeading(Document):
    """An application without its frameworks."""

    zoe: Literal[4] = Field(description="Version of the format.")
    name: Name = Field(description="Name of the application.")
    title: Title = Field(default="", description="One line for people.")
    description: Text = Field(default="", description="What it does and how to use it.")
    kind: Literal["batch", "interactive", "service"] = Field(
        default="batch",
        description="A batch application ends with its monitor; the others when they are stopped.",
    )
    time_limit: Duration | None = Field(
        default=None,
        description="It is stopped after this time; also the first guess of how long it runs.",
    )
    parameters: Parameters = Field(
        default_factory=dict, description="What the user chooses; ${parameters.name} in values."
    )


class ZAppDocument(ZAppHeading):
    """An application: frameworks of services, started by their dependencies."""

    frameworks: dict[Name, FrameworkDocument] = Field(
        min_length=1, max_length=MAX_FRAMEWORKS, description="The frameworks, by name."
    )


class CatalogueHeading(Document):
    """A framework of the catalogue, without its services."""

    zoe: Literal[4] = Field(description="Version of the format.")
    framework: Name = Field(description="Name of the framework.")
    title: Title = Field(default="", description="One line for people.")
    description: Text = Field(default="", description="What it is for and how to use it.")
    parameters: Parameters = Field(
        default_factory=dict, description="What the application chooses, by with."
    )


class CatalogueDocument(CatalogueHeading):
    """A framework of the catalogue."""

    services: dict[Name, ServiceDocument] = Field(
        min_length=1, max_length=MAX_SERVICES, description="The services, by name."
    )


def keys_at(shape: type[Document], path: tuple[str | int, ...]) -> tuple[str, ...]:
    """Return the keys that ``shape`` knows at ``path``, none where any key is good."""
    annotation: Any = shape
    for step in path:
        if isinstance(annotation, type) and issubclass(annotation, Document):
            fields = {field.alias or name: field for name, field in annotation.model_fields.items()}
            annotation = fields[str(step)].annotation
        else:
            annotation = get_args(annotation)[-1]
        annotation = _without_none(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Document):
        return tuple(field.alias or name for name, field in annotation.model_fields.items())
    return ()


def _without_none(annotation: Any) -> Any:
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if len(arguments) == 1 and type(None) in get_args(annotation):
        return arguments[0]
    return annotation
