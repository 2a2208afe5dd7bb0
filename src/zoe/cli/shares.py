"""Commands about who may have how much: usage, admin quota, admin team."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoe.cli.output import Format, JsonOption, OutputOption, columns, memory, show, tell
from zoe.cli.session import session

if TYPE_CHECKING:
    from zoe.model.rest import ResourcesView
    from zoe.model.rest_accounts import QuotaView, TeamView, UsageView, UserView

app = typer.Typer()
admin = typer.Typer(help="What administrators do.", no_args_is_help=True)
quota = typer.Typer(help="Quotas of users, and their teams.", no_args_is_help=True)
team = typer.Typer(help="Teams: weights, guaranteed shares, quotas.", no_args_is_help=True)
admin.add_typer(quota, name="quota")
admin.add_typer(team, name="team")
app.add_typer(admin, name="admin")

LIMITS = ("cores", "memory", "gpus", "executions", "sessions", "run_time")
AMOUNTS = LIMITS[:3]
UNLIMITED = "unlimited"
BAR = 20
"""Letters of a full bar."""

LimitsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[LIMIT=VALUE...]",
        help=f"Any of {', '.join(LIMITS)}, as cores=16 memory=64GiB run_time=2h; others stay as "
        f"they are in force, and `{UNLIMITED}` takes one away.",
    ),
]
WeightOption = Annotated[
    float | None,
    typer.Option("--weight", help="How much it counts when room is shared; 1 if never said."),
]


@app.command()
def usage(
    context: typer.Context,
    user: Annotated[str, typer.Option("--user", help="Somebody else's, for administrators.")] = "",
    output: OutputOption = Format.TABLE,
    as_json: JsonOption = False,
) -> None:
    """Show what you and your teams use, and may use."""
    with session(context).zoe() as zoe:
        page = zoe.usage(user)
    show(
        page.items,
        output,
        as_json,
        lambda: "\n\n".join(_usage(item) for item in page.items),
        lambda: (item.name for item in page.items),
    )


def _usage(item: "UsageView") -> str:
    rows = []
    for title, name, said in _LIMITS[:-1]:
        used, most = getattr(item.used, name), getattr(item.quota, name)
        if used or most is not None:
            rows.append((title, said(used), "" if most is None else said(most), _bar(used, most)))
    lines = [f"{item.kind} {item.name}"]
    if item.quota.run_seconds is not None:
        lines[0] += f": time limits up to {_duration(item.quota.run_seconds)}"
    lines.append(columns(("", "USED", "QUOTA", ""), rows) if rows else "uses nothing")
    if item.holders:
        lines.append("by " + ", ".join(f"{each.name}" for each in item.holders))
    return "\n".join(lines)


def _bar(used: int, most: int | None) -> str:
    if most is None:
        return " "
    full = BAR if used >= most else BAR * used // most
    return f"[{'#' * full}{'.' * (BAR - full)}]"


@quota.command("ls")
def quota_ls(
    context: typer.Context, output: OutputOption = Format.TABLE, as_json: JsonOption = False
) -> None:
    """List the users who were named; all others have what `default` has."""
    with session(context).zoe() as zoe:
        page = zoe.users()
    show(page.items, output, as_json, lambda: _users(page.items), lambda: _names(page.items))


def _users(items: "list[UserView]") -> str:
    rows = (
        (item.name, *_limits(item.quota), ",".join(item.teams), f"{item.weight:g}")
        for item in items
    )
    return columns(("USER", *_HEADINGS, "TEAMS", "WEIGHT"), rows)


@quota.command("set")
def quota_set(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER", help="A user, or `default`.")],
    limits: LimitsArgument = None,
    teams: Annotated[
        list[str] | None,
        typer.Option("--team", help="A team of the user, the first before all; repeatable."),
    ] = None,
    no_team: Annotated[bool, typer.Option("--no-team", help="The user is in no team.")] = False,
    weight: WeightOption = None,
) -> None:
    """Set what a user may have; what is not said stays as it is."""
    from zoe.model.rest_accounts import QuotaForm

    changes = _read(limits, LIMITS)
    if teams and no_team:
        raise typer.BadParameter("--team and --no-team do not go together")
    with session(context).zoe() as zoe:
        known = zoe.user(user)
        kept = QuotaForm.of(known.quota).model_dump()
        wanted = kept | changes if changes or known.has_own_quota else None
        found = zoe.put_user(
            user,
            teams=[] if no_team else teams or known.teams,
            weight=known.weight if weight is None else weight,
            quota=wanted,
        )
    tell(_users([found]))


@quota.command("rm")
def quota_rm(
    context: typer.Context, users: Annotated[list[str], typer.Argument(metavar="USER...")]
) -> None:
    """Forget what users may have, and their teams; they have what `default` has from then on."""
    with session(context).zoe() as zoe:
        for user in users:
            zoe.remove_user(user)
            tell(f"{user} has what default has")


@team.command("ls")
def team_ls(
    context: typer.Context, output: OutputOption = Format.TABLE, as_json: JsonOption = False
) -> None:
    """List the teams."""
    with session(context).zoe() as zoe:
        page = zoe.teams()
    show(page.items, output, as_json, lambda: _teams(page.items), lambda: _names(page.items))


def _teams(items: "list[TeamView]") -> str:
    rows = (
        (item.name, *_limits(item.quota), _guaranteed(item.guaranteed), f"{item.weight:g}")
        for item in items
    )
    return columns(("TEAM", *_HEADINGS, "GUARANTEED", "WEIGHT"), rows)


@team.command("set")
def team_set(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="TEAM")],
    limits: LimitsArgument = None,
    guaranteed: Annotated[
        list[str] | None,
        typer.Option(
            "--guaranteed",
            metavar="AMOUNT=VALUE",
            help="What it gets back whenever it needs it, as cores=8; repeatable.",
        ),
    ] = None,
    add: Annotated[
        list[str] | None, typer.Option("--add", metavar="USER", help="Somebody joins; repeatable.")
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option("--remove", metavar="USER", help="Somebody leaves; repeatable."),
    ] = None,
    weight: WeightOption = None,
) -> None:
    """Make a team, or change it; what is not said stays as it is."""
    from zoe.model.rest_accounts import AmountForm, QuotaForm

    changes, sure = _read(limits, LIMITS), _read(guaranteed, AMOUNTS)
    with session(context).zoe() as zoe:
        known = next((each for each in zoe.teams().items if each.name == name), None)
        kept = QuotaForm.of(known.quota).model_dump() if known else {}
        kept_sure = AmountForm.of(known.guaranteed).model_dump() if known else {}
        amounts = kept_sure | sure
        amounts = {name: value for name, value in amounts.items() if value is not None}
        found = zoe.put_team(
            name,
            weight=weight if weight is not None else known.weight if known else 1.0,
            guaranteed=amounts,
            quota=kept | changes,
        )
        for user in [*(add or ()), *(remove or ())]:
            member = zoe.user(user)
            others = [each for each in member.teams if each != name]
            teams = [*others, name] if user in (add or ()) else others
            own = QuotaForm.of(member.quota).model_dump() if member.has_own_quota else None
            zoe.put_user(user, teams=teams, weight=member.weight, quota=own)
            tell(f"{user} is in {', '.join(teams) or 'no team'}")
    tell(_teams([found]))


@team.command("rm")
def team_rm(
    context: typer.Context, names: Annotated[list[str], typer.Argument(metavar="TEAM...")]
) -> None:
    """Forget teams; their executions go on."""
    with session(context).zoe() as zoe:
        for name in names:
            zoe.remove_team(name)
            tell(f"{name} is no team any more")


def _read(limits: Iterable[str] | None, known: tuple[str, ...]) -> dict[str, Any]:
    """Read ``cores=16 gpus=unlimited``; amounts stay as they are written, for the api to read."""
    from zoe.model.did_you_mean import suggestion

    found: dict[str, Any] = {}
    for limit in limits or ():
        name, equals, value = limit.partition("=")
        if name not in known:
            hint = suggestion(name, known, "limits")
            raise typer.BadParameter(f"{name!r} is not a limit: {hint}")
        if not equals or not value:
            raise typer.BadParameter(f"{limit!r} is not LIMIT=VALUE, as {name}=16")
        if name in ("gpus", "executions", "sessions") and value != UNLIMITED:
            if not (value.isascii() and value.isdecimal()):
                raise typer.BadParameter(f"{limit!r}: {value!r} is not a whole number")
            found[name] = int(value)
        else:
            found[name] = None if value == UNLIMITED else value
    return found


def _cores(milli: int) -> str:
    return f"{milli / 1000:g}"


def _duration(seconds: float) -> str:
    from zoe.model.amounts import duration

    return duration(seconds)


_LIMITS: tuple[tuple[str, str, Any], ...] = (
    ("cores", "cores_milli", _cores),
    ("memory", "memory_bytes", memory),
    ("gpus", "gpus", str),
    ("executions", "executions", str),
    ("sessions", "sessions", str),
    ("run time", "run_seconds", _duration),
)
_HEADINGS = tuple(title.upper() for title, _, _ in _LIMITS)


def _limits(known: "QuotaView") -> list[str]:
    return [
        "" if (value := getattr(known, name)) is None else said(value) for _, name, said in _LIMITS
    ]


def _guaranteed(amount: "ResourcesView") -> str:
    said: Mapping[str, str] = {
        "cores": _cores(amount.cores_milli) if amount.cores_milli else "",
        "memory": memory(amount.memory_bytes) if amount.memory_bytes else "",
        "gpus": str(amount.gpus) if amount.gpus else "",
    }
    return " ".join(f"{name}={value}" for name, value in said.items() if value)


def _names(items: "Iterable[UserView | TeamView]") -> Iterable[str]:
    return (item.name for item in items)
