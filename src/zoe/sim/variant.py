"""Which ways of sharing a simulation compares, as a person names them in a few words."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace

from zoe.model.cluster import Node
from zoe.model.did_you_mean import suggestion
from zoe.model.errors import ZoeError
from zoe.scheduler.generations import GENERATIONS
from zoe.scheduler.plan import BACKFILLS
from zoe.scheduler.queue import POLICIES
from zoe.scheduler.sharing import Sharing
from zoe.sim.workloads.numbers import number, whole

NAMES: Mapping[str, Iterable[str]] = {
    "generation": GENERATIONS,
    "policy": POLICIES,
    "backfill": BACKFILLS,
}
"""What the settings of a sharing that are names may be."""

MAX_VARIANTS = 50


class VariantInvalid(ZoeError):
    """A way of sharing that does not exist."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of sharing on one cluster, and what reports call it."""

    name: str
    sharing: Sharing
    nodes: tuple[Node, ...]


def variants(
    words: Iterable[str], nodes: tuple[Node, ...], compared: str = ""
) -> tuple[Variant, ...]:
    """Return a variant for each part of ``compared``, or one alone; all are as ``words`` say.

    Parts are separated by commas, the words of a part by ``+``. A word is a generation, a policy, a
    backfill (``no-backfill`` is none), ``reclaim``, ``no-reclaim``, or ``setting=value``:
    ``published+sjf,flexible+sjf+patience_seconds=3600``.
    Raises VariantInvalid.
    """
    base = Sharing()
    for word in words:
        base = changed(base, word)
    if not compared.strip():
        return (Variant(f"{base.generation}+{base.policy}", base, nodes),)
    found: dict[str, Variant] = {}
    for part in compared.split(","):
        parts = [word.strip() for word in part.split("+")]
        name = "+".join(parts)
        sharing = base
        for word in parts:
            sharing = changed(sharing, word)
        if name in found:
            raise VariantInvalid(f"{name[:80]!r} is compared with itself")
        found[name] = Variant(name, sharing, nodes)
    if len(found) > MAX_VARIANTS:
        raise VariantInvalid(f"{len(found)} variants are more than {MAX_VARIANTS}")
    return tuple(found.values())


def changed(sharing: Sharing, word: str) -> Sharing:
    """Return ``sharing`` with what ``word`` says; VariantInvalid when nobody knows the word."""
    setting, equals, value = word.partition("=")
    if equals:
        return _with(sharing, setting.replace("-", "_"), value)
    if word in ("reclaim", "no-reclaim"):
        return replace(sharing, reclaim=word == "reclaim")
    if word == "no-backfill":
        return replace(sharing, backfill="none")
    for setting, names in NAMES.items():
        if word in names and word != "none":
            return _with(sharing, setting, word)
    known = [
        *GENERATIONS,
        *POLICIES,
        *sorted(BACKFILLS.keys() - {"none"}),
        "reclaim",
        "no-reclaim",
        "no-backfill",
    ]
    raise VariantInvalid(
        f"{word[:40]!r} is no word for a way of sharing", hint=suggestion(word, known, "words")
    )


def _with(sharing: Sharing, setting: str, value: str) -> Sharing:
    defaults = {each.name: each.default for each in fields(Sharing)}
    if setting not in defaults:
        hint = suggestion(setting, defaults, "settings")
        raise VariantInvalid(f"sharing has no setting {setting[:40]!r}", hint=hint)
    if setting in NAMES:
        if value not in NAMES[setting]:
            hint = suggestion(value, NAMES[setting], "names")
            raise VariantInvalid(f"{value[:40]!r} is no {setting}", hint=hint)
        return _replaced(sharing, setting, value)
    try:
        return _replaced(sharing, setting, _read(value, setting, defaults[setting]))
    except ValueError as error:
        raise VariantInvalid(str(error)) from None


def _read(value: str, setting: str, default: object) -> object:
    """Return a value of the kind of ``default``; raises ValueError."""
    match default:
        case bool():
            if value not in ("true", "false"):
                raise ValueError(f"{setting} is true or false, not {value[:40]!r}")
            return value == "true"
        case int():
            return whole(value, setting)
        case float():
            return math.inf if value == "inf" else number(value, setting, high=math.inf)
        case _:
            return value


def _replaced(sharing: Sharing, setting: str, value: object) -> Sharing:
    # A mapping of one name is all that the type checker can be told here.
    return replace(sharing, **{setting: value})  # type: ignore[arg-type]  # checked above
