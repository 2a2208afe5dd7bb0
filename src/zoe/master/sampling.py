"""Samples what is used, again and again: for people, for the store, and for the scheduler.

The scheduler hears of it only when what the samples mean has changed, or while memory has to be
given back: see :mod:`zoe.scheduler.strain`.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from zoe.backends.base import Backend, Refused, Retryable
from zoe.master.hour import Hour
from zoe.model.cluster import Node
from zoe.model.execution import Execution, InstanceStatus
from zoe.model.load import NodeLoad
from zoe.model.samples import InstanceSample, NodeSample, Samples
from zoe.model.use import InstanceUse, NodeUse, averaged, grown
from zoe.scheduler.events import Event, LoadsObserved, MemoryKilled
from zoe.scheduler.strain import Judge, Limits, Use
from zoe.store.base import StoreUnavailable
from zoe.store.uses import MINUTE_SECONDS, UseBook

log = structlog.get_logger("sampling")

UNWRITTEN_MAX = 5000
"""How many uses wait at most to be written while the store is away."""


@dataclass(frozen=True, slots=True)
class Habits:
    """How often is sampled, and what follows."""

    pause_seconds: float = 10.0
    timeout_seconds: float = 60.0
    kept_days: float = 30.0
    """How long the store keeps what was used of nodes."""
    limits: Limits = field(default_factory=Limits)


class Sampling:
    """What was sampled in one reign: the last use of everything, and its last hour."""

    def __init__(
        self,
        backend: Backend,
        uses: UseBook,
        habits: Habits,
        now: Callable[[], float],
        epoch: int,
    ) -> None:
        self.hour = Hour()
        self.nodes: dict[str, NodeUse] = {}
        """What is used of each node that answers, by name."""
        self.instances: dict[str, InstanceUse] = {}
        """What each instance that lives uses, by id."""
        self._backend = backend
        self._uses = uses
        self._habits = habits
        self._now = now
        self._epoch = epoch
        self._judge = Judge(habits.limits)
        self._told: list[NodeLoad] = []
        self._core_seconds: dict[str, tuple[float, float]] = {}
        """By node: when it was sampled last, and what its cores had worked then."""
        self._unwritten: dict[tuple[str, int], InstanceUse] = {}
        self._minute: dict[str, list[NodeUse]] = {}
        self._written_at = now()
        self._ended: set[tuple[str, int]] = set()
        """What of the unwritten will not be sampled again."""

    @property
    def pause_seconds(self) -> float:
        """How long it waits between two samples."""
        return self._habits.pause_seconds

    def of_execution(self, execution_id: int) -> list[InstanceUse]:
        """Return what the instances of an execution use, and what is not written of others."""
        known = self._unwritten | {
            (each.instance_id, each.attempt): each for each in self.instances.values()
        }
        return [use for _, use in sorted(known.items()) if use.execution_id == execution_id]

    async def pause(self) -> None:
        """Wait until the next sample is due."""
        await asyncio.sleep(self._habits.pause_seconds)

    async def next(
        self, observed: tuple[Node, ...], executions: Mapping[int, Execution]
    ) -> list[Event]:
        """Sample once, write what is due, and return what the scheduler should hear.

        ``observed`` are the nodes as the back-end told them.
        """
        try:
            async with asyncio.timeout(self._habits.timeout_seconds):
                samples = await self._backend.sample()
        except (Retryable, Refused, TimeoutError) as fault:
            log.warning("nothing could be sampled", why=str(fault))
            return []
        events = self.take_in(samples, observed, executions)
        await self._write()
        return events

    def take_in(
        self,
        samples: Samples,
        observed: tuple[Node, ...],
        executions: Mapping[int, Execution],
    ) -> list[Event]:
        """Keep what was sampled, and return what the scheduler should hear of it."""
        now = self._now()
        kills = self._kills()
        live = {each.instance_id: self._take_instance(each, now) for each in samples.instances}
        self.instances = live
        self.nodes = {each.name: self._take_node(each, now) for each in samples.nodes}
        self.hour.forget_old(now)
        events: list[Event] = [
            MemoryKilled(each.instance_id, each.attempt, each.memory_kills)
            for each in live.values()
            if each.memory_kills > kills.get((each.instance_id, each.attempt), 0)
        ]
        uses = self._node_uses(samples, executions)
        loads = self._judge.judge(observed, uses, now)
        if loads != self._told or any(load.hungriest for load in loads):
            self._told = loads
            events.append(LoadsObserved(tuple(loads)))
        return events

    def note_end(self, used: InstanceSample | None) -> None:
        """Take in what an instance has used in all, as the back-end tells it at the end."""
        if used is not None:
            use = self._take_instance(used, self._now(), ended=True)
            self._ended.add((use.instance_id, use.attempt))

    def _kills(self) -> dict[tuple[str, int], int]:
        return {
            (each.instance_id, each.attempt): each.memory_kills for each in self.instances.values()
        }

    def _take_instance(
        self, sample: InstanceSample, now: float, *, ended: bool = False
    ) -> InstanceUse:
        key = (sample.instance_id, sample.attempt)
        before = self.instances.get(sample.instance_id)
        if before is not None and before.attempt != sample.attempt:
            before = None
        cores = 0
        if before is not None and now > before.at:
            worked = max(0.0, sample.core_seconds - before.core_seconds)
            cores = round(worked * 1000 / (now - before.at))
        use = InstanceUse(
            *key,
            now,
            cores,
            before.memory_bytes if ended and before else sample.memory_bytes,
            max(sample.memory_bytes, sample.peak_bytes),
            sample.core_seconds,
            sample.network_bytes,
            sample.disk_bytes,
            sample.memory_kills,
        )
        use = grown(before, use)
        self._unwritten[key] = grown(self._unwritten.get(key), use)
        if not ended:
            self.hour.add(sample.instance_id, (now, use.cores_milli, use.memory_bytes))
        return use

    def _take_node(self, sample: NodeSample, now: float) -> NodeUse:
        cores = 0
        at, worked = self._core_seconds.get(sample.name, (now, 0.0))
        if sample.core_seconds is not None:
            if now > at:
                cores = max(0, round((sample.core_seconds - worked) * 1000 / (now - at)))
            self._core_seconds[sample.name] = (now, sample.core_seconds)
        use = NodeUse(
            sample.name,
            at,
            now - at,
            cores,
            sample.memory_bytes,
            sample.memory_bytes,
            sample.memory_total_bytes,
            sample.memory_stall,
            sample.cpu_stall,
        )
        self._minute.setdefault(sample.name, []).append(use)
        self.hour.add(sample.name, (now, cores, sample.memory_bytes))
        return use

    def _node_uses(self, samples: Samples, executions: Mapping[int, Execution]) -> dict[str, Use]:
        """Return what was seen on each node, with who of ours is there."""
        memory = {each.instance_id: each.memory_bytes for each in samples.instances}
        there: dict[str, list[tuple[str, int]]] = {}
        reserved: dict[str, int] = {}
        for execution in executions.values():
            if not execution.instances:
                continue
            services = dict(execution.zapp.services())
            for one in execution.instances:
                if one.status is not InstanceStatus.STOPPED and one.id in memory:
                    there.setdefault(one.node, []).append((one.id, memory[one.id]))
                    needs = services[one.service].resources.memory_bytes
                    reserved[one.node] = reserved.get(one.node, 0) + needs
        return {
            each.name: Use(
                each.memory_bytes,
                each.memory_total_bytes,
                self.nodes[each.name].cores_milli,
                each.memory_stall,
                each.cpu_stall,
                each.is_machine,
                there.get(each.name, ()),
                reserved.get(each.name, 0),
            )
            for each in samples.nodes
        }

    async def _write(self) -> None:
        """Write the uses once a minute, and those of instances that have ended at once.

        What cannot be written of instances waits for the next time.
        """
        now = self._now()
        is_minute = now - self._written_at >= MINUTE_SECONDS
        if not (is_minute or self._ended):
            return
        nodes: list[NodeUse] = []
        keys = self._ended
        if is_minute:
            self._written_at = now
            nodes = [averaged(samples) for samples in self._minute.values()]
            self._minute = {}
            keys = set(self._unwritten)
        # More may come in while these are written.
        taken = {key: self._unwritten.pop(key) for key in keys if key in self._unwritten}
        ended, self._ended = self._ended, set()
        try:
            await self._uses.put(list(taken.values()), nodes, self._epoch)
            if is_minute:
                await self._uses.condense(now, self._habits.kept_days, self._epoch)
        except StoreUnavailable as away:
            log.warning("what was used is not written", why=str(away))
            self._ended |= ended
            for key, use in taken.items():
                newer = self._unwritten.get(key)
                self._unwritten[key] = use if newer is None else grown(use, newer)
            self._forget_too_many()

    def _forget_too_many(self) -> None:
        """Keep what has ended rather than what will be sampled again."""
        order = sorted(self._unwritten, key=lambda key: key not in self._ended)
        self._unwritten = {key: self._unwritten[key] for key in order[:UNWRITTEN_MAX]}
        self._ended &= self._unwritten.keys()
