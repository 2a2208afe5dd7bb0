"""The machines, and what a back-end reports about them and about the instances on them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from zoe.model.execution import Exit, InstanceStatus
from zoe.model.load import NodeLoad
from zoe.model.resources import Resources
from zoe.model.samples import InstanceSample


class NodeStatus(StrEnum):
    """Whether a node takes instances."""

    READY = "ready"
    CORDONED = "cordoned"
    """Takes no new instances; those on it stay."""
    DRAINING = "draining"
    """Takes no new instances; elastic ones leave it, essential ones stay until they end."""
    UNREACHABLE = "unreachable"
    """Nobody knows what is on it; nothing is placed there and nothing there is taken for lost."""


@dataclass(frozen=True, slots=True)
class Node:
    """A machine: what it has, what others use of it, what it is labelled with."""

    name: str
    capacity: Resources
    foreign: Resources = field(default_factory=Resources)
    """Held by containers that are not ours, or used by what is not: never given to anybody."""
    labels: frozenset[str] = frozenset()
    status: NodeStatus = NodeStatus.READY
    message: str = ""
    """Why it is not ready, for people."""
    gpus: tuple[str, ...] = ()
    """The ids of its GPUs, all of ``capacity.gpus``; empty: ``"0"`` and so on."""
    images: frozenset[str] | None = None
    """The images that it has, named as applications name them; None: nobody knows, it gets them."""
    pressure: str = ""
    """What it is short of, for people: nothing elastic is placed on it meanwhile."""
    pulls: bool = False
    """It gets what it lacks, too: ``images`` only says what need not be waited for."""

    def __post_init__(self) -> None:
        """Raise ValueError unless the GPUs that are named are distinct, and as many as it has."""
        if self.gpus and not len(set(self.gpus)) == len(self.gpus) == self.capacity.gpus:
            named = ", ".join(self.gpus)
            raise ValueError(f"{self.name} has {self.capacity.gpus} GPUs, but names {named}")

    @property
    def gpu_ids(self) -> tuple[str, ...]:
        """The ids of its GPUs, in the order in which they are given away."""
        return self.gpus or tuple(map(str, range(self.capacity.gpus)))

    def has_image(self, image: str) -> bool:
        """Whether it has the image or gets it by itself; what needs none ("") runs everywhere."""
        return not image or self.images is None or self.pulls or image in self.images

    def holds_image(self, image: str) -> bool:
        """Whether it is known to have the image already."""
        return self.images is not None and image in self.images


@dataclass(frozen=True, slots=True)
class NodeMark:
    """That an administrator has taken a node out of service: it is CORDONED or DRAINING."""

    name: str
    status: NodeStatus
    by: str
    reason: str = ""

    @property
    def message(self) -> str:
        """Who did it and why, for people."""
        return f"by {self.by}" + (f": {self.reason}" if self.reason else "")


def with_loads(nodes: Iterable[Node], loads: Mapping[str, NodeLoad]) -> tuple[Node, ...]:
    """Return the nodes with what was sampled of them: use from outside, and pressure."""
    return tuple(
        replace(
            node,
            foreign=node.foreign + Resources(memory_bytes=load.outside_bytes),
            pressure=load.pressure,
        )
        if (load := loads.get(node.name)) and (load.outside_bytes or load.pressure)
        else node
        for node in nodes
    )


def with_marks(nodes: Iterable[Node], marks: Mapping[str, NodeMark]) -> tuple[Node, ...]:
    """Return the nodes, by name, with what administrators have said of those that are ready."""
    return tuple(
        replace(node, status=mark.status, message=mark.message)
        if node.status is NodeStatus.READY and (mark := marks.get(node.name))
        else node
        for node in sorted(nodes, key=lambda node: node.name)
    )


@dataclass(frozen=True, slots=True)
class ObservedInstance:
    """What a back-end knows of one attempt of an instance.

    ``status`` is STARTING, RUNNING, STOPPING or STOPPED; ``exit`` is set when it is STOPPED.
    ``address`` is where its ports are reached; peers may know it by a name (``Place.hosts``).
    """

    instance_id: str
    attempt: int
    node: str
    status: InstanceStatus
    ready: bool = False
    address: str = ""
    exit: Exit | None = None
    gpus: tuple[str, ...] = ()
    """The ids of the GPUs that it was started with."""
    published: tuple[tuple[int, int], ...] = ()
    """Its ports that have another number at ``address``, each with that number."""
    message: str = ""
    """What is done for it while it is STARTING, as the rest of a sentence about it, for people."""
    used: InstanceSample | None = None
    """What it has used in all, once it has stopped; None: the back-end does not know."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything a back-end sees at one moment: the whole truth, not a difference."""

    nodes: tuple[Node, ...]
    instances: tuple[ObservedInstance, ...]
