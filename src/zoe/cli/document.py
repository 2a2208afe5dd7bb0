"""Application descriptions as commands name them: a file, stdin, or an application's name."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import typer

from zoe.cli.session import Session
from zoe.model.errors import ZoeError

ApplicationArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILE|APP",
        help="An application description, `-` for stdin, or an application of the catalogue.",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A parameter of the application; repeatable."),
]


class NoSuchFile(ZoeError):
    """A file that does not exist or cannot be read."""


class NoSuchApplication(NoSuchFile):
    """There is no such file, and no such application in the catalogue."""


@dataclass(frozen=True, slots=True)
class Document:
    """The text of an application description, and what to call it in messages."""

    text: str
    file: str


def read(session: Session, name: str) -> Document:
    """Return the description that ``name`` names. Raises NoSuchApplication."""
    if name == "-":
        return Document(sys.stdin.read(), "<stdin>")
    path = Path(name)
    try:
        if path.is_file() or "/" in name or path.suffix:
            return Document(path.read_text(), name)
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise NoSuchApplication(f"{name} cannot be read: {why}") from error
    from zoe.catalogue import applications

    known = {found.name: found.file for found in applications(session.settings.zapps_dir)}
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise NoSuchApplication(
            f"{name} is neither a file nor an application of the catalogue",
            hint=f"Applications of the catalogue: {names}.",
        )
    return Document(known[name].read_text(), str(known[name]))


def chosen(settings: Sequence[str] | None) -> Mapping[str, str]:
    """Return the parameters of ``--set`` options; the api reads them by their types."""
    values = {}
    for setting in settings or ():
        name, equals, value = setting.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{setting!r} is not NAME=VALUE", param_hint="--set")
        values[name] = value
    return values


def with_command(document: Document, command: Sequence[str]) -> Document:
    """Return the description with another command for its monitor."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML()
    try:
        tree = yaml.load(document.text)
    except YAMLError:
        return document  # the api says what is wrong, with its place
    monitors = [service for service in _services(tree) if service.get("monitor") is True]
    if len(monitors) != 1:
        raise typer.BadParameter(
            "a command can be given only to an application with one monitor in its own file",
            param_hint="CMD",
        )
    monitors[0].pop("process", None)
    monitors[0]["command"] = list(command)
    text = StringIO()
    yaml.dump(tree, text)
    return Document(text.getvalue(), document.file)


def _services(tree: Any) -> list[dict[str, Any]]:
    def children(node: Any, key: str) -> list[Any]:
        found = node.get(key) if isinstance(node, dict) else None
        return list(found.values()) if isinstance(found, dict) else []

    frameworks = children(tree, "frameworks")
    services = [service for node in frameworks for service in children(node, "services")]
    return [service for service in services if isinstance(service, dict)]
