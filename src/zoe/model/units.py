"""Amounts as people write them: ``500m`` cores, ``16GiB``, ``2h30m``.

Each function takes what a document holds (a number or a text), returns the model's unit, and
raises ValueError with a sentence for people. Exact: no binary fraction is ever rounded on the way.
"""

import re
from collections.abc import Mapping
from decimal import Decimal

from zoe.model.limits import (
    MAX_CORES_MILLI,
    MAX_DURATION_SECONDS,
    MAX_MEMORY_BYTES,
    MIN_MEMORY_BYTES,
)

NUMBER = r"[0-9]{1,18}(?:\.[0-9]{1,9})?"

BYTES: Mapping[str, int] = {
    "": 1,
    "b": 1,
    **{letter: 1000**power for power, letter in enumerate("kmgtp", 1)},
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgtp", 1)},
    **{f"{letter}i": 1024**power for power, letter in enumerate("kmgtp", 1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgtp", 1)},
}
"""Factor of each unit of memory, in lower case."""

SECONDS: Mapping[str, Decimal] = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
}
"""Factor of each unit of time."""

_CORES = re.compile(rf"({NUMBER})(m?)", re.ASCII)
_BYTES = re.compile(rf"({NUMBER}) ?([A-Za-z]{{0,3}})", re.ASCII)
_DURATION = re.compile(rf"(?:{NUMBER}(?:ms|[dhms]))+", re.ASCII)
_DURATION_PART = re.compile(rf"({NUMBER})(ms|[dhms])", re.ASCII)


def cores_milli(value: object) -> int:
    """Return thousandths of a core of ``2``, ``0.5``, ``"0.5"`` or ``"500m"``."""
    match = _CORES.fullmatch(_written(value))
    if match is None:
        raise ValueError(f"{_shown(value)} is not a number of cores, such as 2, 0.5 or 500m")
    number, milli = match.groups()
    amount = Decimal(number) * (1 if milli else 1000)
    if amount != int(amount):
        raise ValueError(f"{_shown(value)} is finer than a thousandth of a core")
    if amount > MAX_CORES_MILLI:
        raise ValueError(f"{_shown(value)} cores are more than {MAX_CORES_MILLI // 1000}")
    if amount == 0:
        raise ValueError("at least 1m (a thousandth of a core) is needed")
    return int(amount)


def memory_bytes(value: object) -> int:
    """Return the bytes of ``"16GiB"``, ``"512 MB"`` or a plain number of bytes."""
    match = _BYTES.fullmatch(_written(value))
    factor = BYTES.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(f"{_shown(value)} is not an amount of memory, such as 16GiB or 500MB")
    amount = Decimal(match[1]) * factor
    if amount != int(amount):
        raise ValueError(f"{_shown(value)} is not a whole number of bytes")
    if amount > MAX_MEMORY_BYTES:
        raise ValueError(f"{_shown(value)} is more than {MAX_MEMORY_BYTES // 1024**5}PiB")
    if amount < MIN_MEMORY_BYTES:
        raise ValueError(f"{_shown(value)} is less than 1MiB: is a unit missing, as in 16GiB?")
    return int(amount)


def duration_seconds(value: object) -> float:
    """Return the seconds of ``"2h30m"``, ``"90s"``, ``"500ms"`` or a plain number of seconds."""
    text = _written(value)
    if re.fullmatch(NUMBER, text, re.ASCII):
        amount = Decimal(text)
    elif _DURATION.fullmatch(text):
        parts: list[tuple[str, str]] = _DURATION_PART.findall(text)
        units = [unit for _, unit in parts]
        if units != sorted(set(units), key=SECONDS.__getitem__, reverse=True):
            raise ValueError(f"{_shown(value)} must name each unit once, the longest first")
        amount = sum((Decimal(number) * SECONDS[unit] for number, unit in parts), Decimal(0))
    else:
        raise ValueError(f"{_shown(value)} is not a length of time, such as 90s, 2h30m or 1d")
    if amount > MAX_DURATION_SECONDS:
        raise ValueError(f"{_shown(value)} is more than {MAX_DURATION_SECONDS // 86400}d")
    if amount == 0:
        raise ValueError("must be longer than nothing")
    return float(amount)


def _written(value: object) -> str:
    """The amount as its author wrote it: a float's own digits, never its binary value."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value)


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."
