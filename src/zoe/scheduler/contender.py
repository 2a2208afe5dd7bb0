"""One execution as the planner sees it: what it asks for, what it has, and how far it is."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from zoe.model.growth import worthwhile
from zoe.scheduler.demand import Demand
from zoe.scheduler.fitting import Fitting
from zoe.scheduler.request import Request, total_of

if TYPE_CHECKING:
    from zoe.scheduler.quota import Allowance

DEFAULT_RUN_SECONDS = 3600.0
"""Run time taken for an execution of which nothing is known."""
SortKey = tuple[float, float, int]
"""Smaller goes first; the last two are the time of submission and the id, so no two are equal."""


class Contender:
    """What an execution still wants and what it has, by need (its number) and node (its number).

    An execution that asks for ``n`` instances and takes ``T`` seconds with all of them advances,
    with ``x`` of them, by ``speed(x) / speed(n)`` of those seconds a second, where ``speed`` is
    linear or its speed-up curve. It makes no progress before it is admitted.

    With a hundred thousand in the queue it matters how much memory each takes that has nothing yet.
    """

    __slots__ = (
        "allowances", "asked", "asks", "at", "demand", "done_seconds", "elastic",
        "elastic_missing", "essential", "essential_missing", "going", "has",
        "has_estimate", "id", "is_admitted", "is_ending", "is_excluded", "is_over",
        "key", "minimum", "rate", "run_seconds", "shrunk_at", "spared_until", "working",
    )  # fmt: skip

    def __init__(self, demand: Demand, asks: Request, run_seconds: float | None) -> None:
        self.id = demand.execution_id
        self.demand = demand
        self.asks = asks
        self.essential_missing = [need.essential for need in demand.needs]
        self.elastic_missing = [need.elastic for need in demand.needs]
        self.essential = self.elastic = self.going = asks.nothing
        """What holds room. Instances that are :attr:`going` are being stopped and do no work."""
        self.working = _NO_WORK
        """The cores, memory and GPUs of all instances but those."""
        self.shrunk_at = _NEVER
        """When elastic instances were taken back, in the last hour."""
        self.allowances: tuple[Allowance, ...] = ()
        """What it is charged to: empty where nobody has a quota."""
        self.is_over = False
        """Whether it was last found to have to wait for a quota."""
        self.asked = demand.instances
        self.has = 0
        self.has_estimate = run_seconds is not None
        """Whether anything is known of its run time; a guess is no ground to delay others."""
        self.run_seconds = DEFAULT_RUN_SECONDS if run_seconds is None else run_seconds
        """How long it is believed to run with all it asks for."""
        self.key: SortKey = (0.0, demand.submitted_at, demand.execution_id)
        self.is_admitted = False
        self.is_ending = False
        self.is_excluded: bool | None = None
        """Whether it could never start on the present nodes; None: nobody has looked yet."""
        self.minimum: tuple[int, ...] | None = None
        """How many elastic instances of each need others may not take back; None: any."""
        self.spared_until = 0.0
        """Until when nothing is taken back for it: it was found not to be worth it."""
        self.done_seconds = 0.0
        self.at = 0.0
        """When ``done_seconds`` and ``rate`` were brought up to date."""
        self.rate = 0.0

    @property
    def fittings(self) -> list[Fitting]:
        """The shape of each need."""
        return self.asks.fittings

    @property
    def is_incomplete(self) -> bool:
        """Whether it has been admitted and could use more elastic instances."""
        return self.is_admitted and not self.is_ending and any(self.elastic_missing)

    @property
    def is_homeless(self) -> bool:
        """Whether it has been admitted and has essential instances without room."""
        return self.is_admitted and not self.is_ending and any(self.essential_missing)

    def remaining_seconds(self, now: float) -> float:
        """Return how long it still runs at its present rate if the belief is right, at least 0."""
        done = self.done_seconds + self.rate * (now - self.at)
        left = max(0.0, self.run_seconds - done)
        return left / self.rate if self.rate else left

    def worthwhile(self, least_gain: float) -> list[int]:
        """Return how many of the missing elastic instances of each need add at least so much.

        All, where no curve tells what they add. Missing essential ones come before them: it may
        have got these in the same plan.
        """
        found = list(self.elastic_missing)
        if not least_gain or self.asks.speedup is None:
            return found
        for number, need in enumerate(self.demand.needs):
            if found[number] and need.speedup is not None:
                held = self.essential[number], self.elastic[number]
                has = sum(sum(counts.values()) for counts in held) + self.essential_missing[number]
                found[number] = worthwhile(need.speedup, has, found[number], least_gain)
        return found

    def total_missing(self) -> tuple[int, int, int]:
        """Return the cores, memory and GPUs of all its essential instances without room."""
        if self.is_admitted:
            return total_of(self.asks.fittings, self.essential_missing)
        return self.asks.total

    def held(self) -> Iterator[tuple[Fitting, dict[int, int]]]:
        """Yield the shape and the nodes of everything that holds room."""
        for places in (self.essential, self.elastic, self.going):
            for need, counts in enumerate(places):
                if counts:
                    yield self.fittings[need], counts

    def holds(self) -> tuple[int, int, int]:
        """Return the cores, memory and GPUs that it holds on all nodes."""
        cores, memory, gpus = self.working
        if not any(self.going):
            return cores, memory, gpus
        for fitting, counts in zip(self.fittings, self.going, strict=True):
            if counts:
                count = sum(counts.values())
                cores += fitting.cores * count
                memory += fitting.memory * count
                gpus += fitting.gpus * count
        return cores, memory, gpus

    def holds_on(self, node: int) -> tuple[int, int, int]:
        """Return the cores, memory and GPUs that it holds on a node."""
        cores = memory = gpus = 0
        for fitting, counts in self.held():
            if count := counts.get(node, 0):
                cores += fitting.cores * count
                memory += fitting.memory * count
                gpus += fitting.gpus * count
        return cores, memory, gpus

    def nodes_of(self, need: int) -> set[int]:
        """Return the nodes on which instances of this need hold room."""
        return {*self.essential[need], *self.elastic[need], *self.going[need]}

    def begin_to_hold(self) -> None:
        """Have something to write down in what holds room."""
        if self.essential is self.asks.nothing:
            self.essential = [{} for _ in self.fittings]
            self.elastic = [{} for _ in self.fittings]
            self.going = [{} for _ in self.fittings]
            self.working, self.shrunk_at = [0, 0, 0], []

    def count(self, held: list[dict[int, int]], need: int, node: int, more: int) -> None:
        """Note that ``more`` instances (or fewer) of a need hold room on a node."""
        counts = held[need]
        left = counts.get(node, 0) + more
        if left:
            counts[node] = left
        else:
            del counts[node]

    def count_working(self, need: int, more: int) -> None:
        """Note that ``more`` instances (or fewer) of a need work."""
        fitting, working = self.fittings[need], self.working
        working[0] += fitting.cores * more
        working[1] += fitting.memory * more
        working[2] += fitting.gpus * more

    def spare(self, need: int) -> int:
        """Return how many elastic instances of a need it has beyond its minimum, at least 0."""
        kept = self.minimum[need] if self.minimum else 0
        return max(0, sum(self.elastic[need].values()) - kept)

    def note_shrunk(self, now: float) -> None:
        """Note that elastic instances of it are taken back: once for all of one plan."""
        if not self.shrunk_at or self.shrunk_at[-1] < now:
            self.shrunk_at.append(now)

    def advance(self, now: float, more: int) -> None:
        """Bring its progress up to date; from now on it has ``more`` instances that work."""
        self.done_seconds += self.rate * (now - self.at)
        self.at = now
        self.has += more
        self.rate = self.rate_without(0, 0)

    def rate_without(self, fewer: int, fewer_sped_up: int) -> float:
        """Return how fast it runs with so many instances less; 1 with all it asks for.

        ``fewer_sped_up`` of them are of the need that has the curve (the first that has). With none
        of that need it is linear in all, as a curve says nothing of none.
        """
        speedup, sped_up = self.asks.speedup, self.asks.sped_up
        if speedup is not None:
            need = self.demand.needs[sped_up]
            held = self.essential[sped_up], self.elastic[sped_up]
            working = sum(sum(counts.values()) for counts in held) - fewer_sped_up
            if working > 0:
                most = need.essential + need.elastic
                return speedup.speed(min(working, most)) / speedup.speed(most)
        has, asked = self.has - fewer, self.asked
        return min(has, asked) / asked if asked else 1.0


_NO_WORK = [0, 0, 0]
_NEVER: list[float] = []
"""Of those that have no room yet; nobody writes here."""
