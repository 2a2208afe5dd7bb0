"""When those that run are believed to end."""

from bisect import bisect_left, insort

from zoe.scheduler.contender import Contender

End = tuple[float, int]
"""When, and the id of the execution."""


class Ends:
    """The believed end of each execution that runs, of whose run time anything is known."""

    def __init__(self) -> None:
        self.in_order: list[End] = []
        """The first first."""
        self._of: dict[int, End] = {}

    def expect(self, contender: Contender, now: float | None) -> None:
        """Note anew when it is believed to end; with None that it has ended."""
        if (known := self._of.pop(contender.id, None)) is not None:
            del self.in_order[bisect_left(self.in_order, known)]
        is_running = contender.is_admitted and contender.rate > 0
        if now is not None and is_running and contender.has_estimate:
            end = (now + contender.remaining_seconds(now), contender.id)
            self._of[contender.id] = end
            insort(self.in_order, end)
