"""Translate pydantic's errors into faults with stable codes."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from biolayer.errors import Fault, pointer

CODES = {
    "missing": "required",
    "extra_forbidden": "unknown_field",
    "enum": "not_one_of",
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
"""Our code for each error type of pydantic. `*_type` and `*_parsing` are `wrong_type`."""


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
    """Return a fault for each of pydantic's errors, with its JSON Pointer."""
    return [
        Fault(
            _pointer_of(detail["loc"], detail["type"]),
            _code(detail["type"]),
            _sentence(detail),
        )
        for detail in error.errors(include_url=False)
    ]


def _pointer_of(location: tuple[str | int, ...], kind: str) -> str:
    if kind == "extra_forbidden":
        return pointer(*location)
    # An invalid key of a map: a JSON Pointer cannot refer to a key, only to its value.
    if location[-1:] == ("[key]",):
        location = location[:-1]
    # The error of a default has the attribute's name instead of its alias.
    return pointer(*("schema" if part == "schema_" else part for part in location))


def _code(name: str) -> str:
    if name.endswith(("_type", "_parsing")):
        return "wrong_type"
    return CODES.get(name, name)


def _sentence(detail: ErrorDetails) -> str:
    name, bounds = detail["type"], detail.get("ctx", {})
    if name in SENTENCES:
        return SENTENCES[name]
    if name in LENGTHS:
        # pydantic calls the characters of a text "items" after a validator of ours has run.
        parts = "characters" if isinstance(detail["input"], str) else "items"
        words, bound = LENGTHS[name]
        return f"must have {words} {bounds[bound]} {parts}"
    return detail["msg"].replace("Input should be", "must be").replace("String should", "must")
