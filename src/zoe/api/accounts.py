"""The routes of users, teams and their quotas; what is set here the master takes over at once."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

import structlog
from fastapi import APIRouter, Response

from zoe.api import views
from zoe.api.access import Action, Actor, authorise
from zoe.api.errors import BadRequest
from zoe.api.executions import ActorOf, PartsOf
from zoe.api.parts import Parts
from zoe.model.codec import to_json
from zoe.model.did_you_mean import suggestion
from zoe.model.execution import Execution
from zoe.model.quota import Accounts, Quota, Team, check_name
from zoe.model.resources import NOTHING
from zoe.model.rest_accounts import (
    HolderView,
    QuotaView,
    TeamForm,
    TeamPage,
    TeamView,
    UsagePage,
    UsageView,
    UsedView,
    UserForm,
    UserPage,
    UserView,
)
from zoe.model.usage import charged_for
from zoe.rpc.messages import Wake
from zoe.store.base import NotFound

log = structlog.get_logger("accounts")

router = APIRouter(tags=["accounts"])
Made = TypeVar("Made")


@router.get("/teams")
async def list_teams(parts: PartsOf, actor: ActorOf) -> TeamPage:
    """List the teams with their weights, guaranteed amounts and quotas."""
    authorise(actor, Action.ADMINISTER)
    shares = await parts.shares.book.read()
    return TeamPage(items=[team_view(team) for _, team in sorted(shares.teams.items())])


@router.put("/teams/{name}")
async def put_team(parts: PartsOf, actor: ActorOf, name: str, wanted: TeamForm) -> TeamView:
    """Make a team, or have it be as described; what is not said has its default."""
    authorise(actor, Action.ADMINISTER)
    team = _made(lambda: wanted.team(name))
    await parts.shares.book.put_team(team)
    await _note(parts, actor, "team set", name=name)
    return team_view(team)


@router.delete("/teams/{name}", status_code=204)
async def delete_team(parts: PartsOf, actor: ActorOf, name: str) -> Response:
    """Forget a team; its executions go on and are limited by their users' quotas only."""
    authorise(actor, Action.ADMINISTER)
    try:
        await parts.shares.book.remove_team(name)
    except NotFound as error:
        known = (await parts.shares.book.read()).teams
        raise _missing("team", name, known, "zoe admin team ls") from error
    await _note(parts, actor, "team removed", name=name)
    return Response(status_code=204)


@router.get("/users")
async def list_users(parts: PartsOf, actor: ActorOf) -> UserPage:
    """List the users who were named; all others have what `default` has."""
    authorise(actor, Action.ADMINISTER)
    shares = await parts.shares.book.read()
    return UserPage(items=[user_view(shares, name) for name in sorted(shares.users)])


@router.get("/users/{name}")
async def show_user(parts: PartsOf, actor: ActorOf, name: str) -> UserView:
    """Show what is in force for a user, also for one who was never named."""
    authorise(actor, Action.ADMINISTER)
    _made(lambda: check_name(name))
    return user_view(await parts.shares.book.read(), name)


@router.put("/users/{name}")
async def put_user(parts: PartsOf, actor: ActorOf, name: str, wanted: UserForm) -> UserView:
    """Have a user be as described; what is not said has its default."""
    authorise(actor, Action.ADMINISTER)
    user = _made(lambda: wanted.user(name))
    teams = (await parts.shares.book.read()).teams
    for team in user.teams:
        if team not in teams:
            hint = _sentence(suggestion(team, teams, "teams"))
            raise BadRequest(
                f"There is no team {team!r}.", hint=f"{hint} `zoe admin team set` makes one."
            )
    await parts.shares.book.put_user(user)
    await _note(parts, actor, "user set", name=name, share=to_json(user))
    return user_view(await parts.shares.book.read(), name)


@router.delete("/users/{name}", status_code=204)
async def delete_user(parts: PartsOf, actor: ActorOf, name: str) -> Response:
    """Forget what a user may have: it is what `default` has from then on."""
    authorise(actor, Action.ADMINISTER)
    try:
        await parts.shares.book.remove_user(name)
    except NotFound as error:
        known = (await parts.shares.book.read()).users
        raise _missing("user", name, known, "zoe admin quota ls") from error
    await _note(parts, actor, "user removed", name=name)
    return Response(status_code=204)


@router.get("/usage")
async def show_usage(parts: PartsOf, actor: ActorOf, user: str = "") -> UsagePage:
    """Show what you and your teams use and may use; administrators may ask for any `user`."""
    authorise(actor, Action.VIEW if user in ("", actor.user) else Action.ADMINISTER)
    shares = await parts.shares.book.read()
    return UsagePage(items=usage_views(shares, user or actor.user, await parts.store.load()))


def usage_views(shares: Accounts, user: str, live: Iterable[Execution]) -> list[UsageView]:
    """Return what a user and each of their teams use of their quotas."""
    charged = [(each, charge) for each in live if (charge := charged_for(each))]
    views_ = [
        UsageView(
            kind="user",
            name=user,
            weight=shares.weight_of_user(user),
            guaranteed=views.resources(NOTHING),
            quota=quota_view(shares.quota_of_user(user)),
            used=_used(charge for each, charge in charged if each.owner == user),
            holders=_holders((each, c) for each, c in charged if each.owner == user),
        )
    ]
    for name in shares.teams_of(user):
        team = shares.teams[name]
        views_.append(
            UsageView(
                kind="team",
                name=name,
                weight=team.weight,
                guaranteed=views.resources(team.guaranteed),
                quota=quota_view(team.quota),
                used=_used(charge for each, charge in charged if each.team == name),
                holders=_holders(
                    (each, c) for each, c in charged if each.team == name and each.owner == user
                ),
            )
        )
    return views_


def team_view(team: Team) -> TeamView:
    """Return a team."""
    return TeamView(
        name=team.name,
        weight=team.weight,
        guaranteed=views.resources(team.guaranteed),
        quota=quota_view(team.quota),
    )


def user_view(shares: Accounts, name: str) -> UserView:
    """Return what is in force for a user."""
    known = shares.users.get(name)
    return UserView(
        name=name,
        teams=list(known.teams) if known else [],
        weight=shares.weight_of_user(name),
        quota=quota_view(shares.quota_of_user(name)),
        has_own_quota=known is not None and known.quota is not None,
    )


def quota_view(quota: Quota) -> QuotaView:
    """Return a quota."""
    return QuotaView.model_validate(to_json(quota))


def _used(charges: Iterable[Counter[str]]) -> UsedView:
    total: Counter[str] = Counter()
    for charge in charges:
        total.update(charge)
    return UsedView.model_validate(total)


def _holders(charged: Iterable[tuple[Execution, Counter[str]]]) -> tuple[HolderView, ...]:
    return tuple(
        HolderView(execution_id=execution.id, name=execution.name, **charge)
        for execution, charge in charged
    )


def _made(make: Callable[[], Made]) -> Made:
    """Return what is made; BadRequest for what cannot be."""
    try:
        return make()
    except ValueError as error:
        raise BadRequest(f"{_sentence(str(error))}.") from error


def _missing(kind: str, name: str, known: Iterable[str], command: str) -> NotFound:
    hint = _sentence(suggestion(name, known))
    return NotFound(
        f"No {kind} {name[:80]!r} was named.", hint=f"{hint} `{command}` lists them.".strip()
    )


async def _note(parts: Parts, actor: Actor, said: str, **details: object) -> None:
    """Have what was changed be known at once: here, to the master, and in the log."""
    parts.shares.forget()
    log.info(said, by=actor.user, **details)
    await parts.master.hint(Wake())


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
