"""Where in a TOML text a key is: the parser of the standard library forgets the lines.

A scan that knows headers and keys at the beginning of lines. What it does not find has the place of
what holds it; nothing but messages depends on it.
"""

import re
from collections import Counter

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.\-\" ]{1,200}?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"\s*\"?([A-Za-z0-9_\-]{1,200})\"?\s*(?:=|\.)")


class Places:
    """The lines, from 1, of the paths of a document: ``jobs[2].cores``."""

    def __init__(self, text: str) -> None:
        self._lines: dict[str, int] = {}
        seen: Counter[str] = Counter()
        table = ""
        for number, line in enumerate(text.splitlines(), 1):
            if header := _HEADER.fullmatch(line):
                name = header[2].replace('"', "")
                self._lines.setdefault(name, number)
                table = name
                if header[1] == "[[":
                    table = f"{name}[{seen[name]}]"
                    seen[name] += 1
                    self._lines.setdefault(table, number)
            elif key := _KEY.match(line):
                self._lines.setdefault(f"{table}.{key[1]}" if table else key[1], number)

    def line(self, path: str) -> int:
        """Return the line of ``path`` or of what is nearest around it; 0 when nothing is."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return 0
