"""Reading a folder of frameworks and applications."""

from pathlib import Path

import pytest

from zoe.catalogue import (
    CatalogueUnusable,
    applications,
    check,
    frameworks,
    packaged_catalogue,
)
from zoe.model.limits import MAX_DOCUMENT_BYTES
from zoe.model.zapp_yaml import read_zapp

FRAMEWORK = "zoe: 4\nframework: pair\nservices: {s: {command: [x]}}\n"
APPLICATION = """\
zoe: 4
name: both
title: Two of a kind
description: For tests.
kind: service
frameworks: {one: {use: pair}, two: {use: pair}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for file, text in (
        ("pair/framework.yaml", FRAMEWORK),
        ("both/zapp.yaml", APPLICATION),
        ("notes/README.md", "not ours"),
        ("loose.yaml", "not ours"),
    ):
        path = tmp_path / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_frameworks_and_applications_are_found(folder: Path) -> None:
    assert frameworks(folder) == {"pair": (str(folder / "pair/framework.yaml"), FRAMEWORK)}
    (application,) = applications(folder)
    assert application.name == "both"
    assert application.title == "Two of a kind"
    assert application.description == "For tests."
    assert application.file == folder / "both/zapp.yaml"
    assert check(folder) == ()
    zapp = read_zapp(application.file.read_text(), catalogue=frameworks(folder))
    assert [name for name, _ in zapp.services()] == ["one.s", "two.s"]


def test_the_catalogue_that_comes_with_zoe_is_good() -> None:
    assert check() == ()
    assert "dask" in frameworks()
    assert "dask-wordcount" in {application.name for application in applications()}
    assert packaged_catalogue().is_dir()


def test_one_that_is_wrong_does_not_hide_the_others(folder: Path) -> None:
    for name, text in (("bad", "zoe: 4\nnam: bad"), ("odd", APPLICATION), ("pair", FRAMEWORK)):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "zapp.yaml").write_text(text)
    (folder / "pair/framework.yaml").write_text(FRAMEWORK.replace("command", "comand"))
    bad, both, odd, pair = applications(folder)
    assert both.problems == ()
    assert (bad.title, bad.description) == ("bad", "")
    assert [str(problem) for problem in bad.problems] == [
        f"{bad.file}:1:1: frameworks: is required",
        f"{bad.file}:1:1: name: is required",
        f"{bad.file}:2:1: nam: unknown key (did you mean name?)",
    ]
    assert [str(problem) for problem in odd.problems] == [
        f"{odd.file}: name: the application in the folder odd calls itself both"
    ]
    assert [str(problem) for problem in pair.problems] == [
        f"{pair.file}: name: this is a framework: its file is called framework.yaml"
    ]
    messages = [problem.message for problem in check(folder)]
    assert messages.count("unknown key") == 4  # pair alone, both twice, and bad's nam.


def test_what_cannot_be_read(folder: Path) -> None:
    with pytest.raises(CatalogueUnusable, match="No such file or directory") as raised:
        list(frameworks(folder / "nowhere"))
    assert raised.value.hint == "the setting zapps_dir names its folder"
    (folder / "pair/framework.yaml").write_bytes(b"\xff")
    with pytest.raises(CatalogueUnusable, match="is not UTF-8 text"):
        frameworks(folder)["pair"]


def test_a_catalogue_is_looked_at_only_by_those_who_use_it(folder: Path) -> None:
    uses = (folder / "both/zapp.yaml").read_text()
    alone = uses.replace("use: pair", "services: {s: {command: [x]}}")
    assert read_zapp(alone, catalogue=frameworks(folder / "nowhere"))
    with pytest.raises(CatalogueUnusable, match="No such file or directory"):
        read_zapp(uses, catalogue=frameworks(folder / "nowhere"))


def test_a_file_too_long_is_not_read_whole(folder: Path) -> None:
    (folder / "pair/framework.yaml").write_text("#" * 10 * MAX_DOCUMENT_BYTES)
    _, text = frameworks(folder)["pair"]
    assert len(text) == MAX_DOCUMENT_BYTES + 1
    assert check(folder)[0].message.startswith("the document has")
