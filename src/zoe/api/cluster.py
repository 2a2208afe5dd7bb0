"""The routes of everything that is not one execution: nodes, checks, plans, health, metrics."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

import zoe
from zoe.api import views
from zoe.api.access import Action, authorise
from zoe.api.errors import BadRequest, error_views
from zoe.api.executions import ActorOf, PartsOf
from zoe.api.parts import Parts
from zoe.api.shares import chosen_team
from zoe.api.submission import OPENAPI_BODY, Submission, checked_zapp
from zoe.api.use import node_views
from zoe.model.cluster import Node, NodeMark, NodeStatus, with_marks
from zoe.model.did_you_mean import suggestion
from zoe.model.errors import ZAppInvalid
from zoe.model.execution import Forecast
from zoe.model.older_formats.application import convert as convert_application
from zoe.model.rest import LiveView, MasterView, ReadyView, VersionView, WhoView, as_time
from zoe.model.rest_cluster import (
    ConvertView,
    LeaderView,
    MastersView,
    NodeForm,
    NodePage,
    NodeView,
    PlacementView,
    PlanView,
    ValidateView,
)
from zoe.model.rest_executions import ForecastView, QueuePage, ReasonView
from zoe.model.zapp_schema import json_schema
from zoe.rpc.client import MasterUnreachable
from zoe.rpc.messages import Expected, Failed, Ping, Plan, Planned, Pong, Wake
from zoe.store.base import Conflict, NotFound, StoreUnavailable

PING_SECONDS = 0.5
"""How long the master has to say how it is, at most; less when all it is asked takes less."""

router = APIRouter(tags=["cluster"])
open_router = APIRouter(tags=["server"])
"""What everybody may ask, without a token."""


@router.get("/nodes")
async def list_nodes(parts: PartsOf, actor: ActorOf) -> NodePage:
    """List the machines: what they have, what is reserved, what runs there."""
    authorise(actor, Action.VIEW_CLUSTER)
    return NodePage(items=await node_views(parts))


@router.put("/nodes/{name}")
async def put_node(parts: PartsOf, actor: ActorOf, name: str, wanted: NodeForm) -> NodeView:
    """Take a node out of service, or back; nothing new starts there meanwhile.

    Elastic instances leave a node that is `draining` at once; essential ones stay until they end.
    """
    authorise(actor, Action.OPERATE)
    known = {node.name for node in await parts.store.nodes()}
    if name not in known:
        hint = suggestion(name, known, "nodes") or "`zoe nodes` lists them."
        raise NotFound(f"There is no node {name!r}.", hint=hint)
    if any(each.name == name and each.leaving for each in await parts.store.engines.read()):
        raise Conflict(
            f"{name} is being taken out for good.",
            hint=f"When `zoe node ls` shows it no more, `zoe node add {name}` takes it back.",
        )
    if wanted.status == "ready":
        await parts.store.marks.remove(name)
    else:
        status = NodeStatus(wanted.status)
        await parts.store.marks.put(NodeMark(name, status, actor.user, wanted.reason.strip()))
    await parts.master.hint(Wake())
    marks = {mark.name: mark for mark in await parts.store.marks.read()}
    nodes = [_expected(node, marks) for node in await parts.store.nodes()]
    found = views.node_views(nodes, await parts.store.load(), {})
    return next(node for node in found if node.name == name)


def _expected(node: Node, marks: Mapping[str, NodeMark]) -> Node:
    """Return a node as the master will see it once it has read the marks."""
    is_marked = node.status in (NodeStatus.CORDONED, NodeStatus.DRAINING)
    plain = replace(node, status=NodeStatus.READY, message="") if is_marked else node
    return with_marks([plain], marks)[0]


@router.get("/masters")
async def list_masters(parts: PartsOf, actor: ActorOf) -> MastersView:
    """Say which master leads, and which ones stand by."""
    authorise(actor, Action.VIEW_CLUSTER)
    found = await parts.store.masters()
    if not found.leader:
        return MastersView(standby=list(found.standby))
    leader = LeaderView(
        name=found.leader, endpoint=found.endpoint, epoch=found.epoch, since=as_time(found.since)
    )
    return MastersView(leader=leader, standby=list(found.standby))


@router.get("/queue")
async def list_queue(
    parts: PartsOf, actor: ActorOf, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> QueuePage:
    """List the executions that wait, by their place, with when each is expected to start."""
    authorise(actor, Action.VIEW)
    waiting = await parts.store.queue(owner=actor.scope, limit=limit)
    return QueuePage(items=[views.summary(each) for each in waiting])


@router.post("/validate", openapi_extra=OPENAPI_BODY)
async def validate(parts: PartsOf, actor: ActorOf, submission: Submission) -> ValidateView:
    """Check an application description; every error at once."""
    authorise(actor, Action.VIEW)
    try:
        zapp = await checked_zapp(parts, submission)
    except ZAppInvalid as invalid:
        return ValidateView(valid=False, errors=error_views(invalid.problems))
    return ValidateView(
        valid=True,
        application=zapp.name,
        kind=zapp.kind,
        frameworks=views.frameworks(zapp),
    )


@router.post("/convert", openapi_extra=OPENAPI_BODY)
async def convert(parts: PartsOf, actor: ActorOf, submission: Submission) -> ConvertView:
    """Return an application of the formats 0 to 3 in format 4; every error at once."""
    authorise(actor, Action.VIEW)
    try:
        found = convert_application(submission.document, file=submission.file)
    except ZAppInvalid as invalid:
        return ConvertView(converted=False, errors=error_views(invalid.problems))
    return ConvertView(
        converted=True,
        version=found.version,
        document=found.document,
        warnings=error_views(found.warnings),
    )


@router.post("/plan", openapi_extra=OPENAPI_BODY)
async def plan(parts: PartsOf, actor: ActorOf, submission: Submission) -> PlanView:
    """Ask the master whether it would start now, and if not, why not, and when."""
    authorise(actor, Action.SUBMIT)
    await checked_zapp(parts, submission)
    team = chosen_team(await parts.shares.read(), actor.user, submission.team)
    reply = await parts.master.ask(
        Plan(
            owner=actor.user,
            document=submission.document,
            file=submission.file,
            parameters=submission.parameters,
            team=team,
        )
    )
    match reply:
        case Planned():
            return PlanView(
                fits_now=reply.fits_now,
                can_ever_fit=reply.can_ever_fit,
                placements=[
                    PlacementView(instance=each.instance, node=each.node, essential=each.essential)
                    for each in reply.placements
                ],
                reasons=[
                    ReasonView(code=each.code, message=each.message) for each in reply.reasons
                ],
                notes=reply.notes,
                queue_position=reply.queue_position,
                forecast=_forecast(reply.forecast),
            )
        case Failed(code="zapp-invalid" | "too-large"):
            raise BadRequest(reply.message)
        case Failed():
            raise MasterUnreachable(reply.message, hint="Try again in a moment.")
        case _:
            raise MasterUnreachable("The master answered something else than a plan.")


def _forecast(expected: Expected | None) -> ForecastView | None:
    if expected is None:
        return None
    return views.forecast_view(Forecast(expected.at, expected.p50, expected.p90, expected.because))


@router.get("/schema")
async def schema(actor: ActorOf) -> dict[str, Any]:
    """Return the JSON Schema of the application description."""
    return json_schema()


@router.get("/whoami")
async def whoami(actor: ActorOf) -> WhoView:
    """Say whose token this is."""
    return WhoView(user=actor.user, role=actor.role, token=actor.token)


@open_router.get("/version")
async def version(parts: PartsOf) -> VersionView:
    """Say what this server is."""
    return VersionView(version=zoe.__version__, deployment=parts.settings.deployment)


@open_router.get("/livez")
async def livez() -> LiveView:
    """Say that the api answers."""
    return LiveView()


@open_router.get("/readyz", responses={503: {"model": ReadyView}})
async def readyz(parts: PartsOf, response: Response) -> ReadyView:
    """Say whether the api can do its work: it cannot without the store."""
    has_store = True
    try:
        await parts.store.counts()
    except StoreUnavailable:
        has_store = False
        response.status_code = 503
    return ReadyView(
        status="ready" if has_store else "unready", store=has_store, master=await master_view(parts)
    )


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
async def metrics(parts: PartsOf, actor: ActorOf) -> Response:
    """Return the counts for Prometheus."""
    authorise(actor, Action.VIEW_CLUSTER)
    return Response(
        parts.metrics.render(
            await parts.store.counts(),
            parts.feed.subscriptions,
            await parts.store.past_forecasts(),
            await node_views(parts),
        ),
        media_type="text/plain; version=0.0.4; charset=utf-8",
    )


async def master_view(parts: Parts) -> MasterView:
    """Ask the master how it is, for a moment."""
    try:
        seconds = min(PING_SECONDS, parts.settings.rpc_timeout_seconds)
        reply = await parts.master.ask(Ping(), seconds)
    except MasterUnreachable:
        return MasterView(up=False)
    if not isinstance(reply, Pong):
        return MasterView(up=False)
    return MasterView(
        up=True,
        epoch=reply.epoch,
        since=as_time(reply.since),
        backend=reply.backend,
        version=reply.version,
    )
