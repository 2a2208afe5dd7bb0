"""Whatever somebody writes: a good application keeps its meaning, a bad one gets its problems."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from zoe.model.codec import from_json, to_json
from zoe.model.errors import Problem, ZAppInvalid
from zoe.model.execution import Execution, ServiceInstance
from zoe.model.launch import Place, launch
from zoe.model.substitution import LATE_VARIABLES, Variable, parts, resolve, written
from zoe.model.tree import requirements, start_order
from zoe.model.units import cores_milli, duration_seconds, memory_bytes
from zoe.model.zapp import ZApp
from zoe.model.zapp_schema import json_schema
from zoe.model.zapp_yaml import read_outline, read_zapp

FULL = (Path(__file__).parents[1] / "model/full.yaml").read_text()
FULL_DOCUMENT: dict[str, Any] = json.loads(
    json.dumps(YAML(typ="safe", pure=True).load(FULL.replace("python:3.12", "python")))
)
SCHEMA = jsonschema_rs.validator_for(json_schema())
EXAMPLES = settings.default.max_examples // 2
"""For those that read a whole application."""

names = st.text("abc0", min_size=1, max_size=3) | st.sampled_from(["a-b", "b-c", "a--b"])
texts = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn")), max_size=12)
dollars = st.text("${}user.a", max_size=12)
late = st.sampled_from([Variable(name) for name in LATE_VARIABLES])
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
    | dollars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def wrong_in(read: Callable[..., object], text: str) -> tuple[Problem, ...]:
    try:
        read(text, file="damaged.yaml")
    except ZAppInvalid as invalid:
        return invalid.problems
    return ()


@given(st.lists(dollars | texts | late))
def test_parts_that_are_written_are_read_back(split: list[str | Variable]) -> None:
    def value_of(name: str) -> str:
        return "$" if name == "$" else f"<{name}>"

    expected = "".join(part if isinstance(part, str) else value_of(part.name) for part in split)
    assert resolve(written(split), value_of) == expected


@given(dollars)
def test_a_text_is_its_parts(text: str) -> None:
    split = parts(text)
    if all(isinstance(part, str) or part.closed for part in split):
        assert parts(written(split)) == split or any(
            isinstance(part, Variable) and part.name == "$" for part in parts(written(split))
        )


@given(dollars | texts, dollars | texts)
def test_what_a_user_types_into_a_parameter_arrives_as_it_is(one: str, two: str) -> None:
    text = """
zoe: 4
name: a
parameters: {one: {type: string}, two: {type: string}}
frameworks:
  f:
    services:
      s:
        command: ["${parameters.one}", "${parameters.one}${parameters.two}", "${user}"]
        environment: {A: "<${parameters.one}${user}${parameters.two}>"}
        monitor: true
"""
    zapp = read_zapp(text, parameters={"one": one, "two": two})
    found = launch(
        Execution(1, "run", "ada", zapp, 0.0),
        ServiceInstance(1, "f.s", 0, True),
        Place("lab", {}, "/w"),
    )
    assert found.command == (one, one + two, "ada")
    assert found.environment["A"] == f"<{one}ada{two}>"


@st.composite
def applications(draw: st.DrawFn) -> dict[str, Any]:
    """A document whose services and frameworks depend on earlier ones only."""
    frameworks: dict[str, Any] = {}
    states = st.sampled_from(["started", "ready", "completed"])
    for name in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
        services: dict[str, Any] = {}
        for service in draw(st.lists(names, min_size=1, max_size=3, unique=True)):
            earlier = st.dictionaries(st.sampled_from(sorted(services)), states)
            services[service] = {
                "command": draw(
                    st.lists(texts.map(lambda text: text.replace("{", "(")), min_size=1)
                ),
                "count": {"essential": draw(st.integers(1, 9)), "elastic": draw(st.integers(0, 9))},
                "resources": {
                    "cores": draw(st.integers(1, 9999)) / 1000,
                    "memory": f"{draw(st.integers(1, 9999))}MiB",
                },
                "depends_on": draw(earlier) if services else {},
            }
        before = st.dictionaries(st.sampled_from(sorted(frameworks)), states)
        frameworks[name] = {
            "services": services,
            "depends_on": draw(before) if frameworks else {},
        }
    return {"zoe": 4, "name": draw(names), "kind": "service", "frameworks": frameworks}


@given(applications())
@settings(max_examples=EXAMPLES)
def test_a_good_application_keeps_its_meaning(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    if wrong := wrong_in(read_zapp, text):
        # Two services may share a variable by chance (a-b.c and a.b-c); nothing else is wrong.
        assert all("ZOE_HOSTS_" in problem.message for problem in wrong)
        return
    zapp = read_zapp(text, file="a.json")
    SCHEMA.validate(document)
    for full_name, service in zapp.services():
        framework, name = full_name.split(".")
        source = document["frameworks"][framework]["services"][name]
        assert [resolve(text, str) for text in service.command] == source["command"]
        assert {"essential": service.essential, "elastic": service.elastic} == source["count"]
        assert service.resources.cores_milli == round(source["resources"]["cores"] * 1000)
        assert f"{service.resources.memory_bytes >> 20}MiB" == source["resources"]["memory"]
        assert dict(service.depends_on) == source["depends_on"]
    assert from_json(ZApp, json.loads(json.dumps(to_json(zapp)))) == zapp
    order = start_order(zapp)
    assert sorted(order) == sorted(name for name, _ in zapp.services())
    for name, needs in requirements(zapp).items():
        assert all(order.index(needed) < order.index(name) for needed, _ in needs)


@given(st.data())
@settings(max_examples=EXAMPLES)
def test_a_damaged_text_gets_problems_with_places(data: st.DataObject) -> None:
    text = FULL
    characters = st.characters() | st.sampled_from("{}[]:,&*!|>'\"%#-? \n\t$")
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 30)))
        text = text[:start] + data.draw(st.text(characters, max_size=4)) + text[end:]
    lines = len(text.splitlines()) + 1
    for problem in (*wrong_in(read_zapp, text), *wrong_in(read_outline, text)):
        assert problem.file == "damaged.yaml"
        assert 1 <= problem.line <= lines
        assert problem.column >= 1


def paths(value: object) -> list[tuple[str | int, ...]]:
    """All places in ``value`` where something can be put."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [(), *((key, *path) for key, item in inner for path in paths(item))]


@given(st.sampled_from([path for path in paths(FULL_DOCUMENT) if path]), json_values, st.data())
@settings(max_examples=EXAMPLES)
def test_a_changed_value_is_refused_or_valid_by_the_schema(
    path: tuple[str | int, ...], value: object, data: st.DataObject
) -> None:
    document = copy.deepcopy(FULL_DOCUMENT)
    at: Any = document
    for step in path[:-1]:
        at = at[step]
    if isinstance(at, dict) and data.draw(st.booleans()):
        at[data.draw(texts)] = value
    else:
        at[path[-1]] = value
    text = json.dumps(document)
    try:
        read_zapp(text, parameters={"workers": 3})
    except ZAppInvalid:
        return
    assert SCHEMA.is_valid(json.loads(text))


@given(json_values | st.text("0123456789.eEmhdsKMGTPiB -"))
def test_an_amount_is_within_its_limits_or_refused_in_words(value: object) -> None:
    for read in (cores_milli, memory_bytes, duration_seconds):
        try:
            amount, refusal = read(value), "accepted"
        except ValueError as error:
            amount, refusal = 1, str(error)
        assert amount > 0
        assert 0 < len(refusal) < 200
