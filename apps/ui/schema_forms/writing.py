"""Write JSON values as the texts of a form, so that reading them returns the same value."""

from datetime import tzinfo
from typing import Any

from apps.ui.schema_forms.fields import (
    ChecksField,
    Field,
    JsonField,
    ListField,
    MomentField,
    NumberField,
    ObjectField,
    ShownField,
    TextField,
    VariantsField,
)
from apps.ui.schema_forms.names import AS_JSON, CHOICE, MISSING, ROW, WAS, child
from apps.ui.schema_forms.reading import Reader, text_of
from apps.ui.schema_forms.schema import same
from apps.ui.schema_forms.texts import json_text

Written = dict[str, list[str]]


class Writer:
    """Write the texts of fields, and try each by reading it."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone

    def fresh(self, field: Field, name: str, *, is_required: bool) -> Written:
        """Return the texts of a form that a worker begins with: defaults, and the first rows."""
        if field.default is not MISSING and field.default is not None:
            return self.write(field, field.default, name, is_required=is_required)
        texts: Written = {}
        if isinstance(field, ObjectField):
            for each in field.properties:
                if not each.is_automatic:
                    place = child(name, each.name)
                    texts |= self.fresh(each.field, place, is_required=each.is_required)
        elif isinstance(field, ListField):
            for number in range(field.least if is_required else 0):
                texts |= self.fresh_row(field, child(name, number))
        else:
            texts = self.write(field, MISSING, name, is_required=is_required)
        return texts

    def fresh_row(self, field: ListField, name: str) -> Written:
        return {name + ROW: [""]} | self.fresh(field.item, name, is_required=True)

    def write(self, field: Field, value: Any, name: str, *, is_required: bool) -> Written:
        """Return texts that mean the value: those of its fields if possible, else its JSON."""
        texts = self._fields(field, value, name)
        if texts is None:
            return _as_json(value, name)
        if self._means(texts, field, value, name, is_required=is_required):
            return texts
        was = "" if value is MISSING else json_text(value)
        if isinstance(value, dict | list):
            was = json_text(type(value)())
        texts |= {name + WAS: [was]}
        if self._means(texts, field, value, name, is_required=is_required):
            return texts
        return _as_json(value, name)

    def _means(
        self, texts: Written, field: Field, value: Any, name: str, *, is_required: bool
    ) -> bool:
        found = Reader(texts, self._zone).read(field, name, is_required=is_required)
        return found is value if MISSING in (found, value) else same(found, value)

    def _fields(self, field: Field, value: Any, name: str) -> Written | None:
        """Return the texts of a field; None where it cannot show the value."""
        is_absent = value is MISSING or value is None
        match field:
            case ObjectField():
                return self._object(field, {} if is_absent else value, name)
            case ListField():
                return self._list(field, [] if is_absent else value, name)
            case VariantsField():
                return {name + CHOICE: [""]} if is_absent else self._variant(field, value, name)
            case ChecksField():
                return self._checks(field, [] if is_absent else value, name)
            case JsonField() | ShownField():
                return _as_json(value, name)
        text = text_of(field, value, self._zone)
        return None if text is None else {name: [text]}

    def _object(self, field: ObjectField, value: Any, name: str) -> Written | None:
        if not isinstance(value, dict) or value.keys() - {each.name for each in field.properties}:
            return None
        texts: Written = {}
        for each in field.properties:
            if not each.is_automatic:
                place, part = child(name, each.name), value.get(each.name, MISSING)
                texts |= self.write(each.field, part, place, is_required=each.is_required)
        return texts

    def _list(self, field: ListField, value: Any, name: str) -> Written | None:
        if not isinstance(value, list):
            return None
        texts: Written = {}
        for number, item in enumerate(value):
            place = child(name, number)
            texts[place + ROW] = [""]
            texts |= self.write(field.item, item, place, is_required=True)
        return texts

    def _variant(self, field: VariantsField, value: Any, name: str) -> Written | None:
        for number, alternative in enumerate(field.alternatives):
            if not _is_of_kind(alternative.field, value):
                continue
            texts = self.write(alternative.field, value, name, is_required=True)
            choice = {name + CHOICE: [str(number)]}
            reader = Reader({**choice, **texts}, self._zone)
            found = reader.read(field, name, is_required=True)
            is_complete = not reader.missing and not reader.faults
            if name + AS_JSON not in texts and is_complete and same(found, value):
                return choice | texts
        return None

    def _checks(self, field: ChecksField, value: Any, name: str) -> Written | None:
        if not isinstance(value, list):
            return None
        texts = [
            next((option.text for option in field.options if same(option.value, item)), None)
            for item in value
        ]
        known = [text for text in texts if text is not None]
        if len(known) < len(value) or len(known) > len({*known}):
            return None
        return {name: known} if known else {}


def _is_of_kind(field: Field, value: Any) -> bool:
    """Return whether a field is for values of this type: what is typed there is of its own."""
    match field:
        case TextField() | MomentField():
            return isinstance(value, str)
        case NumberField():
            return isinstance(value, int | float) and not isinstance(value, bool)
    return True


def _as_json(value: Any, name: str) -> Written:
    return {name + AS_JSON: ["" if value is MISSING else json_text(value, indent=2)]}
