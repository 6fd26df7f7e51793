"""What a submission must look like: the contract's schema, checked when posted and when used.

Both notations become one JSON Schema 2020-12. The validator is Rust (jsonschema-rs): its regular
expressions cannot run away, references that go round in circles end, and nothing is ever fetched.
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
MAX_FAULTS = 50
FORMATS = ("date-time", "date", "time", "email", "uri", "uuid")
TYPES = ("boolean", "string", "number", "integer", "array", "object", "null")
REFERENCES = ("$ref", "$dynamicRef")


def is_flat_map(schema: Mapping[str, Any]) -> bool:
    """Whether this is the shorthand `{field: type}` and not a JSON Schema.

    A JSON Schema shows itself by a value that is no string, by a key that begins with `$`, by
    `"type": "object"`, or by holding nothing but a valid `type`.
    """
    if any(not isinstance(value, str) or key.startswith("$") for key, value in schema.items()):
        return False
    return not (
        schema.get("type") == "object" or (len(schema) == 1 and schema.get("type") in TYPES)
    )


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


def schema_faults(document: Any) -> Iterator[Fault]:
    """What is wrong with `output.schema` of a posted task; a check for `contract.parse_task`."""
    schema = dig(document, "output", "schema")
    place = ("output", "schema")
    if not isinstance(schema, dict):
        return
    if not schema:
        yield Fault(pointer(*place), "empty_schema", 'name a field, or use {"type": "object"}')
    elif is_flat_map(schema):
        for name, kind in schema.items():
            if kind not in TYPES and kind not in FORMATS:
                known = ", ".join((*TYPES, *FORMATS))
                yield Fault(pointer(*place, name), "unknown_type", f"must be one of {known}")
    else:
        yield from _json_schema_faults(schema, place)


def _json_schema_faults(schema: dict[str, Any], place: Sequence[str]) -> Iterator[Fault]:
    if schema.get("$schema", DIALECT) != DIALECT:
        yield Fault(pointer(*place, "$schema"), "unknown_dialect", f"must be {DIALECT}")
        return
    faults = [*_shape_faults(schema, place)]
    if not faults:
        try:
            _validator(orjson.dumps(schema))
        except jsonschema_rs.ValidationError as error:
            where = pointer(*place, *error.instance_path)
            faults = [Fault(where, "invalid_schema", error.message)]
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            faults = [Fault(pointer(*place), "invalid_schema", str(error))]
    yield from faults


def _shape_faults(schema: Any, place: Sequence[str | int]) -> Iterator[Fault]:
    """Too deep, or a reference that leads out of the document."""
    waiting: list[tuple[tuple[str | int, ...], int, Any]] = [(tuple(place), 1, schema)]
    while waiting:
        path, depth, item = waiting.pop()
        if depth > MAX_DEPTH and isinstance(item, dict | list):
            yield Fault(pointer(*path), "too_deep", f"must not nest deeper than {MAX_DEPTH} levels")
        elif isinstance(item, dict):
            for key, child in item.items():
                if key in REFERENCES and isinstance(child, str) and not child.startswith("#"):
                    text = "must point inside the document (`#…`)"
                    yield Fault(pointer(*path, key), "outside_reference", text)
                waiting.append(((*path, key), depth + 1, child))
        elif isinstance(item, list):
            waiting += [((*path, index), depth + 1, child) for index, child in enumerate(item)]


def output_faults(
    output: Any, schema: Mapping[str, Any] | None, expected_format: str
) -> list[Fault]:
    """What keeps `output` from satisfying the contract, with pointers into the submission's body."""
    if expected_format == "text":
        if isinstance(output, str) and output.strip():
            return []
        return [Fault("/output", "wrong_type", "must be a text that is not blank")]
    if schema is None:
        return []
    validator = _validator(orjson.dumps(as_json_schema(schema)))
    faults = []
    for error in validator.iter_errors(output):
        where = pointer("output", *error.instance_path)
        faults.append(Fault(where, _fault_code(error), error.message))
        if len(faults) == MAX_FAULTS:
            break
    return faults


def _fault_code(error: jsonschema_rs.ValidationError) -> str:
    """The keyword that failed, such as `required` or `additional_properties`."""
    keyword = str(error.schema_path[-1]) if error.schema_path else "invalid"
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in keyword)


def _nothing_outside(uri: str) -> Any:
    raise ValueError(f"{uri} is not inside the document")


@lru_cache(maxsize=256)
def _validator(schema: bytes) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        orjson.loads(schema), validate_formats=True, retriever=_nothing_outside
    )
