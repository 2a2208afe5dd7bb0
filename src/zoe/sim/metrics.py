"""How good a schedule is, in numbers with standard names.

Times are seconds of virtual time. What has no value (the mean of nothing, the share of a resource
that the cluster lacks) is None, never NaN. The definitions, one line each, are in
``docs/reference/simulator-metrics.md``; the ones where people differ:

- The ``fraction`` percentile of n ordered values is linear between the two nearest ranks, at the
  place ``fraction * (n - 1)`` counted from 0.
- Wait is measured over all executions that were admitted. Turnaround, bounded slowdown and stretch
  are measured over those that completed: what was ended early would look fast.
- An execution that was never admitted is in none of these; it is counted in ``never_admitted``, and
  its wait until it was given up is in ``maximum_wait``.
- Allocation is a mean over time, not over moments, and leaves out the first and the last twentieth
  of the makespan, in which the cluster fills and empties.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from math import floor, fsum, inf

from zoe.sim.outcome import Ending, Outcome, Result

TAU_SECONDS = 10.0
"""Below this run time a slowdown says more about the run time than about the scheduler."""

WARM_UP = 0.05
"""The part of the makespan at either end that does not count for the allocation."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The mean, three percentiles and the greatest of some values."""

    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class Shares:
    """A part of the cluster's capacity in each resource; 1 is all of it."""

    cores: float | None = None
    memory: float | None = None
    gpus: float | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """What the executions of one class went through."""

    jobs: int
    never_admitted: int
    wait: Summary
    turnaround: Summary
    bounded_slowdown: Summary
    stretch: Summary


@dataclass(frozen=True, slots=True)
class Churn:
    """How much the scheduler took back, and what that cost."""

    taken_back: int
    """Elastic instances."""
    lost_work: float | None
    """Work that had to be done again, as a part of the work of all that completed."""


@dataclass(frozen=True, slots=True)
class Metrics:
    """All that is measured of one simulation."""

    overall: Group
    classes: Mapping[str, Group]
    """By kind (``batch``, ...), and ``elastic`` or ``rigid``; only classes that occur."""
    endings: Mapping[Ending, int]
    """How many ended in each way; every way is there."""
    allocation: Shares
    makespan: float | None
    jain: float | None
    """Jain's index of the owners' mean bounded slowdowns: 1 is equal, 1 / n is all on one of n."""
    owners: int
    owners_without: int
    """Owners of whom nothing completed: they are not in ``jain``."""
    maximum_wait: float | None
    most_overtaken: int
    churn: Churn
    offered_load: Shares = field(default_factory=Shares)
    jobs_per_second: float | None = None
    """Of wall time: how fast the simulator was."""


def measure(
    result: Result, *, offered_load: Shares | None = None, wall_seconds: float | None = None
) -> Metrics:
    """Measure ``result``; the caller knows the load it offered and the time it took to simulate."""
    outcomes = result.outcomes
    classes: dict[str, list[Outcome]] = {}
    for one in outcomes:
        demand = one.job.demand
        elastic = any(need.elastic for need in demand.needs)
        classes.setdefault(demand.kind.value, []).append(one)
        classes.setdefault("elastic" if elastic else "rigid", []).append(one)
    overall = _group(outcomes)
    groups = {
        # Most traces have one kind only: its group is the one of all.
        name: overall if len(members) == len(outcomes) else _group(members)
        for name, members in sorted(classes.items())
    }
    endings = dict.fromkeys(Ending, 0)
    for one in outcomes:
        endings[one.ending] += 1
    slowdowns = _slowdowns_of_owners(outcomes)
    owners = len({one.job.demand.owner for one in outcomes})
    first, last = lifetime(outcomes) or (0.0, None)
    return Metrics(
        overall=overall,
        classes=groups,
        endings=endings,
        allocation=_allocation(result),
        makespan=None if last is None else last - first,
        jain=jain(slowdowns),
        owners=owners,
        owners_without=owners - len(slowdowns),
        maximum_wait=max((one.wait_seconds for one in outcomes), default=None),
        most_overtaken=max((one.overtaken for one in outcomes), default=0),
        churn=_churn(outcomes),
        offered_load=offered_load or Shares(),
        jobs_per_second=_ratio(len(outcomes), wall_seconds or 0.0),
    )


def lifetime(outcomes: Sequence[Outcome]) -> tuple[float, float] | None:
    """Return the first arrival of all and the last end of those admitted; None if none was."""
    last = max((one.ended for one in outcomes if one.started is not None), default=None)
    return None if last is None else (min(one.job.arrival_seconds for one in outcomes), last)


def summary(values: Iterable[float]) -> Summary:
    """Summarise ``values``."""
    ordered = sorted(values)
    if not ordered:
        return Summary()
    mean = fsum(ordered) / len(ordered)
    p50, p95, p99 = (percentile(ordered, fraction) for fraction in (0.5, 0.95, 0.99))
    return Summary(mean, p50, p95, p99, ordered[-1])


def percentile(ordered: Sequence[float], fraction: float) -> float:
    """Return the value that ``fraction`` of the ``ordered`` ones (at least one) do not exceed."""
    place = fraction * (len(ordered) - 1)
    below = floor(place)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    return min(high, low + (high - low) * (place - below))


def bounded_slowdown(outcome: Outcome) -> float:
    """Return turnaround over run time; a short run counts as TAU_SECONDS, and none is below 1."""
    return max(1.0, outcome.turnaround_seconds / max(outcome.job.seconds, TAU_SECONDS))


def jain(values: Sequence[float]) -> float | None:
    """Return Jain's index of fairness of ``values``, which are above 0."""
    return _ratio(fsum(values) ** 2, len(values) * fsum(value * value for value in values))


def time_means(
    steps: Iterable[tuple[float, float]], begin: float, end: float, parts: int = 1
) -> list[float]:
    """Return the means over time in ``parts`` equal parts of the time from ``begin`` to ``end``.

    ``steps`` are moments, in order, with the value from then on. The last one lasts for ever;
    before the first the value is 0.
    """
    width = (end - begin) / parts
    edges = [begin + part * width for part in range(parts)] + [end]
    sums = [0.0] * parts
    part = 0
    for (at, value), (until, _) in pairwise(chain(steps, ((inf, 0.0),))):
        now = max(at, begin)
        while part < parts and now < until:
            edge = min(until, edges[part + 1])
            if edge > now:
                sums[part] += value * (edge - now)
                now = edge
            if edge < until:
                part += 1
    return [total / width for total in sums]


def _group(outcomes: Sequence[Outcome]) -> Group:
    admitted = [one for one in outcomes if one.started is not None]
    completed = [one for one in admitted if one.ending is Ending.COMPLETED]
    return Group(
        jobs=len(outcomes),
        never_admitted=len(outcomes) - len(admitted),
        wait=summary(one.wait_seconds for one in admitted),
        turnaround=summary(one.turnaround_seconds for one in completed),
        bounded_slowdown=summary(map(bounded_slowdown, completed)),
        stretch=summary(
            (one.ended - one.started) / one.job.seconds
            for one in completed
            if one.started is not None and one.job.seconds > 0
        ),
    )


def _slowdowns_of_owners(outcomes: Iterable[Outcome]) -> list[float]:
    """Return the mean bounded slowdown of every owner of whom something completed."""
    by_owner: dict[str, list[float]] = {}
    for one in outcomes:
        if one.ending is Ending.COMPLETED:
            by_owner.setdefault(one.job.demand.owner, []).append(bounded_slowdown(one))
    return [fsum(values) / len(values) for values in by_owner.values()]


def _allocation(result: Result) -> Shares:
    span = lifetime(result.outcomes)
    if span is None or span[0] == span[1] or not result.moments:
        return Shares()
    margin = WARM_UP * (span[1] - span[0])
    window = span[0] + margin, span[1] - margin

    def mean(resource: str) -> float | None:
        capacity: int = getattr(result.capacity, resource)
        if not capacity:
            return None
        steps = ((moment.at, getattr(moment.used, resource)) for moment in result.moments)
        return time_means(steps, *window)[0] / capacity

    return Shares(mean("cores_milli"), mean("memory_bytes"), mean("gpus"))


def _churn(outcomes: Iterable[Outcome]) -> Churn:
    taken_back, lost, useful = 0, list[float](), list[float]()
    for one in outcomes:
        taken_back += one.taken_back
        lost.append(one.lost_seconds)
        if one.ending is Ending.COMPLETED:
            useful.append(one.job.seconds * one.job.demand.instances)
    return Churn(taken_back, _ratio(fsum(lost), fsum(useful)))


def _ratio(amount: float, whole: float) -> float | None:
    return amount / whole if whole > 0 else None
