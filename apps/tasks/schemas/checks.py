"""Find the faults of an `output.schema`, and of an output by its schema."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import jsonschema_rs
import orjson

from apps.tasks.schemas import limited
from apps.tasks.schemas.cost import MAX_PATTERN_COST, Cost, TooComplex, cost_of, size_of
from apps.tasks.schemas.limited import InvalidSchema, LimitReached
from apps.tasks.schemas.notation import (
    DIALECT,
    FORMATS,
    TYPES,
    as_json_schema,
    is_flat_map,
)
from apps.tasks.schemas.references import BadReference, OutsideReference, References
from apps.tasks.schemas.validators import Violation, validator_of, violations
from biolayer.contract import MAX_SCHEMA_BYTES, depth_of, dig
from biolayer.errors import Fault, pointer

# Of objects and arrays in a schema; a property is two of them. Generators stay far below.
MAX_DEPTH = 128

# Schema nodes that are checked in some milliseconds; their errors take some megabytes.
CHEAP_NODES = 200_000

# States of patterns times bytes of text: some hundredths of a second.
CHEAP_PATTERN_STEPS = 5_000_000

# The library recurses for each node on the way down, on a thread's stack of 2 MiB: five times as
# many nodes still worked.
SHALLOW_NODES = 1_000

# A long text counts as several values.
BYTES_OF_A_VALUE = 64

PLACE = ("output", "schema")

# A path into the schema, a code, and a sentence.
SchemaFault = tuple[tuple[str | int, ...], str, str]


def schema_faults(document: Any) -> Iterator[Fault]:
    """Yield the faults of a task's `output.schema`; a check for `contract.parse_task`."""
    schema = dig(document, *PLACE)
    if not isinstance(schema, dict):
        return
    if not schema:
        yield Fault(pointer(*PLACE), "empty_schema", 'name a field, or use {"type": "object"}')
    elif is_flat_map(schema):
        yield from _flat_map_faults(schema)
    elif len(encoded := orjson.dumps(schema)) > MAX_SCHEMA_BYTES:
        return  # `contract.free_json_faults` reports it.
    elif depth_of(schema) > MAX_DEPTH:
        text = f"must not nest deeper than {MAX_DEPTH} objects and arrays"
        yield Fault(pointer(*PLACE), "too_deep", text)
    else:
        try:
            faults = _json_schema_faults(encoded)
        except LimitReached:
            faults = [((), "too_complex", "its patterns take too much time or memory")]
        for path, code, text in faults:
            yield Fault(pointer(*PLACE, *path), code, text)


def schema_violations(schema: Mapping[str, Any], output: Any) -> list[Violation]:
    """Return how an output violates a schema that has no `schema_faults`.

    Raise `LimitReached` where the limits of time and memory are not enough.
    """
    whole = as_json_schema(schema)
    cost = _cost(orjson.dumps(whole))
    if cost is not None and _is_cheap(cost, output):
        return violations(validator_of(whole), output)
    return limited.check(whole, output)


def _is_cheap(cost: Cost, output: Any) -> bool:
    """Return whether checking an output takes only milliseconds."""
    if cost.patterns > MAX_PATTERN_COST or cost.nodes > SHALLOW_NODES:
        return False
    length = len(orjson.dumps(output))
    if cost.patterns * cost.nodes * length > CHEAP_PATTERN_STEPS:
        return False
    return cost.of_output(1 + size_of(output) + length // BYTES_OF_A_VALUE) <= CHEAP_NODES


@lru_cache(maxsize=128)
def _cost(schema: bytes) -> Cost | None:
    """Return the cost of a schema; None for one without a bound (of an earlier version)."""
    document = orjson.loads(schema)
    try:
        return cost_of(document, References(document))
    except ValueError:
        return None


def _flat_map_faults(schema: Mapping[str, str]) -> Iterator[Fault]:
    known = (*TYPES, *FORMATS)
    for name, kind in schema.items():
        if kind not in known:
            yield Fault(pointer(*PLACE, name), "unknown_type", f"must be one of {', '.join(known)}")


@lru_cache(maxsize=128)
def _json_schema_faults(schema: bytes) -> Sequence[SchemaFault]:
    """Return the faults of a JSON Schema. Cached: many tasks have the same schema."""
    document = orjson.loads(schema)
    references = References(document)
    faults = [*_dialect_faults(references), *_reference_faults(references)]
    for path, keyword in references.duplicates:
        faults.append(
            ((*path, keyword), "invalid_schema", "is a name that another schema has, too")
        )
    return faults or [*_meaning_faults(document, references)]


def _dialect_faults(references: References) -> Iterator[SchemaFault]:
    for path, schema in references.all():
        if str(schema.get("$schema", DIALECT)).rstrip("#") != DIALECT:
            yield (*path, "$schema"), "unknown_dialect", f"must be {DIALECT}"


def _reference_faults(references: References) -> Iterator[SchemaFault]:
    for path, schema in references.all():
        try:
            references.targets(schema)
        except BadReference as error:
            is_outside = isinstance(error, OutsideReference)
            code = "outside_reference" if is_outside else "unknown_reference"
            yield (*path, error.keyword), code, str(error)


def _meaning_faults(document: Mapping[str, Any], references: References) -> Iterator[SchemaFault]:
    try:
        cost = cost_of(document, references)
        if cost.patterns <= MAX_PATTERN_COST:
            validator_of(document)
        else:
            limited.check(document, None, has_output=False)
    except TooComplex as error:
        yield (), "too_complex", str(error)
    except InvalidSchema as error:
        yield tuple(error.place), "invalid_schema", error.text
    except jsonschema_rs.ValidationError as error:
        yield tuple(error.instance_path), "invalid_schema", error.message
    except ValueError as error:
        yield (), "invalid_schema", str(error)
