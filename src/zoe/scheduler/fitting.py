"""A shape on the present nodes."""

from collections.abc import Sequence
from math import inf
from operator import itemgetter

from zoe.model.resources import Resources
from zoe.scheduler.demand import Shape

PLENTY = 1 << 40
"""How many instances that need nothing fit in any room."""
LEAST = -(1 << 61)
"""Is free of whatever is not asked for on every node that is not closed."""


class Fitting:
    """A shape on the present nodes: which of them it may use, and whether it was found full."""

    __slots__ = (
        "allowed",
        "cores",
        "full_at",
        "gpus",
        "least",
        "memory",
        "rank",
        "shape",
        "share",
        "size",
        "users",
    )

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.cores = shape.each.cores_milli
        self.memory = shape.each.memory_bytes
        self.gpus = shape.each.gpus
        self.size = (self.cores, self.memory, self.gpus)
        self.least = (self.cores or LEAST, self.memory or LEAST, self.gpus or LEAST)
        """What has to be free on a node that one fits on."""
        self.allowed: Sequence[int] | None = None
        """The nodes with its labels and its image; None: all nodes."""
        self.rank = 0
        """The resource of which it takes most: 0 cores, 1 memory, 2 GPUs."""
        self.share = 0.0
        """The largest share of the whole cluster that one takes of any resource."""
        self.users = 0
        self.full_at = -1
        """How much had grown when it was last found to fit nowhere; -1: not known to be full."""

    def fit_to(self, total: Resources, allowed: Sequence[int] | None) -> None:
        """Note what all nodes have together, and which of them it may use."""
        self.allowed = allowed
        self.full_at = -1
        pairs = (
            (self.cores, total.cores_milli),
            (self.memory, total.memory_bytes),
            (self.gpus, total.gpus),
        )
        shares = [part / whole if whole else 0.0 for part, whole in pairs]
        self.rank, self.share = max(enumerate(shares), key=itemgetter(1))

    def part_in(self, cores: int, memory: int, gpus: int) -> float:
        """Return how much of one fits in so much room, by what is scarcest; 1 and above: all."""
        part = cores / self.cores if self.cores else inf
        if self.memory:
            part = min(part, memory / self.memory)
        if self.gpus:
            part = min(part, gpus / self.gpus)
        return part

    def copies(self, cores: int, memory: int, gpus: int) -> int:
        """Return how many instances fit in so much room, which may be less than nothing."""
        fit = cores // self.cores if self.cores else PLENTY
        if self.memory:
            fit = min(fit, memory // self.memory)
        if self.gpus:
            fit = min(fit, gpus // self.gpus)
        return max(fit, 0)
