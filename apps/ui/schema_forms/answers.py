"""Show a JSON value to people, with the labels that its form has."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as attribute
from datetime import date, datetime, tzinfo
from typing import Any

from django.utils import formats
from django.utils.translation import gettext as _

from apps.tasks.schemas.cost import size_of
from apps.ui.schema_forms.building import FAILURES, MAX_DEPTH, editor, field_of
from apps.ui.schema_forms.fields import (
    ChecksField,
    ChoiceField,
    Field,
    ListField,
    MomentField,
    ObjectField,
    Option,
    VariantsField,
)
from apps.ui.schema_forms.names import CHOICE, ROOT, first
from apps.ui.schema_forms.rendering import MAX_ELEMENTS
from apps.ui.schema_forms.schema import same
from apps.ui.schema_forms.texts import json_text, moment_text, scalar_text, zone_of
from apps.ui.schema_forms.wording import ITEM, NOTHING, RESULT, showable, words
from apps.ui.schema_forms.writing import Writer
from biolayer.errors import pointer

MAX_ANSWERS = 200
MAX_TEXT = 4_000
CUT = "\N{HORIZONTAL ELLIPSIS}"

# Of a field, or none where the schema says nothing of the value; its label; the value; its name or
# number in what it is part of.
Part = tuple[Field | None, Any, Any, str | int]
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold a label with a text, or with the answers of a group.

    `place` is the JSON Pointer (RFC 6901) to its value: empty for the whole one.
    """

    label: Any
    text: str = ""
    answers: tuple["Answer", ...] = ()
    place: str = attribute(default="", compare=False)


def answers_of(
    schema: Mapping[str, Any] | None, value: Any, *, time_zone: str = "UTC"
) -> tuple[Answer, ...]:
    """Return a value as answers in the order of its schema, at most `MAX_ANSWERS`.

    Never raises: what the schema does not describe has its names in words.
    """
    zone = zone_of(time_zone)
    try:
        field = editor() if size_of(value) > MAX_ELEMENTS else field_of(schema)
        whole = _Reporter(zone).answer(field, field.label, value, ())
    except FAILURES:
        whole = _Reporter(zone).answer(None, RESULT, value, ())
    return whole.answers if whole.answers and not whole.text else (whole,)


class _Reporter:
    """Report the parts of one value, a bounded number of them."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._left = MAX_ANSWERS

    def answer(self, field: Field | None, label: Any, value: Any, path: Path) -> Answer:
        place = pointer(*path)
        if len(path) > MAX_DEPTH:
            return Answer(label, _cut(json_text(value)), place=place)
        if isinstance(field, VariantsField):
            return self._variant(field, label, value, path)
        parts = _parts(field, value)
        if parts is None:
            return Answer(label, _cut(_text(field, value, self._zone)), place=place)
        return Answer(label, answers=self._all(parts, path), place=place)

    def _all(self, parts: Iterable[Part], path: Path) -> tuple[Answer, ...]:
        found: list[Answer] = []
        for field, label, value, key in parts:
            if self._left == 0:
                return (*found, Answer(CUT, place=pointer(*path)))
            self._left -= 1
            found.append(self.answer(field, label, value, (*path, key)))
        return tuple(found)

    def _variant(self, field: VariantsField, label: Any, value: Any, path: Path) -> Answer:
        texts = Writer(self._zone).write(field, value, ROOT, is_required=True)
        chosen = first(texts, ROOT + CHOICE)
        if not chosen:
            return self.answer(None, label, value, path)
        alternative = field.alternatives[int(chosen)]
        found = self.answer(alternative.field, label, value, path)
        return replace(found, text=str(alternative.label)) if found.answers else found


def _parts(field: Field | None, value: Any) -> Iterator[Part] | None:
    """Return the parts of a value; None for one that is shown as a text."""
    if not value or isinstance(field, ChecksField):
        return None
    if isinstance(value, dict):
        return _properties(field if isinstance(field, ObjectField) else None, value)
    if isinstance(value, list):
        return _items(field.item if isinstance(field, ListField) else None, value)
    return None


def _properties(field: ObjectField | None, value: Mapping[str, Any]) -> Iterator[Part]:
    known = () if field is None else field.properties
    for each in known:
        if each.name in value and not each.is_automatic:
            yield each.field, each.field.label, value[each.name], each.name
    names = {each.name for each in known}
    for name, part in value.items():
        if name not in names:
            yield None, words(name), part, name


def _items(field: Field | None, value: Iterable[Any]) -> Iterator[Part]:
    label = ITEM if field is None else field.label
    for index, item in enumerate(value):
        yield field, f"{label} {index + 1}", item, index


def _text(field: Field | None, value: Any, zone: tzinfo) -> str:
    match field, value:
        case ChoiceField(), _:
            return _chosen(field.options, value)
        case ChecksField(), [_first, *_others]:
            return ", ".join(_chosen(field.options, item) for item in value)
        case MomentField(), str():
            return _moment(field.kind, value, zone)
    return _plain(value)


def _chosen(options: Iterable[Option], value: Any) -> str:
    labels = (str(option.label) for option in options if same(option.value, value))
    return next(labels, None) or _plain(value)


def _moment(kind: str, value: str, zone: tzinfo) -> str:
    """Return a date or time as the page's language writes it, in the zone; others as they are."""
    text = moment_text(value, kind=kind, zone=zone)
    try:
        if kind == "date":
            return formats.date_format(date.fromisoformat(text), "DATE_FORMAT")
        if kind == "date-time":
            return formats.date_format(datetime.fromisoformat(text), "DATETIME_FORMAT")
    except ValueError:
        return value
    return text or NOTHING


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    if value in (None, "", [], {}):
        return NOTHING
    return scalar_text(value)


def _cut(text: str) -> str:
    text = showable(text)
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}{CUT}"
