"""Commands about Zoe on this machine: up, down, doctor."""

import asyncio
import sys
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from zoe.cli.output import (
    Format,
    JsonOption,
    OutputOption,
    as_json_or_yaml,
    clock,
    is_colourful,
    tell,
    write,
)
from zoe.cli.session import Session, session

if TYPE_CHECKING:
    from zoe.client.credentials import Credentials

app = typer.Typer()


@app.command()
def up(
    context: typer.Context,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="In the background; returns when it is ready.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="Port of the api; 0 takes a free one."),
    ] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address the api listens on.")] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            "--backend", help="process, docker, swarm or fake; else docker, if it answers."
        ),
    ] = None,
    unseen: Annotated[bool, typer.Option("--unseen", hidden=True)] = False,
) -> None:
    """Start Zoe on this machine: PostgreSQL, master and api.

    Ctrl-C ends all of it, with the applications; `zoe down --keep` leaves those running.
    """
    from zoe.cli import backend_choice, ports
    from zoe.cli import up as programs

    current = session(context)
    settings, origins = current.load(api_port=port, api_host=host, backend=backend)
    settings, why = backend_choice.choose(settings, origins)
    runs_with = f"{settings.backend} ({why})"
    if detach:
        options = ["--port", str(port)] if port is not None else []
        options += ["--host", host] if host is not None else []
        options += ["--backend", backend] if backend is not None else []
        with busy("starting Zoe"):
            found, first = programs.detach(
                [*current.arguments, "up", "--unseen", *options], settings
            )
        write(greeting(current, found, first, runs_with, f"zoe{_options(current)} down"))
        return
    with (
        programs.deployment_lock(settings),
        ports.chosen_ports(settings, origins) as settings,
    ):
        say(f"starting in {settings.data_dir}, with the back-end {runs_with}")

        def greet(found: "Credentials", first: bool) -> None:
            if unseen:  # our output is a log, which must not hold a token; who started us greets
                say(f"ready at {found.url}")
            else:
                end = f"Ctrl-C, or zoe{_options(current)} down"
                write(greeting(current, found, first, runs_with, end))

        asyncio.run(programs.stay_up(settings, say, greet))


def say(text: str) -> None:
    """Tell what happens to the programs, with the time: it is read later, too."""
    tell(f"{clock(datetime.now(UTC))} zoe: {text}")


def greeting(current: Session, found: "Credentials", first: bool, runs_with: str, end: str) -> str:
    """Return what a person wants to know once Zoe is ready."""
    zoe = f"zoe{_options(current)}"
    lines = [f"Zoe is ready at {found.url}", f"Back-end: {runs_with}"]
    if first and found.token:
        lines += [f"Your access token, shown only now: {found.token}"]
    return "\n".join(
        [*lines, f"Try:  {zoe} run hello  |  {zoe} ps -a  |  {zoe} nodes", f"End:  {end}"]
    )


def _options(current: Session) -> str:
    return "".join(f" {argument}" for argument in current.arguments)


@app.command()
def down(
    context: typer.Context,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave applications running, for the next `zoe up`.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """End what `zoe up` has started, with the applications."""
    from zoe.cli import up as programs
    from zoe.cli.backend_choice import as_started

    current = session(context)
    alive = 0 if keep or yes or not sys.stdin.isatty() else _alive(current)
    if alive:
        typer.confirm(f"{alive} executions have not ended. End them?", abort=True)
    settings = as_started(current.settings)
    with busy("ending Zoe"):
        ran = programs.down(settings, keep_applications=keep)
    tell("Zoe has ended" if ran else f"Zoe does not run in {settings.data_dir}")


def _alive(current: Session) -> int:
    from zoe.client import RequestFailed

    try:
        with current.zoe(retry_seconds=0) as zoe:
            return sum(item.status != "queued" for item in zoe.executions().items)
    except RequestFailed:
        return 0


@app.command()
def doctor(
    context: typer.Context, output: OutputOption = Format.TABLE, as_json: JsonOption = False
) -> None:
    """Look for what keeps Zoe from working, and say what to try."""
    from zoe.cli.doctor import examine

    settings, origins = session(context).load()
    findings = examine(settings, origins)
    if as_json or output in (Format.JSON, Format.YAML):
        from dataclasses import asdict

        answer = [asdict(finding) for finding in findings]
        write(as_json_or_yaml(answer, Format.JSON if as_json else output))
    elif output is Format.NAME:
        broken = (each.what for each in findings if not each.is_usable)
        write("\n".join(broken))
    else:
        for finding in findings:
            mark = "ok  " if finding.ok else "FAIL" if finding.needed else "note"
            if is_colourful():
                mark = f"\033[{32 if finding.ok else 31 if finding.needed else 33}m{mark}\033[0m"
            write(f"{mark}  {finding.what}: {finding.found}")
            if not finding.ok and finding.try_:
                write(f"      {finding.try_}")
    if not all(finding.is_usable for finding in findings):
        raise typer.Exit(1)


def busy(what: str) -> AbstractContextManager[object]:
    """Turn a spinner on stderr, if somebody looks."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(f"{what} ...")
