"""House rules that no linter knows; every failure says what to do instead."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
SCRIPTS = sorted(path for folder in ("demo", "zapps") for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
TEXTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "zapps/**/*", "Makefile", ".ci/run", "pyproject.toml")
    for path in ROOT.glob(pattern)
    if path.is_file() and path.suffix != ".pyc"
)

LONGEST = 400
"""Lines of a module; one with more has a second idea in it."""

VIRTUAL = "VirtualLoop"
"""A test that uses it sleeps in virtual time."""

BENCHES = ROOT / "tests/bench"
"""Measurements may wait for a machine to come to rest."""

VAGUE = re.compile(
    r"^(utils?|helpers?|common|misc|manager|managers|handlers?|processors?|data|info|services|base_.*)$"
)
VAGUE_CLASS = re.compile(r"(Manager|Handler|Processor|Helper|Util|Utils|Info|Data)$")
LATER = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")))
SILENCED = re.compile(r"#\s*(type:\s*ignore|noqa)")
SILENCED_WITH_REASON = re.compile(r"#\s*(type:\s*ignore\[[\w, -]+\]|noqa: [A-Z]+\d+)\W+\w.*\w")
MACHINE = re.compile(rf"{re.escape(str(ROOT))}\b")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def lines_matching(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    return [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_module_is_too_long() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in SOURCES}
    long = {name for name, length in lengths.items() if length > LONGEST}
    assert not long, f"past {LONGEST} lines: look for the second idea"


def test_every_module_says_what_it_is() -> None:
    silent = [
        name_of(path)
        for path in SOURCES + SCRIPTS
        if ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert not silent, "begin with one sentence that says what the module is for"


def test_no_name_says_nothing() -> None:
    parts = {part for path in SOURCES for part in path.relative_to(ROOT).with_suffix("").parts}
    vague = sorted(part for part in parts if VAGUE.match(part))
    assert not vague, "call a module by what is in it"


def test_no_class_is_called_manager() -> None:
    vague = [
        f"{name_of(path)}:{node.lineno}: {node.name}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and VAGUE_CLASS.search(node.name)
    ]
    assert not vague, "call a class by the one thing it is"


def test_nothing_is_put_off() -> None:
    found = lines_matching(LATER, SOURCES + SCRIPTS + TESTS + TEXTS)
    assert not found, "do it now, or write an issue"


def silenced_without_reason(lines: list[str]) -> Iterator[int]:
    """Yield the numbers of the lines that silence a tool and say why neither there nor above."""
    for number, (above, line) in enumerate(pairwise(["", *lines]), 1):
        if SILENCED.search(line) and not (
            SILENCED_WITH_REASON.search(line) or above.strip().startswith("#")
        ):
            yield number


def test_every_exception_to_a_rule_says_why() -> None:
    found = [
        f"{name_of(path)}:{number}"
        for path in SOURCES + SCRIPTS
        for number in silenced_without_reason(path.read_text().splitlines())
    ]
    assert not found, "add the reason: type: ignore[code]  # why, or noqa: CODE why"


def test_a_silenced_line_without_a_reason_is_seen() -> None:
    lines = [
        "x  # noqa",
        "x  # noqa: E501",
        "x  # type: ignore[arg-type]",
        "x  # type: ignore  # why",
    ]
    reasons = [
        "x  # noqa: E501 a table",
        "x  # type: ignore[arg-type]  # a group",
        "# why",
        "x  # noqa",
    ]
    assert list(silenced_without_reason([*lines, *reasons])) == [1, 2, 3, 4]


def test_nothing_names_a_folder_of_one_machine() -> None:
    assert not lines_matching(MACHINE, SOURCES + SCRIPTS + TESTS + TEXTS), (
        "this folder is on one machine only"
    )


def sleeps_outside_of_loops(tree: ast.AST, in_loop: bool = False) -> Iterator[int]:
    """Yield the lines of calls of sleep(n), n not 0, that no loop with a condition repeats."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="sleep"), args=[ast.Constant(value=0)]):
                pass
            case ast.Call(func=ast.Attribute(attr="sleep")) if not in_loop:
                yield node.lineno
        yield from sleeps_outside_of_loops(node, in_loop or isinstance(node, ast.While | ast.For))


def test_no_test_sleeps() -> None:
    found = [
        f"{name_of(path)}:{line}"
        for path in TESTS
        if VIRTUAL not in path.read_text() and BENCHES not in path.parents
        for line in sleeps_outside_of_loops(ast.parse(path.read_text()))
    ]
    assert not found, "wait for a condition with a limit, or use virtual time"


def test_a_sleep_is_seen() -> None:
    source = "time.sleep(1)\nwhile not ready():\n    time.sleep(0.01)\nasyncio.sleep(0)\n"
    assert list(sleeps_outside_of_loops(ast.parse(source))) == [1]
