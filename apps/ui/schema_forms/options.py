"""Find the types and the constants that a schema allows."""

import re
from collections.abc import Sequence
from typing import Any

from apps.ui.schema_forms.fields import Option
from apps.ui.schema_forms.names import MISSING, UNSHOWABLE
from apps.ui.schema_forms.schema import Schema, TooLarge, Unsupported, same
from apps.ui.schema_forms.texts import json_text
from apps.ui.schema_forms.wording import NAMES, value_label

MAX_OPTIONS = 1_000


def kinds_of(schema: Schema, default: str | None = None) -> set[str]:
    """Return the types that a schema allows: those it names, or those its keywords imply."""
    named = schema.get("type")
    if isinstance(named, str):
        return {named}
    if isinstance(named, list):
        kinds = {*named}
        return kinds - {"integer"} if "number" in kinds else kinds
    if "const" in schema or "enum" in schema:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        return {_kind_of(value) for value in values}
    for keyword, kind in (("properties", "object"), ("items", "array"), ("format", "string")):
        if keyword in schema:
            return {kind}
    if default is None:
        raise Unsupported("any type is allowed")
    return {default}


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "boolean", str: "string", int: "integer", float: "number", list: "array"}
    return names.get(type(value), "object")


def constant_of(schema: Schema) -> Any:
    """Return the only value that a schema allows, if it says so."""
    if "const" in schema:
        return schema["const"]
    values = schema.get("enum", ())
    return values[0] if len(values) == 1 else MISSING


def options_of(schema: Schema, kinds: set[str]) -> list[Option]:
    """Return the allowed values of an `enum` or `const` as options."""
    if kinds == {"null"}:
        return [Option(None, NAMES["null"], "null")]
    values = [schema["const"]] if "const" in schema else [*schema["enum"]]
    if "const" in schema and "enum" in schema:
        values = [value for value in values if any(same(value, each) for each in schema["enum"])]
    if "type" in schema:
        values = [value for value in values if _is_of(value, kinds)]
    if len(values) > MAX_OPTIONS:
        raise TooLarge("too many options")
    return with_texts([(value, value_label(value)) for value in values])


def _is_of(value: Any, kinds: set[str]) -> bool:
    kind = _kind_of(value)
    if kind == "number" and float(value).is_integer() and "integer" in kinds:
        return True
    return kind in kinds or (kind == "integer" and "number" in kinds)


def with_texts(choices: Sequence[tuple[Any, Any]]) -> list[Option]:
    """Return options whose texts differ: those of the values, or their JSON."""
    are_texts = all(isinstance(value, str) and _is_line(value) for value, _label in choices)
    texts = [value if are_texts else json_text(value) for value, _label in choices]
    options = {
        text: Option(value, label, text)
        for (value, label), text in zip(choices, texts, strict=True)
    }
    return [*options.values()]


def _is_line(text: str) -> bool:
    """Return whether a browser sends a text as it is, and it is not the one of no answer."""
    return bool(text) and not re.search(r"[\r\n]", text) and not UNSHOWABLE.search(text)
