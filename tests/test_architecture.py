"""The directions and the purity of ARCHITECTURE.md, checked; every failure says the reason."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PURE = ("model", "scheduler", "sim")

IMPURE_NAMES = {
    "open": "reads or writes files",
    "input": "reads from a person",
    "print": "writes to a terminal",
    "__import__": "imports behind the back of the import contracts",
}
IMPURE_METHODS = {
    "now": "asks the clock; take the time as an argument",
    "utcnow": "asks the clock; take the time as an argument",
    "today": "asks the clock; take the time as an argument",
    "read_text": "reads files",
    "read_bytes": "reads files",
    "write_text": "writes files",
    "write_bytes": "writes files",
    "mkdir": "writes to the disk",
    "unlink": "writes to the disk",
    "iterdir": "reads the disk",
    "rglob": "reads the disk",
    "is_file": "reads the disk",
    "is_dir": "reads the disk",
    "resolve": "reads the disk",
    "expanduser": "reads the environment",
    "import_module": "imports behind the back of the import contracts",
}


def impurities(source: str) -> Iterator[str]:
    """Yield what in ``source`` depends on more than its arguments, as ``line: why``."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in IMPURE_NAMES:
                yield f"{node.lineno}: {name}() {IMPURE_NAMES[name]}"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="Path"), attr=name)):
                yield f"{node.lineno}: Path.{name}() touches this machine; PurePath does not"
            case ast.Call(func=ast.Attribute(attr=name)) if name in IMPURE_METHODS:
                yield f"{node.lineno}: .{name}() {IMPURE_METHODS[name]}"
            case ast.AsyncFunctionDef(name=name):
                yield f"{node.lineno}: {name} is a coroutine; only the master waits"
            case ast.Global(names=names):
                yield f"{node.lineno}: global {', '.join(names)} is state outside of the values"


def test_imports_keep_their_direction() -> None:
    lint = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--no-logo"]
    done = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("package", PURE)
def test_the_core_is_pure(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{impurity}"
        for path in sorted((ROOT / "src/zoe" / package).rglob("*.py"))
        for impurity in impurities(path.read_text())
    ]
    assert not found, "the core is values in, values out:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        "open('x')",
        "print(1)",
        "datetime.now(tz=UTC)",
        "Path('x').read_text()",
        "Path.home()",
        "async def f(): pass",
        "importlib.import_module('time')",
    ],
)
def test_impurity_is_seen(line: str) -> None:
    assert list(impurities(line))


def test_every_package_is_under_a_contract() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    bound = {
        name
        for contract in pyproject["tool"]["importlinter"]["contracts"]
        for name in contract.get("source_modules", [])
    }
    packages = {path.parent.name for path in (ROOT / "src/zoe").glob("*/__init__.py")}
    free = sorted(name for name in packages if f"zoe.{name}" not in bound)
    assert not free, f"say in pyproject.toml what {free} must not import, and why"
