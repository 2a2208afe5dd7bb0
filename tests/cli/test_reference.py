"""The pages made from the code are those of the repository, and the fast paths are fast."""

import subprocess
import sys
from pathlib import Path

import pytest

from zoe.cli.reference import commands_page, settings_page

PAGES = Path(__file__).parents[2] / "docs/reference"


@pytest.mark.parametrize(
    ("name", "page"), [("settings.md", settings_page), ("cli.md", commands_page)]
)
def test_the_page_is_fresh(name: str, page: object) -> None:
    assert callable(page)
    fresh = page()
    assert (PAGES / name).read_text() == fresh, "run `python -m zoe.cli.reference docs/reference`"


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_nothing_heavy_is_imported_to_say_little(argument: str) -> None:
    script = (
        "import sys; from zoe.cli.main import main; code = main([sys.argv[1]]); "
        "heavy = {'pydantic', 'httpx2', 'rich.console', 'ruamel.yaml'} & set(sys.modules); "
        "heavy |= {'typer'} & set(sys.modules) if sys.argv[1] == '--version' else set(); "
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, argument], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "zoe" in done.stdout
