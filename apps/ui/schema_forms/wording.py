"""Word the labels and hints of fields from what a schema says."""

from typing import Any

import orjson
from django.utils.formats import localize
from django.utils.functional import lazy
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from apps.base.wording import humanised
from apps.ui.schema_forms.names import UNSHOWABLE
from apps.ui.schema_forms.schema import Schema

MAX_LABEL = 300
MAX_HINT = 2_000
NOTHING = "\N{EN DASH}"

_localized: Any = lazy(localize, str)

RESULT = _("Result")
ITEM = _("Item")
NAMES = {
    "object": _("Group of answers"),
    "array": _("List"),
    "string": _("Text"),
    "number": _("Number"),
    "integer": _("Whole number"),
    "boolean": _("Yes or no"),
    "null": _("None"),
}


def value_label(value: Any) -> Any:
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if value is None:
        return NAMES["null"]
    if isinstance(value, str) and value.strip():
        return words(value) if value.replace("_", "").islower() else plain(value, MAX_LABEL)
    return orjson.dumps(value).decode()[:MAX_LABEL]


def words(name: str) -> str:
    """Return a property's name in words."""
    shown = showable(name)
    return humanised(shown)[:MAX_LABEL] or plain(shown, MAX_LABEL) or NOTHING


def plain(value: Any, most: int) -> str:
    """Return a text in one line; "" for what is no text."""
    return " ".join(showable(value).split())[:most] if isinstance(value, str) else ""


def showable(text: str) -> str:
    """Return a text without characters that no page can have."""
    return UNSHOWABLE.sub("", text)


def hint_of(schema: Schema) -> str:
    value = schema.get("description")
    return showable(value).strip()[:MAX_HINT] if isinstance(value, str) else ""


def example_of(schema: Schema) -> Any:
    examples = schema.get("examples")
    if not isinstance(examples, list) or not examples or isinstance(examples[0], list | dict):
        return ""
    if "enum" in schema or "const" in schema or isinstance(examples[0], bool) or not examples[0]:
        return ""
    example = examples[0]
    return _localized(example) if isinstance(example, float) else plain(str(example), MAX_LABEL)


def bounds_of(whole: Schema) -> Any:
    match whole:
        case {"minimum": low, "maximum": high}:
            return format_lazy(
                _("From {low} to {high}."), low=_localized(low), high=_localized(high)
            )
        case {"minimum": low}:
            return format_lazy(_("{low} or more."), low=_localized(low))
        case {"maximum": high}:
            return format_lazy(_("{high} or less."), high=_localized(high))
    return ""
