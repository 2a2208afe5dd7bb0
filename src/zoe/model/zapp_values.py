"""What a description is made of: single values and what each may look like; mappings."""

import math
import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)

from zoe.model.document_nodes import written_text
from zoe.model.limits import (
    MAX_INSTANCES,
    MAX_ITEMS,
    MAX_PATH_LENGTH,
    MAX_TEXT_LENGTH,
    MAX_TITLE_LENGTH,
)
from zoe.model.units import NUMBER, cores_milli, duration_seconds, memory_bytes

NAME = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
"""A name of an application, framework, service or volume: one label of a host name."""

PARAMETER_NAME = r"[a-z][a-z0-9_-]{0,62}"


def _text(value: object) -> object:
    return written_text(value) if isinstance(value, int | float) else value


def _matching(pattern: str, what: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            shown = value if len(value) <= 40 else value[:37] + "..."
            raise ValueError(f"{shown!r} is not {what}")
        return value

    return AfterValidator(check)


def _pattern(pattern: str, maximum: int = MAX_TEXT_LENGTH) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^({pattern})$", "maxLength": maximum})


Text = Annotated[
    str,
    BeforeValidator(_text),
    Field(max_length=MAX_TEXT_LENGTH),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
"""A text; a number or boolean stands for how it is written."""


def _scalar(value: object) -> object:
    if isinstance(value, str | int | float):
        return value
    raise ValueError("must be a text, a number or a boolean")


def _number(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise ValueError("must be a number")


AnyScalar = Annotated[
    Any,
    AfterValidator(_scalar),
    WithJsonSchema({"type": ["string", "number", "boolean"]}),
]
AnyNumber = Annotated[Any, AfterValidator(_number), WithJsonSchema({"type": "number"})]
Title = Annotated[
    str,
    BeforeValidator(_text),
    Field(max_length=MAX_TITLE_LENGTH),
    WithJsonSchema({"type": ["string", "number", "boolean"], "maxLength": MAX_TITLE_LENGTH}),
]

_NAME_WORDS = "a name: 1 to 63 of a-z, 0-9 and -, with no - at either end"
Name = Annotated[str, _matching(NAME, _NAME_WORDS), _pattern(NAME, 63)]
ParameterName = Annotated[
    str,
    _matching(PARAMETER_NAME, "a parameter's name: 1 to 63 of a-z, 0-9, _ and -, a letter first"),
    _pattern(PARAMETER_NAME, 63),
]
_VARIABLE = r"(?!ZOE_)[A-Za-z_][A-Za-z0-9_]{0,254}"
VariableName = Annotated[
    str,
    _matching(
        _VARIABLE,
        "the name of an environment variable: A-Z, a-z, 0-9 and _, not beginning with a digit or"
        " with ZOE_, which are Zoe's own",
    ),
    _pattern(_VARIABLE, 255),
]
_LABEL = r"[A-Za-z0-9][A-Za-z0-9._=/-]{0,62}"
Label = Annotated[
    str,
    _matching(_LABEL, "a label: 1 to 63 of letters, digits and . _ = / -, a letter or digit first"),
    _pattern(_LABEL, 63),
]
_IMAGE = r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,511}"
Image = Annotated[
    str, _matching(_IMAGE, "the name of an image, such as python:3.12"), _pattern(_IMAGE, 512)
]
_PATH = r"(?:/(?!\.\.(?:/|$))[^/\x00-\x1f]*)+"
AbsolutePath = Annotated[
    str,
    Field(max_length=MAX_PATH_LENGTH),
    _matching(_PATH, "an absolute path without .."),
    _pattern(_PATH, MAX_PATH_LENGTH),
]
_FOLDER = rf"(?:\$\{{workspace\}})?{_PATH}|\$\{{workspace\}}"
Folder = Annotated[
    str,
    Field(max_length=MAX_PATH_LENGTH),
    _matching(_FOLDER, "an absolute path without .., or one that begins with ${workspace}"),
    _pattern(_FOLDER, MAX_PATH_LENGTH),
]
_HTTP_PATH = r"/[!-~]*"
HttpPath = Annotated[
    str,
    Field(max_length=MAX_PATH_LENGTH),
    _matching(_HTTP_PATH, "the path of a URL: it begins with / and has no spaces"),
    _pattern(_HTTP_PATH, MAX_PATH_LENGTH),
]

Command = Annotated[list[Text], Field(min_length=1, max_length=MAX_ITEMS)]
PortNumber = Annotated[int, Field(ge=1, le=65535)]
InstanceCount = Annotated[int, Field(ge=0, le=MAX_INSTANCES)]

_BYTE_UNIT = r"([KkMmGgTtPp][Ii]?)?[Bb]?"
Cores = Annotated[
    int,
    BeforeValidator(cores_milli),
    WithJsonSchema(
        {"type": ["number", "string"], "exclusiveMinimum": 0, "pattern": f"^{NUMBER}m?$"}
    ),
]
Memory = Annotated[
    int,
    BeforeValidator(memory_bytes),
    WithJsonSchema(
        {"type": ["integer", "string"], "minimum": 1, "pattern": f"^{NUMBER} ?{_BYTE_UNIT}$"}
    ),
]
Duration = Annotated[
    float,
    BeforeValidator(duration_seconds),
    WithJsonSchema(
        {
            "type": ["number", "string"],
            "exclusiveMinimum": 0,
            "pattern": f"^({NUMBER}|({NUMBER}(ms|[dhms]))+)$",
        }
    ),
]


class Document(BaseModel):
    """A mapping with known keys only."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
