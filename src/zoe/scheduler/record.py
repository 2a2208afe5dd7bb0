"""One execution as the scheduler follows it: what it is, its instances, and what it asks for."""

from collections.abc import Iterator
from dataclasses import replace

from zoe.model.execution import (
    Execution,
    ExecutionStatus,
    ExitReason,
    InstanceStatus,
    ServiceInstance,
    instance_id,
)
from zoe.model.tree import requirements
from zoe.scheduler.demand import Demand, Need, Shape

ACTIVE = frozenset({ExecutionStatus.STARTING, ExecutionStatus.RUNNING})
"""The statuses in which an execution holds room and may get more."""


class Record:
    """One execution as the scheduler follows it; :attr:`value` is its present value."""

    def __init__(
        self, execution: Execution, elastic_attempts: int, *, with_images: bool = False
    ) -> None:
        self._with_images = with_images
        self.services = dict(execution.zapp.services())
        self.requires = requirements(execution.zapp)
        self.numbers = {name: number for number, name in enumerate(self.services)}
        """The number of each need in the demand, by service."""
        self.instances = {instance.id: instance for instance in execution.instances}
        self._execution = execution
        self._elastic_attempts = elastic_attempts
        self._is_current = True

    @property
    def value(self) -> Execution:
        """The execution with its present instances."""
        if not self._is_current:
            self._execution = replace(self._execution, instances=tuple(self.instances.values()))
            self._is_current = True
        return self._execution

    @property
    def base(self) -> Execution:
        """The execution; its ``instances`` may be out of date."""
        return self._execution

    @base.setter
    def base(self, execution: Execution) -> None:
        self._execution = execution

    @property
    def is_active(self) -> bool:
        """Whether it has been admitted and its end is not decided."""
        return self._execution.status in ACTIVE

    def put(self, instance: ServiceInstance) -> None:
        """Replace, or add, an instance."""
        self.instances[instance.id] = instance
        self._is_current = False

    def essential(self, service: str) -> Iterator[ServiceInstance | None]:
        """Yield the essential instances of ``service``; None for one that was never placed."""
        for ordinal in range(self.services[service].essential):
            yield self.instances.get(instance_id(self._execution.id, service, ordinal))

    def placed(self, *statuses: InstanceStatus) -> list[ServiceInstance]:
        """Return the instances that hold room; with ``statuses`` only those in one of them."""
        return [
            instance
            for instance in self.instances.values()
            if instance.is_placed and (not statuses or instance.status in statuses)
        ]

    @property
    def demand(self) -> Demand:
        """What it asks for, as the planner reads it."""
        execution = self._execution
        needs = tuple(
            Need(
                name,
                Shape(
                    service.resources,
                    frozenset(service.labels),
                    service.spread,
                    service.image if self._with_images else "",
                ),
                service.essential,
                execution.elastic_count(name),
                service.speedup,
                service.shrink.grace_seconds,
                bool(service.shrink.command),
            )
            for name, service in self.services.items()
        )
        return Demand(
            execution.id,
            execution.submitted_at,
            needs,
            execution.owner,
            execution.team,
            kind=execution.zapp.kind,
            application=execution.zapp.name,
            run_seconds=execution.zapp.time_limit_seconds,
            limit_seconds=execution.zapp.time_limit_seconds,
        )

    @property
    def minimum(self) -> tuple[int, ...] | None:
        """How many elastic instances of each need others may not take back; None: any."""
        kept = self._execution.elastic_min
        if not any(kept.values()):
            return None
        return tuple(kept.get(name, 0) for name in self.services)

    def missing_essential(self, name: str) -> list[int]:
        """Return the ordinals that have to be placed all together: those without room.

        All of them while it is queued; later those whose node has gone away.
        """
        return [
            ordinal
            for ordinal, instance in enumerate(self.essential(name))
            if instance is None or is_homeless(instance)
        ]

    def missing_elastic(self, name: str, now: float) -> list[int]:
        """Return the ordinals of missing elastic instances that may be placed at ``now``."""
        wanted = self._execution.elastic_count(name)
        if not wanted:
            return []
        first = self.services[name].essential
        existing = [
            instance
            for instance in self.instances.values()
            if instance.service == name and not instance.essential
        ]
        counted = sum(one.is_placed or self.is_done(one) for one in existing)
        taken = {
            one.ordinal
            for one in existing
            if one.is_placed or self.is_done(one) or one.not_before > now
        }
        free = [n for n in range(first, first + wanted) if n not in taken]
        return free[: max(0, wanted - counted)]

    def is_done(self, instance: ServiceInstance) -> bool:
        """Whether an elastic instance has stopped and is not to be replaced."""
        return instance.status is InstanceStatus.STOPPED and (
            (instance.exit is not None and instance.exit.reason is ExitReason.COMPLETED)
            or instance.failures > self._elastic_attempts
        )


def is_completed(instance: ServiceInstance) -> bool:
    """Whether it exited by itself with 0."""
    return (
        instance.status is InstanceStatus.STOPPED
        and instance.exit is not None
        and instance.exit.reason is ExitReason.COMPLETED
    )


def is_homeless(instance: ServiceInstance) -> bool:
    """Whether an essential instance has lost its room and needs another one."""
    return instance.status is InstanceStatus.STOPPED and not is_completed(instance)
