"""A back-end in memory whose machines, instances and troubles are written in a script.

:class:`FakeEngine` is the machines: it outlives the masters, as a real engine does, and time in it
passes only through the ``schedule`` it is given (an event loop's ``call_later``, or virtual time).
:class:`FakeBackend` is one master's connection to it.
"""

import asyncio
import math
import shutil
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from zoe.backends.base import Refused, Retryable
from zoe.backends.fence import Fence
from zoe.backends.peers import counts_by_service
from zoe.backends.watchers import Watchers
from zoe.model.cluster import Node, NodeStatus, Observation, ObservedInstance
from zoe.model.execution import Execution, Exit, ExitReason, InstanceStatus, ServiceInstance
from zoe.model.launch import Launch, Place, launch
from zoe.model.logs import log_folder, log_path
from zoe.model.resources import CORE, Resources
from zoe.model.samples import InstanceSample, NodeSample, Samples
from zoe.model.zapp import Service, ZApp

T = TypeVar("T")

COMPLETED = Exit(ExitReason.COMPLETED, 0)
SIGTERM, SIGKILL = 15, 9
KILLED = Exit(ExitReason.FAILED, None, SIGKILL)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What one attempt does; all times in seconds after the step before."""

    start_seconds: float = 0.0
    """From being accepted to running."""
    ready_seconds: float = 0.0
    """From running to passing the ready check, where there is one; infinite: never."""
    run_seconds: float = math.inf
    """From running to ``exit`` by itself."""
    exit: Exit = COMPLETED
    shrink_seconds: float = 0.0
    """What the shrink hook takes."""
    stop_seconds: float = 0.0
    """From SIGTERM to the end; infinite: only SIGKILL ends it."""
    refused: str = ""
    """Why it is never started; empty: it is."""
    uses: Callable[[], InstanceSample] = lambda: InstanceSample("", 0, 0, 0.0)
    """What it uses at the moment of the question; whose it is does not matter here."""
    output: Callable[[Launch], str] = lambda _: ""
    """What it writes to stdout as soon as it runs."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Trouble with one call: it is late, and raises ``error`` before or after its effect."""

    delay_seconds: float = 0.0
    error: Retryable | Refused | None = None
    after: bool = False


Schedule = Callable[[float, Callable[[], None]], object]
"""Arranges a call so many seconds from now."""


@dataclass(slots=True)
class _Attempt:
    seen: ObservedInstance
    service: Service | None = None
    does: Behaviour = field(default_factory=Behaviour)
    limits: Resources = field(default_factory=Resources)
    terminated: bool = False


class FakeEngine:
    """Machines that exist only in memory; what happens to them is called from outside."""

    def __init__(
        self,
        nodes: Iterable[Node] = (Node("fake", Resources(8 * CORE, 32 * 2**30)),),
        schedule: Schedule | None = None,
        *,
        behaviour: Callable[[Execution, ServiceInstance], Behaviour] = lambda *_: Behaviour(),
        fault: Callable[[str, str], Fault | None] = lambda *_: None,
        logs_dir: Path | None = None,
    ) -> None:
        self.schedule = schedule or _call_later
        self.behaviour = behaviour
        self.fault = fault
        """Asked at every call with its name and the instance's id ("" for ``observe``)."""
        self.silent = False
        """Whether watchers hear nothing: they find out by looking."""
        self.launches: dict[tuple[str, int], Launch] = {}
        """What was run for each attempt that started."""
        self.outside: Callable[[str], int] = lambda _: 0
        """How much memory what is not ours uses on a node."""
        self._nodes = {node.name: node for node in nodes}
        self._attempts: dict[tuple[str, int], _Attempt] = {}
        self._watchers: list[Watchers] = []
        self._logs_dir = logs_dir

    # What happens to the machines.

    def crash(self, instance_id: str, exit: Exit = KILLED) -> None:
        """End the living attempt of an instance, as if by itself."""
        for attempt in self._attempts.values():
            if attempt.seen.instance_id == instance_id:
                self._end(attempt, exit)

    def lose(self, node: str) -> None:
        """Remove a machine for good, with everything on it."""
        del self._nodes[node]
        for attempt in self._attempts.values():
            if attempt.seen.node == node:
                self._end(attempt, Exit(ExitReason.LOST, message=f"{node} is gone"))

    def set_node(self, node: Node) -> None:
        """Add a machine, or change one; on an unreachable one life goes on, unseen."""
        self._nodes[node.name] = node

    def living(self) -> list[tuple[str, int]]:
        """Return every attempt that has not stopped, also those on unreachable machines."""
        return [key for key, attempt in self._attempts.items() if _lives(attempt)]

    # What masters ask.

    def start(self, execution: Execution, instance: ServiceInstance) -> None:
        """Accept an attempt, unless it is known."""
        key = (instance.id, instance.attempt)
        if key in self._attempts:
            return
        self._reach(instance.node)
        for (instance_id, number), attempt in self._attempts.items():
            if instance_id == instance.id and number > instance.attempt:
                raise Refused(f"attempt {number} of {instance_id} came after it")
            if instance_id == instance.id and _lives(attempt):
                raise Retryable(f"attempt {number} of {instance_id} still runs")
        self._check_gpus(instance)
        image = execution.zapp.service(instance.service).image
        if not self._nodes[instance.node].has_image(image):
            raise Retryable(f"{instance.node} has no image {image}")
        does = self.behaviour(execution, instance)
        if does.refused:
            raise Refused(does.refused)
        service = execution.zapp.service(instance.service)
        hosts = _hosts(execution, instance)
        address = hosts[f"{instance.service}.{instance.ordinal}"]
        place = Place("fake", hosts, f"/workspaces/{execution.owner}")
        self.launches[key] = launch(execution, instance, place)
        seen = ObservedInstance(
            instance.id,
            instance.attempt,
            instance.node,
            InstanceStatus.STARTING,
            address=address,
            gpus=instance.gpus,
        )
        attempt = self._attempts[key] = _Attempt(seen, service, does)
        attempt.limits = service.limits or service.resources
        self._change(attempt)
        self._after(does.start_seconds, lambda: self._run(attempt))

    def stop(self, instance_id: str, number: int, grace_seconds: float, shrink: bool) -> None:
        """Begin to stop an attempt; one that was not started never will be."""
        key = (instance_id, number)
        attempt = self._attempts.get(key)
        if attempt is None:
            message = "it was stopped before it started"
            seen = ObservedInstance(instance_id, number, "", InstanceStatus.STARTING)
            attempt = self._attempts[key] = _Attempt(seen)
            self._end(attempt, Exit(ExitReason.STOPPED, message=message))
        if not _lives(attempt):
            return
        self._reach(attempt.seen.node)
        killed = Exit(ExitReason.STOPPED, None, SIGKILL)
        if attempt.seen.status is not InstanceStatus.STOPPING:
            self._change(attempt, status=InstanceStatus.STOPPING)
            hook = attempt.does.shrink_seconds if shrink else 0.0
            reacts = min(hook, grace_seconds) + attempt.does.stop_seconds
            exit = Exit(ExitReason.STOPPED, None, SIGTERM)
            if reacts < grace_seconds:
                self._after(reacts, lambda: self._end(attempt, exit))
        self._after(grace_seconds, lambda: self._end(attempt, killed))

    def resize(self, instance_id: str, number: int, limits: Resources) -> None:
        """Give a living attempt other limits."""
        attempt = self._attempts.get((instance_id, number))
        if attempt is None or not _lives(attempt):
            raise Refused("it does not run")
        attempt.limits = limits

    def remove(self, instance_id: str, number: int) -> None:
        """Forget a stopped attempt."""
        attempt = self._attempts.get((instance_id, number))
        if attempt is not None and _lives(attempt):
            raise Retryable("it has not stopped yet")
        self._attempts.pop((instance_id, number), None)
        self.launches.pop((instance_id, number), None)

    def forget(self, execution_id: int) -> None:
        """Delete the output of an execution."""
        if self._logs_dir is not None:
            shutil.rmtree(log_folder(self._logs_dir, execution_id), ignore_errors=True)

    def observe(self) -> Observation:
        """Return what can be seen: not what is on unreachable machines."""
        hidden = {
            name for name, node in self._nodes.items() if node.status is NodeStatus.UNREACHABLE
        }
        seen = (attempt.seen for attempt in self._attempts.values())
        return Observation(
            tuple(self._nodes.values()), tuple(one for one in seen if one.node not in hidden)
        )

    def sample(self) -> Samples:
        """Return what the attempts on machines that are reached use, and these."""
        used = {name: self.outside(name) for name in self._nodes if self._is_reachable(name)}
        instances = []
        for (instance_id, number), attempt in self._attempts.items():
            if _lives(attempt) and attempt.seen.node in used:
                uses = replace(attempt.does.uses(), instance_id=instance_id, attempt=number)
                used[attempt.seen.node] += uses.memory_bytes
                instances.append(uses)
        sizes = {name: self._nodes[name].capacity.memory_bytes for name in used}
        nodes = (NodeSample(name, used[name], sizes[name], 0.0) for name in used)
        return Samples(tuple(nodes), tuple(instances))

    def add(self, watchers: Watchers) -> None:
        """Tell these what changes, too."""
        self._watchers.append(watchers)

    # How instances live.

    def _run(self, attempt: _Attempt) -> None:
        if attempt.seen.status is not InstanceStatus.STARTING:
            return
        assert attempt.service is not None
        check, does = attempt.service.ready, attempt.does
        self._write_output(attempt)
        self._change(attempt, status=InstanceStatus.RUNNING, ready=check is None)
        self._after(does.run_seconds, lambda: self._end(attempt, does.exit))
        if check is not None and does.ready_seconds <= check.timeout_seconds:
            self._after(does.ready_seconds, lambda: self._get_ready(attempt))
        elif check is not None:
            why = f"it was not ready within {check.timeout_seconds:g} s"
            exit = Exit(ExitReason.NOT_STARTED, None, SIGTERM, why)
            self._after(check.timeout_seconds, lambda: self._end(attempt, exit))

    def _get_ready(self, attempt: _Attempt) -> None:
        if attempt.seen.status is InstanceStatus.RUNNING:
            self._change(attempt, ready=True)

    def _end(self, attempt: _Attempt, exit: Exit) -> None:
        if _lives(attempt):
            self._change(attempt, status=InstanceStatus.STOPPED, ready=False, exit=exit)

    def _change(self, attempt: _Attempt, **changes: object) -> None:
        attempt.seen = replace(attempt.seen, **changes)  # type: ignore[arg-type]  # its own fields
        if self.silent or not self._is_reachable(attempt.seen.node):
            return
        for watchers in self._watchers:
            watchers.tell(attempt.seen)

    def _after(self, seconds: float, then: Callable[[], None]) -> None:
        if seconds <= 0:
            then()
        elif seconds < math.inf:
            self.schedule(seconds, then)

    def _write_output(self, attempt: _Attempt) -> None:
        key = (attempt.seen.instance_id, attempt.seen.attempt)
        text = attempt.does.output(self.launches[key])
        if self._logs_dir is None:
            return
        path = Path(log_path(self._logs_dir, *key, "stdout"))
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(text)

    def _is_reachable(self, node: str) -> bool:
        return not node or (
            node in self._nodes and self._nodes[node].status is not NodeStatus.UNREACHABLE
        )

    def _check_gpus(self, instance: ServiceInstance) -> None:
        node = self._nodes[instance.node]
        for gpu in instance.gpus:
            if gpu not in node.gpu_ids:
                raise Retryable(f"{node.name} has no GPU {gpu}")
            for (instance_id, _), attempt in self._attempts.items():
                seen = attempt.seen
                if seen.node == node.name and gpu in seen.gpus and _lives(attempt):
                    raise Retryable(f"{instance_id} still has the GPU {gpu}")

    def _reach(self, node: str) -> None:
        if node not in self._nodes:
            raise Refused(f"there is no node {node or '(none given)'}")
        if not self._is_reachable(node):
            raise Retryable(f"the node {node} does not answer")


class FakeBackend:
    """One master's connection to a :class:`FakeEngine`; without one, to an engine of its own."""

    name = "fake"

    def __init__(self, engine: FakeEngine | None = None, fence: Fence | None = None) -> None:
        self._engine = engine or FakeEngine()
        self.fence = fence or Fence()
        self._watchers = Watchers()
        self._engine.add(self._watchers)

    async def open(self) -> None:
        """Connect; what earlier masters started is simply there."""
        await self._call("open", "", lambda: None)

    async def close(self) -> None:
        """Let go; instances go on."""
        self._watchers.close()

    async def start(self, execution: Execution, instance: ServiceInstance) -> None:
        """Start this attempt."""
        await self._call("start", instance.id, lambda: self._engine.start(execution, instance))

    async def stop(
        self, instance_id: str, attempt: int, *, grace_seconds: float, shrink: bool
    ) -> None:
        """Begin to stop it."""
        await self._call(
            "stop",
            instance_id,
            lambda: self._engine.stop(instance_id, attempt, grace_seconds, shrink),
        )

    async def resize(self, instance_id: str, attempt: int, limits: Resources) -> None:
        """Give it other limits."""
        await self._call(
            "resize", instance_id, lambda: self._engine.resize(instance_id, attempt, limits)
        )

    async def remove(self, instance_id: str, attempt: int) -> None:
        """Forget a stopped attempt."""
        await self._call("remove", instance_id, lambda: self._engine.remove(instance_id, attempt))

    async def forget(self, execution_id: int) -> None:
        """Delete the output of an execution."""
        await self._call("forget", "", lambda: self._engine.forget(execution_id))

    async def observe(self) -> Observation:
        """Return the nodes and attempts that can be seen."""
        return await self._call("observe", "", self._engine.observe)

    async def sample(self) -> Samples:
        """Return what is used on the machines that are reached."""
        return await self._call("sample", "", self._engine.sample)

    def watch(self) -> AsyncIterator[ObservedInstance]:
        """Yield what changes, unless the engine is silent."""
        return self._watchers.watch()

    def describe(self, zapp: ZApp) -> list[str]:
        """Return what differs here, for people."""
        return ["nothing is run: this back-end only plays that it runs applications"]

    async def _call(self, name: str, instance_id: str, effect: Callable[[], T]) -> T:
        fault = self._engine.fault(name, instance_id) or Fault()
        if fault.delay_seconds:
            passed = asyncio.Event()
            self._engine.schedule(fault.delay_seconds, passed.set)
            await passed.wait()
        if fault.error is not None and not fault.after:
            raise fault.error
        if name not in ("open", "observe", "sample"):
            self.fence.check()
        result = effect()
        if fault.error is not None:
            raise fault.error
        return result


def _lives(attempt: _Attempt) -> bool:
    return attempt.seen.status is not InstanceStatus.STOPPED


def _hosts(execution: Execution, instance: ServiceInstance) -> dict[str, str]:
    """Return a name for every instance that the execution may have."""
    return {
        f"{name}.{ordinal}": f"{name}.{ordinal}.{execution.id}.fake"
        for name, count in counts_by_service(execution, instance).items()
        for ordinal in range(count)
    }


def _call_later(seconds: float, then: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, then)
