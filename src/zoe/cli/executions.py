"""Commands that change executions: run, submit, stop, rm, scale, wait."""

import asyncio
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from zoe.cli import document
from zoe.cli.document import ApplicationArgument, SetOption
from zoe.cli.output import ExitCode, counted, exit_code_of_end, tell, write
from zoe.cli.session import Session, session

if TYPE_CHECKING:
    from zoe.model.rest_executions import ExecutionDetail

PATIENCE_SECONDS = 30.0
"""How long a command that follows puts up with an api that is away."""

LOOK_SECONDS, LOOK_PAUSE_SECONDS = 0.5, 0.05
"""For how long, and how often, a submission that does not wait looks whether it can ever start."""
NEVER = "can-never-start"
"""Code of the reason of an execution that asks for what no node has."""

ExecutionArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Its id, its name, or a unique prefix of its name.")
]
NameOption = Annotated[
    str, typer.Option("--name", help="Name of the execution; a readable random one if not given.")
]

TeamOption = Annotated[
    str, typer.Option("--team", help="The team that it runs for; your first if not given.")
]

app = typer.Typer()


@app.command()
def run(
    context: typer.Context,
    application: ApplicationArgument,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- CMD...]", help="Runs in place of the monitor's command."),
    ] = None,
    set_: SetOption = None,
    name: NameOption = "",
    team: TeamOption = "",
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return at once, as `zoe submit` does.")
    ] = False,
) -> None:
    """Submit an application and follow it to its end; its exit code becomes ours.

    Ctrl-C only stops following.
    """
    current = session(context)
    execution = _submit(current, application, set_, name, command or [], team)
    if detach:
        write(execution.name)
        _warn_if_never(current, execution)
        return
    tell(f"{execution.name} (execution {execution.id}) is submitted")
    try:
        code = asyncio.run(_follow_to_the_end(current, execution.id))
    except KeyboardInterrupt:
        tell(
            f"\n{execution.name} goes on. `zoe logs -f {execution.name}` follows it again, "
            f"`zoe stop {execution.name}` ends it."
        )
        raise typer.Exit(0) from None
    raise typer.Exit(code)


async def _follow_to_the_end(current: Session, execution_id: int) -> int:
    from zoe.cli.follow import follow

    async with current.async_zoe(PATIENCE_SECONDS) as zoe:
        await follow(zoe, execution_id, tell)
        return _outcome(await zoe.wait(execution_id))


def _outcome(execution: "ExecutionDetail") -> int:
    code = exit_code_of_end(execution.end)
    message = f": {execution.end.message}" if execution.end and execution.end.message else ""
    tell(f"{execution.name} {execution.status}{message}")
    return code


@app.command()
def submit(
    context: typer.Context,
    application: ApplicationArgument,
    set_: SetOption = None,
    name: NameOption = "",
    team: TeamOption = "",
) -> None:
    """Submit an application and print the name of its execution."""
    current = session(context)
    execution = _submit(current, application, set_, name, [], team)
    write(execution.name)
    _warn_if_never(current, execution)


def _warn_if_never(current: Session, execution: "ExecutionDetail") -> None:
    """Say that it can never start here, if the master says so soon; it stays submitted.

    It is looked for here, and the api does not wait for it: what is stored is answered at once.
    """
    from zoe.client import RequestFailed

    until = time.monotonic() + LOOK_SECONDS
    try:
        with current.zoe() as zoe:
            while True:
                found = zoe.why(execution.id)
                if found.status != "submitted" or time.monotonic() >= until:
                    break
                time.sleep(LOOK_PAUSE_SECONDS)
    except RequestFailed:
        return  # it is submitted all the same: after an error it would be submitted again
    for reason in found.reasons:
        if reason.code == NEVER:
            tell(f"warning: {reason.message}; `zoe rm {execution.name}` forgets it")


def _submit(
    current: Session,
    application: str,
    set_: list[str] | None,
    name: str,
    command: list[str],
    team: str,
) -> "ExecutionDetail":
    found = document.read(current, application)
    if command:
        found = document.with_command(found, command)
    parameters = document.chosen(set_)
    with current.zoe() as zoe:
        execution = zoe.submit(
            found.text, name=name, parameters=dict(parameters), file=found.file, team=team
        )
    for reason in execution.reasons:  # what waits already when it is submitted waits for long
        tell(f"note: {execution.name} waits: {reason.message}")
    return execution


@app.command()
def stop(
    context: typer.Context, names: Annotated[list[str], typer.Argument(metavar="NAME...")]
) -> None:
    """End executions; what they have done so far stays."""
    with session(context).zoe() as zoe:
        for found in [zoe.show(name) for name in names]:  # all of them, or none
            execution = zoe.stop(found.id)
            tell(
                f"{execution.name} has ended already ({execution.status})"
                if execution.is_ended
                else f"{execution.name} is being stopped"
            )


@app.command()
def rm(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget executions with their logs and history; those that run are stopped first."""
    with session(context).zoe() as zoe:
        for execution in [zoe.show(name) for name in names]:  # all of them, or none
            if not (execution.is_ended or yes) and sys.stdin.isatty():
                typer.confirm(f"{execution.name} is {execution.status}. Stop it?", abort=True)
            zoe.remove(execution.id)
            tell(f"{execution.name} is forgotten")


@app.command()
def scale(
    context: typer.Context,
    name: ExecutionArgument,
    counts: Annotated[
        list[str],
        typer.Argument(
            metavar="SERVICE=N...",
            help="As spark.worker=8: at most so many elastic instances; as spark.worker=2..8: and "
            "keep 2 of them.",
        ),
    ],
) -> None:
    """Change how many elastic instances an execution may have, and keep some from others.

    What it keeps is not taken back for essential instances of others once it has room. It is no
    promise of room.
    """
    wanted = [_counts(each) for each in counts]
    with session(context).zoe() as zoe:
        found = zoe.show(name)
        # What the api will refuse is asked first, so that it refuses before anything has changed.
        declared = {
            service.name: service.elastic_declared
            for each in found.frameworks
            for service in each.services
        }
        wanted.sort(key=lambda each: (each[1] <= declared.get(each[0], 0) > 0, -each[2]))
        for service, least, most in wanted:
            execution = zoe.scale(found.id, service, most, elastic_min=least)
            kept = f", and keeps {least} once it has them" if least else ""
            of = f"{counted(most, 'elastic instance')} of {service}"
            tell(f"{execution.name} may have {of}{kept}")


def _counts(text: str) -> tuple[str, int, int]:
    """Read ``spark.worker=8`` or ``spark.worker=2..8``: the service, the minimum, the maximum."""
    service, _, counts = text.partition("=")
    least, dots, most = counts.rpartition("..")
    numbers = (least, most) if dots else (most,)
    if not service or not all(each.isascii() and each.isdecimal() for each in numbers):
        raise typer.BadParameter(f"{text!r} is not SERVICE=N or SERVICE=MIN..MAX")
    if dots and int(least) > int(most):
        raise typer.BadParameter(f"{text!r}: the minimum is above the maximum")
    return service, int(least) if dots else 0, int(most)


@app.command()
def wait(
    context: typer.Context,
    name: ExecutionArgument,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, help="Give up after so many seconds.")
    ] = None,
) -> None:
    """Wait for the end of an execution; its exit code becomes ours."""
    from zoe.client import TimedOut

    with session(context).zoe(PATIENCE_SECONDS) as zoe:
        try:
            execution = zoe.wait(name, timeout=timeout)
        except TimedOut as late:
            tell(str(late))
            raise typer.Exit(ExitCode.TIMED_OUT) from late
    raise typer.Exit(_outcome(execution))
