"""What is found wrong or strange in an old file, with its place."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from zoe.model.document_nodes import MappingNode, WrittenFloat, WrittenInt, locate, plain
from zoe.model.document_source import parse_document
from zoe.model.errors import Problem, ZAppInvalid

Path = tuple[str | int, ...]


class Findings:
    """The values of a file, and what there is to say about them."""

    def __init__(self, text: str, file: str) -> None:
        problems: list[Problem] = []
        root = parse_document(text, file, problems)
        if root is None or problems:
            raise ZAppInvalid(tuple(problems))
        self._root: MappingNode = root
        self.values: dict[str, Any] = _bare(plain(root))
        self.warnings: list[Problem] = []
        """What is not kept, or is read as what was meant."""
        self.problems: list[Problem] = []
        """What keeps the file from being converted."""

    def warn(self, path: Path, message: str, hint: str = "") -> None:
        """Note something that the reader should know."""
        self.warnings.append(self._finding(path, message, hint))

    def refuse(self, path: Path, message: str, hint: str = "") -> None:
        """Note something that keeps the file from being converted."""
        self.problems.append(self._finding(path, message, hint))

    def check(self) -> None:
        """Raise ZAppInvalid if anything was refused."""
        if self.problems:
            raise ZAppInvalid(tuple(self.problems))

    def ignore_others(self, values: Mapping[str, Any], path: Path, known: frozenset[str]) -> None:
        """Warn of the keys that are not known."""
        for key in values:
            if key not in known:
                self.warn((*path, key), "means nothing in an old format, and is left out")

    def text(self, values: Mapping[str, Any], key: str, path: Path) -> str:
        """Return the text at ``key``, empty if there is none; refuse what is no text."""
        value = values.get(key)
        if value is None or isinstance(value, str):
            return value or ""
        self.refuse((*path, key), "must be a text")
        return ""

    def flag(self, values: Mapping[str, Any], key: str, path: Path) -> bool:
        """Return whether ``key`` is true; refuse what is neither true nor false."""
        value = values.get(key, False)
        if not isinstance(value, bool):
            self.refuse((*path, key), "must be true or false")
        return value is True

    def count(self, values: Mapping[str, Any], key: str, path: Path, default: int) -> int:
        """Return the whole number at ``key``, at least 0; refuse anything else."""
        value = values.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return int(value)
        self.refuse((*path, key), "must be a whole number, at least 0")
        return default

    def amount(self, value: object, path: Path) -> float | None:
        """Return a number above 0, or None for one that asks for nothing; refuse what is none."""
        if value is None:
            return None
        if not isinstance(value, int | float) or isinstance(value, bool) or not isfinite(value):
            self.refuse(path, "must be a number")
            return None
        if value <= 0:
            return None
        return int(value) if value == int(value) else float(value)

    def items(self, values: Mapping[str, Any], key: str, path: Path) -> Sequence[Any]:
        """Return the list at ``key``, empty if there is none; refuse what is no list."""
        value = values.get(key)
        if value is None or isinstance(value, list):
            return value or ()
        self.refuse((*path, key), "must be a list")
        return ()

    def mapping(self, value: object, path: Path) -> Mapping[str, Any]:
        """Return a mapping, empty for None; refuse anything else."""
        if value is None or isinstance(value, dict):
            return value or {}
        self.refuse(path, "must be a mapping")
        return {}

    def _finding(self, path: Path, message: str, hint: str) -> Problem:
        place, _ = locate(self._root, path)
        return place.problem([str(step) for step in path], message, hint)


def _bare(value: Any) -> Any:
    """Return the value with numbers that do not remember how they were written."""
    match value:
        case dict():
            return {key: _bare(each) for key, each in value.items()}
        case list():
            return [_bare(each) for each in value]
        case WrittenInt():
            return int(value)
        case WrittenFloat():
            return float(value)
        case _:
            return value
