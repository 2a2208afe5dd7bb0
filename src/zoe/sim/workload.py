"""What a simulation runs: applications of which the work is known, and the nodes they run on."""

from dataclasses import dataclass

from zoe.model.cluster import Node
from zoe.model.execution import Execution
from zoe.model.resources import Resources
from zoe.model.zapp import Framework, Kind, Service, ZApp


@dataclass(frozen=True, slots=True)
class Job:
    """An execution with the time that it takes when all it asks for is granted (``seconds``).

    Times are seconds of virtual time; arrival is counted from the beginning.
    """

    id: int
    arrival_seconds: float
    zapp: ZApp
    seconds: float
    owner: str = ""

    @property
    def execution(self) -> Execution:
        """The execution as a user submits it."""
        name = f"{self.zapp.name}-{self.id}"
        return Execution(self.id, name, self.owner, self.zapp, self.arrival_seconds)

    @property
    def asked(self) -> int:
        """How many instances it has when all it asks for is granted."""
        return sum(service.essential + service.elastic for _, service in self.zapp.services())


def uniform_zapp(
    essential: int, elastic: int, each: Resources, *, time_limit_seconds: float | None = None
) -> ZApp:
    """Return an application of equal instances, of which the first decides when it ends."""
    worker = Service("worker", resources=each, essential=essential - 1, elastic=elastic)
    lead = Service("lead", resources=each, monitor=True)
    framework = Framework("work", (lead, worker))
    return ZApp("work", Kind.BATCH, (framework,), time_limit_seconds)


def uniform_nodes(count: int, capacity: Resources) -> tuple[Node, ...]:
    """Return ``count`` equal nodes."""
    width = len(str(count))
    return tuple(Node(f"node{number:0{width}}", capacity) for number in range(1, count + 1))
