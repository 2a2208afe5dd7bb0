"""What executions ask for, kept once for all that ask for the same: most users submit it again."""

from collections.abc import Iterable
from dataclasses import replace

from zoe.scheduler.demand import Demand, Need
from zoe.scheduler.fitting import Fitting
from zoe.scheduler.room import Room


class Request:
    """What equal executions ask for, on the present nodes: one for all of them."""

    __slots__ = (
        "fittings", "is_spread", "needs", "nothing", "same", "sped_up", "speedup", "total", "users"
    )  # fmt: skip

    def __init__(self, needs: tuple[Need, ...], room: Room) -> None:
        self.needs = needs
        self.fittings: list[Fitting] = [room.fitting(need.shape) for need in needs]
        self.total = total_of(self.fittings, [need.essential for need in needs])
        """The cores, memory and GPUs of all essential instances."""
        self.same = (*self.fittings, *(need.essential for need in needs))
        """Equal for those of which the essential sets are equal."""
        self.is_spread = any(need.shape.spread for need in needs)
        curves = [number for number, need in enumerate(needs) if need.speedup]
        self.sped_up = curves[0] if curves else 0
        """The need of which the speed-up curve is."""
        self.speedup = needs[self.sped_up].speedup if curves else None
        self.nothing: list[dict[int, int]] = [{}] * len(needs)
        """What one that has no room yet holds; nobody writes here."""
        self.users = 0


class Requests:
    """All of them, as long as anybody asks for the same."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._known: dict[tuple[Need, ...], Request] = {}

    def share(self, demand: Demand) -> tuple[Demand, Request]:
        """Return the demand with what it asks for, which it shares until :meth:`leave`."""
        request = self._known.get(demand.needs)
        if request is None:
            request = self._known[demand.needs] = Request(demand.needs, self._room)
        elif request.needs is not demand.needs:
            demand = replace(demand, needs=request.needs)
        request.users += 1
        return demand, request

    def leave(self, request: Request) -> None:
        """Take note that one user less asks for it."""
        request.users -= 1
        if not request.users:
            del self._known[request.needs]
            for fitting in request.fittings:
                self._room.forget(fitting)


def total_of(fittings: Iterable[Fitting], counts: Iterable[int]) -> tuple[int, int, int]:
    """Return the cores, memory and GPUs of so many instances of each."""
    cores = memory = gpus = 0
    for fitting, count in zip(fittings, counts, strict=True):
        cores += fitting.cores * count
        memory += fitting.memory * count
        gpus += fitting.gpus * count
    return cores, memory, gpus
