"""List the keywords of JSON Schema that a form understands. docs/forms.md publishes the table."""

from collections.abc import Mapping, Sequence
from typing import Any

KEYWORDS = {
    "type": "decides the kind of field; of several types, the worker chooses one",
    "properties": "a group of fields, in the schema's order",
    "required": "the other fields are marked as optional",
    "additionalProperties": "`true` and `false` have no effect; with a schema: JSON editor",
    "unevaluatedProperties": "the same",
    "items": "a list with rows to add, remove and move; of an `enum`: checkboxes",
    "minItems": "so many rows are there from the start",
    "maxItems": "no more rows can be added",
    "uniqueItems": "checked",
    "enum": "radio buttons for up to five values, a menu for more",
    "const": "one radio button; chosen already where it identifies an alternative",
    "oneOf": "a choice of the alternative, then its fields; of constants with titles: as `enum`",
    "anyOf": "the same; with `null` beside one schema: that schema's field, which may stay empty",
    "allOf": "merged into one schema",
    "$ref": "replaced by its target; a schema inside itself: JSON editor at that place",
    "$defs": "targets of `$ref`",
    "definitions": "the same",
    "title": "the label; without it, the property's name in words",
    "description": "the hint under the label",
    "examples": "the first is shown with the hint",
    "default": "filled in before the worker begins",
    "readOnly": "shown, and kept as it is; asked for where it is required and has no `default`",
    "format": "`date`, `time`, `date-time`: pickers in the worker's time zone; `email`, `uri`:"
    " their keyboard; `multiline`: several lines; others: checked",
    "contentMediaType": "several lines",
    "minLength": "checked",
    "maxLength": "checked; several lines from 201 on",
    "pattern": "checked",
    "minimum": "checked; from 0 on, telephones show digits only",
    "maximum": "checked",
    "exclusiveMinimum": "as `minimum`",
    "exclusiveMaximum": "checked",
    "multipleOf": "checked",
    "minProperties": "checked",
    "maxProperties": "checked",
    "dependentRequired": "checked",
    "if": "checked, where it names only fields of `properties`; else JSON editor",
    "then": "the same",
    "else": "the same",
    "not": "the same",
}
"""Keyword, and what a form does with it."""

EDITOR_ONLY = (
    "$dynamicRef",
    "contains",
    "dependencies",
    "dependentSchemas",
    "maxContains",
    "minContains",
    "patternProperties",
    "prefixItems",
    "propertyNames",
    "unevaluatedItems",
)
"""Keywords whose value gets the JSON editor. Other unknown keywords are annotations: ignored."""

BOUNDS = (
    *("minLength", "maxLength", "minItems", "maxItems", "multipleOf"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
)
"""Keywords whose value is named in the sentence about a fault."""

_CONDITIONS = ("if", "then", "else", "not")

# Keywords with schemas for parts of the value. (`required` names properties, too.)
_PARTS = frozenset(["properties", "items", "additionalProperties", *EDITOR_ONLY])
_BESIDE = frozenset(["allOf", "anyOf", "oneOf", "$ref"])


# Of an alternative that only limits the value: one of two fields is required, for example.
_LIMITS = frozenset(
    [
        *("required", "properties", "not", "title", "description", "$comment", "pattern"),
        *("minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "multipleOf"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
        *("minProperties", "maxProperties", "dependentRequired"),
    ]
)


def only_limit(alternatives: Sequence[Any], schema: Mapping[str, Any]) -> bool:
    """Return whether alternatives beside `schema` change nothing about its fields."""
    return ("type" in schema or "properties" in schema) and all(
        isinstance(each, Mapping) and each.keys() <= _LIMITS and only_checks(each, schema)
        for each in alternatives
    )


def needs_editor(schema: Mapping[str, Any]) -> bool:
    """Return whether a keyword of a schema, whose references are resolved, allows no form."""
    if any(keyword in schema for keyword in EDITOR_ONLY):
        return True
    others = ("additionalProperties", "unevaluatedProperties")
    if any(not isinstance(schema.get(keyword, True), bool) for keyword in others):
        return True
    conditions = [schema[keyword] for keyword in _CONDITIONS if keyword in schema]
    return not all(only_checks(condition, schema) for condition in conditions)


def only_checks(condition: Any, schema: Mapping[str, Any]) -> bool:
    """Return whether a schema beside `schema` has no fields of its own."""
    if isinstance(condition, bool):
        return True
    if not isinstance(condition, Mapping) or condition.keys() & _BESIDE:
        return False
    inner = condition.get("properties", {})
    named = {*inner, *condition.get("required", ())}
    if named - {*schema.get("properties", {})} or condition.keys() & (_PARTS - {"properties"}):
        return False
    if not all(_is_plain(part) for part in inner.values()):
        return False
    return all(only_checks(condition[key], schema) for key in _CONDITIONS if key in condition)


def _is_plain(part: Any) -> bool:
    if isinstance(part, bool):
        return True
    return isinstance(part, Mapping) and not part.keys() & (_PARTS | _BESIDE | {*_CONDITIONS})
