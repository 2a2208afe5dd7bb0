"""Nodes in blocks: which blocks can have room for an instance, without a look at their nodes."""

from collections.abc import Iterable, Iterator

from zoe.scheduler.fitting import Fitting

BLOCK = 128
"""Nodes that are ranked together; up to so many, the rank is exact over all of them."""
CLOSED = 1 << 62
"""Taken from what is free on a node that takes nothing: no request is so small that it fits."""


class Bounds:
    """By block: no node of it has more cores, more memory, more GPUs than this."""

    __slots__ = ("cores", "gpus", "memory")

    def __init__(self, blocks: int) -> None:
        self.cores, self.memory, self.gpus = ([-CLOSED] * blocks for _ in range(3))

    def extend(self, blocks: int) -> None:
        """Have at least so many blocks."""
        for bound in (self.cores, self.memory, self.gpus):
            bound.extend([-CLOSED] * (blocks - len(bound)))

    def rise(self, node: int, cores: int, memory: int, gpus: int) -> None:
        """Take note that a node has so much."""
        block = node // BLOCK
        if cores > self.cores[block]:
            self.cores[block] = cores
        if memory > self.memory[block]:
            self.memory[block] = memory
        if gpus > self.gpus[block]:
            self.gpus[block] = gpus

    def tighten(
        self, block: int, cores: Iterable[int], memory: Iterable[int], gpus: Iterable[int]
    ) -> None:
        """Make the bounds of a block exact, on whose nodes this is: they promised too much."""
        self.cores[block] = max(cores, default=-CLOSED)
        self.memory[block] = max(memory, default=-CLOSED)
        self.gpus[block] = max(gpus, default=-CLOSED)

    def with_room(self, fitting: Fitting) -> Iterator[int]:
        """Yield the blocks that may have room for one: none of the others has."""
        cores, memory, gpus = fitting.size
        of_memory, of_gpus = self.memory, self.gpus
        for block, most in enumerate(self.cores):
            if most >= cores and of_memory[block] >= memory and of_gpus[block] >= gpus:
                yield block
