"""Test numbers in forms of schemas on pages of a language that has a decimal comma."""

from typing import Any

import pytest
from django.utils import translation

from apps.tasks.outputs import output_faults
from apps.ui.schema_forms import SchemaForm, parse_form, schema_form

NUMBER = {"type": "object", "properties": {"x": {"type": "number"}}}


def posted(text: str) -> SchemaForm:
    return parse_form(NUMBER, [("output/x", text)], time_zone="Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1250,5", 1250.5),
        ("1,125", 1.125),
        ("-0,5", -0.5),
        ("1,5e-7", 1.5e-7),
        ("1250.5", 1250.5),
        ("0.125", 0.125),
        ("1250", 1250),
    ],
)
def test_number__is_read_as_the_language_writes_it(text: str, value: float) -> None:
    with translation.override("de"):
        form = posted(text)
    assert (form.output, form.faults) == ({"x": value}, [])


@pytest.mark.parametrize("text", ["1.250", "12.500", "1.250,5", "1.250.000", "1,2,3", "1 250"])
def test_number_with_points_for_thousands__is_refused(text: str) -> None:
    with translation.override("de"):
        form = posted(text)
    assert form.output == {"x": text}
    assert [fault.code for fault in form.faults] == ["wrong_type"]
    assert form.faults[0].detail == (
        "Geben Sie eine Zahl ohne Tausenderpunkte ein, zum Beispiel 1250,5"
    )


@pytest.mark.parametrize("value", [0.5, 1.125, 1250.5, -1.5e-7, 1e300, 3, 12.125])
@pytest.mark.parametrize("language", ["de", "en"])
def test_written_number__means_the_same_when_it_is_read(language: str, value: float) -> None:
    with translation.override(language):
        form = schema_form(NUMBER, output={"x": value}, time_zone="Europe/Berlin")
        pairs = [(name, text) for name, texts in form.raw.items() for text in texts]
        again = parse_form(NUMBER, pairs, time_zone="Europe/Berlin")
    assert [name for name, _ in pairs] == ["output/x"]
    assert again.output == {"x": value}


def test_a_field__is_written_as_the_language_does() -> None:
    bounded = {"type": "number", "minimum": 0.5, "maximum": 9.5, "examples": [1.125]}
    schema: Any = {"type": "object", "properties": {"x": bounded}}
    with translation.override("de"):
        html = schema_form(schema, output={"x": 2.25}).html
        form = parse_form(schema, [("output/x", "0,25")], time_zone="UTC")
        faults = output_faults(form.output, schema, "json")
        refused = schema_form(schema, form=form.raw, faults=faults, time_zone="UTC").html
    assert "Von 0,5 bis 9,5." in html
    assert "Zum Beispiel: 1,125" in html
    assert 'value="2,25"' in html
    assert "Geben Sie mindestens 0,5 ein." in refused
    assert "From 0.5 to 9.5." in schema_form(schema).html
