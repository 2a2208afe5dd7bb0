"""The reference pages that are made from the code: ``python -m zoe.cli.reference FOLDER``."""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from typer.main import get_command

from zoe.cli.app import app
from zoe.settings import SECRETS, Settings

MADE = "<!-- Made by `python -m zoe.cli.reference docs/reference`: do not edit. -->"
WIDTH = 96

SETTINGS_HEAD = f"""# Settings

{MADE}

The strongest first: the command line; the environment (`ZOE_<NAME>`, or `ZOE_<NAME>_FILE` naming
a file that holds the value); `zoe.toml` in the working folder; `~/.config/zoe/config.toml`;
`/etc/zoe/zoe.toml`; the default. `zoe config show --origin` says what is in force and where it
comes from. A setting that does not exist is an error.

| Setting | Default | Meaning |
|---|---|---|"""

EXIT_CODES = """## Exit codes

| Code | Meaning |
|---|---|
| 0 | Done |
| 1 | Another error |
| 2 | The command line or the settings cannot be understood |
| 3 | Not allowed |
| 4 | Not found |
| 5 | Rejected: the application or the request is not valid |
| 6 | Conflict with the state of the execution, or an ambiguous name |
| 7 | The api, or the master where it is needed, cannot be reached |
| 8 | Timed out |

`zoe run` and `zoe wait` return the exit code of the monitor (128 + n when it died from signal n),
101 when a user stopped the execution, 102 when it was over its time limit, 103 when it was lost or
could not be started."""


def settings_page() -> str:
    """Return docs/reference/settings.md."""
    said = explanations()
    rows = (
        f"| `{name}` | {_default(name)} | {said[name]}{_secrecy(name)} |"
        for name in Settings.model_fields
    )
    return "\n".join([SETTINGS_HEAD, *rows, ""])


def _secrecy(name: str) -> str:
    return " Never shown." if name in SECRETS else ""


def _default(name: str) -> str:
    if name == "data_dir":
        return "`~/.local/share/zoe`"
    default = Settings.model_fields[name].default
    if default in ("", None):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def commands_page() -> str:
    """Return docs/reference/cli.md."""
    parts = [f"# The command zoe\n\n{MADE}", EXIT_CODES]
    parts += [
        f"## {name}\n\n```text\n{text}\n```" for name, text in _helps("zoe", get_command(app))
    ]
    return "\n\n".join(parts) + "\n"


def _helps(name: str, command: Any, parent: Any = None) -> Iterator[tuple[str, str]]:
    context = command.context_class(
        command, info_name=name.rpartition(" ")[2], parent=parent, terminal_width=WIDTH
    )
    help_ = command.get_help(context)
    yield name, "\n".join(line.rstrip() for line in help_.splitlines()).strip()
    for child, found in getattr(command, "commands", {}).items():
        yield from _helps(f"{name} {child}", found, context)


def main(folder: str) -> None:
    """Write the pages into ``folder``."""
    Path(folder, "settings.md").write_text(settings_page())
    Path(folder, "cli.md").write_text(commands_page())


def explanations() -> Mapping[str, str]:
    """Return what each setting means: the text below its field in settings.py."""
    fields = ast.parse(inspect.getsource(Settings)).body[0]
    assert isinstance(fields, ast.ClassDef)
    return {
        field.target.id: " ".join(text.value.value.split())
        for field, text in pairwise(fields.body)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(text.value.value, str)
    }


if __name__ == "__main__":
    main(sys.argv[1])
