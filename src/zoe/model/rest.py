"""The shapes of the REST interface, for the api that answers and for the client that asks.

The routes are listed in ``docs/reference/rest.md``. Times are ISO 8601 in UTC, memory is in bytes,
cores are in thousandths. New fields may appear in answers: readers ignore what they do not know.
Unknown fields in requests are errors.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from zoe.model.cluster import NodeStatus
from zoe.model.execution import (
    ENDED,
    Desired,
    ExecutionStatus,
    ExitReason,
    InstanceStatus,
    Outcome,
)
from zoe.model.logs import Stream
from zoe.model.zapp import Condition, Kind

API_PREFIX = "/api/v1"
"""What every route of this version begins with."""

PROBLEM_TYPE = "application/problem+json"
"""Media type of every error (RFC 9457)."""

YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
"""Media types under which a bare application description is accepted as the request body."""

NAME_PATTERN = r"^(?![0-9]+$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
"""Names of executions: as names of applications, but never a bare number (that is an id)."""

ParameterValue = str | int | float | bool


def as_time(seconds: float) -> datetime:
    """Return seconds since 1970 as a time in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


class Answer(BaseModel):
    """What the api sends: immutable, and open to fields of a newer server."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Question(BaseModel):
    """What the api receives: immutable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


# Requests.


def _check_name(name: str) -> str:
    if name and not re.fullmatch(NAME_PATTERN, name):
        raise PydanticCustomError(
            "name", "use 1 to 63 lower-case letters, digits and hyphens, not digits alone"
        )
    return name


class SubmitRequest(Question):
    """An application to run, check or plan: the text of its description and the choices for it."""

    document: str
    """The application description, YAML or JSON, as the user wrote it."""
    file: str = ""
    """Name of the file, for the places in error messages."""
    name: Annotated[
        str,
        AfterValidator(_check_name),
        Field(json_schema_extra={"pattern": rf"{NAME_PATTERN}|^$"}),
    ] = ""
    """Name of the execution; empty: a readable random one."""
    parameters: dict[str, ParameterValue] = {}
    team: str = ""
    """The team that it runs for; empty: the first of the user's teams, if there is one."""


class ScaleRequest(Question):
    """How many elastic instances of one service are wanted."""

    service: str
    """``framework.service``."""
    elastic: Annotated[int, Field(ge=0, le=100_000)]
    """It never has more of them."""
    elastic_min: Annotated[int, Field(ge=0, le=100_000)] = 0
    """Of those that it has, so many are not taken back for others."""


# Errors.


class ProblemCode(StrEnum):
    """What went wrong, for programs; codes never change their meaning."""

    REQUEST_INVALID = "request-invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    NO_SUCH_ROUTE = "no-such-route"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    CONFLICT = "conflict"
    PRECONDITION_FAILED = "precondition-failed"
    REQUEST_TOO_LARGE = "request-too-large"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    WRONG_HOST = "wrong-host"
    ZAPP_INVALID = "zapp-invalid"
    EXCEEDS_QUOTA = "exceeds-quota"
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused"
    INTERNAL = "internal"
    STORE_UNAVAILABLE = "store-unavailable"
    MASTER_UNAVAILABLE = "master-unavailable"


class ErrorView(Answer):
    """One thing that is wrong, with its place; ``line`` and ``column`` count from 1, 0: nowhere."""

    message: str
    path: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    hint: str = ""


class Problem(Answer):
    """Every error of the api, as RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    code: str
    """A :class:`ProblemCode`; a newer server may send others."""
    hint: str = ""
    errors: list[ErrorView] = []


# Executions.


class ReasonView(Answer):
    """Why an execution waits: a stable code and a sentence."""

    code: str
    message: str


class ForecastView(Answer):
    """When an execution that waits is expected to start, as it was told at ``at``.

    It starts by ``p50`` with even chances, by ``p90`` with nine in ten. Null: there is no
    estimate, ``because`` of what that says.
    """

    at: datetime
    p50: datetime | None = None
    p90: datetime | None = None
    because: str = ""


class EndView(Answer):
    """How an execution ended; ``exit_code`` is the monitor's, 128 + n for signal n."""

    outcome: Outcome
    message: str
    exit_code: int | None = None


class ExecutionSummary(Answer):
    """One execution in a list."""

    id: int
    name: str
    owner: str
    team: str = ""
    """The team that it runs for; empty: none."""
    application: str
    """Name in the application description."""
    kind: Kind
    status: ExecutionStatus
    desired: Desired
    generation: int
    submitted_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    end: EndView | None = None
    queue_position: int | None = None
    reasons: list[ReasonView] = []
    forecast: ForecastView | None = None
    """When it is expected to start; null when it does not wait, or nobody has looked yet."""

    @property
    def is_ended(self) -> bool:
        """Whether nothing will follow."""
        return self.status in ENDED


class ExitView(Answer):
    """How an instance ended."""

    reason: ExitReason
    code: int | None = None
    signal: int | None = None
    message: str = ""
    """The same as the rest of a sentence about it, with all that is known."""


class InstanceView(Answer):
    """One container, planned, alive or ended."""

    id: str
    service: str
    """``framework.service``."""
    ordinal: int
    essential: bool
    status: InstanceStatus
    ready: bool
    node: str
    attempt: int
    address: str = ""
    placed_at: datetime
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    not_before: datetime | None = None
    """It is tried again at this time; null when it need not wait."""
    exit: ExitView | None = None
    gpus: list[str] = []
    """The ids of the GPUs of its node that it holds, or held when it stopped."""


class EndpointView(Answer):
    """A port of an instance that runs, and where it is reached."""

    name: str
    service: str
    instance: str
    protocol: Literal["http", "https", "tcp", "udp"]
    host: str
    port: int
    url: str
    ready: bool


class ResourcesView(Answer):
    """An amount of each resource: thousandths of a core, bytes, whole GPUs."""

    cores_milli: int = 0
    memory_bytes: int = 0
    gpus: int = 0


class ServiceView(Answer):
    """One service: what each instance needs, how many are wanted, how many there are."""

    name: str
    """``framework.service``."""
    image: str = ""
    command: list[str] = []
    resources: ResourcesView
    essential: int
    elastic: int
    """Elastic instances wanted now."""
    elastic_min: int = 0
    """How many of them are not taken back for others, once they have room."""
    elastic_declared: int
    """Elastic instances in the application description."""
    monitor: bool = False
    depends_on: dict[str, Condition] = {}
    """Services of the same framework, by their short names."""
    instances: dict[InstanceStatus, int] = {}
    """How many instances there are in each status."""


class FrameworkView(Answer):
    """A group of services; ``depends_on`` names other frameworks."""

    name: str
    depends_on: dict[str, Condition] = {}
    services: list[ServiceView]


class ExecutionDetail(ExecutionSummary):
    """All there is to know about one execution, but its logs, events and file."""

    desired_by: str = ""
    time_limit_seconds: float | None = None
    parameters: dict[str, ParameterValue] = {}
    frameworks: list[FrameworkView] = []
    instances: list[InstanceView] = []
    endpoints: list[EndpointView] = []


class LossView(Answer):
    """Elastic instances of one service that an execution had to give up, when, and why."""

    at: datetime
    service: str
    """``framework.service``."""
    instances: int
    rule: str
    """``reclaim``: essential instances of others come first; ``scale``: its user said so."""
    for_execution: int | None = None
    """The execution that got the room."""
    message: str


class WhyView(Answer):
    """Why an execution is where it is: a sentence, and the reasons if it waits."""

    execution_id: int
    name: str
    status: ExecutionStatus
    summary: str
    queue_position: int | None = None
    reasons: list[ReasonView] = []
    forecast: ForecastView | None = None
    losses: list[LossView] = []
    """The last elastic instances that were taken from it, the newest last."""


class HistoryView(Answer):
    """Something that happened to an execution."""

    id: int
    execution_id: int
    at: datetime
    kind: str
    """submitted, stop-requested, scale-requested, delete-requested, status, instance, deferred."""
    message: str
    detail: Mapping[str, Any] = {}


class LogText(Answer):
    """A piece of the output of one attempt of an instance.

    In live logs (``event: log``) the pieces of one file follow each other; ``text`` never cuts a
    character, and a line only where it is very long or goes on after a pause.
    """

    instance: str
    attempt: int
    stream: Stream
    text: str


class FollowEnd(Answer):
    """The last message of a stream that ends by itself (``event: end``)."""

    status: ExecutionStatus
    end: EndView | None = None


# Lists.

Item = TypeVar("Item")


class Page(Answer, Generic[Item]):
    """Part of a list; ``next_cursor`` is empty when nothing follows."""

    items: list[Item]
    next_cursor: str = ""


class ExecutionPage(Page[ExecutionSummary]):
    """Executions, newest first."""


class QueuePage(Page[ExecutionSummary]):
    """Executions that wait, by their place in the queue; always one page."""


class HistoryPage(Page[HistoryView]):
    """History, oldest first."""


class LogPage(Page[LogText]):
    """Output, by instance and attempt; always one page."""


# The cluster.


class NodeInstanceView(Answer):
    """An instance that holds room on a node."""

    id: str
    execution_id: int
    execution_name: str
    essential: bool
    status: InstanceStatus
    reserved: ResourcesView


class GpuView(Answer):
    """One GPU of a node, by its id, and which instance holds it; null: it is free."""

    id: str
    instance: str | None = None
    gone: bool = False
    """The node has lost it while it was held; nobody else gets it."""


class NodeView(Answer):
    """A machine: what it has, what is reserved, what is free, what runs there."""

    name: str
    status: NodeStatus
    message: str = ""
    labels: list[str] = []
    capacity: ResourcesView
    foreign: ResourcesView
    """Used by what is not ours."""
    reserved: ResourcesView
    free: ResourcesView
    instances: list[NodeInstanceView] = []
    gpus: list[GpuView] = []
    images: list[str] | None = None
    """The images that it has; null: it gets what it lacks, or uses none."""


class NodePage(Page[NodeView]):
    """Every node, by name; always one page."""


class PlacementView(Answer):
    """Where one instance would run."""

    instance: str
    node: str
    essential: bool


class PlanView(Answer):
    """Whether this application would start now, and if not, why not, and when."""

    fits_now: bool
    can_ever_fit: bool
    placements: list[PlacementView] = []
    reasons: list[ReasonView] = []
    notes: list[str] = []
    queue_position: int | None = None
    """Its place in the queue, from 1, if it would wait."""
    forecast: ForecastView | None = None
    """When it would start, if it would wait; null when forecasts are turned off."""


class ValidateView(Answer):
    """Whether an application description is valid; every error at once if not."""

    valid: bool
    application: str = ""
    kind: Kind | None = None
    frameworks: list[FrameworkView] = []
    errors: list[ErrorView] = []


# The server.


class VersionView(Answer):
    """What this server is."""

    version: str
    api: str = "v1"
    formats: list[int] = [4]
    deployment: str


class WhoView(Answer):
    """Whose token this is."""

    user: str
    role: str
    token: str
    """Name of the token, never its text."""


class MasterView(Answer):
    """Whether the master answers, and since when it leads."""

    up: bool
    epoch: int = 0
    since: datetime | None = None
    backend: str = ""
    version: str = ""


class LiveView(Answer):
    """The api answers."""

    status: Literal["alive"] = "alive"


class ReadyView(Answer):
    """Whether the api can do its work: it can without the master, but not without the store."""

    status: Literal["ready", "unready"]
    store: bool
    master: MasterView
