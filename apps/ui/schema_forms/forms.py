"""Make a form for a schema, and the JSON value that its texts mean."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from django.utils.safestring import SafeString

from apps.tasks.schemas.cost import size_of
from apps.ui.schema_forms.building import FAILURES, editor, field_of
from apps.ui.schema_forms.faults import Problem, problems_of
from apps.ui.schema_forms.fields import Field, JsonField
from apps.ui.schema_forms.names import (
    AS_JSON,
    MISSING,
    ROOT,
    ZONE,
    Texts,
    collected,
    first,
    renumbered,
    without_left,
)
from apps.ui.schema_forms.reading import Reader
from apps.ui.schema_forms.rendering import MAX_ELEMENTS, Renderer, TooManyElements
from apps.ui.schema_forms.texts import is_zone, json_text, zone_of
from apps.ui.schema_forms.writing import Writer
from biolayer.errors import Fault

Schema = Mapping[str, Any]

MAX_TEXTS = 5_000
"""Texts of a form at most; of more, `output` is shown as JSON."""


class SchemaForm:
    """Hold the texts of a form, what they mean, and how they are shown."""

    def __init__(
        self,
        schema: Schema | None,
        field: Field,
        texts: Texts,
        *,
        faults: Sequence[Fault],
        time_zone: str,
    ) -> None:
        self._schema = schema
        self._field = field
        self._faults = faults
        self._zone = zone_of(time_zone)
        self._zone_name = time_zone
        # The texts by the names of the fields.
        self.raw = {name: [*found] for name, found in texts.items()}
        self._reader = Reader(self.raw, self._zone)
        value = self._reader.read(field, ROOT, is_required=True)
        self.output: Any = None if value is MISSING else value

    @property
    def is_supported(self) -> bool:
        """Return whether fields are shown, and not the JSON editor for the whole value."""
        return not isinstance(self._field, JsonField) and ROOT + AS_JSON not in self.raw

    @property
    def missing(self) -> list[tuple[str, str]]:
        """Return element id and label of each required field that is empty."""
        return [
            (self._reader.places["/" + name].element, label) for name, label in self._reader.missing
        ]

    @property
    def field_ids(self) -> dict[str, str]:
        """Return the ids of the fields' elements, by pointer into the submission (`/output/…`)."""
        return {pointer: place.element for pointer, place in self._reader.places.items()}

    @property
    def faults(self) -> list[Fault]:
        """Return what makes texts unreadable, such as a number with too many digits."""
        return [*self._reader.faults]

    def problems_for(self, faults: Iterable[Fault]) -> list[Problem]:
        """Return a sentence for each fault of `output`, and for each text that is unreadable.

        The pointer of a problem is that of the field to show it at. Where a text is unreadable,
        what the validator says about it is left out.
        """
        return problems_of([*faults], self._reader, self._schema, self.output)

    @cached_property
    def problems(self) -> list[Problem]:
        """Return the problems of the faults that the form was made with."""
        return self.problems_for(self._faults)

    @property
    def summary(self) -> list[tuple[str, str, str]]:
        """Return element id, label and text of each problem."""
        return [(each.element, each.label, each.text) for each in self.problems]

    @property
    def is_within_bounds(self) -> bool:
        """Return whether a page can have so many fields and options."""
        fields = [place.field for place in self._reader.places.values()]
        return sum(1 + len(getattr(each, "options", ())) for each in fields) <= MAX_ELEMENTS

    @cached_property
    def html(self) -> SafeString:
        """Return the fields. The `form` element and its buttons are the page's."""
        messages: dict[str, list[str]] = {}
        for problem in self.problems:
            messages.setdefault(problem.pointer, []).append(problem.text)
        try:
            renderer = Renderer(self.raw, messages, self._zone, self._zone_name)
            return renderer.root(self._field, ROOT)
        except TooManyElements:
            texts = {ROOT + AS_JSON: [json_text(self.output, indent=2)]}
            renderer = Renderer(texts, messages, self._zone, self._zone_name)
            return renderer.root(editor(), ROOT)


def schema_form(
    schema: Schema | None,
    *,
    output: Any = None,
    form: Mapping[str, Sequence[str]] | None = None,
    faults: Sequence[Fault] = (),
    time_zone: str = "UTC",
) -> SchemaForm:
    """Return the form for an output schema in either notation; without one, the JSON editor.

    `form` has the texts of the fields as they were typed, and wins over `output`; its times stay in
    the zone in which they were entered. Without both the form has the schema's defaults. Never
    raises: what cannot be shown in fields is shown as JSON.
    """
    field = field_of(schema)
    entered = first(form or {}, ROOT + ZONE)
    time_zone = entered if is_zone(entered) else time_zone
    try:
        texts = _texts(field, output, form, time_zone)
        made = SchemaForm(schema, field, texts, faults=faults, time_zone=time_zone)
        if made.is_within_bounds:
            return made
        output = made.output
    except FAILURES:
        pass
    return _edited(schema, output, faults=faults, time_zone=time_zone)


def parse_form(
    schema: Schema | None, pairs: Iterable[tuple[str, str]], *, time_zone: str = "UTC"
) -> SchemaForm:
    """Return the form that a page posted, from its pairs of names and texts in their order."""
    return schema_form(schema, form=collected(pairs), time_zone=time_zone)


def _texts(
    field: Field, output: Any, form: Mapping[str, Sequence[str]] | None, time_zone: str
) -> Texts:
    if form is not None:
        # Each costs time to read, and a page has far fewer.
        if sum(map(len, form.values())) > MAX_TEXTS:
            form = without_left(form)
        if sum(map(len, form.values())) > MAX_TEXTS:
            raise TooManyElements("the form has too many texts")
        pairs = ((name, text) for name, texts in form.items() for text in texts)
        return renumbered(collected(pairs))
    writer = Writer(zone_of(time_zone))
    if size_of(output) > MAX_ELEMENTS:
        raise TooManyElements("the value has too many parts")
    if output is not None:
        return writer.write(field, output, ROOT, is_required=True)
    return writer.fresh(field, ROOT, is_required=True)


def _edited(
    schema: Schema | None, output: Any, *, faults: Sequence[Fault], time_zone: str
) -> SchemaForm:
    """Return a form with the JSON editor for the whole value."""
    try:
        text = "" if output is None else json_text(output, indent=2)
    except FAILURES:
        text = ""
    texts = {ROOT + AS_JSON: [text]}
    return SchemaForm(schema, editor(), texts, faults=faults, time_zone=time_zone)
