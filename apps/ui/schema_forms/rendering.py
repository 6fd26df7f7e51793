"""Render fields as HTML, by the templates in `ui/schema_forms/`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Any

from django.template import loader
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from apps.ui.schema_forms.fields import (
    Alternative,
    ChecksField,
    ChoiceField,
    Field,
    JsonField,
    ListField,
    MomentField,
    NumberField,
    ObjectField,
    ShownField,
    TextField,
    VariantsField,
    has_times,
)
from apps.ui.schema_forms.inputs import input_of
from apps.ui.schema_forms.names import (
    AS_JSON,
    CHOICE,
    LEFT,
    NEW_ROW,
    OCCURRENCE,
    ROW,
    WAS,
    ZONE,
    Texts,
    child,
    element_id,
    first,
    left_texts,
    pointer_of,
    rows_of,
)
from apps.ui.schema_forms.texts import Unreadable, json_text, json_value, scalar_text
from apps.ui.schema_forms.wording import ITEM, NOTHING
from apps.ui.schema_forms.writing import Writer

# Fields and options on one page; a larger form gets the editor.
MAX_ELEMENTS = 3_000
MAX_RADIOS = 5
MAX_ROWS_OF_TEXT = 24


class TooManyElements(ValueError):
    """Raised for a form that would be too large for a page."""


class Renderer:
    """Render the fields of one form. `messages` are sentences by pointer."""

    def __init__(
        self, texts: Texts, messages: Mapping[str, Sequence[str]], zone: tzinfo, zone_name: str
    ) -> None:
        self._texts = texts
        self._rows = rows_of(texts)
        self._left = left_texts(texts)
        self._left_count = 0
        self._messages = messages
        self._zone = zone
        self._zone_name = zone_name
        self.count = 0

    def root(self, field: Field, name: str) -> SafeString:
        """Return the fields of the whole value, without a frame around an object's."""
        if isinstance(field, ObjectField) and name + AS_JSON not in self._texts:
            inner = self._properties(field, name)
            common = self._common(field, name, is_required=True)
            content = _rendered("root", {**common, "content": inner})
        else:
            content = self.field(field, name, is_required=True)
        zone = self._zone_name if has_times(field) else ""
        return _rendered("form", {"content": content, "zone_name": name + ZONE, "zone": zone})

    def field(
        self,
        field: Field,
        name: str,
        *,
        is_required: bool,
        label: Any = None,
        is_bare: bool = False,
    ) -> SafeString:
        """Return the HTML of a field. A bare one has its label, or its group's, around it."""
        self._counted(1)
        common = self._common(field, name, is_required=is_required)
        common |= {"label": field.label if label is None else label, "is_bare": is_bare}
        if isinstance(field, ShownField):
            return self._shown(name, common)
        if name + AS_JSON in self._texts or isinstance(field, JsonField):
            return self._editor(name, common)
        return self._of_kind(field, name, common, is_required=is_required)

    def _of_kind(
        self, field: Field, name: str, common: dict[str, Any], *, is_required: bool
    ) -> SafeString:
        match field:
            case ObjectField():
                content = self._properties(field, name)
                return _rendered("group", {**common, "content": content})
            case ListField():
                return self._list(field, name, common)
            case VariantsField():
                return self._variants(field, name, common, is_required=is_required)
            case ChecksField():
                return self._checks(field, name, common)
            case ChoiceField():
                return self._choice(field, name, common, is_required=is_required)
        return self._input(field, name, common)

    def _counted(self, number: int) -> None:
        self.count += number
        if self.count > MAX_ELEMENTS:
            raise TooManyElements("the form has too many elements")

    def _common(self, field: Field, name: str, *, is_required: bool) -> dict[str, Any]:
        hints = [str(text) for text in (field.hint, field.note) if text]
        if field.example:
            hints.append(_("For example: %s") % field.example)
        if isinstance(field, MomentField) and field.kind != "date":
            hints.append(_("Time zone: %s") % self._zone_name)
        was = self._texts.get(name + WAS)
        return {
            "id": element_id(name),
            "name": name,
            "hints": hints,
            "error": " ".join(self._messages.get(pointer_of(name), ())),
            "is_required": is_required,
            "was_name": name + WAS if was is not None else "",
            "was": was[0] if was else "",
        }

    def _properties(self, field: ObjectField, name: str) -> SafeString:
        return _joined(
            self.field(each.field, child(name, each.name), is_required=each.is_required)
            for each in field.properties
            if not each.is_automatic
        )

    def _shown(self, name: str, common: dict[str, Any]) -> SafeString:
        text = first(self._texts, name + AS_JSON)
        shown, is_code = NOTHING, False
        if text:
            try:
                value = json_value(text)
            except Unreadable:
                value = text
            is_code = isinstance(value, dict | list)
            shown = json_text(value, indent=2) if is_code else _shown_scalar(value)
        context = {"raw_name": name + AS_JSON, "raw": text, "shown": shown, "is_code": is_code}
        return _rendered("shown", {**common, **context})

    def _editor(self, name: str, common: dict[str, Any]) -> SafeString:
        text = first(self._texts, name + AS_JSON)
        lines = min(max(text.count("\n") + 2, 4), MAX_ROWS_OF_TEXT)
        errors = self._messages.get(pointer_of(name), ())
        context = {"text": text, "lines": lines, "json_name": name + AS_JSON, "errors": errors}
        return _rendered("editor", {**common, **context, "id": common["id"] + "--json"})

    def _input(self, field: Field, name: str, common: dict[str, Any]) -> SafeString:
        assert isinstance(field, TextField | NumberField | MomentField)
        text = first(self._texts, name)
        context = {**common, "text": text, **input_of(field, text)}
        if isinstance(field, MomentField) and field.kind == "date-time":
            place = name + OCCURRENCE
            chosen = first(self._texts, place)
            error = " ".join(self._messages.get(pointer_of(place), ()))
            is_shown = bool(chosen or error)
            context["occurrence"] = {
                "name": place,
                "chosen": chosen,
                "error": error,
                "is_shown": is_shown,
            }
        return _rendered("input", context)

    def _choice(
        self, field: ChoiceField, name: str, common: dict[str, Any], *, is_required: bool
    ) -> SafeString:
        self._counted(len(field.options))
        text = first(self._texts, name)
        options = [(option.text, option.label) for option in field.options]
        known = {option.text for option in field.options}
        context = {
            "options": options,
            "chosen": text,
            "choice_name": name,
            "has_none": field.is_nullable or not is_required,
            "unknown": text if text and text not in known else "",
        }
        kind = "radios" if len(options) <= MAX_RADIOS else "select"
        return _rendered(kind, {**common, **context})

    def _checks(self, field: ChecksField, name: str, common: dict[str, Any]) -> SafeString:
        self._counted(len(field.options))
        chosen = self._texts.get(name, ())
        options = [(option.text, option.label, option.text in chosen) for option in field.options]
        return _rendered("checks", {**common, "options": options})

    def _list(self, field: ListField, name: str, common: dict[str, Any]) -> SafeString:
        count = len(self._rows.get(name, ()))
        rows = [self.row(field, child(name, number), number) for number in range(count)]
        writer = Writer(self._zone)
        place = child(name, NEW_ROW)
        texts = writer.fresh_row(field, place)
        new = self._apart(texts).row(field, place, NEW_ROW)
        # Without a title of their own, items are named by the list.
        item_label = "" if field.item.label == ITEM else field.item.label
        context = {"rows": rows, "new": new, "most": field.most, "item_label": item_label}
        return _rendered("list", {**common, **context})

    def row(self, field: ListField, name: str, number: int | str) -> SafeString:
        is_group = isinstance(field.item, ObjectField) and name + AS_JSON not in self._texts
        shown = number + 1 if isinstance(number, int) else ""
        label = format_html("{} <span data-number>{}</span>", field.item.label, shown)
        context = {
            "number": number,
            "label": label,
            "row_name": name + ROW,
            "legend": element_id(name) + "--row",
        }
        content = self.field(field.item, name, is_required=True, label=label, is_bare=is_group)
        return _rendered("row", {**context, "content": content, "is_group": is_group})

    def _apart(self, texts: Texts) -> "Renderer":
        """Return a renderer of what is not on the page yet. It counts for this one, too."""
        other = Renderer(texts, {}, self._zone, self._zone_name)
        other.count = self.count
        return other

    def _variants(
        self, field: VariantsField, name: str, common: dict[str, Any], *, is_required: bool
    ) -> SafeString:
        chosen = first(self._texts, name + CHOICE)
        alternatives, content, left = [], SafeString(""), []
        for number, each in enumerate(field.alternatives):
            inner = SafeString("")
            if str(number) == chosen:
                content = self.alternative(each, name)
            else:
                texts = self._left.get(name, {}).get(number, {})
                prefix = f"{name}{LEFT}/{number}"
                left += [(prefix + key[len(name) :], texts[key]) for key in texts]
                inner = self._left_alternative(each, name, texts)
            self._counted(1)
            alternatives.append((str(number), each.label, inner))
        context = {
            "options": [(number, label) for number, label, _inner in alternatives],
            "alternatives": alternatives,
            "chosen": chosen,
            "choice_name": name + CHOICE,
            # The alternative's own field has the plain id.
            "id": common["id"] + "--choice",
            "choice_id": common["id"] + "--choice",
            "has_none": field.is_nullable or not is_required,
            "content": content,
            "left": left,
            "is_menu": len(alternatives) > MAX_RADIOS,
        }
        return _rendered("variants", {**common, **context})

    def alternative(self, alternative: Alternative, name: str) -> SafeString:
        field = alternative.field
        is_group = isinstance(field, ObjectField)
        return self.field(field, name, is_required=True, label=alternative.label, is_bare=is_group)

    def _left_alternative(self, alternative: Alternative, name: str, texts: Texts) -> SafeString:
        """Return the fields of one that is not chosen: as they were left, or as at first.

        All that were left have together as many elements as the rest of the page may have.
        """
        if texts:
            other = self._apart(texts)
            other.count = self._left_count
            try:
                made = other.alternative(alternative, name)
            except TooManyElements:
                pass
            else:
                self._left_count = other.count
                return made
        fresh = Writer(self._zone).fresh(alternative.field, name, is_required=True)
        return self._apart(fresh).alternative(alternative, name)


def _shown_scalar(value: Any) -> str:
    if isinstance(value, bool):
        return _("Yes") if value else _("No")
    return scalar_text(value) or NOTHING


def _joined(parts: Iterable[SafeString]) -> SafeString:
    return format_html_join("", "{}", ((part,) for part in parts))


def _rendered(template: str, context: Mapping[str, Any]) -> SafeString:
    made = loader.get_template(f"ui/schema_forms/{template}.html").render(dict(context))
    assert isinstance(made, SafeString)
    return made
