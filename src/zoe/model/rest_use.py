"""The shapes of what is used, in the REST interface; what may be used is in ``rest_accounts``."""

from datetime import datetime

from zoe.model.rest import Answer, ResourcesView
from zoe.model.rest_cluster import NodeUseView, NodeView


class InstanceUseView(Answer):
    """What one attempt of an instance used when it was sampled last, and in all."""

    id: str
    attempt: int
    execution_id: int
    execution_name: str
    node: str
    essential: bool
    reserved: ResourcesView
    at: datetime
    """Of the last sample."""
    cores_milli: int
    """On average since the sample before; an attempt that has ended: at its end."""
    memory_bytes: int
    """Without the cache of files."""
    peak_bytes: int
    """The most memory that was seen of it."""
    core_seconds: float
    """How long it has worked in all."""
    network_bytes: int | None = None
    """Received and sent in all; null: the back-end cannot tell."""
    disk_bytes: int | None = None
    """Read and written in all."""
    memory_kills: int = 0
    """How many of its processes the kernel has killed for want of memory."""


class PointView(Answer):
    """One sample of the last hour."""

    at: datetime
    cores_milli: int
    memory_bytes: int


class TopView(Answer):
    """What is used now: of the nodes, and by instances, who uses most memory first."""

    sample_seconds: float
    """Pause between two samples; 0: nothing is sampled, or the master does not answer."""
    nodes: list[NodeView] = []
    """For administrators."""
    instances: list[InstanceUseView] = []


class ExecutionUseView(Answer):
    """What the attempts of an execution use and have used, and the last hour of its instances."""

    execution_id: int
    instances: list[InstanceUseView] = []
    hour: dict[str, list[PointView]] = {}
    """By instance, the oldest first; only while the master remembers it."""


class NodePastView(Answer):
    """What was used of a node."""

    name: str
    hour: list[PointView] = []
    """The last hour, as far as the master remembers it."""
    past: list[NodeUseView] = []
    """Minutes of the last day, hours of the time before; the oldest first."""
