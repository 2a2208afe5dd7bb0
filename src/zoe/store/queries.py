"""Reads ``queries.sql``: named statements, of which one may insert another by ``{name}``."""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Final


def read_queries(text: str) -> Mapping[str, bytes]:
    """Split ``text`` at its ``-- name: x`` lines; an insertion must stand above its user."""
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    found: dict[str, str] = {}
    for name, statement in zip(parts[::2], parts[1::2], strict=True):
        assert name not in found, f"two statements are called {name}"
        for known, inserted in found.items():
            statement = statement.replace("{" + known + "}", inserted)
        found[name] = statement.strip()
    return {name: statement.encode() for name, statement in found.items()}


QUERIES: Final = read_queries((files("zoe.store") / "queries.sql").read_text("utf-8"))
