"""Documents made to harm: each is refused for its reason, after little work."""

import time

import pytest

from zoe.model.document_source import parse_document
from zoe.model.errors import Problem, ZAppInvalid
from zoe.model.limits import MAX_DOCUMENT_BYTES
from zoe.model.zapp_yaml import read_zapp

LIMIT_SECONDS = 1.0
"""Of processor time: ten times what any of them takes on a slow machine."""

ALIASES = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("#" * (MAX_DOCUMENT_BYTES + 1), "the document has 65537 bytes; at most 65536 are read"),
        ("é" * (MAX_DOCUMENT_BYTES // 2 + 1), "the document has 65538 bytes; at most 65536"),
        ("[" * 60000, "nested deeper than 16 levels"),
        ("{a: " * 15000, "nested deeper than 16 levels"),
        ("[a," * 20000, "nested deeper than 16 levels"),
        ("- " * 30000, "nested deeper than 16 levels"),
        ("? " * 30000, "a key must be a plain text"),
        ("[" + "a," * 30000 + "]", "the document has more than 4000 keys and values"),
        (ALIASES, "the document has more than 4000 keys and values"),
        ("a: &a x\nb: [" + "*a," * 101 + "]", "more than 100 aliases are used"),
        (
            f"a: &a {'x' * 30000}\nb: [{'*a,' * 20}]",
            "with its aliases the document has more than 262144 characters",
        ),
        ("a: " + "9" * 60000, "a number may have at most 30 digits"),
        ('"' + "\\x41" * 15000, "this is not valid YAML: found unexpected end of stream"),
        ('"\\U99999999"', "this is not valid YAML: "),
        ("%YAML 9.9\n---\nzoe: 4", "this is not valid YAML: "),
        ("!x!y a", "this is not valid YAML: found undefined tag handle '!x!'"),
        ("a:\n" * 20000, "and 1899 more problems"),
    ],
)
def test_it_is_refused_soon(text: str, message: str) -> None:
    before = time.process_time()
    with pytest.raises(ZAppInvalid) as raised:
        read_zapp(text)
    assert time.process_time() - before < LIMIT_SECONDS
    assert raised.value.problems[-1].message.startswith(message)


def test_json_nested_deeply() -> None:
    with pytest.raises(ZAppInvalid, match="nested deeper than 16 levels"):
        read_zapp("[" * 30000 + "]" * 30000, file="a.json")


def test_substitution_makes_no_giant() -> None:
    lines = "".join(f"          V{i}: '{'${parameters.x}' * 60}'\n" for i in range(40))
    text = (
        "zoe: 4\nname: a\nparameters: {x: {type: string}}\nframeworks:\n  f:\n    services:\n"
        f"      s:\n        command: [a]\n        monitor: true\n        environment:\n{lines}"
    )
    assert len(text) < MAX_DOCUMENT_BYTES
    with pytest.raises(ZAppInvalid) as raised:
        read_zapp(text, parameters={"x": "x" * 1024})
    assert {p.message for p in raised.value.problems} == {"is too long after substitution"}
    with pytest.raises(ZAppInvalid) as raised:
        read_zapp(
            text.replace("${parameters.x}" * 60, "${parameters.x}" * 31),
            parameters={"x": "x" * 1024},
        )
    assert raised.value.problems[0].path.endswith("environment.V33")


def test_a_document_that_can_be_read_comes_with_its_problems() -> None:
    problems: list[Problem] = []
    node = parse_document("a: 1\na: 2\n", "", problems)
    assert node is not None
    assert [str(problem) for problem in problems] == [
        "<input>:2:1: a: a is there twice; the first is in line 1"
    ]
