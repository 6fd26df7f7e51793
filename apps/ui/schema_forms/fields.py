"""Define the fields that a form is made of: a tree, without names and values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apps.ui.schema_forms.names import MISSING

# Texts may be lazy translations: fields are cached for all languages.
Text = Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Hold what all kinds of fields have."""

    label: Text
    hint: Text = ""
    # What the schema's bounds mean in words.
    note: Text = ""
    example: Text = ""
    default: Any = MISSING
    bounds: Mapping[str, Any] = field(default_factory=dict)
    is_nullable: bool = False
    # The one alternative beside null: a fault of `anyOf` does not say what is wrong with it.
    source: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextField(Field):
    """Ask for a text, of one line or several."""

    format: str = ""
    is_long: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberField(Field):
    """Ask for a number. It is read from text, so that no digit is lost."""

    is_integer: bool
    is_never_negative: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentField(Field):
    """Ask for a date, a time, or both (`kind` is the format's name) in the worker's time zone."""

    kind: str


@dataclass(frozen=True, slots=True)
class Option:
    """Hold a value to choose, its label, and its text in the form."""

    value: Any
    label: Text
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceField(Field):
    """Ask for one of several values."""

    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksField(Field):
    """Ask for any of several values, each once: an array of an enumeration's items."""

    options: tuple[Option, ...]
    least: int = 0


@dataclass(frozen=True, slots=True)
class Property:
    """Hold a property of an object. An automatic one is a constant that identifies the object."""

    name: str
    field: Field
    is_required: bool
    is_automatic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectField(Field):
    """Group the fields of an object's properties."""

    properties: tuple[Property, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListField(Field):
    """Hold rows, each with the field of an item."""

    item: Field
    least: int = 0
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Alternative:
    """Hold one schema of an `anyOf` or `oneOf`, and its field."""

    label: Text
    field: Field
    source: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantsField(Field):
    """Ask which alternative it is, and show the fields of that one."""

    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownField(Field):
    """Show a value that the worker cannot change (`readOnly`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonField(Field):
    """Ask for JSON: the editor that works for any schema."""


def has_times(field: Field) -> bool:
    """Return whether a field, or one within it, has a time of the worker's zone."""
    match field:
        case MomentField(kind=kind):
            return kind != "date"
        case ObjectField(properties=parts):
            return any(has_times(each.field) for each in parts)
        case ListField(item=item):
            return has_times(item)
        case VariantsField(alternatives=alternatives):
            return any(has_times(each.field) for each in alternatives)
    return False
