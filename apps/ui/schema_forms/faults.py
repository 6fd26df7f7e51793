"""Say in words of the worker what is wrong with a value, and find the field that it belongs to."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
from django.utils.formats import localize
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.tasks.schemas.checks import schema_violations
from apps.tasks.schemas.limited import InvalidSchema, LimitReached
from apps.tasks.schemas.notation import as_json_schema
from apps.ui.schema_forms.fields import (
    ChecksField,
    ChoiceField,
    ListField,
    MomentField,
    NumberField,
    VariantsField,
)
from apps.ui.schema_forms.names import MISSING, OCCURRENCE, ROOT, pointer_of
from apps.ui.schema_forms.reading import Place, Reader
from biolayer.errors import Fault, pointer

MAX_ALTERNATIVE_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Problem:
    """Hold a sentence about a field: `pointer` is the field's own."""

    pointer: str
    code: str
    element: str
    label: str
    text: str


def problems_of(
    faults: Sequence[Fault], reader: Reader, schema: Mapping[str, Any] | None, output: Any
) -> list[Problem]:
    """Return a problem for each fault, at its field or the nearest group; each sentence once.

    Unreadable texts come first, and what the validator says about these is left out.
    """
    unreadable = {fault.pointer.removesuffix(OCCURRENCE) for fault in reader.faults}
    others = _Refinement(reader, schema, output).of(faults, MAX_ALTERNATIVE_DEPTH)
    found: dict[tuple[str, str], Problem] = {}
    for fault in [*reader.faults, *(each for each in others if each.pointer not in unreadable)]:
        nearest = _nearest(fault.pointer, reader.places)
        place = reader.places[nearest]
        text = fault.detail
        if fault not in reader.faults:
            text = sentence(fault, place, value_at(output, nearest))
        if nearest != fault.pointer:
            text = f"{fault.pointer.removeprefix(nearest)}: {text}"
        problem = Problem(nearest, fault.code, place.element, place.label, text)
        found.setdefault((nearest, text), problem)
    return [*found.values()]


def _nearest(at: str, places: Mapping[str, Place]) -> str:
    while at not in places and at:
        at = at.rpartition("/")[0]
    return at if at in places else pointer_of(ROOT)


def value_at(output: Any, at: str) -> Any:
    """Return the value at a pointer into the submission; `MISSING` where there is none."""
    value = output
    for part in at.split("/")[2:]:
        name = part.replace("~1", "/").replace("~0", "~")
        try:
            value = value[int(name) if isinstance(value, list) else name]
        except (LookupError, TypeError, ValueError):
            return MISSING
    return value


@dataclass(frozen=True, slots=True)
class _Refinement:
    """Replace the faults of unions by those of the chosen alternatives."""

    reader: Reader
    schema: Mapping[str, Any] | None
    output: Any

    def of(self, faults: Sequence[Fault], depth: int) -> Iterator[Fault]:
        for fault in faults:
            inner = self._inner(fault) if depth else []
            yield from self.of(inner, depth - 1) if inner else [fault]

    def _inner(self, fault: Fault) -> list[Fault]:
        alternative = self.reader.chosen.get(fault.pointer)
        if fault.code not in ("any_of", "one_of") or alternative is None:
            return []
        value = value_at(self.output, fault.pointer)
        return _alternative_faults(fault.pointer, value, self.schema, alternative)


def _alternative_faults(
    at: str, value: Any, schema: Mapping[str, Any] | None, alternative: Mapping[str, Any]
) -> list[Fault]:
    if schema is None or value is MISSING:
        return []
    document = as_json_schema(schema)
    targets = {key: document[key] for key in ("$defs", "definitions") if key in document}
    try:
        found = schema_violations({**targets, "allOf": [alternative]}, value)
    except (LimitReached, InvalidSchema, jsonschema_rs.ValidationError, ValueError, TypeError):
        return []  # A reference may lead elsewhere in the document.
    return [Fault(at + pointer(*path), code, detail) for path, code, detail in found]


def sentence(fault: Fault, place: Place, value: Any) -> str:
    """Return what the worker should do about a fault of the validator."""
    if place.is_json and fault.code != "required":
        return fault.detail
    match fault.code:
        case "required":
            text = _required(place)
        case "wrong_type" | "any_of" | "one_of":
            text = _of_kind(place, value)
        case "format":
            text = _of_format(place)
        case _:
            text = _fixed(fault.code) or _bounded(fault.code, place.field.bounds, value)
    return text or fault.detail


def _fixed(code: str) -> str:
    sentences = {
        "enum": _("Choose one of the answers."),
        "const": _("Choose one of the answers."),
        "pattern": _("This does not have the expected form."),
        "unknown_field": _("This field is not expected here."),
        "unique_items": _("Each entry may be there only once."),
    }
    return sentences.get(code, "")


def _required(place: Place) -> str:
    if isinstance(place.field, ChoiceField | VariantsField):
        return _("Choose an answer.")
    if isinstance(place.field, ListField | ChecksField):
        return _("Add at least one.")
    return _("Enter an answer.")


def _of_kind(place: Place, value: Any) -> str:
    if value is None or value is MISSING:
        return _required(place)
    match place.field:
        case NumberField(is_integer=True):
            return _("Enter a whole number, in digits only.")
        case NumberField():
            return _("Enter a number.")
        case ChoiceField() | VariantsField():
            return _("Choose one of the answers.")
        case MomentField():
            return _of_format(place)
    return ""


def _of_format(place: Place) -> str:
    form = getattr(place.field, "kind", getattr(place.field, "format", ""))
    sentences = {
        "date": _("Enter a date."),
        "time": _("Enter a time."),
        "date-time": _("Enter a date and a time."),
        "email": _("Enter an e-mail address, such as name@example.com."),
        "uri": _("Enter a web address that begins with https://."),
    }
    return sentences.get(form, _("This does not have the expected form."))


def _bounded(code: str, bounds: Mapping[str, Any], value: Any) -> str:
    """Return what a bound of the schema asks for."""
    keyword = re.sub("_(.)", lambda found: found[1].upper(), code)
    if keyword not in bounds:
        return ""
    bound = bounds[keyword]
    sentences = {
        "minimum": _("Enter %s or more."),
        "maximum": _("Enter %s or less."),
        "exclusiveMinimum": _("Enter more than %s."),
        "exclusiveMaximum": _("Enter less than %s."),
        "multipleOf": _("Enter a multiple of %s."),
    }
    if keyword in sentences:
        return str(sentences[keyword] % localize(bound))
    return _counted(keyword, int(bound), len(value) if isinstance(value, str) else 0)


def _counted(keyword: str, bound: int, length: int) -> str:
    match keyword:
        case "minLength":
            text = ngettext("Enter at least %d character.", "Enter at least %d characters.", bound)
        case "maxLength":
            text = ngettext(
                "Enter at most %(most)d character; these are %(length)d.",
                "Enter at most %(most)d characters; these are %(length)d.",
                bound,
            )
            return text % {"most": bound, "length": length}
        case "minItems":
            text = ngettext("Add at least %d.", "Add at least %d.", bound)
        case _:
            text = ngettext("At most %d is allowed.", "At most %d are allowed.", bound)
    return text % bound
