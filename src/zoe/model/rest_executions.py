"""The shapes of executions in the REST interface: what is asked, and what is answered."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from zoe.model.execution import (
    ENDED,
    Desired,
    ExecutionStatus,
    ExitReason,
    InstanceStatus,
    Outcome,
)
from zoe.model.logs import Stream
from zoe.model.rest import Answer, Page, Question, ResourcesView
from zoe.model.zapp import Condition, Kind

YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
"""Media types under which a bare application description is accepted as the request body."""

NAME_PATTERN = r"^(?![0-9]+$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
"""Names of executions: as names of applications, but never a bare number (that is an id)."""

ParameterValue = str | int | float | bool


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


# Answers.


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
    message: str = ""
    """What is done for it while it starts, as the rest of a sentence about it."""


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
    """``reclaim``: essential instances of others come first; ``scale``: its user said so;
    ``drain``: its node is to be emptied; ``pressure``: its node has too little memory left."""
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


class ExecutionPage(Page[ExecutionSummary]):
    """Executions, newest first."""


class QueuePage(Page[ExecutionSummary]):
    """Executions that wait, by their place in the queue; always one page."""


class HistoryPage(Page[HistoryView]):
    """History, oldest first."""


class LogPage(Page[LogText]):
    """Output, by instance and attempt; always one page."""
