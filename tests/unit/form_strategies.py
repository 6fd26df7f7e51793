"""Generate schemas that forms have fields for, and values that they allow."""

from datetime import UTC
from typing import Any

from hypothesis import strategies as st

Pair = tuple[dict[str, Any], st.SearchStrategy[Any]]
"""A schema, and the values that it allows."""

_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
_NAMES = st.text(_CHARACTERS, max_size=8) | st.sampled_from(
    ["a", "a/b", "a~b", "0", "-", "a b", "a_b", "a-b", "constructor", "hint", "note~row", "a\nb"]
)
_TEXTS = st.text(_CHARACTERS, max_size=20) | st.sampled_from(
    ["", " ", "\n", "\r\n", "\n\nx", "null", "0", "true", "<b>&amp;</b>", "\u202eabc", "x" * 300]
)
_WHOLE = st.integers(-(2**63), 2**64 - 1)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | _WHOLE
_MOMENTS = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat())
_TIMES = st.times().map(lambda moment: moment.isoformat() + "Z")


def _scalars() -> st.SearchStrategy[Pair]:
    return st.sampled_from(
        [
            ({"type": "string"}, _TEXTS),
            ({"type": "string", "maxLength": 500}, _TEXTS),
            ({"type": "integer"}, _WHOLE),
            ({"type": "integer", "minimum": 0}, st.integers(0, 2**64 - 1)),
            ({"type": "number"}, _NUMBERS),
            ({"type": "boolean"}, st.booleans()),
            ({"type": "null"}, st.none()),
            ({"type": "string", "format": "date"}, st.dates().map(str)),
            ({"type": "string", "format": "time"}, _TIMES),
            ({"type": "string", "format": "date-time"}, _MOMENTS),
            ({"type": ["string", "integer"]}, _TEXTS | _WHOLE),
            ({"type": ["boolean", "null"]}, st.booleans() | st.none()),
            ({"type": "object"}, st.dictionaries(_NAMES, _TEXTS, max_size=2)),
        ]
    )


_CONSTANTS = st.one_of(_TEXTS, _WHOLE, st.booleans(), st.none())


@st.composite
def _enumerations(draw: Any) -> Pair:
    values = draw(st.lists(_CONSTANTS, min_size=1, max_size=8, unique_by=repr))
    return {"enum": values}, st.sampled_from(values)


@st.composite
def _nullable(draw: Any, inner: st.SearchStrategy[Pair]) -> Pair:
    schema, values = draw(inner)
    keyword = draw(st.sampled_from(["anyOf", "oneOf"]))
    return {keyword: [schema, {"type": "null"}]}, values | st.none()


@st.composite
def _lists(draw: Any, inner: st.SearchStrategy[Pair]) -> Pair:
    schema, values = draw(inner)
    return {"type": "array", "items": schema}, st.lists(values, max_size=3)


@st.composite
def _objects(draw: Any, inner: st.SearchStrategy[Pair]) -> Pair:
    parts = draw(st.dictionaries(_NAMES, inner, min_size=1, max_size=4))
    required = draw(st.sets(st.sampled_from(sorted(parts))))
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: part for name, (part, _values) in parts.items()},
        "required": sorted(required),
    }
    given = {name: values for name, (_part, values) in parts.items() if name in required}
    maybe = {name: values for name, (_part, values) in parts.items() if name not in required}
    if draw(st.booleans()):
        name = draw(st.sampled_from(sorted(parts)))
        schema["properties"][name] = {
            **parts[name][0],
            "default": draw(parts[name][1]),
            "title": "A title",
        }
    return schema, st.fixed_dictionaries(given, optional=maybe)


@st.composite
def _unions(draw: Any, inner: st.SearchStrategy[Pair]) -> Pair:
    parts = draw(st.lists(_objects(inner), min_size=2, max_size=3))
    branches, values = [], []
    for number, (schema, allowed) in enumerate(parts):
        kind = f"kind {number}"
        properties = {**schema["properties"], "kind": {"const": kind}}
        branches.append(
            {**schema, "properties": properties, "required": [*schema["required"], "kind"]}
        )
        values.append(allowed.map(lambda value, kind=kind: {**value, "kind": kind}))
    return {draw(st.sampled_from(["anyOf", "oneOf"])): branches}, st.one_of(values)


def _nested(inner: st.SearchStrategy[Pair]) -> st.SearchStrategy[Pair]:
    return st.one_of(_nullable(inner), _lists(inner), _objects(inner), _unions(inner))


pairs: st.SearchStrategy[Pair] = st.recursive(_scalars() | _enumerations(), _nested, max_leaves=8)
"""Schemas and the values that they allow."""


@st.composite
def examples(draw: Any) -> tuple[dict[str, Any], Any]:
    """Return a schema of an object, and a value that it allows."""
    schema, values = draw(_objects(pairs))
    return schema, draw(values)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=10,
)
