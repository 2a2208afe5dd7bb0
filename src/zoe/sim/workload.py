"""What a simulation runs: applications of which the work is known."""

from dataclasses import dataclass

from zoe.model.resources import Resources
from zoe.scheduler.demand import Demand, Need, Shape


@dataclass(frozen=True, slots=True)
class Job:
    """An execution with the time that it takes when all it asks for is granted (``seconds``).

    Times are seconds of virtual time; arrival is counted from the beginning. What its user
    believes of the run time is ``demand.run_seconds``.
    """

    demand: Demand
    seconds: float

    @property
    def id(self) -> int:
        """The id of the execution."""
        return self.demand.execution_id

    @property
    def arrival_seconds(self) -> float:
        """When it is submitted."""
        return self.demand.submitted_at


def uniform_job(
    number: int,
    arrival_seconds: float,
    seconds: float,
    essential: int,
    elastic: int,
    each: Resources,
    *,
    owner: str = "",
    run_seconds: float | None = None,
) -> Job:
    """Return a job of equal instances of one service."""
    need = Need("work.worker", Shape(each), essential, elastic)
    demand = Demand(number, arrival_seconds, (need,), owner, run_seconds=run_seconds)
    return Job(demand, seconds)
