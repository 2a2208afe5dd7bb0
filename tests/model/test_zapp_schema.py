"""The JSON Schema is fresh, and agrees with the reader where it can."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from ruamel.yaml import YAML

from zoe.model.errors import ZAppInvalid
from zoe.model.zapp_schema import json_schema, main
from zoe.model.zapp_yaml import read_zapp

FILE = Path(__file__).parents[2] / "docs/reference/zapp.schema.json"
FULL = (Path(__file__).parent / "full.yaml").read_text()
VALIDATOR = jsonschema_rs.validator_for(json_schema())


def document(text: str) -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe", pure=True).load(text)
    return found


def changed(path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    whole = copy.deepcopy(document(FULL))
    at: Any = whole
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return whole


def is_read(whole: dict[str, Any]) -> bool:
    try:
        read_zapp(json.dumps(whole), file="a.json", parameters={"workers": 3})
    except ZAppInvalid:
        return False
    return True


def test_the_file_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    assert capsys.readouterr().out == FILE.read_text(), (
        "python -m zoe.model.zapp_schema > docs/reference/zapp.schema.json"
    )


def test_it_is_a_schema_with_words_for_every_key() -> None:
    schema = json_schema()
    jsonschema_rs.meta.validate(schema)
    shapes = [schema, *schema["$defs"].values()]
    choices = [choice for shape in shapes for choice in shape.get("anyOf", [])]
    for shape in (*shapes, *choices):
        for name, key in shape.get("properties", {}).items():
            assert key.get("description"), f"{name} has no description"


SERVER = ("frameworks", "main", "services", "server")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("zoe",), 4),
        (("x-anything",), [None]),
        (("time_limit",), 90),
        (("kind",), "batch"),
        ((*SERVER, "resources"), {"cores": "2.5", "memory": 1073741824}),
        ((*SERVER, "resources"), {"cores": "${parameters.workers}"}),
        ((*SERVER, "command"), ["a", 1, 1.5, True, "${user}"]),
        ((*SERVER, "work_dir"), "/a/b..c"),
        ((*SERVER, "ports"), [{"port": 1, "x-y": {}}]),
        ((*SERVER, "x-y"), {}),
        (("frameworks", "x-y"), 3),
        (("frameworks", "main", "services", "worker", "count"), 7),
        (("frameworks", "main", "services", "worker", "count"), {"elastic": 7}),
    ],
)
def test_both_accept(path: tuple[str | int, ...], value: object) -> None:
    whole = changed(path, value)
    assert VALIDATOR.is_valid(whole)
    assert is_read(whole)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("zoe",), 3),
        (("zoe",), "${parameters.workers}"),
        (("name",), "A"),
        (("nme",), "a"),
        (("kind",), "other"),
        (("kind",), None),
        (("time_limit",), "soon"),
        (("time_limit",), 0),
        (("frameworks",), {}),
        (("frameworks", "A"), {"services": {"s": {"command": ["x"]}}}),
        (("frameworks", "b"), {}),
        (("frameworks", "b"), {"use": "x", "services": {}}),
        (("frameworks", "main", "with"), {"a": 1}),
        (("parameters", "workers", "type"), "int"),
        (("parameters", "B"), {"type": "integer"}),
        ((*SERVER, "resources"), {"cores": "2x"}),
        ((*SERVER, "resources"), {"cores": 0}),
        ((*SERVER, "resources"), {"memory": "5XB"}),
        ((*SERVER, "command"), "a"),
        ((*SERVER, "command"), []),
        ((*SERVER, "command"), [None]),
        ((*SERVER, "work_dir"), "/a/../b"),
        ((*SERVER, "work_dir"), "a"),
        ((*SERVER, "ready"), {}),
        ((*SERVER, "ready"), {"tcp": {"port": 1}, "command": ["x"]}),
        ((*SERVER, "ports"), [{"port": 0}]),
        ((*SERVER, "environment"), {"ZOE_USER": "x"}),
        ((*SERVER, "depends_on"), {"worker": "redy"}),
        ((*SERVER, "monitor"), "yes"),
        ((*SERVER, "count"), -1),
        ((*SERVER, "labels"), [""]),
    ],
)
def test_both_refuse(path: tuple[str | int, ...], value: object) -> None:
    whole = changed(path, value)
    assert not VALIDATOR.is_valid(whole)
    assert not is_read(whole)


def test_the_catalogue_is_valid() -> None:
    for file in (Path(__file__).parents[2] / "zapps").glob("*/zapp.yaml"):
        VALIDATOR.validate(document(file.read_text()))
