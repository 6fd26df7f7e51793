"""Generate an output that satisfies a task's schema, for simulated workers. Best effort.

The result must be checked: keywords such as `pattern`, `not` and `uniqueItems` are ignored.
"""

import math
from collections.abc import Mapping
from typing import Any

from apps.tasks.schemas.notation import is_flat_map

Schema = Mapping[str, Any]

FORMATS = {
    "date-time": "2026-01-15T09:30:00Z",
    "date": "2026-01-15",
    "time": "09:30:00Z",
    "duration": "PT10M",
    "email": "mara@example.com",
    "uri": "https://example.com/evidence",
    "uri-reference": "/evidence",
    "uuid": "6f1c1c0e-5d3b-4c43-9c1a-0d3f2b7a9e10",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}
SENTENCE = "Done as requested; nothing unusual. "
# A schema may refer to itself endlessly.
_DEEPEST = 16
# Schemas and values that are looked at, and characters of a text: far more than an output may have.
_MOST_STEPS = 20_000
_LONGEST_TEXT = 64 * 1024


class CannotSample(ValueError):
    """Raised for a schema that no output is generated for."""


def sample_output(schema: Schema | None) -> Any:
    """Return an instance of a JSON Schema 2020-12 object, or of `{field: type name}`.

    Raise `CannotSample` where that takes too many steps, or the schema is beyond this module.
    """
    if not schema:
        return {}
    try:
        if is_flat_map(schema):
            return {field: _of_type_name(name) for field, name in schema.items()}
        return _Sampler(schema).instance(schema, depth=0)
    except CannotSample:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise CannotSample(repr(error)) from error


def _of_type_name(name: str) -> Any:
    return FORMATS[name] if name in FORMATS else _Sampler({}).instance({"type": name}, depth=1)


class _Sampler:
    """Generate instances of the parts of one document, in a bounded number of steps."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._steps = 0

    def instance(self, schema: Any, *, depth: int) -> Any:
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return None
        whole = self._merged(schema, depth=depth)
        if "const" in whole:
            return whole["const"]
        for keyword in ("enum", "examples"):
            if whole.get(keyword):
                return whole[keyword][0]
        if "default" in whole:
            return whole["default"]
        return self._generated(whole, depth=depth)

    def _merged(self, schema: Schema, *, depth: int) -> dict[str, Any]:
        """Return the schema merged with its `$ref`, `allOf`, the first of `anyOf` and `oneOf`."""
        self._count_step()
        first = [schema.get(keyword, [])[:1] for keyword in ("anyOf", "oneOf")]
        parts = [*schema.get("allOf", []), *first[0], *first[1]]
        if "$ref" in schema:
            parts.append(self._at(schema["$ref"]))
        whole = dict(schema)
        for part in parts if depth <= _DEEPEST else []:
            if isinstance(part, Mapping):
                other = self._merged(part, depth=depth + 1)
                properties = {**other.get("properties", {}), **whole.get("properties", {})}
                required = [*whole.get("required", []), *other.get("required", [])]
                whole = {**other, **whole, "properties": properties, "required": required}
        return whole

    def _count_step(self) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise CannotSample("it takes too many steps")

    def _at(self, reference: str) -> Any:
        """Return the target of a reference inside the document, such as `#/$defs/address`."""
        target: Any = self._root
        for step in reference.lstrip("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            target = target.get(name) if isinstance(target, Mapping) else None
        return target

    def _generated(self, schema: Schema, *, depth: int) -> Any:
        match _kind(schema):
            case "object":
                return self._object(schema, depth=depth)
            case "array":
                return self._array(schema, depth=depth)
            case "boolean":
                return True
            case "integer" | "number" as kind:
                return _number(schema, is_integer=kind == "integer")
            case "null":
                return None
            case _:
                return _string(schema)

    def _object(self, schema: Schema, *, depth: int) -> dict[str, Any]:
        """Return an object with the required fields, at the top level with the optional ones too.

        Optional fields may nest a schema in itself.
        """
        properties = schema.get("properties", {})
        names = [*schema.get("required", []), *([] if depth else properties)]
        return {name: self.instance(properties.get(name, {}), depth=depth + 1) for name in names}

    def _array(self, schema: Schema, *, depth: int) -> list[Any]:
        first = schema.get("prefixItems", [])
        least = 0 if schema.get("maxItems") == 0 else 1
        length = max(schema.get("minItems", 0), len(first), least)
        if length > _MOST_STEPS:
            raise CannotSample("an array is too long")
        kinds = [*first, *[schema.get("items", {})] * (length - len(first))]
        return [self.instance(kind, depth=depth + 1) for kind in kinds]


def _kind(schema: Schema) -> str:
    """Return the schema's type, or the type that its other keywords imply."""
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    if isinstance(kind, str):
        return kind
    if schema.get("properties") or schema.get("required"):
        return "object"
    if "items" in schema or "minItems" in schema:
        return "array"
    return "number" if "minimum" in schema or "maximum" in schema else "string"


def _number(schema: Schema, *, is_integer: bool) -> float:
    """Return the smallest allowed number from 1 on, or the largest if 1 is above the maximum."""
    step = schema.get("multipleOf", 1)
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf))
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf))
    start = min(max(low, 1), high)
    value = math.ceil(start / step) * step if math.ceil(start / step) * step <= high else start
    if value == schema.get("exclusiveMinimum"):
        value = value + step if value + step < high else (value + high) / 2
    if value == schema.get("exclusiveMaximum"):
        value = value - step if value - step > low else (value + low) / 2
    return int(value) if is_integer or value == int(value) else value


def _string(schema: Schema) -> str:
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    shortest = schema.get("minLength", 0)
    if shortest > _LONGEST_TEXT:
        raise CannotSample("a text is too long")
    text = (
        SENTENCE.strip()
        if shortest <= len(SENTENCE.strip())
        else SENTENCE * (int(shortest) // len(SENTENCE) + 1)
    )
    return text[: int(schema.get("maxLength", max(shortest, len(SENTENCE))))]
