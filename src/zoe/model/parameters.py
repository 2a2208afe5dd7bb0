"""Typed parameters of a document, and the values that its user chooses for them."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from zoe.model.did_you_mean import suggestion
from zoe.model.document_nodes import written_text
from zoe.model.document_source import has_control_characters
from zoe.model.limits import MAX_NUMBER_DIGITS, MAX_PARAMETER_LENGTH
from zoe.model.substitution import Value

ParameterType = Literal["string", "integer", "number", "boolean", "choice"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a document lets its user choose; without a default the user has to."""

    name: str
    type: ParameterType
    default: Value | None = None
    min: int | float | None = None
    max: int | float | None = None
    choices: tuple[str, ...] = ()
    title: str = ""
    description: str = ""

    def value(self, given: object) -> Value:
        """Return ``given`` as a value of this type; a text is read as one.

        ValueError says what is wrong with it.
        """
        value = _READERS[self.type](given)
        if self.choices and value not in self.choices:
            raise ValueError(f"{_shown(value)} is not one of {', '.join(self.choices)}")
        if isinstance(value, int | float) and not isinstance(value, bool):
            if self.min is not None and value < self.min:
                raise ValueError(f"{value} is less than the minimum, {self.min}")
            if self.max is not None and value > self.max:
                raise ValueError(f"{value} is more than the maximum, {self.max}")
        return value


class Wrong(NamedTuple):
    """Why the value of the parameter called ``name`` cannot be used."""

    name: str
    message: str
    hint: str = ""


def choose(
    declared: Mapping[str, Parameter | None], given: Mapping[str, object]
) -> tuple[dict[str, Value], list[Wrong]]:
    """Return the value of each parameter, the given one or its default, and what is wrong.

    A parameter that is None (its declaration is wrong) gets no value and no complaint.
    """
    values: dict[str, Value] = {}
    wrong = [
        Wrong(name, "there is no such parameter", suggestion(name, declared, "parameters"))
        for name in given
        if name not in declared
    ]
    for name, parameter in declared.items():
        if parameter is None:
            continue
        if name in given:
            try:
                values[name] = parameter.value(given[name])
            except ValueError as error:
                wrong.append(Wrong(name, str(error)))
        elif parameter.default is not None:
            values[name] = parameter.default
        else:
            wrong.append(Wrong(name, "needs a value: it has no default"))
    return values, wrong


def _string(given: object) -> str:
    if isinstance(given, bool | int | float):
        return written_text(given)
    if not isinstance(given, str):
        raise ValueError("must be a text")
    if len(given) > MAX_PARAMETER_LENGTH:
        raise ValueError(f"is longer than {MAX_PARAMETER_LENGTH} characters")
    if has_control_characters(given):
        raise ValueError("has control characters")
    return given


def _integer(given: object) -> int:
    if isinstance(given, str):
        if len(given) <= MAX_NUMBER_DIGITS and re.fullmatch(r"[-+]?[0-9]+", given, re.ASCII):
            return int(given)
    elif isinstance(given, int) and not isinstance(given, bool):
        return int(given)
    raise ValueError(f"{_shown(given)} is not a whole number")


def _number(given: object) -> int | float:
    try:
        return _integer(given)
    except ValueError:
        pass
    if isinstance(given, str | float) and not isinstance(given, bool):
        try:
            number = float(given)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
    raise ValueError(f"{_shown(given)} is not a number")


def _boolean(given: object) -> bool:
    if isinstance(given, bool):
        return given
    if given in ("true", "false"):
        return given == "true"
    raise ValueError(f"{_shown(given)} is not true or false")


_READERS: Mapping[ParameterType, Callable[[object], Value]] = {
    "string": _string,
    "choice": _string,
    "integer": _integer,
    "number": _number,
    "boolean": _boolean,
}


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."
