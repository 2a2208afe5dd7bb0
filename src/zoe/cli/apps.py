"""Commands about the catalogue: apps, apps show.

They need no server: what `zoe run APP` runs is read where the command is.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from zoe.cli.document import NoSuchApplication
from zoe.cli.output import Format, JsonOption, OutputOption, columns, problem_line, show
from zoe.cli.session import session

if TYPE_CHECKING:
    from zoe.model.rest_apps import AppDetail, AppView, ParameterView

app = typer.Typer()
apps = typer.Typer(help="The applications of the catalogue.")
app.add_typer(apps, name="apps")


@apps.callback(invoke_without_command=True)
def list_apps(
    context: typer.Context, output: OutputOption = Format.TABLE, as_json: JsonOption = False
) -> None:
    """List the applications of the catalogue; `zoe run NAME` runs one."""
    if context.invoked_subcommand is None:
        from zoe import catalogue

        folder = session(context).settings.zapps_dir
        found = [catalogue.view(one) for one in catalogue.applications(folder)]
        show(found, output, as_json, lambda: _list(found), lambda: (one.name for one in found))


@apps.command("show")
def show_app(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="APP")],
    output: OutputOption = Format.TABLE,
    as_json: JsonOption = False,
) -> None:
    """Show an application of the catalogue: what it does, what you choose, how to run it."""
    from zoe import catalogue
    from zoe.model.did_you_mean import suggestion

    folder = session(context).settings.zapps_dir
    known = {one.name: one for one in catalogue.applications(folder)}
    if name not in known:
        hint = suggestion(name, known, "applications")
        raise NoSuchApplication(f"there is no application {name} in the catalogue", hint=hint)
    found = catalogue.detail(known[name])
    show(found, output, as_json, lambda: _detail(found), lambda: (found.name,))


def _list(found: "list[AppView]") -> str:
    rows = (
        (one.name, one.kind or "wrong", problem_line(one.errors[0]) if one.errors else one.title)
        for one in found
    )
    return columns(("NAME", "KIND", "TITLE"), rows)


def _detail(found: "AppDetail") -> str:
    parts = [f"{found.name}: {found.title}" if found.title != found.name else found.name]
    parts += [problem_line(error) for error in found.errors]
    if found.description:
        parts.append(found.description.strip())
    if found.parameters:
        rows = (
            (f"--set {one.name}=", _default(one), _values(one), one.title or one.description)
            for one in found.parameters
        )
        parts.append(columns(("PARAMETER", "DEFAULT", "VALUES", "MEANING"), rows))
    if found.readme:
        parts.append(found.readme.strip())
    return "\n\n".join(parts)


def _default(one: "ParameterView") -> str:
    return "required" if one.default is None else str(one.default)


def _values(one: "ParameterView") -> str:
    if one.choices:
        return ", ".join(one.choices)
    if one.min is None and one.max is None:
        return one.type
    least, most = ("" if bound is None else f"{bound:g}" for bound in (one.min, one.max))
    return f"{one.type} {least}..{most}"
