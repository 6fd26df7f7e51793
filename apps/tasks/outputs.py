"""Check a worker's output against the contract."""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from apps.tasks.schemas.checks import schema_violations
from apps.tasks.schemas.cost import MAX_OUTPUT_DEPTH
from apps.tasks.schemas.limited import InvalidSchema, LimitReached
from biolayer.contract import depth_of
from biolayer.errors import Fault, pointer


def output_faults(
    output: Any, schema: Mapping[str, Any] | None, expected_format: str
) -> list[Fault]:
    """Return the faults of `output`, with pointers into the submission's body.

    At most 50; the pointer of a missing field is where it should be.
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
    try:
        violations = schema_violations(schema, output)
    except (LimitReached, InvalidSchema, jsonschema_rs.ValidationError):
        # A schema that does not compile was accepted by a version with other limits.
        text = "takes too much time or memory to be checked against the schema; send less"
        return [Fault("/output", "too_complex", text)]
    return [Fault(pointer("output", *place), code, detail) for place, code, detail in violations]
