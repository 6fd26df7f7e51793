"""Whether a worker's output is what the contract asks for."""

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs

from apps.tasks.schemas import MAX_OUTPUT_DEPTH, validator_of
from biolayer.contract import depth_of
from biolayer.errors import Fault, pointer

MAX_FAULTS = 50


def output_faults(
    output: Any, schema: Mapping[str, Any] | None, expected_format: str
) -> list[Fault]:
    """What keeps `output` from satisfying the contract, with pointers into the submission's body.

    At most 50; a missing field is pointed at where it should be.
    """
    if expected_format == "text":
        if isinstance(output, str) and output.strip():
            return []
        return [Fault("/output", "wrong_type", "must be a text that is not blank")]
    if depth_of(output) > MAX_OUTPUT_DEPTH:
        text = f"must not nest deeper than {MAX_OUTPUT_DEPTH} levels"
        return [Fault("/output", "too_deep", text)]
    if schema is None:
        return []
    faults: list[Fault] = []
    for error in validator_of(schema).iter_errors(output):
        faults += _as_faults(error)
        if len(faults) >= MAX_FAULTS:
            break
    return faults[:MAX_FAULTS]


def _as_faults(error: jsonschema_rs.ValidationError) -> Iterator[Fault]:
    place = ("output", *error.instance_path)
    match error.kind:
        case jsonschema_rs.ValidationErrorKind.Required(property=name):
            yield Fault(pointer(*place, name), "required", "is required")
        case jsonschema_rs.ValidationErrorKind.AdditionalProperties(unexpected=names):
            for name in names:
                yield Fault(pointer(*place, name), "unknown_field", "is not a field of the output")
        case _:
            yield Fault(pointer(*place), _keyword(error), error.message)


def _keyword(error: jsonschema_rs.ValidationError) -> str:
    """The keyword that failed, in our spelling: `type` is wrong_type, `minLength` is min_length."""
    keyword = str(error.schema_path[-1]) if error.schema_path else "invalid"
    if keyword == "type":
        return "wrong_type"
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in keyword)
