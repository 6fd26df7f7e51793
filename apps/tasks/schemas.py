"""`output.schema`, in both notations: what it means, and whether a contract may have it.

Both notations become one JSON Schema 2020-12. What is checked at the door is what a worker's
submission would otherwise trip over: validity, depth, references that lead out, and the cost.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import jsonschema_rs
import orjson

from biolayer.contract import dig
from biolayer.errors import Fault, pointer

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MAX_DEPTH = 8
MAX_OUTPUT_DEPTH = 16
MAX_COST = 10_000
FORMATS = ("date-time", "date", "time", "email", "uri", "uuid")
TYPES = ("boolean", "string", "number", "integer", "array", "object", "null")
KEYWORDS = frozenset(["title", "description", "pattern", "format", "const", "default", "$comment"])
"""Keywords of JSON Schema, beside `type`, whose values may be strings."""
REFERENCES = ("$ref", "$dynamicRef")

# How a keyword's subschemas are applied: to the same value, to its children, to one child each.
SAME_VALUE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas")
CHILDREN = (
    "additionalProperties", "unevaluatedProperties", "propertyNames", "patternProperties",
    "items", "contains", "unevaluatedItems",
)  # fmt: skip
ONE_CHILD_EACH = ("properties", "prefixItems")


def is_flat_map(schema: Mapping[str, Any]) -> bool:
    """Whether this is the shorthand `{field: type}` and not a JSON Schema.

    A JSON Schema shows itself by a value that is no string or a key that begins with `$`. Where all
    values are strings and `type` is a type, it is one if that is `object`, or if beside it stand
    nothing but `format` and `pattern`, or only keywords of which one holds words instead of a type.
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
    """The JSON Schema of either notation; a flat map means: all fields, and no others."""
    if not is_flat_map(schema):
        return schema
    return {
        "type": "object",
        "properties": {name: _property(kind) for name, kind in schema.items()},
        "required": sorted(schema),
        "additionalProperties": False,
    }


def _property(kind: str) -> dict[str, str]:
    return {"type": kind} if kind in TYPES else {"type": "string", "format": kind}


def validator_of(schema: Mapping[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """A compiled validator (Rust: its regular expressions cannot run away, nothing is fetched).

    Raises `jsonschema_rs.ValidationError` (a `ValueError`) for what is no valid schema.
    """
    return _compiled(orjson.dumps(as_json_schema(schema)))


@lru_cache(maxsize=256)
def _compiled(schema: bytes) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        orjson.loads(schema), validate_formats=True, retriever=_nothing_outside
    )


def _nothing_outside(uri: str) -> Any:
    raise ValueError(f"{uri} is not inside the document")


def schema_faults(document: Any) -> Iterator[Fault]:
    """What is wrong with `output.schema` of a posted task; a check for `contract.parse_task`."""
    schema = dig(document, "output", "schema")
    place = ("output", "schema")
    if not isinstance(schema, dict):
        return
    if not schema:
        yield Fault(pointer(*place), "empty_schema", 'name a field, or use {"type": "object"}')
    elif is_flat_map(schema):
        yield from _flat_map_faults(schema, place)
    else:
        faults = [*_shape_faults(schema, place)]
        yield from faults or _meaning_faults(schema, place)


def _flat_map_faults(schema: Mapping[str, str], place: Sequence[str]) -> Iterator[Fault]:
    known = (*TYPES, *FORMATS)
    for name, kind in schema.items():
        if kind not in known:
            yield Fault(pointer(*place, name), "unknown_type", f"must be one of {', '.join(known)}")


def _shape_faults(schema: Mapping[str, Any], place: Sequence[str | int]) -> Iterator[Fault]:
    """Another dialect, too deep, or a reference that leads out of the document."""
    if schema.get("$schema", DIALECT) != DIALECT:
        yield Fault(pointer(*place, "$schema"), "unknown_dialect", f"must be {DIALECT}")
    waiting: list[tuple[tuple[str | int, ...], Any]] = [(tuple(place), schema)]
    while waiting:
        path, item = waiting.pop()
        if len(path) - len(place) >= MAX_DEPTH and isinstance(item, dict | list):
            yield Fault(pointer(*path), "too_deep", f"must not nest deeper than {MAX_DEPTH} levels")
        elif isinstance(item, dict):
            yield from _reference_faults(item, path)
            waiting += [((*path, key), child) for key, child in item.items()]
        elif isinstance(item, list):
            waiting += [((*path, index), child) for index, child in enumerate(item)]


def _reference_faults(item: Mapping[str, Any], path: Sequence[str | int]) -> Iterator[Fault]:
    for keyword in REFERENCES:
        target = item.get(keyword, "#")
        if isinstance(target, str) and not target.startswith("#"):
            text = "must point inside the document (`#…`)"
            yield Fault(pointer(*path, keyword), "outside_reference", text)


def _meaning_faults(schema: dict[str, Any], place: Sequence[str]) -> Iterator[Fault]:
    try:
        validator_of(schema)
    except jsonschema_rs.ValidationError as error:
        yield Fault(pointer(*place, *error.instance_path), "invalid_schema", error.message)
    except ValueError as error:
        yield Fault(pointer(*place), "invalid_schema", str(error))
    else:
        if _Cost(schema).of(schema, MAX_OUTPUT_DEPTH) > MAX_COST:
            text = "its references multiply; an output could take minutes to check"
            yield Fault(pointer(*place), "too_complex", text)


class _Cost:
    """An upper bound of how many subschemas one place of an output can be checked against.

    References that fan out (`allOf` of two references to an `allOf` of two …) double the work at
    each step: 1 KiB of schema can cost minutes. The bound adds up what applies to the same value
    and takes the dearest of what applies to one child each, `depth` levels of output down.
    """

    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[tuple[int, int], int] = {}

    def of(self, schema: Any, depth: int) -> int:
        if not isinstance(schema, dict) or depth == 0:
            return 1
        key = (id(schema), depth)
        if key not in self._known:
            self._known[key] = 0  # A reference back to the same value ends there.
            self._known[key] = min(self._sum(schema, depth), MAX_COST + 1)
        return self._known[key]

    def _sum(self, schema: Mapping[str, Any], depth: int) -> int:
        here = [part for keyword in SAME_VALUE for part in _parts(schema.get(keyword), keyword)]
        here += [self._target(schema[keyword]) for keyword in REFERENCES if keyword in schema]
        below = [part for keyword in CHILDREN for part in _parts(schema.get(keyword), keyword)]
        each = [part for keyword in ONE_CHILD_EACH for part in _parts(schema.get(keyword))]
        return (
            1
            + sum(self.of(part, depth) for part in here)
            + sum(self.of(part, depth - 1) for part in below)
            + max((self.of(part, depth - 1) for part in each), default=0)
        )

    def _target(self, reference: Any) -> Any:
        """Where a reference leads; an anchor is taken for the root, which costs most."""
        target = self._root
        if not (isinstance(reference, str) and reference.startswith("#/")):
            return target
        for part in reference[2:].split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            if isinstance(target, dict):
                target = target.get(name)
            elif isinstance(target, list) and name.isdigit() and int(name) < len(target):
                target = target[int(name)]
            else:
                return self._root
        return target


# Keywords whose value is one schema; the others hold a list of schemas or a map of them.
SINGLE = {
    "not", "if", "then", "else", "additionalProperties", "unevaluatedProperties", "propertyNames",
    "items", "contains", "unevaluatedItems",
}  # fmt: skip


def _parts(value: Any, keyword: str = "") -> list[Any]:
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return [value] if keyword in SINGLE else list(value.values())
    return []
