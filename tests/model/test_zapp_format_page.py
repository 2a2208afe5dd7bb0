"""The reference of the format: its examples are read, its tables are complete."""

import re
from pathlib import Path

import pytest

from zoe.model import limits
from zoe.model.parameter_document import ParameterDocument
from zoe.model.substitution import LATE_FIELDS, LATE_VARIABLES
from zoe.model.zapp_document import (
    CountDocument,
    Document,
    FrameworkDocument,
    HttpDocument,
    LimitsDocument,
    PortDocument,
    ReadyDocument,
    ResourcesDocument,
    RestartDocument,
    ServiceDocument,
    ShrinkDocument,
    SpeedupDocument,
    SpeedupPointDocument,
    VolumeDocument,
    ZAppDocument,
    keys_at,
)
from zoe.model.zapp_yaml import read_zapp

PAGE = (Path(__file__).parents[2] / "docs/reference/zapp-format.md").read_text()
EXAMPLES = [match[2] for match in re.finditer(r"```(yaml|json)\n(.*?)```", PAGE, re.DOTALL)]
CATALOGUE = {"dask": ("dask", next(text for text in EXAMPLES if "framework: dask" in text))}


@pytest.mark.parametrize("text", [text for text in EXAMPLES if "framework: dask" not in text])
def test_an_example_is_an_application(text: str) -> None:
    file = "example.json" if text.startswith("{") else "example.yaml"
    read_zapp(text, file=file, catalogue=CATALOGUE)


@pytest.mark.parametrize(
    "shape",
    [
        ZAppDocument,
        FrameworkDocument,
        ServiceDocument,
        ResourcesDocument,
        LimitsDocument,
        CountDocument,
        PortDocument,
        HttpDocument,
        ReadyDocument,
        RestartDocument,
        ShrinkDocument,
        SpeedupDocument,
        SpeedupPointDocument,
        VolumeDocument,
        ParameterDocument,
    ],
)
def test_every_key_is_on_the_page(shape: type[Document]) -> None:
    missing = [key for key in keys_at(shape, ()) if not re.search(rf"[`{{ ]{key}[`:]", PAGE)]
    assert not missing, f"docs/reference/zapp-format.md says nothing of {missing}"


def test_every_variable_and_its_places_are_on_the_page() -> None:
    for name in LATE_VARIABLES:
        assert f"`${{{name}}}`" in PAGE
    for path in LATE_FIELDS:
        assert f"`{'.'.join(path)}`" in PAGE


@pytest.mark.parametrize(
    "name",
    [
        "MAX_DOCUMENT_BYTES",
        "MAX_NODES",
        "MAX_ALIASES",
        "MAX_DEPTH",
        "MAX_FRAMEWORKS",
        "MAX_SERVICES",
        "MAX_PARAMETERS",
        "MAX_PARAMETER_LENGTH",
        "MAX_INSTANCES",
        "MAX_APPLICATION_INSTANCES",
        "MAX_ITEMS",
        "MAX_TEXT_LENGTH",
        "MAX_NUMBER_DIGITS",
    ],
)
def test_every_limit_is_on_the_page(name: str) -> None:
    table = PAGE.split("| Limit |")[1]
    assert re.search(rf"\b{getattr(limits, name)}\b", table)
