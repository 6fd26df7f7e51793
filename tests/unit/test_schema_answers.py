"""Test that a value is shown with the labels of its form, in the order of its schema."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.utils import translation
from hypothesis import given

from apps.ui.schema_forms import Answer, answers_of
from apps.ui.schema_forms.answers import CUT, MAX_ANSWERS, MAX_TEXT
from tests.unit.form_strategies import examples, json_values
from tests.unit.test_form_round_trips import ZONES, bounded

Shown = dict[str, Any]
DAMAGE = {
    "type": "object",
    "title": "Damage",
    "required": ["kind", "depth"],
    "properties": {"kind": {"const": "dent"}, "depth": {"type": "number", "title": "Depth in mm"}},
}
SCHEMA = {
    "type": "object",
    "properties": {
        "reachedUser": {"type": "boolean"},
        "at": {"type": "string", "format": "date-time", "title": "Seen at"},
        "day": {"type": ["string", "null"], "format": "date"},
        "opens": {"type": "string", "format": "time"},
        "colours": {"type": "array", "items": {"enum": ["dark_red", "blue"]}},
        "tags": {"type": "array", "title": "Tags", "items": {"type": "string", "title": "Tag"}},
        "state": {"oneOf": [{"const": 1, "title": "Good"}, {"const": 2, "title": "Bad"}]},
        "what": {"title": "What is it?", "anyOf": [{"title": "Nothing", "type": "string"}, DAMAGE]},
        "any": {},
    },
}


def shown(answers: Sequence[Answer]) -> Shown:
    """Return answers as an object of labels: texts, groups, or both."""
    return {
        str(one.label): [one.text, shown(one.answers)]
        if one.answers and one.text
        else shown(one.answers) or one.text
        for one in answers
    }


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            {"day": "2026-02-01", "reachedUser": True},
            {"Reached user": "Yes", "Day": "1 February 2026"},
        ),
        ({"day": None, "tags": []}, {"Day": "\N{EN DASH}", "Tags": "\N{EN DASH}"}),
        ({"at": "2026-07-01T22:30:00Z"}, {"Seen at": "2 July 2026, 00:30"}),
        ({"at": "tomorrow"}, {"Seen at": "tomorrow"}),
        ({"colours": ["dark_red", "blue"]}, {"Colours": "Dark red, Blue"}),
        ({"colours": ["pink"]}, {"Colours": "pink"}),
        ({"tags": ["a", "b"]}, {"Tags": {"Tag 1": "a", "Tag 2": "b"}}),
        ({"state": 2}, {"State": "Bad"}),
        ({"what": "Dust"}, {"What is it?": "Dust"}),
        (
            {"what": {"kind": "dent", "depth": 1.5}},
            {"What is it?": ["Damage", {"Kind": "Dent", "Depth in mm": "1.5"}]},
        ),
        ({"what": [False]}, {"What is it?": {"Item 1": "No"}}),
        (
            {"any": {"gate_no": 4, "n": [1, {"x": ""}]}},
            {"Any": {"Gate no": "4", "N": {"Item 1": "1", "Item 2": {"X": "\N{EN DASH}"}}}},
        ),
        ({"later": "x", "tags": "none"}, {"Tags": "none", "Later": "x"}),
        ("text", {"Result": "text"}),
        ([1, 2], {"Item 1": "1", "Item 2": "2"}),
        (0, {"Result": "0"}),
    ],
)
def test_value__is_shown_with_labels(value: Any, expected: Shown) -> None:
    found = shown(answers_of(SCHEMA, value, time_zone="Europe/Berlin"))
    assert found == expected
    assert list(found) == list(expected)


def test_time__is_in_the_zone() -> None:
    (answer,) = answers_of(SCHEMA, {"opens": "09:15:00+00:00"}, time_zone="Asia/Kolkata")
    assert answer.text == "14:45"


def test_german__writes_its_own_words_and_numbers() -> None:
    value = {
        "reachedUser": False,
        "at": "2026-07-01T22:30:00Z",
        "what": {"kind": "dent", "depth": 1.5},
    }
    with translation.override("de"):
        found = shown(answers_of(SCHEMA, value))
    assert found == {
        "Reached user": "Nein",
        "Seen at": "1. Juli 2026, 22:30",
        "What is it?": ["Damage", {"Kind": "Dent", "Depth in mm": "1,5"}],
    }


def test_large_values__are_cut() -> None:
    many = answers_of(None, {"rows": list(range(1000)), "text": "x" * 10_000})
    (rows,) = (one for one in many if one.answers)
    assert len(rows.answers) <= MAX_ANSWERS + 1
    assert rows.answers[-1] == Answer(CUT)
    (text,) = answers_of(None, "x" * 10_000)
    assert text.text == "x" * MAX_TEXT + CUT
    deep: Any = "end"
    for _ in range(400):
        deep = [deep]
    assert "end" in str(answers_of(None, deep))


@bounded(100)
@given(example=examples(), zone=ZONES)
def test_every_value__is_shown(example: Any, zone: str) -> None:
    schema, value = example
    assert answers_of(schema, value, time_zone=zone)


@bounded(100)
@given(example=examples(), value=json_values)
def test_values_of_another_shape__are_shown(example: Any, value: Any) -> None:
    assert answers_of(example[0], value)
