"""List the keywords of JSON Schema 2020-12 that hold subschemas, and what these apply to.

Everything else in a schema is data: a `$ref` inside `const`, `enum`, `default` or `examples` is no
reference.
Source: JSON Schema Core 2020-12, sections 10 and 11; Validation, section 6.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

REFERENCES = ("$ref", "$dynamicRef")


class Applied(Enum):
    """Name what a subschema applies to, relative to the value that its parent applies to."""

    HERE = "the same value"
    NAMED = "the property or the item that the subschema's own key names"
    OTHER_PROPERTIES = "properties that no other key of its parent names"
    OTHER_ITEMS = "items that no other key of its parent names"
    PROPERTIES = "any property"
    ITEMS = "any item"
    NEVER = "nothing, unless a reference leads to it"


# Keywords that hold one schema.
SINGLE = {
    "not": Applied.HERE,
    "if": Applied.HERE,
    "then": Applied.HERE,
    "else": Applied.HERE,
    "additionalProperties": Applied.OTHER_PROPERTIES,
    "unevaluatedProperties": Applied.PROPERTIES,
    "propertyNames": Applied.PROPERTIES,
    "items": Applied.OTHER_ITEMS,
    "contains": Applied.ITEMS,
    "unevaluatedItems": Applied.ITEMS,
    "contentSchema": Applied.NEVER,
}

# Keywords that hold a list of schemas, or a map whose values are schemas.
SEVERAL = {
    "allOf": Applied.HERE,
    "anyOf": Applied.HERE,
    "oneOf": Applied.HERE,
    "prefixItems": Applied.NAMED,
    "dependentSchemas": Applied.HERE,
    # Deprecated, but in the meta-schema, and the library supports it.
    "dependencies": Applied.HERE,
    "patternProperties": Applied.PROPERTIES,
    "properties": Applied.NAMED,
    "$defs": Applied.NEVER,
    "definitions": Applied.NEVER,
}

# Most branches of these fail at once in a usual schema.
DISJUNCTIONS = frozenset(["anyOf", "oneOf"])

UNEVALUATED = frozenset(["unevaluatedProperties", "unevaluatedItems"])

# Keywords whose length adds to the work of a check.
DATA = frozenset(
    [
        "const",
        "enum",
        "type",
        "required",
        "dependentRequired",
        "dependencies",
        "pattern",
        "patternProperties",
    ]
)

Path = tuple[str | int, ...]


def subschemas(schema: Mapping[str, Any]) -> Iterator[tuple[Path, Any, Applied]]:
    """Yield the schemas directly inside a schema: the path to each, and what it applies to.

    A value that is no object is left out.
    """
    for keyword, value in schema.items():
        if keyword in SINGLE:
            places: Iterator[tuple[Path, Any]] = iter([((keyword,), value)])
            applied = SINGLE[keyword]
        elif keyword in SEVERAL:
            places = (((keyword, name), part) for name, part in _numbered(value))
            applied = SEVERAL[keyword]
        else:
            continue
        for path, part in places:
            if isinstance(part, dict):
                yield path, part, applied


def _numbered(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)
