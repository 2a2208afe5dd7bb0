"""Commands about application descriptions: validate, plan, schema."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from zoe.cli import document
from zoe.cli.document import ApplicationArgument, SetOption
from zoe.cli.executions import TeamOption
from zoe.cli.output import (
    ExitCode,
    Format,
    JsonOption,
    OutputOption,
    columns,
    counted,
    expected,
    indented,
    problem_line,
    show,
    tell,
    write,
)
from zoe.cli.session import session

if TYPE_CHECKING:
    from zoe.model.rest_cluster import PlanView

app = typer.Typer()


@app.command()
def validate(
    context: typer.Context,
    applications: Annotated[list[str], typer.Argument(metavar="FILE|APP...")],
    set_: SetOption = None,
) -> None:
    """Check application descriptions, without a server; every mistake is told with its place."""
    from zoe.catalogue import frameworks
    from zoe.model.errors import ZAppInvalid
    from zoe.model.zapp_yaml import read_zapp

    current, wrong = session(context), False
    catalogue = frameworks(current.settings.zapps_dir)
    for name in applications:
        found = document.read(current, name)
        try:
            zapp = read_zapp(
                found.text,
                file=found.file,
                parameters=document.chosen(set_),
                catalogue=catalogue,
            )
        except ZAppInvalid as invalid:
            wrong = True
            for problem in invalid.problems:
                tell(problem_line(problem))
        else:
            services = counted(sum(1 for _ in zapp.services()), "service")
            write(f"{found.file}: {zapp.name} is valid ({zapp.kind}, {services})")
    if wrong:
        raise typer.Exit(ExitCode.REJECTED)


@app.command()
def plan(
    context: typer.Context,
    application: ApplicationArgument,
    set_: SetOption = None,
    team: TeamOption = "",
    output: OutputOption = Format.TABLE,
    as_json: JsonOption = False,
) -> None:
    """Say whether an application would start now, where, and if not, why not, and when."""
    current = session(context)
    found = document.read(current, application)
    parameters = dict(document.chosen(set_))
    with current.zoe() as zoe:
        answer = zoe.plan(found.text, parameters=parameters, file=found.file, team=team)
    names = ("now" if answer.fits_now else "later" if answer.can_ever_fit else "never",)
    show(answer, output, as_json, lambda: _plan(answer), lambda: names)


def _plan(answer: "PlanView") -> str:
    if answer.fits_now:
        text = ["It would start now."]
    elif answer.can_ever_fit:
        place = f", number {answer.queue_position} in the queue" if answer.queue_position else ""
        text = [f"It would wait{place}:"]
    else:
        text = ["It can never start here:"]
    text += [indented(f"- {reason.message}") for reason in answer.reasons]
    if answer.forecast:
        text.append(f"Start: {expected(answer.forecast)}.")
    if answer.placements:
        rows = (
            (placed.instance, placed.node, "essential" if placed.essential else "elastic")
            for placed in answer.placements
        )
        text += ["", columns(("INSTANCE", "NODE", "KIND"), rows)]
    return "\n".join(text + [f"note: {note}" for note in answer.notes])


@app.command()
def schema() -> None:
    """Print the JSON Schema of application descriptions."""
    from zoe.model.zapp_schema import json_schema

    write(json.dumps(json_schema(), indent=2))
