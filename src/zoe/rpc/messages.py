"""What the api and the master say to each other, as typed, versioned messages.

The store is the channel; these are doorbells and questions about the master's memory. A request is
answered once; the same request id may be sent again and gets the same answer.
"""

import msgspec

from zoe.model.use import InstanceUse, NodeUse, Point

VERSION = 3
"""Version of the protocol; a peer with another one is told so and nothing else."""


class Wake(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="wake"):
    """Intents were committed: look at the store now."""

    execution_id: int = 0


class Ping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="ping"):
    """Ask whether the master is there."""


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="plan"):
    """Ask whether an application of ``owner``, for ``team``, would start now.

    ``document`` is its text, ``parameters`` its values.
    """

    owner: str
    document: str
    file: str = ""
    parameters: dict[str, str | int | float | bool] = {}
    team: str = ""


class Used(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="used"):
    """Ask what is used: by one execution, of one node, or (both empty) now everywhere.

    Of one, the last hour is told as well. Everywhere, ``owner`` asks for their instances only.
    """

    execution_id: int = 0
    node: str = ""
    owner: str = ""


class Done(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="done"):
    """It has been taken note of."""


class Pong(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="pong"):
    """The master is there: its epoch, since when it leads, and its back-end."""

    epoch: int
    since: float
    backend: str
    version: str


class Placement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where one instance would run."""

    instance: str
    node: str
    essential: bool


class Blocker(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why it would not start now."""

    code: str
    message: str


class Expected(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When it would start: see :class:`zoe.model.execution.Forecast`; seconds since 1970."""

    at: float
    p50: float | None
    p90: float | None
    because: str = ""


class Planned(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="planned"):
    """The answer to ``Plan``; ``notes`` say what differs on this back-end."""

    fits_now: bool
    can_ever_fit: bool
    placements: list[Placement]
    reasons: list[Blocker]
    notes: list[str] = []
    queue_position: int | None = None
    """Its place in the queue, from 1, if it would wait."""
    forecast: Expected | None = None
    """When it would start, if it would wait and forecasts are made."""


class Uses(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="uses"):
    """The answer to ``Used``; of instances those that use most memory, if there are too many."""

    pause_seconds: float
    """Between two samples; 0: nothing is sampled."""
    nodes: list[NodeUse] = []
    instances: list[InstanceUse] = []
    hour: dict[str, list[Point]] = {}
    """The last hour, by node or instance, the oldest first."""


class Failed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="failed"):
    """The request was not carried out: a stable code and a sentence."""

    code: str
    message: str


Request = Wake | Ping | Plan | Used
Reply = Done | Pong | Planned | Uses | Failed
