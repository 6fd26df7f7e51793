"""What is wrong with an `output.schema`, and with an output by its schema."""

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

MAX_DEPTH = 128
"""Of objects and arrays in a schema; a property is two of them. Generators stay far below."""

CHEAP_NODES = 200_000
"""So many schema nodes are checked in some milliseconds, and their errors take some megabytes."""

CHEAP_PATTERN_STEPS = 5_000_000
"""States of patterns times bytes of text: some hundredths of a second."""

SHALLOW_NODES = 1_000
"""The library calls itself for each node on the way down, on a thread's stack of 2 MiB: five times as many
were still well."""

BYTES_OF_A_VALUE = 64
"""A long text counts as several values."""

PLACE = ("output", "schema")

Found = tuple[tuple[str | int, ...], str, str]
"""A path into the schema, a code, and a sentence."""


def schema_faults(document: Any) -> Iterator[Fault]:
    """Yield what is wrong with `output.schema` of a posted task; a check for `contract.parse_task`."""
    schema = dig(document, *PLACE)
    if not isinstance(schema, dict):
        return
    if not schema:
        yield Fault(pointer(*PLACE), "empty_schema", 'name a field, or use {"type": "object"}')
    elif is_flat_map(schema):
        yield from _flat_map_faults(schema)
    elif len(encoded := orjson.dumps(schema)) > MAX_SCHEMA_BYTES:
        return  # A fault of its own, told by `contract.free_json_faults`.
    elif depth_of(schema) > MAX_DEPTH:
        text = f"must not nest deeper than {MAX_DEPTH} objects and arrays"
        yield Fault(pointer(*PLACE), "too_deep", text)
    else:
        try:
            found = _found(encoded)
        except LimitReached:
            found = [((), "too_complex", "its patterns take too much time or memory")]
        for path, code, text in found:
            yield Fault(pointer(*PLACE, *path), code, text)


def schema_violations(schema: Mapping[str, Any], output: Any) -> list[Violation]:
    """Return how an output violates a schema that `schema_faults` had nothing against.

    Raises `LimitReached` where that cannot be told within the limits of time and memory.
    """
    whole = as_json_schema(schema)
    cost = _cost(orjson.dumps(whole))
    if cost is not None and _is_cheap(cost, output):
        return violations(validator_of(whole), output)
    return limited.check(whole, output)


def _is_cheap(cost: Cost, output: Any) -> bool:
    """Return whether to check an output takes milliseconds, whatever the output is."""
    if cost.patterns > MAX_PATTERN_COST or cost.nodes > SHALLOW_NODES:
        return False
    length = len(orjson.dumps(output))
    if cost.patterns * cost.nodes * length > CHEAP_PATTERN_STEPS:
        return False
    return cost.of_output(1 + size_of(output) + length // BYTES_OF_A_VALUE) <= CHEAP_NODES


@lru_cache(maxsize=128)
def _cost(schema: bytes) -> Cost | None:
    """Return the cost of a schema; None where it has no bound (tasks from before there was one)."""
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
def _found(schema: bytes) -> Sequence[Found]:
    """Return what is wrong with a JSON Schema. The same schema comes with many tasks."""
    document = orjson.loads(schema)
    references = References(document)
    found = [*_dialect_faults(references), *_reference_faults(references)]
    for path, keyword in references.twins:
        found.append(
            ((*path, keyword), "invalid_schema", "names what another schema is named, too")
        )
    return found or [*_meaning_faults(document, references)]


def _dialect_faults(references: References) -> Iterator[Found]:
    for path, schema in references.all():
        if str(schema.get("$schema", DIALECT)).rstrip("#") != DIALECT:
            yield (*path, "$schema"), "unknown_dialect", f"must be {DIALECT}"


def _reference_faults(references: References) -> Iterator[Found]:
    for path, schema in references.all():
        try:
            references.targets(schema)
        except BadReference as error:
            is_outside = isinstance(error, OutsideReference)
            code = "outside_reference" if is_outside else "unknown_reference"
            yield (*path, error.keyword), code, str(error)


def _meaning_faults(document: Mapping[str, Any], references: References) -> Iterator[Found]:
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
