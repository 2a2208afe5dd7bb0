"""The routes of Docker Engines that are added and taken out while Zoe runs."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query

from zoe.api.access import Action, authorise
from zoe.api.errors import BadRequest
from zoe.api.executions import ActorOf, PartsOf
from zoe.model.cluster import NodeMark, NodeStatus
from zoe.model.did_you_mean import suggestion
from zoe.model.engines import AddedEngine, parse_engines
from zoe.model.rest_cluster import EngineForm, EngineView
from zoe.rpc.messages import Wake
from zoe.settings import Settings
from zoe.store.base import Conflict, NotFound

LEAVES = "taken out for good"
"""What the mark of a node says whose engine is to go."""

router = APIRouter(tags=["cluster"])


@router.put("/nodes/{name}/engine")
async def add_engine(parts: PartsOf, actor: ActorOf, name: str, wanted: EngineForm) -> EngineView:
    """Take another Docker Engine into service; the same one again changes nothing."""
    authorise(actor, Action.OPERATE)
    _check_back_end(
        parts.settings,
        "`docker swarm join` on that machine makes it a node; swarm_engines may name its engine.",
    )
    engine = AddedEngine(name, " ".join(wanted.engine.split()), actor.user)
    added = {each.name: each for each in await parts.store.engines.read()}
    if (known := added.get(name)) is not None:
        if known.words == engine.words and not known.leaving:
            return engine_view(known)
        hint = "When `zoe node ls` shows it no more, add it again."
        if not known.leaving:
            hint = f"`zoe node rm {name}` takes that one out."
        raise Conflict(f"There is an engine {name} already: {known.words}.", hint=hint)
    if name in _named(parts.settings):
        raise Conflict(
            f"There is an engine {name} already: the setting docker_engines names it.",
            hint="Give this one another name, or change the setting and start Zoe again.",
        )
    _check_words(parts.settings, added, engine)
    await parts.store.engines.add(engine)
    await parts.master.hint(Wake())
    return engine_view(engine)


@router.delete("/nodes/{name}/engine", status_code=202)
async def remove_engine(
    parts: PartsOf, actor: ActorOf, name: str, force: Annotated[bool, Query()] = False
) -> EngineView:
    """Take an added engine out of service for good; it is gone when the master has seen to it.

    409 while instances run there. With `force`, not where the engine does not answer: what was
    there counts as lost.
    """
    authorise(actor, Action.OPERATE)
    _check_back_end(
        parts.settings,
        f"`zoe node drain {name}`, then `docker swarm leave` on that machine and "
        f"`docker node rm {name}` on a manager.",
    )
    added = {each.name: each for each in await parts.store.engines.read()}
    if name not in added:
        _refuse_unknown(parts.settings, added, name)
    nodes = {node.name: node for node in await parts.store.nodes()}
    is_away = name in nodes and nodes[name].status is NodeStatus.UNREACHABLE
    held = sum(
        instance.is_placed and instance.node == name
        for execution in await parts.store.load()
        for instance in execution.instances
    )
    if held and not (force and is_away):
        count = "1 instance runs" if held == 1 else f"{held} instances run"
        hint = f"`zoe node drain {name}` first, and wait until it is empty."
        if is_away:
            hint = f"It does not answer. If it never will: `zoe node rm --force {name}`."
        raise Conflict(f"{count} on {name}.", hint=hint)
    await parts.store.marks.put(NodeMark(name, NodeStatus.DRAINING, actor.user, LEAVES))
    await parts.store.engines.let_go(name, at_once=force and is_away)
    await parts.master.hint(Wake())
    return engine_view(added[name]).model_copy(update={"leaving": True})


def _check_back_end(settings: Settings, swarm_hint: str) -> None:
    match settings.backend:
        case "docker":
            return
        case "swarm":
            raise Conflict("Which nodes a swarm has is said to the swarm.", hint=swarm_hint)
        case _:
            raise Conflict(
                f"The back-end {settings.backend} runs everything on this machine.",
                hint="Other machines need the back-end docker or swarm: docs/howto.",
            )


def _named(settings: Settings) -> set[str]:
    return {spec.name for spec in settings.engines}


def _check_words(settings: Settings, added: Mapping[str, AddedEngine], engine: AddedEngine) -> None:
    """Raise BadRequest unless it is one engine, and another than all that there are."""
    others = [settings.docker_engines, *(each.text for each in added.values())]
    try:
        found = parse_engines(engine.text)
        if [spec.name for spec in found] != [engine.name]:
            raise ValueError("an engine is a name, and then one address with what is given away")
        parse_engines("; ".join([*others, engine.text]))
    except ValueError as error:
        raise BadRequest(
            f"This is no engine that can be added: {error}.",
            hint="It is written as in the setting docker_engines, after the name.",
        ) from error


def _refuse_unknown(settings: Settings, added: Mapping[str, AddedEngine], name: str) -> None:
    if name in _named(settings):
        raise Conflict(
            f"{name} is named by the setting docker_engines.",
            hint="Take it out there (`zoe config show --origin` says in which file), then "
            "`zoe down --keep` and `zoe up`.",
        )
    hint = suggestion(name, added, "added engines") or "`zoe nodes` lists them."
    raise NotFound(f"There is no engine {name!r}.", hint=hint)


def engine_view(engine: AddedEngine) -> EngineView:
    """Return an engine as the api tells it."""
    return EngineView(name=engine.name, engine=engine.words, by=engine.by, leaving=engine.leaving)
