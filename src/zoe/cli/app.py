"""The command line as a whole: its global options, its commands in groups."""

from pathlib import Path
from typing import Annotated

import typer

from zoe.cli import (
    access,
    applications,
    apps,
    convert,
    executions,
    machine,
    nodes,
    shares,
    simulate,
    top,
    views,
)
from zoe.cli.session import global_options

app = typer.Typer(
    name="zoe",
    help="Share machines: run whole applications, queued, scheduled and explained.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

GROUPS = (
    ("This machine", machine.app),
    ("Executions", executions.app),
    ("Looking", views.app),
    ("Looking", top.app),
    ("Machines", nodes.app),
    ("Catalogue", apps.app),
    ("Applications", applications.app),
    ("Applications of the original Zoe", convert.app),
    ("Sharing", shares.app),
    ("Simulating", simulate.app),
    ("This command", access.app),
)
for _title, _group in GROUPS:
    app.add_typer(_group)


def _show_version(asked: bool) -> None:
    if asked:  # as an option of its own it is answered before this module is imported
        from zoe import __version__

        typer.echo(f"zoe {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="Folder of the deployment.", file_okay=False),
    ] = None,
    url: Annotated[str | None, typer.Option("--url", help="Address of the api.")] = None,
    token: Annotated[
        str | None, typer.Option("--token", help="Access token; others may see it in `ps`.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more when something goes wrong.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None:
    """Take the global options."""
    context.obj = global_options(data_dir, url, token, verbose)


command = typer.main.get_command(app)
"""The same, read once: each call of ``app`` would read all commands again."""
