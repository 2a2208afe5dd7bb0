"""What exists is documented, and what the documentation points at exists."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from zoe.model.rest import API_PREFIX
from zoe.settings import Settings

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs/reference"
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("zapps/*/*.md")])

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def test_every_setting_is_documented() -> None:
    text = (REFERENCE / "settings.md").read_text()
    missing = [name for name in Settings.model_fields if f"`{name}`" not in text]
    assert not missing, "say in docs/reference/settings.md what these mean"


def verbs(command: Any, name: str = "") -> Iterator[str]:
    """Yield the names of the commands under ``command``: ``config show``, not ``config``."""
    if not hasattr(command, "commands"):
        yield name
    else:
        for part, below in command.commands.items():
            yield from verbs(below, f"{name} {part}".strip())


def test_every_verb_is_documented() -> None:
    from zoe.cli.app import app

    text = (REFERENCE / "cli.md").read_text()
    missing = sorted(
        verb for verb in verbs(typer.main.get_command(app)) if f"zoe {verb}" not in text
    )
    assert not missing, "say in docs/reference/cli.md what these do"


def test_every_route_is_documented() -> None:
    text = (REFERENCE / "rest.md").read_text()
    routes = [
        f"{method.upper()} {path.removeprefix(API_PREFIX)}"
        for path, methods in json.loads((REFERENCE / "openapi.json").read_text())["paths"].items()
        for method in methods
    ]
    missing = [route for route in routes if f"`{route}`" not in text]
    assert not missing, "say in docs/reference/rest.md what these do"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    targets = LINK.findall(FENCE.sub("", page.read_text()))
    inside = [target for target in targets if not re.match(r"[a-z]+:|#", target)]
    broken = [t for t in inside if not (page.parent / t.split("#")[0]).exists()]
    assert not broken, f"{page.relative_to(ROOT)} points at what is not there"


def test_the_shown_application_is_the_one_that_is_shipped() -> None:
    tutorial = (ROOT / "docs/tutorial/first-zapp.md").read_text()
    assert (ROOT / "zapps/hello/zapp.yaml").read_text() in tutorial


def test_the_algorithm_is_told_in_the_same_steps_as_in_its_module() -> None:
    told = ast.get_docstring(ast.parse((ROOT / "src/zoe/scheduler/plan.py").read_text())) or ""
    steps = re.compile(r"^1\. .*?(?=\n\n)", re.MULTILINE | re.DOTALL)
    (in_code,) = steps.findall(told)
    assert in_code in (ROOT / "docs/explanation/scheduling.md").read_text()
