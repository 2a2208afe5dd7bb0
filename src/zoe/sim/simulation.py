"""Drives the planner that ships through virtual time, with counts of instances: fast.

Work model: an application that asks for ``n`` instances and takes ``T`` seconds with all of them
advances, with ``x`` of them, by ``x / n`` of those seconds a second (or along its speed-up curve),
from the moment on which it has its essential set. Instances start at once. One that is taken back
stops working at once, holds its room for the time of its drain, and may lose work.

A node that fails takes its instances with it. Elastic ones are placed elsewhere as there is room.
An execution that lost an essential one goes back to the work that it had saved, and stands still
until its essential set is complete again.

At equal times ends come first, then failures and repairs, then arrivals; and everything that
happens at one time is planned for together.
"""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf

from zoe.model.cluster import Node, NodeStatus
from zoe.model.resources import NOTHING, Resources
from zoe.scheduler.contender import Contender
from zoe.scheduler.history import History
from zoe.scheduler.plan import Plan
from zoe.scheduler.planner import Planner
from zoe.sim.failures import Failure, changes
from zoe.sim.outcome import Ending, Moment, Outcome, Result, Span
from zoe.sim.workload import Job


@dataclass(frozen=True, slots=True)
class Physics:
    """How instances behave, where the work model leaves it open."""

    drain_seconds: float = 0.0
    """How long an instance that is taken back still holds its room."""
    lost_seconds: float = 0.0
    """At most so much of the work that it did last is lost with it."""
    saved_seconds: float = inf
    """An execution saves its work whenever it has done so much; infinite: never."""
    restarts: int = 3
    """How often an execution may lose an essential instance; once more, and it is lost."""


def simulate(
    jobs: Iterable[Job],
    nodes: Sequence[Node],
    planner: Planner,
    *,
    physics: Physics | None = None,
    failures: Iterable[Failure] = (),
    keep_spans: bool = False,
    watch: Callable[[float, Plan], None] | None = None,
) -> Result:
    """Run ``jobs`` on ``nodes`` until all have ended, or nothing can happen any more.

    ``failures`` are of nodes among ``nodes``. ``keep_spans`` keeps who had how many instances when;
    ``watch`` sees every plan that does something.
    """
    simulation = _Simulation(planner, nodes, physics or Physics(), failures, keep_spans, watch)
    return simulation.run(sorted(jobs, key=lambda job: (job.arrival_seconds, job.id)))


@dataclass(slots=True)
class _Run:
    job: Job
    contender: Contender
    started: float | None = None
    version: int = 0
    """Grows with each change of the rate: an end expected earlier is void then."""
    overtaken: int = 0
    taken_back: int = 0
    lost_seconds: float = 0.0
    restarts: int = 0
    since: float = 0.0
    had: int = 0


class _Simulation:
    def __init__(
        self,
        planner: Planner,
        nodes: Iterable[Node],
        physics: Physics,
        failures: Iterable[Failure],
        keep_spans: bool,
        watch: Callable[[float, Plan], None] | None,
    ) -> None:
        self._planner = planner
        self._physics = physics
        self._keep_spans = keep_spans
        self._watch = watch
        self._runs: dict[int, _Run] = {}
        self._ends: list[tuple[float, int, int]] = []
        self._drains: list[tuple[float, int, int, int, tuple[int, int]]] = []
        self._outcomes: list[Outcome] = []
        self._moments: list[Moment] = []
        self._spans: list[Span] = []
        self._drained = 0
        self._running = 0
        self._history = History()
        self._retry_at = inf
        self._nodes = {node.name: node for node in nodes}
        self._changes = deque(changes(failures))
        self._ready = NOTHING
        """Capacity of the nodes that work."""
        self._changed: dict[int, _Run] = {}
        """Executions of which the end has to be expected anew."""
        self._show_nodes()

    def run(self, jobs: Sequence[Job]) -> Result:
        """Let everything happen, in the order of time."""
        next_job = 0
        while (
            next_job < len(jobs)
            or self._ends
            or self._drains
            or self._retry_at < inf
            or (self._changes and self._runs)
        ):
            now = self._next_time(jobs[next_job].arrival_seconds if next_job < len(jobs) else None)
            while self._ends and self._ends[0][0] <= now:
                end = heapq.heappop(self._ends)
                if not self._is_void(end):
                    self._end(self._runs[end[1]], now, Ending.COMPLETED)
            while self._drains and self._drains[0][0] <= now:
                self._drain(heapq.heappop(self._drains), now)
            if self._changes and self._changes[0].at <= now:
                self._change_nodes(now)
            while next_job < len(jobs) and jobs[next_job].arrival_seconds <= now:
                job = jobs[next_job]
                contender = self._planner.add(
                    job.demand, now, self._history.typical_seconds(job.demand)
                )
                self._planner.wait(contender, now)
                self._runs[job.id] = _Run(job, contender)
                next_job += 1
            self._settle(now)
            while self._ends and self._is_void(self._ends[0]):
                heapq.heappop(self._ends)
        last = self._moments[-1].at if self._moments else 0.0
        for run in list(self._runs.values()):
            self._end(run, last, Ending.NEVER if run.started is None else Ending.LOST)
        return Result(
            tuple(self._outcomes),
            self._planner.room.total,
            tuple(self._moments),
            tuple(self._spans),
        )

    def _next_time(self, arrival: float | None) -> float:
        times = [queue[0][0] for queue in (self._ends, self._drains, self._changes) if queue]
        times.append(self._retry_at)
        return min(times) if arrival is None else min([arrival, *times])

    def _is_void(self, end: tuple[float, int, int]) -> bool:
        """Whether an end was expected at a rate that has changed since."""
        run = self._runs.get(end[1])
        return run is None or run.version != end[2]

    def _settle(self, now: float) -> None:
        """Plan, and make it so, until there is nothing more to do."""
        changed = self._changed
        while True:
            plan = self._planner.plan(now)
            self._retry_at = plan.retry_at
            if not plan.grants and not plan.take_back:
                break
            if self._watch is not None:
                self._watch(now, plan)
            for lending, count, _ in plan.take_back:
                self._take_back(lending.contender, lending.need, (lending.node, count), now)
                changed[lending.contender.id] = run = self._runs[lending.contender.id]
                lost = min(now - lending.at, self._physics.lost_seconds)
                self._lose(run, count, lost, now)
            for grant in plan.grants:
                changed[grant.contender.id] = self._runs[grant.contender.id]
            self._planner.commit(plan, now)
            if plan.is_whole:
                break
        for run in changed.values():
            if run.started is None and run.contender.is_admitted:
                self._start(run, now)
            self._expect_end(run, now)
        changed.clear()
        self._note_moment(now)

    def _start(self, run: _Run, now: float) -> None:
        run.started = run.since = now
        self._running += 1
        for submitted_at, execution_id in self._planner.by_age:
            if submitted_at >= run.job.arrival_seconds:
                break
            self._runs[execution_id].overtaken += 1

    def _take_back(
        self, contender: Contender, need: int, place: tuple[int, int], now: float
    ) -> None:
        self._runs[contender.id].taken_back += place[1]
        at = now + self._physics.drain_seconds
        self._drained += 1
        heapq.heappush(self._drains, (at, self._drained, contender.id, need, place))

    def _lose(self, run: _Run, count: int, seconds: float, now: float) -> None:
        """Take back the work that ``count`` instances did in the last ``seconds``."""
        contender = run.contender
        contender.advance(now, 0)
        lost = min(contender.done_seconds, count * seconds / max(contender.asked, 1))
        contender.done_seconds -= lost
        run.lost_seconds += count * seconds

    def _drain(self, drain: tuple[float, int, int, int, tuple[int, int]], now: float) -> None:
        _, _, execution_id, need, place = drain
        contender = self._planner.contenders.get(execution_id)
        if contender is not None:  # it may have ended meanwhile, and given all back
            self._planner.gone(contender, need, place, now)

    def _change_nodes(self, now: float) -> None:
        """Let nodes fail and come back."""
        while self._changes and self._changes[0].at <= now:
            _, is_up, name = self._changes.popleft()
            status = NodeStatus.READY if is_up else NodeStatus.UNREACHABLE
            self._nodes[name] = replace(self._nodes[name], status=status)
            if not is_up:
                self._lose_node(self._planner.room.index[name], now)
        self._show_nodes()

    def _show_nodes(self) -> None:
        self._planner.set_nodes(self._nodes.values())
        ready = (node for node in self._nodes.values() if node.status is NodeStatus.READY)
        self._ready = sum((node.capacity for node in ready), NOTHING)

    def _lose_node(self, node: int, now: float) -> None:
        """Take from every execution what it has on a node."""
        self._drains = [drain for drain in self._drains if drain[4][0] != node]
        heapq.heapify(self._drains)
        for run in list(self._runs.values()):
            contender = run.contender
            elastic = essential = 0
            for need, going in enumerate(contender.going):
                if node in going:
                    self._planner.gone(contender, need, (node, going[node]), now)
                elastic += self._lose_elastic(run, need, node, now)
                essential += self._lose_essential(contender, need, node, now)
            if elastic or essential:
                self._planner.refresh(contender)
                self._changed[run.job.id] = run
            if essential:
                self._restart(run, now)

    def _lose_elastic(self, run: _Run, need: int, node: int, now: float) -> int:
        contender = run.contender
        count = contender.elastic[need].get(node, 0)
        if count:
            since = self._planner.lent[contender.id, need, node].at
            self._lose(run, count, min(now - since, self._physics.lost_seconds), now)
            self._planner.drop(contender, need, (node, count), now, elastic=True)
            contender.elastic_missing[need] += count
        return count

    def _lose_essential(self, contender: Contender, need: int, node: int, now: float) -> int:
        count = contender.essential[need].get(node, 0)
        if count:
            self._planner.drop(contender, need, (node, count), now, elastic=False)
            contender.essential_missing[need] += count
        return count

    def _restart(self, run: _Run, now: float) -> None:
        """Go back to the work that was saved, or give up."""
        run.restarts += 1
        done, each = run.contender.done_seconds, self._physics.saved_seconds
        saved = 0.0 if each == inf else done // each * each if each else done
        run.contender.done_seconds = saved
        run.lost_seconds += (done - saved) * run.contender.asked
        if run.restarts > self._physics.restarts:
            del self._changed[run.job.id]
            self._end(run, now, Ending.LOST)

    def _expect_end(self, run: _Run, now: float) -> None:
        """Expect the end of its work at the rate from now on."""
        contender = run.contender
        if self._keep_spans and run.had != contender.has:
            self._note_span(run, now)
        run.version += 1
        if contender.is_homeless:
            contender.rate = 0.0
        if contender.rate:
            left = max(0.0, run.job.seconds - contender.done_seconds)
            end = contender.at + left / contender.rate
            heapq.heappush(self._ends, (max(now, end), run.job.id, run.version))

    def _end(self, run: _Run, now: float, ending: Ending) -> None:
        if self._keep_spans:
            self._note_span(run, now)
        self._running -= run.started is not None
        self._outcomes.append(
            Outcome(
                run.job, run.started, now, ending, run.overtaken, run.taken_back, run.lost_seconds
            )
        )
        if run.started is not None:
            run.contender.advance(now, 0)
            demand, done = run.job.demand, run.contender.done_seconds
            self._history.add(demand.application, demand.owner, demand.run_seconds, done)
        self._planner.forget(run.job.id, now)
        del self._runs[run.job.id]

    def _note_span(self, run: _Run, now: float) -> None:
        if run.had and now > run.since:
            self._spans.append(Span(run.job.id, run.since, now, run.had))
        run.since, run.had = now, run.contender.has

    def _note_moment(self, now: float) -> None:
        room = self._planner.room
        ready, (cores, memory, gpus) = self._ready, room.free
        used = Resources(ready.cores_milli - cores, ready.memory_bytes - memory, ready.gpus - gpus)
        moment = Moment(now, len(self._planner.waiting), self._running, used)
        if self._moments and self._moments[-1].at == now:
            self._moments[-1] = moment
        else:
            self._moments.append(moment)
