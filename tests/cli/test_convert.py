"""``zoe convert``: an application of the original Zoe, or a whole shop of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from shell import Shell

from zoe.cli.main import main

SERVICE = {"name": "job", "image": "debian", "command": "echo {user_name}", "monitor": True}
OLD = {"name": "old one", "version": 3, "will_end": True, "services": [SERVICE]}


def write(folder: Path, name: str, values: dict[str, Any]) -> str:
    (folder / name).write_text(json.dumps(values))
    return str(folder / name)


async def test_what_is_converted_can_be_submitted(shell: Shell) -> None:
    old = shell.write("old.json", json.dumps(OLD))
    assert "zoe convert" in await shell.zoe("submit", old, code=5)
    new = shell.write("new.yaml", await shell.zoe("convert", old))
    assert "old-one is valid (batch, 1 service)" in await shell.zoe("validate", new)
    assert await shell.zoe("submit", new, "--name", "night") == "night\n"


def test_warnings_are_no_part_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write(tmp_path, "old.json", OLD | {"services": [SERVICE | {"networks": ["abc"]}]})
    assert main(["convert", old, "--to", str(tmp_path / "new.yaml")]) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "old.json:1:" in said.err
    assert "services.0.networks: is left out" in said.err
    assert main(["convert", old, "--to", str(tmp_path / "new.yaml")]) == 1
    assert "there already" in capsys.readouterr().err
    assert main(["convert", old, "--to", str(tmp_path / "new.yaml"), "--force"]) == 0
    assert main(["validate", str(tmp_path / "new.yaml")]) == 0


@pytest.mark.parametrize(("services", "code", "said"), [
    ([SERVICE | {"image": ""}], 5, "services.0: has no image"),
    ([SERVICE | {"total_count": 5, "essential_count": 5}], 5, "exactly one essential instance"),
])  # fmt: skip
def test_nothing_is_written_of_what_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], services: Any, code: int, said: str
) -> None:
    old = write(tmp_path, "old.json", OLD | {"services": services})
    assert main(["convert", old, "--to", str(tmp_path / "new.yaml")]) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "new.yaml").exists()


def test_a_shop_becomes_a_catalogue(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "old.json", OLD)
    (tmp_path / "README-old.md").write_text("What it is.\n")
    shop = {"version": 1, "zapps": [
        {"name": "The old one", "description": "old.json", "readable_descr": "README-old.md"},
        {"name": "Another", "description": "old.json", "logo": "logo.png"},
    ]}  # fmt: skip
    manifest = write(tmp_path, "manifest.json", shop)
    assert main(["convert", manifest]) == 2
    assert "name the folder" in capsys.readouterr().err
    assert main(["convert", manifest, "--to", str(tmp_path / "catalogue")]) == 0
    said = capsys.readouterr()
    assert "2 applications written" in said.out
    assert "zapps.1.logo: is not kept" in said.err
    made = tmp_path / "catalogue" / "the-old-one"
    assert (made / "README.md").read_text() == "What it is.\n"
    assert main(["validate", str(made / "zapp.yaml")]) == 0


def test_a_shop_with_a_file_that_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = {"version": 1, "zapps": [{"name": "one", "description": "gone.json"}]}
    manifest = write(tmp_path, "manifest.json", shop)
    assert main(["convert", manifest, "--to", str(tmp_path / "catalogue")]) == 4
    assert "gone.json, which cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "catalogue").exists()
