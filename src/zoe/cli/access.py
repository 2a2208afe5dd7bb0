"""Commands about the client itself: login, config show, version."""

import sys
from typing import Annotated

import typer

from zoe.cli.output import (
    ExitCode,
    Format,
    JsonOption,
    OutputOption,
    as_json_or_yaml,
    columns,
    tell,
    write,
)
from zoe.cli.session import session

app = typer.Typer()
config = typer.Typer(help="The settings.", no_args_is_help=True)
app.add_typer(config, name="config")


@app.command()
def login(context: typer.Context) -> None:
    """Keep the address of an api and a token for later commands.

    The token is asked for, or read from stdin; --url names the api.
    """
    from zoe.client import Zoe
    from zoe.client.credentials import Credentials, credentials, keep

    settings = session(context).settings
    url = credentials(settings).url
    token = settings.token
    if not token and sys.stdin.isatty():
        token = typer.prompt(f"Token for {url}", hide_input=True)
    elif not token:
        token = sys.stdin.readline().strip()
    if not token:
        tell("error: no token was given")
        raise typer.Exit(ExitCode.USAGE)
    with Zoe(url, token) as zoe:
        who = zoe.whoami()
    path = keep(settings.data_dir, Credentials(url, token))
    tell(f"You are {who.user} at {url}; kept in {path}")


@config.command("show")
def config_show(
    context: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="And where each comes from.")] = False,
    output: OutputOption = Format.TABLE,
    as_json: JsonOption = False,
) -> None:
    """List the settings that are in force; secrets are hidden."""
    from zoe.settings import SECRETS

    settings, origins = session(context).load()
    shown = {
        name: "(hidden)" if name in SECRETS and value else value
        for name, value in settings.model_dump(mode="json").items()
    }
    match Format.JSON if as_json else output:
        case Format.TABLE:
            headings = ("SETTING", "VALUE", "ORIGIN")[: 3 if origin else 2]
            rows = ((name, value, origins[name]) for name, value in shown.items())
            write(columns(headings, (row[: len(headings)] for row in rows)))
        case Format.NAME:
            write("\n".join(shown))
        case structured:
            answer: dict[str, object] = dict(shown)
            if origin:
                answer = {
                    name: {"value": value, "origin": str(origins[name])}
                    for name, value in shown.items()
                }
            write(as_json_or_yaml(answer, structured))


@app.command()
def version(context: typer.Context) -> None:
    """Print the version of this command, and of the api if there is one."""
    from zoe import __version__
    from zoe.client import RequestFailed

    write(f"zoe {__version__}")
    try:
        with session(context).zoe(retry_seconds=0) as zoe:
            found = zoe.version()
            write(f"api {found.version} at {zoe.url} (deployment {found.deployment})")
    except RequestFailed:
        tell("(no api can be reached)")
