"""Generate an output that satisfies a task's schema, as the demo's work. Best effort."""

import math
from collections.abc import Mapping
from typing import Any

from apps.tasks.schemas.notation import is_flat_map

Schema = Mapping[str, Any]

FORMATS = {
    "date-time": "2026-01-15T09:30:00Z",
    "date": "2026-01-15",
    "time": "09:30:00Z",
    "email": "mara@example.com",
    "uri": "https://example.com/evidence",
    "uuid": "6f1c1c0e-5d3b-4c43-9c1a-0d3f2b7a9e10",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
}
SENTENCE = "Done as requested; nothing unusual. "
# A schema may refer to itself endlessly.
_DEEPEST = 16


def sample_output(schema: Schema | None) -> Any:
    """Return an instance of a JSON Schema 2020-12 object, or of `{field: type name}`."""
    if not schema:
        return {}
    if is_flat_map(schema):
        return {field: _of_type_name(name) for field, name in schema.items()}
    return _instance(schema, root=schema, depth=0)


def _of_type_name(name: str) -> Any:
    return FORMATS[name] if name in FORMATS else _instance({"type": name}, root={}, depth=1)


def _instance(schema: Any, *, root: Schema, depth: int) -> Any:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    whole = _merged(schema, root=root, depth=depth)
    if "const" in whole:
        return whole["const"]
    for keyword in ("enum", "examples"):
        if whole.get(keyword):
            return whole[keyword][0]
    if "default" in whole:
        return whole["default"]
    return _generated(whole, root=root, depth=depth)


def _merged(schema: Schema, *, root: Schema, depth: int) -> dict[str, Any]:
    """Return the schema merged with its `$ref`, `allOf`, and the first of `anyOf` and `oneOf`."""
    parts = [*schema.get("allOf", []), *schema.get("anyOf", [])[:1], *schema.get("oneOf", [])[:1]]
    if "$ref" in schema:
        parts.append(_at(root, schema["$ref"]))
    whole = dict(schema)
    for part in parts if depth <= _DEEPEST else []:
        if isinstance(part, Mapping):
            other = _merged(part, root=root, depth=depth + 1)
            properties = {**other.get("properties", {}), **whole.get("properties", {})}
            required = [*whole.get("required", []), *other.get("required", [])]
            whole = {**other, **whole, "properties": properties, "required": required}
    return whole


def _at(root: Schema, reference: str) -> Any:
    """Return the target of a reference inside the document, such as `#/$defs/address`."""
    target: Any = root
    for step in reference.lstrip("#").split("/")[1:]:
        target = (
            target.get(step.replace("~1", "/").replace("~0", "~"))
            if isinstance(target, Mapping)
            else None
        )
    return target


def _generated(schema: Schema, *, root: Schema, depth: int) -> Any:
    match _kind(schema):
        case "object":
            return _object(schema, root=root, depth=depth)
        case "array":
            return _array(schema, root=root, depth=depth)
        case "boolean":
            return True
        case "integer" | "number" as kind:
            return _number(schema, is_integer=kind == "integer")
        case "null":
            return None
        case _:
            return _string(schema)


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


def _object(schema: Schema, *, root: Schema, depth: int) -> dict[str, Any]:
    """Return an object with the required fields, at the top level with the optional ones too.

    Optional fields may nest a schema in itself.
    """
    properties = schema.get("properties", {})
    names = [*schema.get("required", []), *([] if depth else properties)]
    return {name: _instance(properties.get(name, {}), root=root, depth=depth + 1) for name in names}


def _array(schema: Schema, *, root: Schema, depth: int) -> list[Any]:
    first = schema.get("prefixItems", [])
    length = max(schema.get("minItems", 0), len(first), 0 if schema.get("maxItems") == 0 else 1)
    kinds = [*first, *[schema.get("items", {})] * (length - len(first))]
    return [_instance(kind, root=root, depth=depth + 1) for kind in kinds]


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
    text = (
        SENTENCE.strip()
        if shortest <= len(SENTENCE.strip())
        else SENTENCE * (shortest // len(SENTENCE) + 1)
    )
    return text[: schema.get("maxLength", max(shortest, len(SENTENCE)))]
