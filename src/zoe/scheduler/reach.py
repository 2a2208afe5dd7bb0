"""Who could start at all: on the present nodes, if nothing of ours were on them."""

from collections.abc import Iterable

from zoe.model.cluster import Node
from zoe.scheduler.contender import Contender
from zoe.scheduler.gang import Lack, fits_in, lacks
from zoe.scheduler.room import Room


class Reach:
    """Tells who can never start; equal requests are tried once for each state of the nodes.

    ``all_together``: elastic instances are no less needed than essential ones.
    """

    def __init__(self, *, all_together: bool) -> None:
        self._all_together = all_together
        self._empty = Room()
        self._excluded: dict[tuple[Lack, ...], bool] = {}

    def set_nodes(self, nodes: Iterable[Node]) -> None:
        """Take over what the nodes are."""
        self._excluded = {}
        self._empty.set_nodes(nodes)

    def least(self, contender: Contender) -> list[Lack]:
        """Return what it must get at once, or it gets nothing."""
        return lacks(contender, all_together=self._all_together)

    def excludes(self, contender: Contender) -> bool:
        """Whether it could not start even if nothing else ran: it must not block the others."""
        if contender.is_excluded is None:
            wanted = self.least(contender)
            known = tuple(wanted)
            if known not in self._excluded:
                self._excluded[known] = not fits_in(self._empty, wanted)
            contender.is_excluded = self._excluded[known]
        return contender.is_excluded
