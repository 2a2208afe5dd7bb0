"""The routes of what is used: now, in the last hour, and before."""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from zoe.api import views
from zoe.api.access import Action, authorise
from zoe.api.engines import engine_view
from zoe.api.executions import ActorOf, PartsOf, find
from zoe.api.parts import Parts
from zoe.model.execution import ENDED, Execution, ServiceInstance
from zoe.model.rest import as_time
from zoe.model.rest_cluster import NodeView
from zoe.model.rest_use import (
    ExecutionUseView,
    InstanceUseView,
    NodePastView,
    PointView,
    TopView,
)
from zoe.model.use import InstanceUse, Point, grown
from zoe.rpc.client import MasterUnreachable
from zoe.rpc.messages import Used, Uses
from zoe.store.base import NotFound

ANSWER_SECONDS = 0.5
"""How long the master has to tell what is used, at most: all else is shown without it."""
DAY = 86400.0

router = APIRouter(tags=["use"])


@router.get("/top")
async def top(
    parts: PartsOf, actor: ActorOf, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> TopView:
    """Say what is used now, by those who use most memory first; of nodes to administrators."""
    authorise(actor, Action.VIEW)
    uses = await uses_now(parts, Used(owner=actor.scope or ""))
    live = await parts.store.load()
    seen = live if actor.scope is None else [each for each in live if each.owner == actor.scope]
    instances = sorted(_views(seen, uses.instances), key=lambda each: -each.memory_bytes)
    return TopView(
        sample_seconds=uses.pause_seconds,
        nodes=await node_views(parts, uses) if actor.scope is None else [],
        instances=instances[:limit],
    )


@router.get("/executions/{ref}/use")
async def show_execution_use(parts: PartsOf, actor: ActorOf, ref: str) -> ExecutionUseView:
    """Say what an execution uses and has used, by attempt, with the last hour."""
    return await execution_use(parts, await find(parts, actor, ref, Action.VIEW))


@router.get("/nodes/{name}/use")
async def show_node_use(
    parts: PartsOf, actor: ActorOf, name: str, days: Annotated[float, Query(gt=0, le=3650)] = 1.0
) -> NodePastView:
    """Say what was used of a node in the last hour, and in the last ``days``."""
    authorise(actor, Action.VIEW_CLUSTER)
    past = await parts.store.uses.of_node(name, time.time() - days * DAY)
    if not past and name not in {node.name for node in await parts.store.nodes()}:
        raise NotFound(f"There is no node {name!r}.", hint="`zoe nodes` lists them.")
    hour = (await uses_now(parts, Used(node=name))).hour.get(name, [])
    return NodePastView(
        name=name, hour=_points(hour), past=[views.node_use_view(each) for each in past]
    )


async def execution_use(parts: Parts, execution: Execution) -> ExecutionUseView:
    """Return what an execution uses: as the master knows it, else as the store has it."""
    kept = await parts.store.uses.of_execution(execution.id)
    is_over = bool(kept) and execution.status in ENDED
    told = Uses(0.0) if is_over else await uses_now(parts, Used(execution_id=execution.id))
    known = {(each.instance_id, each.attempt): each for each in kept}
    for use in told.instances:
        key = (use.instance_id, use.attempt)
        known[key] = grown(known.get(key), use)
    return ExecutionUseView(
        execution_id=execution.id,
        instances=_views([execution], [known[key] for key in sorted(known)]),
        hour={key: _points(points) for key, points in told.hour.items()},
    )


async def node_views(parts: Parts, uses: Uses | None = None) -> list[NodeView]:
    """Return the nodes with what holds room there, and what is used of them."""
    told = await uses_now(parts) if uses is None else uses
    now = {each.name: each for each in told.nodes}
    found = views.node_views(await parts.store.nodes(), await parts.store.load(), now)
    added = {each.name: engine_view(each) for each in await parts.store.engines.read()}
    return [view.model_copy(update={"engine": added.get(view.name)}) for view in found]


async def uses_now(parts: Parts, asked: Used | None = None) -> Uses:
    """Ask the master what is used, for a moment; nothing is known when it does not answer."""
    try:
        seconds = min(ANSWER_SECONDS, parts.settings.rpc_timeout_seconds)
        reply = await parts.master.ask(asked or Used(), seconds)
    except MasterUnreachable:
        return Uses(0.0)
    return reply if isinstance(reply, Uses) else Uses(0.0)


def _views(executions: Sequence[Execution], uses: Sequence[InstanceUse]) -> list[InstanceUseView]:
    known: Mapping[str, tuple[Execution, ServiceInstance]] = {
        instance.id: (execution, instance)
        for execution in executions
        for instance in execution.instances
    }
    found = []
    for use in uses:
        if use.instance_id not in known:
            continue
        execution, instance = known[use.instance_id]
        found.append(
            InstanceUseView(
                id=use.instance_id,
                attempt=use.attempt,
                execution_id=execution.id,
                execution_name=execution.name,
                node=instance.node,
                essential=instance.essential,
                reserved=views.resources(execution.zapp.service(instance.service).resources),
                at=as_time(use.at),
                cores_milli=use.cores_milli,
                memory_bytes=use.memory_bytes,
                peak_bytes=use.peak_bytes,
                core_seconds=use.core_seconds,
                network_bytes=use.network_bytes,
                disk_bytes=use.disk_bytes,
                memory_kills=use.memory_kills,
            )
        )
    return found


def _points(points: Sequence[Point]) -> list[PointView]:
    return [
        PointView(at=as_time(at), cores_milli=cores, memory_bytes=memory)
        for at, cores, memory in points
    ]
