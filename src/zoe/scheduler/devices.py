"""Which GPUs of which node are held: each by one instance at most, for as long as it has its room.

The planner counts GPUs; here counts become ids. Nothing is kept of instances that have none.
"""

from zoe.model.cluster import Node
from zoe.model.execution import ServiceInstance


class Devices:
    """The GPUs that instances hold, by node."""

    def __init__(self) -> None:
        self._held: dict[str, set[str]] = {}

    def note(self, old: ServiceInstance | None, new: ServiceInstance) -> None:
        """Take note that an instance which was ``old`` is ``new``."""
        if old is not None and old.gpus and old.is_placed:
            self._held[old.node].difference_update(old.gpus)
        if new.gpus and new.is_placed:
            self._held.setdefault(new.node, set()).update(new.gpus)

    def free(self, node: Node, count: int) -> tuple[str, ...] | None:
        """Return the first ``count`` GPUs of the node that nobody holds; None: there are fewer.

        Where the counts say that there is room there are enough: a GPU that has gone while it was
        held still counts as used.
        """
        held = self._held.get(node.name, ())
        found = [gpu for gpu in node.gpu_ids if gpu not in held][:count]
        return tuple(found) if len(found) == count else None
