"""The shapes of machines in the REST interface, and of what would run on them."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from zoe.model.cluster import NodeStatus
from zoe.model.execution import InstanceStatus
from zoe.model.rest import Answer, ErrorView, Page, Question, ResourcesView
from zoe.model.rest_executions import ForecastView, FrameworkView, ReasonView
from zoe.model.zapp import Kind

MAX_REASON = 200
"""Letters that may be said of why a node is out of service."""


MAX_ENGINE = 1000
"""Letters of an engine that is added."""


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("this is one line of text")
    return text


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


class NodeForm(Question):
    """Whether a node is in service; ``ready`` takes back what an administrator has said of it."""

    status: Literal["ready", "cordoned", "draining"]
    reason: Annotated[str, Field(max_length=MAX_REASON), AfterValidator(_printable)] = ""


class EngineForm(Question):
    """A Docker Engine to add, as the setting ``docker_engines`` says it after the name."""

    engine: Annotated[str, Field(max_length=MAX_ENGINE), AfterValidator(_printable)]


class EngineView(Answer):
    """A Docker Engine that an administrator has added."""

    name: str
    engine: str
    by: str
    leaving: bool = False
    """It is to go, and nothing new starts there."""


class NodeUseView(Answer):
    """What was used of a node, by everybody: on average over ``seconds`` from ``at`` on."""

    at: datetime
    seconds: float
    cores_milli: int
    memory_bytes: int
    peak_bytes: int
    """The most memory that was used in that time."""
    memory_total_bytes: int
    memory_stall: float | None = None
    """Percent of the time in which something waited for memory; null: nobody knows."""
    cpu_stall: float | None = None
    """The same for cores."""


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
    """The images that it has; null: nobody knows, or it uses none."""
    pulls: bool = False
    """It gets an image that it lacks, too."""
    pressure: str = ""
    """What it is short of: nothing elastic is placed on it meanwhile. Empty: of nothing."""
    use: NodeUseView | None = None
    """What is used of it now; null: nobody knows."""
    engine: EngineView | None = None
    """The engine that was added for it; null: it is there by the settings."""


class NodePage(Page[NodeView]):
    """Every node, by name; always one page."""


class LeaderView(Answer):
    """The master that leads."""

    name: str
    """Its host and process id."""
    endpoint: str
    """Where the apis reach it; empty: where their settings say."""
    epoch: int
    since: datetime


class MastersView(Answer):
    """Who leads, and who stands by; null: nobody leads just now."""

    leader: LeaderView | None = None
    standby: list[str] = []


class ConvertView(Answer):
    """An application of an older format as one of format 4, or why it cannot be one."""

    converted: bool
    version: int | None = None
    """The format that it was in."""
    document: dict[str, Any] | None = None
    """The application in format 4; as JSON it can be submitted as it is."""
    warnings: list[ErrorView] = []
    """What is not kept, or was read as what was meant."""
    errors: list[ErrorView] = []


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
