"""Choose the element of a text: its type, its keyboard, its size."""

import re
from typing import Any

from apps.ui.schema_forms.fields import Field, MomentField, NumberField, TextField

# A browser empties a picker whose text it does not understand; a text field shows it.
_PICKERS = {
    "date": ("date", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")),
    "time": ("time", re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,3})?)?")),
    "date-time": (
        "datetime-local",
        re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,3})?)?"),
    ),
}
_KEYBOARDS = {"email": "email", "uri": "url"}
MAX_LINES = 20


def input_of(field: Field, text: str) -> dict[str, Any]:
    """Return the attributes of the element that a text is typed into."""
    match field:
        case MomentField(kind=kind):
            return {"is_short": True, **_picker(kind, text)}
        case NumberField():
            keyboard = _number_keyboard(field)
            return {"type": "text", "keyboard": keyboard, "is_plain": True, "is_short": True}
        case TextField() if field.is_long or "\n" in text:
            lines = min(max(text.count("\n") + 1, 4), MAX_LINES)
            return {"is_long": True, "lines": lines}
        case TextField(format=form):
            return {"type": "text", "keyboard": _KEYBOARDS.get(form, ""), "is_plain": bool(form)}
    raise TypeError(field)


def _number_keyboard(field: NumberField) -> str:
    """Return the keyboard: those of digits have no minus sign on some telephones."""
    if not field.is_never_negative:
        return ""
    return "numeric" if field.is_integer else "decimal"


def _picker(kind: str, text: str) -> dict[str, Any]:
    name, pattern = _PICKERS[kind]
    if text and not pattern.fullmatch(text):
        return {"type": "text", "is_plain": True}
    has_seconds = text.count(":") > 1
    return {"type": name, "step": "any" if "." in text else "1" if has_seconds else ""}
