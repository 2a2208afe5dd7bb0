"""What somebody may have meant by a name that does not exist."""

from collections.abc import Iterable
from difflib import get_close_matches

_SHOWN = 20


def suggestion(name: str, known: Iterable[str], what: str = "") -> str:
    """Return ``did you mean worker?``, else the list of ``what`` there is, else nothing."""
    names = list(known)
    if close := get_close_matches(name[:100], names, 1):
        return f"did you mean {close[0]}?"
    if not what:
        return ""
    if not names:
        return f"there are no {what}"
    more = ", ..." if len(names) > _SHOWN else ""
    return f"the {what} are {', '.join(names[:_SHOWN])}{more}"
