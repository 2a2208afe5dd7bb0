"""The shapes of an application description, as written: what the JSON Schema is made of.

Amounts are already in the model's units after validation; relations between fields that need more
than one value (limits and resources, names and dependencies) are judged in
:mod:`zoe.model.zapp_checks`.
"""

import math
import re
from dataclasses import replace
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from zoe.model.document_nodes import written_text
from zoe.model.limits import (
    MAX_ATTEMPTS,
    MAX_FRAMEWORKS,
    MAX_GPUS,
    MAX_INSTANCES,
    MAX_ITEMS,
    MAX_PARAMETERS,
    MAX_PATH_LENGTH,
    MAX_SERVICES,
    MAX_TEXT_LENGTH,
    MAX_TITLE_LENGTH,
)
from zoe.model.parameters import Parameter, ParameterType
from zoe.model.units import NUMBER, cores_milli, duration_seconds, memory_bytes

NAME = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
"""A name of an application, framework, service or volume: one label of a host name."""

PARAMETER_NAME = r"[a-z][a-z0-9_-]{0,62}"


class Document(BaseModel):
    """A mapping with known keys only."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _text(value: object) -> object:
    return written_text(value) if isinstance(value, int | float) else value


def _matching(pattern: str, what: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            shown = value if len(value) <= 40 else value[:37] + "..."
            raise ValueError(f"{shown!r} is not {what}")
        return value

    return AfterValidator(check)


def _pattern(pattern: str, maximum: int = MAX_TEXT_LENGTH) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^({pattern})$", "maxLength": maximum})


Text = Annotated[
    str,
    BeforeValidator(_text),
    Field(max_length=MAX_TEXT_LENGTH),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
"""A text; a number or boolean stands for how it is written."""


def _scalar(value: object) -> object:
    if isinstance(value, str | int | float):
        return value
    raise ValueError("must be a text, a number or a boolean")


def _number(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise ValueError("must be a number")


AnyScalar = Annotated[
    Any,
    AfterValidator(_scalar),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
AnyNumber = Annotated[Any, AfterValidator(_number), WithJsonSchema({"type": "number"})]
Title = Annotated[
    str,
    BeforeValidator(_text),
    Field(max_length=MAX_TITLE_LENGTH),
    WithJsonSchema({"type": ["string", "number", "boolean"], "maxLength": MAX_TITLE_LENGTH}),
]

_NAME_WORDS = "a name: 1 to 63 of a-z, 0-9 and -, with no - at either end"
Name = Annotated[str, _matching(NAME, _NAME_WORDS), _pattern(NAME, 63)]
ParameterName = Annotated[
    str,
    _matching(PARAMETER_NAME, "a parameter's name: 1 to 63 of a-z, 0-9, _ and -, a letter first"),
    _pattern(PARAMETER_NAME, 63),
]
_VARIABLE = r"(?!ZOE_)[A-Za-z_][A-Za-z0-9_]{0,254}"
VariableName = Annotated[
    str,
    _matching(
        _VARIABLE,
        "the name of an environment variable: A-Z, a-z, 0-9 and _, not beginning with a digit or"
        " with ZOE_, which are Zoe's own",
    ),
    _pattern(_VARIABLE, 255),
]
_LABEL = r"[A-Za-z0-9][A-Za-z0-9._=/-]{0,62}"
Label = Annotated[
    str,
    _matching(_LABEL, "a label: 1 to 63 of letters, digits and . _ = / -, a letter or digit first"),
    _pattern(_LABEL, 63),
]
_IMAGE = r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}"
Image = Annotated[
    str, _matching(_IMAGE, "the name of an image, such as python:3.12"), _pattern(_IMAGE, 512)
]
_PATH = r"(?:/(?!\.\.(?:/|$))[^/\x00-\x1f]*)+"
AbsolutePath = Annotated[
    str,
    Field(max_length=MAX_PATH_LENGTH),
    _matching(_PATH, "an absolute path without .."),
    _pattern(_PATH, MAX_PATH_LENGTH),
]
_FOLDER = rf"(?:\$\{{workspace\}})?{_PATH}|\$\{{workspace\}}"
Folder = Annotated[
    str,
    Field(max_length=MAX_PATH_LENGTH),
    _matching(_FOLDER, "an absolute path without .., or one that begins with ${workspace}"),
    _pattern(_FOLDER, MAX_PATH_LENGTH),
]
_HTTP_PATH = r"/[!-~]*"
HttpPath = Annotated[
    str,
    Field(max_length=MAX_PATH_LENGTH),
    _matching(_HTTP_PATH, "the path of a URL: it begins with / and has no spaces"),
    _pattern(_HTTP_PATH, MAX_PATH_LENGTH),
]

Command = Annotated[list[Text], Field(min_length=1, max_length=MAX_ITEMS)]
PortNumber = Annotated[int, Field(ge=1, le=65535)]
InstanceCount = Annotated[int, Field(ge=0, le=MAX_INSTANCES)]

_BYTE_UNIT = r"([KkMmGgTtPp][Ii]?)?[Bb]?"
Cores = Annotated[
    int,
    BeforeValidator(cores_milli),
    WithJsonSchema(
        {"type": ["number", "string"], "exclusiveMinimum": 0, "pattern": f"^{NUMBER}m?$"}
    ),
]
Memory = Annotated[
    int,
    BeforeValidator(memory_bytes),
    WithJsonSchema(
        {"type": ["integer", "string"], "minimum": 1, "pattern": f"^{NUMBER} ?{_BYTE_UNIT}$"}
    ),
]
Duration = Annotated[
    float,
    BeforeValidator(duration_seconds),
    WithJsonSchema(
        {
            "type": ["number", "string"],
            "exclusiveMinimum": 0,
            "pattern": f"^({NUMBER}|({NUMBER}(ms|[dhms]))+)$",
        }
    ),
]
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


class ParameterDocument(Document):
    """Something that the user chooses; ``${parameters.name}`` stands for it."""

    type: ParameterType = Field(description="Kind of value.")
    default: AnyScalar | None = Field(
        default=None,
        description="Value when the user chooses none; without it the user has to choose.",
    )
    min: AnyNumber | None = Field(default=None, description="Least value of an integer or number.")
    max: AnyNumber | None = Field(
        default=None, description="Greatest value of an integer or number."
    )
    choices: list[Text] | None = Field(
        default=None, min_length=1, max_length=MAX_ITEMS, description="The values of a choice."
    )
    title: Title = Field(default="", description="Shown beside the field of the form.")
    description: Text = Field(default="", description="Shown under the field of the form.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        bounds = [bound for bound in (self.min, self.max) if bound is not None]
        if bounds and self.type not in ("integer", "number"):
            raise ValueError(f"a {self.type} has no min and max")
        if len(bounds) == 2 and bounds[0] > bounds[1]:
            raise ValueError(f"min, {bounds[0]}, is more than max, {bounds[1]}")
        if (self.type == "choice") != (self.choices is not None):
            raise ValueError("choices are for a choice, and a choice has them")
        if self.default is not None:
            try:
                self.parameter("").value(self.default)
            except ValueError as error:
                raise ValueError(f"default: {error}") from error
        return self

    def parameter(self, name: str) -> Parameter:
        """Return the model's value of it."""
        bare = Parameter(
            name=name,
            type=self.type,
            min=self.min,
            max=self.max,
            choices=tuple(self.choices or ()),
            title=self.title,
            description=self.description,
        )
        if self.default is None:
            return bare
        return replace(bare, default=bare.value(self.default))


Parameters = Annotated[dict[ParameterName, ParameterDocument], Field(max_length=MAX_PARAMETERS)]


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
