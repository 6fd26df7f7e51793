"""Read both notations of `output.schema`: JSON Schema 2020-12 and `{field: type}`."""

from collections.abc import Mapping
from typing import Any

DIALECT = "https://json-schema.org/draft/2020-12/schema"
FORMATS = ("date-time", "date", "time", "email", "uri", "uuid")
TYPES = ("boolean", "string", "number", "integer", "array", "object", "null")

# Keywords of JSON Schema, beside `type`, whose values may be strings.
KEYWORDS = frozenset(["title", "description", "pattern", "format", "const", "default", "$comment"])


def is_flat_map(schema: Mapping[str, Any]) -> bool:
    """Return whether this is the shorthand `{field: type}` and not a JSON Schema.

    A JSON Schema has a value that is no string, or a key that begins with `$`. Where all values are
    strings and `type` is a type, it is a JSON Schema if that type is `object`, if the other keys
    are only `format` and `pattern`, or if they are only keywords of which one is no type.
    """
    if any(not isinstance(value, str) or key.startswith("$") for key, value in schema.items()):
        return False
    kind, others = schema.get("type"), {key: schema[key] for key in schema if key != "type"}
    if kind not in TYPES:
        return True
    if kind == "object" or others.keys() <= {"format", "pattern"}:
        return False
    return not (others.keys() <= KEYWORDS and set(others.values()) - {*TYPES, *FORMATS})


def as_json_schema(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the JSON Schema of either notation. A flat map means: all fields, and no others."""
    if not is_flat_map(schema):
        return schema
    return {
        "type": "object",
        "properties": {name: _property(kind) for name, kind in schema.items()},
        "required": [*schema],
        "additionalProperties": False,
    }


def _property(kind: str) -> dict[str, str]:
    return {"type": kind} if kind in TYPES else {"type": "string", "format": kind}
