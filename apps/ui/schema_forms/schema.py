"""Normalise schemas: resolve references and merge `allOf`, so that one object has all keywords."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from apps.tasks.schemas.references import BadReference, References

# Schemas that are looked at: a form with more would be larger than a page should be.
MAX_STEPS = 4_000

# The title of a reference's target: a property's own name says more.
TARGET_TITLE = "$title"

_IDENTITY = frozenset(
    ["$ref", "allOf", "$defs", "definitions", "$schema", "$id", "$anchor", "$dynamicAnchor"]
)

Schema = Mapping[str, Any]
Seen = frozenset[int]


class Unsupported(ValueError):
    """Raised for a schema that no fields can be made for: its value gets the JSON editor."""


class TooLarge(ValueError):
    """Raised for a schema whose form would be too large: the whole value gets the editor."""


class Normaliser:
    """Normalise the schemas of one document, in a bounded number of steps."""

    def __init__(self, document: Schema) -> None:
        self._references = References(document)
        self._steps = 0

    def normal(self, schema: Any, seen: Seen) -> tuple[dict[str, Any], Seen]:
        """Return all keywords that apply to a value, and the targets that led there.

        Subschemas are not normalised yet. Raise `Unsupported`, also for a target in `seen`.
        """
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TooLarge("the schema has too many parts")
        if schema is True:
            return {}, seen
        if not isinstance(schema, Mapping):
            raise Unsupported("the schema is no object")
        parts = [{key: value for key, value in schema.items() if key not in _IDENTITY}]
        if "$ref" in schema:
            part, seen = self._target(schema, seen)
            parts.append(part)
        for inner in schema.get("allOf", ()):
            part, seen = self.normal(inner, seen)
            parts.append(part)
        return merged(parts), seen

    def _target(self, schema: Schema, seen: Seen) -> tuple[dict[str, Any], Seen]:
        try:
            target = self._references.targets(schema)[0][0]
        except (BadReference, LookupError) as error:
            raise Unsupported("a reference has no target") from error
        if id(target) in seen:
            raise Unsupported("the schema contains itself")
        part, seen = self.normal(target, seen | {id(target)})
        if "title" in part:
            part.setdefault(TARGET_TITLE, part.pop("title"))
        return part, seen


def merged(parts: Sequence[Schema]) -> dict[str, Any]:
    """Return one schema that means all of `parts`. The first one's annotations win.

    Raise `Unsupported` where two parts need more than one keyword can say.
    """
    whole: dict[str, Any] = {}
    for part in parts:
        for keyword, value in part.items():
            if keyword not in whole:
                whole[keyword] = value
            elif whole[keyword] != value:
                whole[keyword] = _both(keyword, whole[keyword], value)
    return whole


def _both(keyword: str, one: Any, other: Any) -> Any:
    combine = _COMBINED.get(keyword)
    if combine is not None:
        return combine(one, other)
    if keyword in _SINGLE:
        raise Unsupported(f"{keyword} is there twice")
    return one


def _types(one: Any, other: Any) -> list[str]:
    """Return the types that both allow. `number` allows integers."""
    lists = [[kind] if isinstance(kind, str) else [*kind] for kind in (one, other)]
    common = [kind for kind in lists[0] if kind in lists[1]]
    for kinds, others in (lists, lists[::-1]):
        if "integer" in kinds and "number" in others and "integer" not in common:
            common.append("integer")
    if not common:
        raise Unsupported("no type is left")
    return common


def _properties(one: Schema, other: Schema) -> dict[str, Any]:
    whole = dict(one)
    for name, schema in other.items():
        whole[name] = {"allOf": [whole[name], schema]} if name in whole else schema
    return whole


def _enum(one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    return [value for value in one if any(same(value, item) for item in other)]


_COMBINED: dict[str, Callable[[Any, Any], Any]] = {
    "type": _types,
    "properties": _properties,
    "required": lambda one, other: [*dict.fromkeys([*one, *other])],
    "enum": _enum,
    "items": lambda one, other: {"allOf": [one, other]},
    "additionalProperties": lambda one, other: one and other,
    "unevaluatedProperties": lambda one, other: one and other,
    "readOnly": lambda one, other: one or other,
    "uniqueItems": lambda one, other: one or other,
    **dict.fromkeys(["minimum", "exclusiveMinimum", "minLength", "minItems"], max),
    **dict.fromkeys(["maximum", "exclusiveMaximum", "maxLength", "maxItems"], min),
}

_SINGLE = frozenset(["anyOf", "oneOf", "const", "if", "then", "else", "not"])


def same(one: Any, other: Any) -> bool:
    """Return whether two JSON values are equal: 1 is 1.0, and true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
