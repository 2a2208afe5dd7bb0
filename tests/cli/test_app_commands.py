"""``zoe apps``: the catalogue, without a server."""

import json
from pathlib import Path

import pytest

from zoe.cli.main import main

BROKEN = "zoe: 4\nname: other\nframeworks: {f: {services: {s: {command: [ls], monitor: true}}}}\n"
APP = """
zoe: 4
name: mine
title: My application
description: It waits.
kind: service
parameters:
  n: {type: integer, default: 2, min: 1, title: How many}
  size: {type: choice, choices: [small, large]}
frameworks: {f: {services: {s: {command: [sleep, "60"]}}}}
"""


@pytest.fixture
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in (("mine", APP), ("broken", BROKEN)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "zapp.yaml").write_text(text)
    readme = "# How to use it\n" + "\u00fc" * 40_000 + "\nend\n"
    (tmp_path / "mine" / "README.md").write_text(readme)
    monkeypatch.setenv("ZOE_ZAPPS_DIR", str(tmp_path))
    return tmp_path


def test_the_catalogue_is_listed(catalogue: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apps"]) == 0
    said = capsys.readouterr().out
    assert "mine    service  My application" in said
    assert "calls itself other" in said
    assert main(["apps", "-o", "name"]) == 0
    assert capsys.readouterr().out == "broken\nmine\n"


def test_one_is_shown_with_what_its_user_chooses(
    catalogue: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["apps", "show", "mine"]) == 0
    said = capsys.readouterr().out
    for part in ("mine: My application", "It waits.", "--set n=", "integer 1..", "required",
                 "small, large", "# How to use it", "\u00fc\nend"):  # fmt: skip
        assert part in said
    assert main(["apps", "show", "mine", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["document"] == APP
    assert main(["apps", "show", "min"]) == 4
    assert "did you mean mine?" in capsys.readouterr().err
