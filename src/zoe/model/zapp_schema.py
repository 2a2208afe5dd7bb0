"""The JSON Schema of application descriptions, for editors and other programs.

``python -m zoe.model.zapp_schema`` prints it. It accepts ``x-`` keys everywhere and, in place of
any value, a text with a parameter in it; what it cannot say (names that exist, no circles, limits
above reservations) only the reader checks.
"""

import json
import sys
from typing import Any

from zoe.model.zapp_document import ZAppDocument

_SUBSTITUTED = {"type": "string", "pattern": r"\$\{parameters\."}


def json_schema() -> dict[str, Any]:
    """Return the schema of format 4, JSON Schema 2020-12."""
    schema = ZAppDocument.model_json_schema()
    definitions = {
        name.removesuffix("Document"): _opened(definition, literal=name == "ParameterDocument")
        for name, definition in sorted(schema.pop("$defs").items())
    }
    count = definitions["Count"]
    whole = count["properties"]["essential"]["anyOf"]
    definitions["Count"] = {"description": count.pop("description"), "anyOf": [*whole, count]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:zoe:zapp:4",
        **_opened(schema),
        "title": "Zoe application, format 4",
        "$defs": {**definitions, "Substituted": {**_SUBSTITUTED, "title": "A parameter's value"}},
    }


def main() -> None:
    """Print the schema."""
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")


def _opened(schema: dict[str, Any], *, literal: bool = False) -> dict[str, Any]:
    """Return ``schema`` with ``x-`` keys allowed and, unless ``literal``, parameters for values."""
    opened = {key: value for key, value in schema.items() if key not in ("title", "default")}
    if "$ref" in opened:
        opened["$ref"] = opened["$ref"].removesuffix("Document")
    if "properties" in opened:
        opened["properties"] = {
            name: _opened(value, literal=literal or name in ("zoe", "parameters"))
            for name, value in opened["properties"].items()
        }
    if "items" in opened:
        opened["items"] = _opened(opened["items"], literal=literal)
    if opened.get("type") == "object":
        opened.pop("propertyNames", None)
        opened["patternProperties"] = {
            pattern.replace("^", "^(?!x-)", 1): _opened(value, literal=literal)
            for pattern, value in opened.get("patternProperties", {}).items()
        }
        opened["patternProperties"]["^x-"] = True
        opened["additionalProperties"] = False
    if "anyOf" in opened:
        # What pydantic writes for a key that may be absent: one shape, or null.
        shape = next(choice for choice in opened.pop("anyOf") if choice != {"type": "null"})
        opened = {**_opened(shape, literal=True), **opened}
    return opened if literal else _with_parameter(opened)


def _with_parameter(schema: dict[str, Any]) -> dict[str, Any]:
    if not ({"type", "enum", "const"} & schema.keys()) or schema.get("type") in ("object", "array"):
        return schema
    if "string" in schema.get("type", ()) and not {"pattern", "enum"} & schema.keys():
        return schema
    described = {key: schema.pop(key) for key in ("description",) if key in schema}
    return {**described, "anyOf": [schema, {"$ref": "#/$defs/Substituted"}]}


if __name__ == "__main__":
    main()
