"""Numbers as outside data writes them; each function raises ValueError with a sentence.

Nothing that is not a finite number within its limits gets past here: one NaN in an arrival would
silently break the order of a whole simulation.
"""

import math
import re

from zoe.model.units import duration_seconds
from zoe.sim.workloads.problems import MAX_SECONDS, shown

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_LONGEST = 60
_NOT_FINITE = {"nan", "inf", "infinity"}


def number(value: object, what: str, low: float = 0.0, high: float = MAX_SECONDS) -> float:
    """Return ``value`` (a number or its text) if it is finite and from ``low`` to ``high``."""
    found = _parsed(value, what)
    if not math.isfinite(found):
        raise ValueError(f"{what} {shown(value)} is not a finite number")
    if found < low:
        at_least = "negative" if low == 0 else f"less than {low:,g}"
        raise ValueError(f"{what} {shown(value)} is {at_least}")
    if found > high:
        raise ValueError(f"{what} {shown(value)} is more than {high:,g}")
    return found


def whole(value: object, what: str, low: int = 0, high: int = 2**63 - 1) -> int:
    """Return ``value`` as an integer if it is one, from ``low`` to ``high``."""
    if isinstance(value, int) and not isinstance(value, bool):
        exact = value
    elif isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < _LONGEST:
        exact = int(value)
    else:
        found = number(value, what, -math.inf, math.inf)
        if found != int(found):
            raise ValueError(f"{what} {shown(value)} is not a whole number")
        exact = int(found)
    if exact < low:
        raise ValueError(
            f"{what} {shown(value)} is {'negative' if low == 0 else f'less than {low:,}'}"
        )
    if exact > high:
        raise ValueError(f"{what} {shown(value)} is more than {high:,}")
    return exact


def moment(value: object, what: str) -> float:
    """Return seconds of a number or of a length such as ``2h30m``; nothing is a length here."""
    if isinstance(value, str) and value.strip() and value.strip()[-1] in "smhd":
        return duration_seconds(value.strip())
    return number(value, what)


def name(value: object, what: str, longest: int = 200) -> str:
    """Return a short text of one line; a number is its own name."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{what} {shown(value)} is not a text")
    text = value.strip() if isinstance(value, str) else shown(value)
    if len(text) > longest:
        raise ValueError(f"{what} {shown(text)} is longer than {longest} characters")
    if not text.isprintable():
        raise ValueError(f"{what} {shown(text)} has characters that cannot be shown")
    return text


def _parsed(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{what} {shown(value)} is not a number")
    if isinstance(value, str):
        text = value.strip()
        if text.lstrip("+-").lower() in _NOT_FINITE:
            raise ValueError(f"{what} {shown(value)} is not a finite number")
        if not text:
            raise ValueError(f"{what} is missing")
        if len(text) > _LONGEST or not _NUMBER.fullmatch(text):
            raise ValueError(f"{what} {shown(value)} is not a number")
        return float(text)
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{what} {shown(value)} is too large") from None
