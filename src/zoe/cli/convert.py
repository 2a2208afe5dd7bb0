"""The command that reads the formats of the original Zoe: an application, or a whole shop."""

import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoe.cli import document
from zoe.cli.output import ExitCode, counted, problem_line, tell, write
from zoe.cli.session import session
from zoe.model.errors import Problem, ZoeError

if TYPE_CHECKING:
    from zoe.model.older_formats.application import Converted

app = typer.Typer()


class Exists(ZoeError):
    """A file is there already."""


@app.command()
def convert(
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="An application or a manifest; `-` for stdin.")
    ],
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="PATH", help="File, or folder of a catalogue."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write an application of the formats 0 to 3 in format 4, or a manifest as a catalogue.

    What is not kept is said on stderr.
    """
    from zoe.model.errors import ZAppInvalid
    from zoe.model.older_formats.application import convert as convert_application

    found = document.read(session(context), file)
    try:
        if _is_manifest(found.text):
            _convert_shop(found, to, force=force)
            return
        converted = convert_application(found.text, file=found.file)
        text = _checked(converted, found.file)
    except ZAppInvalid as invalid:
        _tell(invalid.problems)
        raise typer.Exit(ExitCode.REJECTED) from invalid
    _tell(converted.warnings)
    if to is None:
        write(text.rstrip("\n"))
    else:
        _save({to: text}, force=force)


def _convert_shop(found: document.Document, folder: Path | None, *, force: bool) -> None:
    from zoe.model.older_formats.shop import convert_shop

    if folder is None:
        said = "a manifest becomes several files: name the folder for them"
        raise typer.BadParameter(said, param_hint="--to")
    source = Path(found.file).parent

    def read(name: str) -> str:
        try:
            return (source / name).read_text()
        except (OSError, UnicodeDecodeError) as error:
            said = f"{found.file} names {source / name}, which cannot be read: {error}"
            raise document.NoSuchFile(said) from error

    shop = convert_shop(found.text, read, file=found.file)
    files: dict[Path, str] = {}
    for one in shop:
        files[folder / one.name / "zapp.yaml"] = _checked(one.converted, one.name)
        if one.readme and (source / one.readme).is_file():
            files[folder / one.name / "README.md"] = read(one.readme)
    for one in shop:
        _tell(one.converted.warnings)
    _save(files, force=force)
    write(f"{counted(len(shop), 'application')} written to {folder}")


def _is_manifest(text: str) -> bool:
    try:
        values = json.loads(text)
    except ValueError:
        return False
    return isinstance(values, dict) and "zapps" in values


def _checked(converted: "Converted", file: str) -> str:
    """Return the application as YAML, which format 4 accepts, or raise ZAppInvalid."""
    from zoe.model.zapp_yaml import read_zapp

    text = _yaml(converted.document)
    chosen = {
        name: "true" if parameter["type"] == "boolean" else str(parameter.get("min", 1))
        for name, parameter in converted.document.get("parameters", {}).items()
        if "default" not in parameter
    }
    read_zapp(text, file=f"{file} in format 4", parameters=chosen)
    return text


def _yaml(values: dict[str, Any]) -> str:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 100
    text = StringIO()
    yaml.dump(values, text)
    return text.getvalue()


def _save(files: dict[Path, str], *, force: bool) -> None:
    """Write all of these files, or none if one of them is there already."""
    there = [str(path) for path in files if path.exists()]
    if there and not force:
        raise Exists(f"{', '.join(there)}: there already", hint="--force replaces it")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _tell(problems: Sequence[Problem]) -> None:
    for problem in problems:
        tell(problem_line(problem))
