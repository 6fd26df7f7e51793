"""pydantic's errors in our codes and words, each at its JSON Pointer."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from biolayer.errors import Fault, pointer

CODES = {
    "missing": "required",
    "extra_forbidden": "unknown_field",
    "literal_error": "not_one_of",
    "string_pattern_mismatch": "pattern",
    "string_too_short": "too_short",
    "string_too_long": "too_long",
    "too_short": "too_short",
    "too_long": "too_long",
    "greater_than_equal": "too_small",
    "less_than_equal": "too_large",
    "finite_number": "wrong_type",
}
"""pydantic's name of an error -> ours, which stays when pydantic's changes. `*_type` is wrong_type."""


SENTENCES = {
    "extra_forbidden": "is not a field of this contract",
    "missing": "is required",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be an array",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
}


LENGTHS = {"too_long": ("at most", "max_length"), "too_short": ("at least", "min_length")}


def as_faults(error: ValidationError) -> list[Fault]:
    """pydantic's errors in our codes and words, each at its JSON Pointer."""
    return [
        Fault(
            _place(line["loc"], line["type"]),
            _code(line["type"]),
            _sentence(line),
        )
        for line in error.errors(include_url=False)
    ]


def _place(location: tuple[str | int, ...], kind: str) -> str:
    if kind == "extra_forbidden":
        return pointer(*location)
    # A bad key of a map: JSON Pointer has no word for "the key, not the value".
    if location[-1:] == ("[key]",):
        location = location[:-1]
    # A default's error carries the attribute's name instead of the alias on the wire.
    return pointer(*("schema" if part == "schema_" else part for part in location))


def _code(name: str) -> str:
    if name.endswith(("_type", "_parsing")):
        return "wrong_type"
    return CODES.get(name, name)


def _sentence(line: ErrorDetails) -> str:
    name, bounds = line["type"], line.get("ctx", {})
    if name in SENTENCES:
        return SENTENCES[name]
    if name in LENGTHS:
        # pydantic counts "items" of a text that a validator of ours has looked at before.
        parts = "characters" if isinstance(line["input"], str) else "items"
        words, bound = LENGTHS[name]
        return f"must have {words} {bounds[bound]} {parts}"
    return line["msg"].replace("Input should be", "must be").replace("String should", "must")
