"""Read the JSON value that the texts of a form mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any

from apps.ui.schema_forms.fields import (
    ChecksField,
    ChoiceField,
    Field,
    JsonField,
    ListField,
    MomentField,
    NumberField,
    ObjectField,
    ShownField,
    VariantsField,
)
from apps.ui.schema_forms.names import (
    AS_JSON,
    CHOICE,
    MISSING,
    OCCURRENCE,
    UNSHOWABLE,
    WAS,
    Texts,
    child,
    element_id,
    first,
    pointer_of,
    rows_of,
)
from apps.ui.schema_forms.schema import same
from apps.ui.schema_forms.texts import (
    Repeated,
    Unreadable,
    json_value,
    moment_text,
    moment_value,
    number_value,
    plain_text,
    scalar_text,
)
from biolayer.errors import Fault


@dataclass(frozen=True, slots=True)
class Place:
    """Hold where the form shows a value: the field, its element, and its label with its groups'."""

    field: Field
    name: str
    element: str
    label: str
    is_json: bool = False


class Reader:
    """Read values, and note what is missing, what is unreadable, and where each value is."""

    def __init__(self, texts: Texts, zone: tzinfo) -> None:
        self._texts = texts
        self._zone = zone
        self._rows = rows_of(texts)
        self._labels: list[str] = []
        # Names and labels of required fields without a value.
        self.missing: list[tuple[str, str]] = []
        self.faults: list[Fault] = []
        # By pointer.
        self.places: dict[str, Place] = {}
        # The schemas of the chosen alternatives, by pointer.
        self.chosen: dict[str, Mapping[str, Any]] = {}

    def read(self, field: Field, name: str, *, is_required: bool) -> Any:
        """Return the value of a field; `MISSING` for one that is absent."""
        as_json = name + AS_JSON in self._texts or isinstance(field, JsonField | ShownField)
        self._note_place(field, name, is_json=as_json)
        if field.source is not None:
            self.chosen[pointer_of(name)] = field.source
        if as_json:
            value = self._json(name)
        elif isinstance(field, ObjectField):
            return self._object(field, name, is_required=is_required)
        elif isinstance(field, ListField):
            value = self._list(field, name)
        elif isinstance(field, VariantsField):
            return self._variant(field, name, is_required=is_required)
        elif isinstance(field, ChecksField):
            value = self._checks(field, name)
        else:
            value = self._scalar(field, name)
        value = self._or_blank(field, name, value, is_required=is_required)
        is_empty = value is MISSING or (value == [] and getattr(field, "least", 0) > 0)
        if is_required and is_empty and not isinstance(field, ShownField):
            self._note_missing(name)
        return value

    def _note_place(self, field: Field, name: str, *, is_json: bool) -> None:
        label = ": ".join([*self._labels, str(field.label)])
        pointer = pointer_of(name)
        # The alternative of a choice is at the same place.
        if isinstance(field, ObjectField) and pointer in self.places and not is_json:
            return
        suffix = ""
        if is_json:
            suffix = "--json"
        elif isinstance(field, VariantsField):
            suffix = "--choice"
        element = element_id(name) + suffix
        self.places[pointer] = Place(field, name, element, label, is_json=is_json)

    def _note_missing(self, name: str) -> None:
        self.missing.append((name, self.places[pointer_of(name)].label))

    def _or_blank(self, field: Field, name: str, value: Any, *, is_required: bool) -> Any:
        """Return the value, or what an empty field stands for."""
        if value is not MISSING:
            return value
        was = self._texts.get(name + WAS)
        if was is not None:
            return _value_of(first(self._texts, name + WAS))
        if is_required and field.is_nullable:
            return None
        return [] if is_required and isinstance(field, ListField | ChecksField) else MISSING

    def _json(self, name: str) -> Any:
        text = plain_text(first(self._texts, name + AS_JSON))
        if not text.strip():
            return MISSING
        try:
            return json_value(text)
        except Unreadable as error:
            self.faults.append(Fault(pointer_of(name), error.code, str(error)))
            return text

    def _object(self, field: ObjectField, name: str, *, is_required: bool) -> Any:
        missing, faults = len(self.missing), len(self.faults)
        value = self._properties(field, name)
        is_blank = all(
            is_blank_value(each.field, value.get(each.name, MISSING)) or each.is_automatic
            for each in field.properties
        )
        if not is_blank or len(self.faults) > faults:
            return value
        was = self._texts.get(name + WAS)
        if was is not None:
            blank = None if was[0] == "null" else value
        elif is_required:
            blank = None if field.is_nullable else value
        else:
            blank = MISSING
        if blank is None or blank is MISSING:
            del self.missing[missing:]
        return blank

    def _properties(self, field: ObjectField, name: str) -> dict[str, Any]:
        value = {}
        self._labels += [str(field.label)] if name.count("/") else []
        for each in field.properties:
            if each.is_automatic and isinstance(each.field, ChoiceField):
                value[each.name] = each.field.options[0].value
                continue
            found = self.read(each.field, child(name, each.name), is_required=each.is_required)
            if found is not MISSING:
                value[each.name] = found
        if name.count("/"):
            self._labels.pop()
        return value

    def _list(self, field: ListField, name: str) -> Any:
        items = []
        self._labels.append(str(field.label))
        for place in range(len(self._rows.get(name, ()))):
            row = replace(field.item, label=f"{field.item.label} {place + 1}")
            item = self.read(row, child(name, place), is_required=True)
            # A row that is left empty keeps its place: the pointers of the next ones stay right.
            items.append(None if item is MISSING else item)
        self._labels.pop()
        return items or MISSING

    def _variant(self, field: VariantsField, name: str, *, is_required: bool) -> Any:
        number = first(self._texts, name + CHOICE)
        if number.isdecimal() and len(number) < 5 and int(number) < len(field.alternatives):
            chosen = field.alternatives[int(number)]
            self.chosen[pointer_of(name)] = chosen.source
            inner = replace(chosen.field, label=field.label)
            return self.read(inner, name, is_required=True)
        value = self._or_blank(field, name, MISSING, is_required=is_required)
        if value is MISSING and is_required:
            self._note_missing(name)
        return value

    def _checks(self, field: ChecksField, name: str) -> Any:
        texts = [text for text in self._texts.get(name, ()) if text]
        values = {option.text: option.value for option in field.options}
        return [values.get(text, text) for text in dict.fromkeys(texts)] or MISSING

    def _scalar(self, field: Field, name: str) -> Any:
        text = plain_text(first(self._texts, name))
        was = self._texts.get(name + WAS)
        if was is not None:
            value = _value_of(was[0])
            if self._text_of(field, value) == text:
                return value
        if not text:
            return MISSING
        try:
            return self._converted(field, text, name)
        except Unreadable as error:
            place = name + OCCURRENCE if isinstance(error, Repeated) else name
            self.faults.append(Fault(pointer_of(place), error.code, str(error)))
            return text

    def _text_of(self, field: Field, value: Any) -> str | None:
        return text_of(field, value, self._zone)

    def _converted(self, field: Field, text: str, name: str) -> Any:
        match field:
            case ChoiceField(options=options):
                return next((option.value for option in options if option.text == text), text)
            case NumberField(is_integer=is_integer):
                return number_value(text, is_integer=is_integer)
            case MomentField(kind=kind):
                self._note_occurrence(field, name)
                occurrence = first(self._texts, name + OCCURRENCE)
                return moment_value(text, kind=kind, zone=self._zone, occurrence=occurrence)
        return text

    def _note_occurrence(self, field: MomentField, name: str) -> None:
        if field.kind == "date-time":
            place = self.places[pointer_of(name)]
            element = element_id(name) + "--occurrence"
            self.places[pointer_of(name + OCCURRENCE)] = Place(field, name, element, place.label)


def text_of(field: Field, value: Any, zone: tzinfo) -> str | None:
    """Return the text of a field for a value; None where the field has none for it."""
    if isinstance(value, dict | list) or (isinstance(value, str) and UNSHOWABLE.search(value)):
        return None
    if value is MISSING or value is None:
        return ""
    if isinstance(field, ChoiceField):
        return next((o.text for o in field.options if same(o.value, value)), None)
    if isinstance(field, MomentField) and isinstance(value, str):
        return plain_text(moment_text(value, kind=field.kind, zone=zone))
    return plain_text(scalar_text(value))


def _value_of(text: str) -> Any:
    """Return the value that an unchanged field stands for."""
    if not text:
        return MISSING
    try:
        return json_value(text)
    except Unreadable:
        return MISSING


def is_blank_value(field: Field, value: Any) -> bool:
    """Return whether a value says no more than a field that is left as it was."""
    if value is MISSING or value is None:
        return True
    if field.default is not MISSING and same(value, field.default):
        return True
    if isinstance(field, ObjectField) and isinstance(value, dict):
        known: Sequence[str] = [each.name for each in field.properties]
        return all(name in known for name in value) and all(
            each.is_automatic or is_blank_value(each.field, value.get(each.name, MISSING))
            for each in field.properties
        )
    if isinstance(field, ListField) and isinstance(value, list):
        return all(is_blank_value(field.item, item) for item in value)
    return bool(value == [])
