"""The routes of the catalogue: the applications that everybody may run as they are."""

from fastapi import APIRouter

from zoe import catalogue
from zoe.api.access import Action, authorise
from zoe.api.executions import ActorOf, PartsOf
from zoe.model.did_you_mean import suggestion
from zoe.model.rest_apps import AppDetail, AppPage
from zoe.store.base import NotFound

router = APIRouter(tags=["apps"])


@router.get("/apps")
def list_apps(parts: PartsOf, actor: ActorOf) -> AppPage:
    """List the applications of the catalogue, by name."""
    authorise(actor, Action.VIEW)
    found = catalogue.applications(parts.settings.zapps_dir)
    return AppPage(items=[catalogue.view(one) for one in found])


@router.get("/apps/{name}")
def show_app(parts: PartsOf, actor: ActorOf, name: str) -> AppDetail:
    """Show one application with its text for people and its description."""
    authorise(actor, Action.VIEW)
    known = {one.name: one for one in catalogue.applications(parts.settings.zapps_dir)}
    if name not in known:
        hint = suggestion(name, known) or "`zoe apps` lists them."
        raise NotFound(f"There is no application {name!r} in the catalogue.", hint=hint)
    return catalogue.detail(known[name])
