"""Model values as REST shows them."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from zoe.model.amounts import counted
from zoe.model.cluster import Node
from zoe.model.execution import (
    ENDED,
    Execution,
    ExecutionEnd,
    ExecutionStatus,
    Exit,
    Forecast,
    InstanceStatus,
    Reason,
    ServiceInstance,
)
from zoe.model.resources import NOTHING, Resources
from zoe.model.rest import ResourcesView, as_time
from zoe.model.rest_cluster import GpuView, NodeInstanceView, NodeUseView, NodeView
from zoe.model.rest_executions import (
    EndpointView,
    EndView,
    ExecutionDetail,
    ExecutionSummary,
    ExitView,
    ForecastView,
    FrameworkView,
    HistoryView,
    InstanceView,
    LossView,
    ReasonView,
    ServiceView,
    WhyView,
)
from zoe.model.use import NodeUse
from zoe.model.zapp import ZApp
from zoe.store.base import HistoryEntry

_REACHABLE = frozenset({InstanceStatus.STARTING, InstanceStatus.RUNNING})


def summary(execution: Execution) -> ExecutionSummary:
    """Return an execution as in a list."""
    return ExecutionSummary(
        id=execution.id,
        name=execution.name,
        owner=execution.owner,
        team=execution.team,
        application=execution.zapp.name,
        kind=execution.zapp.kind,
        status=execution.status,
        desired=execution.desired,
        generation=execution.generation,
        submitted_at=as_time(execution.submitted_at),
        started_at=None if execution.started_at is None else as_time(execution.started_at),
        ended_at=None if execution.ended_at is None else as_time(execution.ended_at),
        end=end_view(execution.end),
        queue_position=execution.queue_position,
        reasons=reason_views(execution.reasons),
        forecast=forecast_view(execution.forecast),
    )


def detail(execution: Execution) -> ExecutionDetail:
    """Return everything about an execution."""
    return ExecutionDetail(
        **dict(summary(execution)),
        desired_by=execution.desired_by,
        time_limit_seconds=execution.limit_seconds,
        parameters=dict(execution.zapp.parameters),
        frameworks=frameworks(execution.zapp, execution),
        instances=[instance_view(each) for each in execution.instances],
        endpoints=endpoints(execution),
    )


def why(
    execution: Execution, history: Sequence[HistoryEntry] = (), curbed: Sequence[Reason] = ()
) -> WhyView:
    """Return why an execution is where it is, and what its history says was taken from it.

    ``curbed`` says why it has fewer elastic instances than wanted.
    """
    reasons = [*execution.reasons, *curbed]
    return WhyView(
        execution_id=execution.id,
        name=execution.name,
        status=execution.status,
        summary=why_sentence(execution),
        queue_position=execution.queue_position,
        reasons=reason_views(reasons),
        forecast=forecast_view(execution.forecast),
        losses=losses(history),
    )


def losses(history: Sequence[HistoryEntry]) -> list[LossView]:
    """Return what was taken from an execution; what went at one time for one reason is one loss."""
    found: list[LossView] = []
    for entry in history:
        cause = entry.detail.get("cause")
        if not cause:
            continue
        loss = LossView(
            at=as_time(entry.at),
            service=entry.detail["service"],
            instances=1,
            rule=cause["rule"],
            for_execution=cause["for_execution"],
            message=entry.message,
        )
        if found and found[-1].model_copy(update={"instances": 1}) == loss:
            loss = loss.model_copy(update={"instances": found.pop().instances + 1})
        found.append(loss)
    return found


def forecast_view(forecast: Forecast | None) -> ForecastView | None:
    """Return when an execution is expected to start."""
    if forecast is None:
        return None
    return ForecastView(
        at=as_time(forecast.at),
        p50=None if forecast.p50 is None else as_time(forecast.p50),
        p90=None if forecast.p90 is None else as_time(forecast.p90),
        because=forecast.because,
    )


def why_sentence(execution: Execution) -> str:
    """Say in one sentence what an execution does, and why."""
    running = sum(each.status is InstanceStatus.RUNNING for each in execution.instances)
    total = sum(each.is_placed for each in execution.instances)
    match execution.status:
        case ExecutionStatus.SUBMITTED:
            return "It is safely stored; the master has not looked at it yet."
        case ExecutionStatus.QUEUED:
            position = execution.queue_position
            place = f"It is number {position} in the queue" if position else "It waits in the queue"
            reasons = "; ".join(reason.message for reason in execution.reasons)
            return f"{place}: {reasons}." if reasons else f"{place}."
        case ExecutionStatus.STARTING:
            does = "".join(f" {said}." for said in _preparing(execution))
            return f"It has its room; {running} of {total} instances run.{does}"
        case ExecutionStatus.RUNNING:
            below = "".join(f" {said}" for said in _below_minimum(execution))
            return f"It runs, with {running} of {total} instances.{below}"
        case ExecutionStatus.STOPPING:
            return f"It is being stopped; {total} instances are still there."
        case ExecutionStatus.TERMINATED | ExecutionStatus.FAILED:
            return execution.end.message if execution.end else "It has ended."


def _preparing(execution: Execution) -> Iterator[str]:
    """Say what is done for instances before they run, once for those of a service."""
    said = {
        each.service: each.message
        for each in map(instance_view, execution.instances)
        if each.message
    }
    yield from (f"{service} {message}" for service, message in said.items())


def _below_minimum(execution: Execution) -> Iterator[str]:
    """Say of which services there are fewer elastic instances than are to be kept."""
    for service, kept in execution.elastic_min.items():
        has = sum(
            each.is_placed and not each.essential and each.status is not InstanceStatus.STOPPING
            for each in execution.instances
            if each.service == service
        )
        if has < kept:
            yield (
                f"It has {has} of the {counted(kept, 'elastic instance')} of {service} that it may "
                "keep: it gets more when there is room."
            )


def end_view(end: ExecutionEnd | None) -> EndView | None:
    """Return how an execution ended."""
    return (
        EndView(outcome=end.outcome, message=end.message, exit_code=end.exit_code) if end else None
    )


def reason_views(reasons: Sequence[Reason]) -> list[ReasonView]:
    """Return why an execution waits."""
    return [ReasonView(code=each.code, message=each.message) for each in reasons]


def instance_view(instance: ServiceInstance) -> InstanceView:
    """Return an instance."""
    waits = instance.status is InstanceStatus.WAITING and instance.not_before > 0
    return InstanceView(
        id=instance.id,
        service=instance.service,
        ordinal=instance.ordinal,
        essential=instance.essential,
        status=instance.status,
        ready=instance.ready,
        node=instance.node,
        attempt=instance.attempt,
        address=instance.address,
        placed_at=as_time(instance.placed_at),
        started_at=None if instance.started_at is None else as_time(instance.started_at),
        stopped_at=None if instance.stopped_at is None else as_time(instance.stopped_at),
        not_before=as_time(instance.not_before) if waits else None,
        exit=exit_view(instance.exit),
        gpus=list(instance.gpus),
        message=instance.message if instance.status is InstanceStatus.STARTING else "",
    )


def exit_view(exit: Exit | None) -> ExitView | None:
    """Return how an instance ended."""
    if exit is None:
        return None
    return ExitView(reason=exit.reason, code=exit.code, signal=exit.signal, message=exit.sentence)


def frameworks(zapp: ZApp, execution: Execution | None = None) -> list[FrameworkView]:
    """Return the component tree with what an execution wants and has of each service."""
    elastic = execution.elastic if execution else {}
    kept = execution.elastic_min if execution else {}
    counts: dict[str, Counter[InstanceStatus]] = {}
    for instance in execution.instances if execution else ():
        counts.setdefault(instance.service, Counter())[instance.status] += 1
    return [
        FrameworkView(
            name=framework.name,
            depends_on=dict(framework.depends_on),
            services=[
                ServiceView(
                    name=(full := f"{framework.name}.{service.name}"),
                    image=service.image,
                    command=list(service.command),
                    resources=resources(service.resources),
                    essential=service.essential,
                    elastic=elastic.get(full, service.elastic),
                    elastic_min=kept.get(full, 0),
                    elastic_declared=service.elastic,
                    monitor=service.monitor,
                    depends_on=dict(service.depends_on),
                    instances=dict(counts.get(full, {})),
                )
                for service in framework.services
            ],
        )
        for framework in zapp.frameworks
    ]


def endpoints(execution: Execution) -> list[EndpointView]:
    """Return where the ports of the live instances are reached."""
    found = []
    for instance in execution.instances:
        if instance.status not in _REACHABLE or not instance.address:
            continue
        host = f"[{instance.address}]" if ":" in instance.address else instance.address
        for port in execution.zapp.service(instance.service).ports:
            number = instance.port_at_address(port.port)
            found.append(
                EndpointView(
                    name=port.name,
                    service=instance.service,
                    instance=instance.id,
                    protocol=port.protocol,
                    host=instance.address,
                    port=number,
                    url=f"{port.protocol}://{host}:{number}",
                    ready=instance.ready,
                )
            )
    return found


def history_view(entry: HistoryEntry) -> HistoryView:
    """Return something that happened."""
    return HistoryView(
        id=entry.id,
        execution_id=entry.execution_id,
        at=as_time(entry.at),
        kind=entry.kind,
        message=entry.message,
        detail=dict(entry.detail),
    )


def resources(amount: Resources) -> ResourcesView:
    """Return an amount of each resource."""
    return ResourcesView(
        cores_milli=amount.cores_milli, memory_bytes=amount.memory_bytes, gpus=amount.gpus
    )


def node_use_view(use: NodeUse) -> NodeUseView:
    """Return what was used of a node."""
    return NodeUseView(
        at=as_time(use.at),
        seconds=use.seconds,
        cores_milli=use.cores_milli,
        memory_bytes=use.memory_bytes,
        peak_bytes=use.peak_bytes,
        memory_total_bytes=use.memory_total_bytes,
        memory_stall=use.memory_stall,
        cpu_stall=use.cpu_stall,
    )


def node_views(
    nodes: Sequence[Node], live: Sequence[Execution], uses: Mapping[str, NodeUse]
) -> list[NodeView]:
    """Return the nodes by name, with the instances of ``live`` executions that hold room there."""
    reserved: dict[str, Resources] = {}
    holders: dict[str, list[NodeInstanceView]] = {}
    gpus: dict[str, dict[str, str]] = {}
    for execution in live:
        needs = {name: service.resources for name, service in execution.zapp.services()}
        for instance in execution.instances:
            if execution.status in ENDED or not instance.is_placed:
                continue
            amount = needs[instance.service]
            reserved[instance.node] = reserved.get(instance.node, NOTHING) + amount
            for gpu in instance.gpus:
                gpus.setdefault(instance.node, {})[gpu] = instance.id
            holders.setdefault(instance.node, []).append(
                NodeInstanceView(
                    id=instance.id,
                    execution_id=execution.id,
                    execution_name=execution.name,
                    essential=instance.essential,
                    status=instance.status,
                    reserved=resources(amount),
                )
            )
    return [
        NodeView(
            name=node.name,
            status=node.status,
            message=node.message,
            labels=sorted(node.labels),
            capacity=resources(node.capacity),
            foreign=resources(node.foreign),
            reserved=resources(reserved.get(node.name, NOTHING)),
            free=resources(node.capacity.without(node.foreign + reserved.get(node.name, NOTHING))),
            instances=holders.get(node.name, []),
            gpus=_gpu_views(node, gpus.get(node.name, {})),
            images=None if node.images is None else sorted(node.images),
            pulls=node.pulls,
            pressure=node.pressure,
            use=node_use_view(uses[node.name]) if node.name in uses else None,
        )
        for node in sorted(nodes, key=lambda node: node.name)
    ]


def _gpu_views(node: Node, held: Mapping[str, str]) -> list[GpuView]:
    there = [GpuView(id=gpu, instance=held.get(gpu)) for gpu in node.gpu_ids]
    gone = held.keys() - set(node.gpu_ids)
    return there + [GpuView(id=gpu, instance=held[gpu], gone=True) for gpu in sorted(gone)]
