"""Compile schemas and validate outputs. Without Django, since process.py loads it, too."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import jsonschema_rs
import orjson

from apps.tasks.schemas.notation import as_json_schema

MAX_VIOLATIONS = 50

# A message quotes the value and the schema, however long they are.
MAX_DETAIL_CHARACTERS = 300

BACKTRACK_LIMIT = 100_000

# Of memory for one compiled pattern.
PATTERN_BYTES = 10 * 1024 * 1024

Validator = jsonschema_rs.Draft202012Validator

# A path into the output, a code, and a sentence.
Violation = tuple[list[str | int], str, str]


def validator_of(schema: Mapping[str, Any]) -> Validator:
    """Return the compiled validator of a schema in either notation. Fetch nothing.

    Raise `jsonschema_rs.ValidationError` (a `ValueError`) for an invalid schema, and `ValueError`
    for a reference without a target.
    """
    return _compiled(orjson.dumps(as_json_schema(schema)))


@lru_cache(maxsize=128)
def _compiled(schema: bytes) -> Validator:
    return compiled(orjson.loads(schema))


def compiled(schema: Mapping[str, Any]) -> Validator:
    """Compile a JSON Schema without the cache. Raise as `validator_of` does."""
    return Validator(
        dict(schema),
        validate_formats=True,
        retriever=_refuse_outside,
        pattern_options=jsonschema_rs.FancyRegexOptions(
            backtrack_limit=BACKTRACK_LIMIT, size_limit=PATTERN_BYTES
        ),
    )


def _refuse_outside(uri: str) -> Any:
    raise ValueError(f"{uri} is not inside the document")


def first_violation(validator: Validator, output: Any) -> Violation | None:
    """Return one way in which an output violates a schema; None for a valid one."""
    try:
        validator.validate(output)
    except jsonschema_rs.ValidationError as error:
        return next(_violations_of(error, output, _locations(validator, output)))
    return None


def violations(validator: Validator, output: Any) -> list[Violation]:
    """Return how an output violates a schema, at most `MAX_VIOLATIONS` of them, each once."""
    # Most outputs are valid, and this check builds no errors.
    if validator.is_valid(output):
        return []
    unique: dict[tuple[Any, ...], Violation] = {}
    locations = _locations(validator, output)
    for error in validator.iter_errors(output):
        for violation in _violations_of(error, output, locations):
            place, code, detail = violation
            unique.setdefault((*place, code, detail), violation)
        if len(unique) >= MAX_VIOLATIONS:
            break
    return [*unique.values()][:MAX_VIOLATIONS]


Kind = jsonschema_rs.ValidationErrorKind


def _violations_of(
    error: jsonschema_rs.ValidationError,
    output: Any,
    locations: Sequence[tuple[list[str], str]],
) -> Iterator[Violation]:
    place = _place_of(error, locations)
    match error.kind:
        case Kind.Required(property=name):
            yield [*place, name], "required", "is required"
        case (
            Kind.AdditionalProperties(unexpected=names)
            | Kind.UnevaluatedProperties(unexpected=names)
        ):
            for name in names:
                yield [*place, name], "unknown_field", NOT_ALLOWED
        case Kind.UnevaluatedItems(unexpected=indexes):
            for index in indexes:
                yield [*place, index], "unknown_field", NOT_ALLOWED
        case Kind.PropertyNames(error=inner):
            detail = inner.message[:MAX_DETAIL_CHARACTERS]
            yield [*place, str(inner.instance)], _code(inner), detail
        case Kind.FalseSchema():
            parent = _value_at(output, place)
            if error.schema_path[-1:] == ["additionalProperties"] and isinstance(parent, dict):
                # It names the object, and only the first of the properties that are not allowed.
                for name in islice(parent, MAX_VIOLATIONS):
                    yield [*place, name], "unknown_field", NOT_ALLOWED
            else:
                yield place, "unknown_field", NOT_ALLOWED
        case _:
            yield place, _code(error), error.message[:MAX_DETAIL_CHARACTERS]


NOT_ALLOWED = "is not allowed by the schema"


def _place_of(
    error: jsonschema_rs.ValidationError, locations: Sequence[tuple[list[str], str]]
) -> list[str | int]:
    """Return the path to the value that an error is about.

    The library leaves out empty names of properties (`""`). Where the output has such, `locations`
    are the places and messages of all errors, in which they are not left out.
    """
    path = list(error.instance_path)
    for parts, message in locations:
        if message == error.message and [part for part in parts if part] == [*map(str, path)]:
            numbers = iter(path)
            return [next(numbers) if part else "" for part in parts]
    return path


def _locations(validator: Validator, output: Any) -> list[tuple[list[str], str]]:
    if b'"":' not in orjson.dumps(output):
        return []
    errors = validator.evaluate(output).errors()
    return [(_parts_of(error["instanceLocation"]), error["error"]) for error in errors]


def _parts_of(location: str) -> list[str]:
    """Return the parts of a JSON Pointer (RFC 6901, 4)."""
    return [part.replace("~1", "/").replace("~0", "~") for part in location.split("/")[1:]]


def _value_at(value: Any, path: list[str | int]) -> Any:
    """Return the value at a path; None where there is none."""
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _code(error: jsonschema_rs.ValidationError) -> str:
    """Return the keyword that failed as a code: `type` is wrong_type, `minLength` is min_length."""
    keyword = str(error.kind.name)
    if keyword == "type":
        return "wrong_type"
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in keyword)
