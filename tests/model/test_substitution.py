"""Texts with variables, split and written again."""

import pytest

from zoe.model.substitution import Variable, parts, resolve, written


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("", ()),
        ("plain $HOME $ {x} $$", ("plain $HOME $ {x} $$",)),
        ("${user}", (Variable("user"),)),
        ("a ${user} b", ("a ", Variable("user"), " b")),
        ("$${user}", ("${user}",)),
        ("$$${user}", ("$${user}",)),
        ("${$}${user}", (Variable("$"), Variable("user"))),
        ("a ${user", ("a ", Variable("user", closed=False))),
        ("${}", (Variable(""),)),
    ],
)
def test_parts(text: str, split: tuple[str | Variable, ...]) -> None:
    assert parts(text) == split


def test_written_keeps_a_dollar_from_escaping_the_variable_after_it() -> None:
    assert written(("$$", Variable("user"), "${")) == "${$}${$}${user}$${"


def test_resolve_is_one_pass() -> None:
    values = {"a": "${b}", "$": "$"}
    assert resolve("${a} $${a} ${$}", values.__getitem__) == "${b} ${a} $"
