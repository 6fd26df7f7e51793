"""Test forms of schemas: what texts mean, what is missing, what is said about faults."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from django.utils import translation

from apps.tasks.outputs import output_faults
from apps.ui.schema_forms import SchemaForm, parse_form, schema_form
from apps.ui.schema_forms.keywords import EDITOR_ONLY, KEYWORDS
from biolayer.errors import Fault
from tests.unit.html_forms import sent

BERLIN = "Europe/Berlin"


def of(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": [*required]}


def posted(schema: Any, time_zone: str = BERLIN, **texts: str) -> SchemaForm:
    """Return the form with these texts, by the names of fields of the object."""
    pairs = [(f"output/{name}", text) for name, text in texts.items()]
    return parse_form(schema, pairs, time_zone=time_zone)


def checked(schema: Any, pairs: list[tuple[str, str]], time_zone: str = BERLIN) -> SchemaForm:
    """Return the form as it is shown after a check."""
    form = parse_form(schema, pairs, time_zone=time_zone)
    faults = output_faults(form.output, schema, "json")
    return schema_form(schema, form=form.raw, faults=faults, time_zone=time_zone)


NUMBER = of(x={"type": "number"})
INTEGER = of(x={"type": "integer"})


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        (INTEGER, "9007199254740993", 9007199254740993),
        (INTEGER, " -5 ", -5),
        (INTEGER, "\N{MINUS SIGN}5", -5),
        (NUMBER, "18446744073709551615", 18446744073709551615),
        (NUMBER, "0.1", 0.1),
        (NUMBER, "1e-7", 1e-7),
        (NUMBER, "3,5", 3.5),
        (NUMBER, "0,125", 0.125),
        (NUMBER, ".5", 0.5),
        (NUMBER, "1.10", 1.1),
    ],
)
def test_a_number__keeps_its_digits(schema: Any, text: str, value: Any) -> None:
    form = posted(schema, x=text)
    assert form.output == {"x": value}
    assert form.faults == []


@pytest.mark.parametrize(
    ("schema", "text", "code"),
    [
        (INTEGER, "18446744073709551616", "too_long"),
        (INTEGER, "9" * 10_000, "too_long"),
        (INTEGER, "1.000", "wrong_type"),
        (INTEGER, "five", "wrong_type"),
        (NUMBER, "0.1000000000000000055", "too_long"),
        (NUMBER, "1e999", "too_long"),
        (NUMBER, "1,000", "wrong_type"),
        (NUMBER, "1 000", "wrong_type"),
        (NUMBER, "NaN", "wrong_type"),
        (NUMBER, "Infinity", "wrong_type"),
        (NUMBER, "0x1F", "wrong_type"),
        (NUMBER, "\N{ARABIC-INDIC DIGIT FIVE}", "wrong_type"),
    ],
)
def test_a_number__that_would_change_stays_text(schema: Any, text: str, code: str) -> None:
    form = posted(schema, x=text)
    assert form.output == {"x": text}
    assert [(fault.pointer, fault.code) for fault in form.faults] == [("/output/x", code)]
    # The validator's own fault of the same text is left out.
    shown = checked(schema, [("output/x", text)])
    assert [problem.code for problem in shown.problems] == [code]


WHEN = of(x={"type": "string", "format": "date-time"})


@pytest.mark.parametrize(
    ("zone", "text", "value"),
    [
        (BERLIN, "2026-01-15T10:30", "2026-01-15T10:30:00+01:00"),
        (BERLIN, "2026-07-15T10:30:15", "2026-07-15T10:30:15+02:00"),
        ("America/St_Johns", "2026-07-15T10:30", "2026-07-15T10:30:00-02:30"),
        ("UTC", "2026-07-15T10:30", "2026-07-15T10:30:00+00:00"),
        ("No/Such", "2026-07-15T10:30", "2026-07-15T10:30:00+00:00"),
        (BERLIN, "1890-01-01T00:53", "1889-12-31T23:59:32+00:00"),
        (BERLIN, "2026-01-15T10:30:00-05:00", "2026-01-15T10:30:00-05:00"),
    ],
)
def test_a_time__is_one_of_the_workers_zone(zone: str, text: str, value: str) -> None:
    form = posted(WHEN, time_zone=zone, x=text)
    assert form.output == {"x": value}
    assert output_faults(form.output, WHEN, "json") == []


def test_a_time__is_shown_in_the_workers_zone() -> None:
    shown = schema_form(WHEN, output={"x": "2026-07-15T22:30:00Z"}, time_zone=BERLIN)
    assert 'type="datetime-local" value="2026-07-16T00:30"' in shown.html
    assert shown.output == {"x": "2026-07-15T22:30:00Z"}
    assert "Time zone: Europe/Berlin" in shown.html


def test_a_form__keeps_the_zone_in_which_its_times_were_entered() -> None:
    seen = {"type": "string", "format": "date-time", "default": "2026-12-01T09:30:00Z"}
    schema = of(seen=seen, at={"type": "string", "format": "date-time"})
    pairs = sent(schema_form(schema, time_zone=BERLIN).html)
    typed = [(name, "2026-12-02T10:00" if name == "output/at" else text) for name, text in pairs]
    # The worker has travelled, or an operator has corrected the zone.
    shown = parse_form(schema, typed, time_zone="America/New_York")
    assert shown.output == {"seen": "2026-12-01T09:30:00Z", "at": "2026-12-02T10:00:00+01:00"}
    assert "Time zone: Europe/Berlin" in shown.html
    assert parse_form(schema, sent(shown.html), time_zone="UTC").output == shown.output


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "a\x00b", "x" * 5000])
def test_an_unknown_zone__is_that_of_the_worker(name: str) -> None:
    schema = of(at={"type": "string", "format": "date-time"})
    pairs = [("output/~zone", name), ("output/at", "2026-12-02T10:00")]
    form = parse_form(schema, pairs, time_zone=BERLIN)
    assert form.output == {"at": "2026-12-02T10:00:00+01:00"}


def test_a_skipped_time__is_refused_in_words() -> None:
    shown = checked(WHEN, [("output/x", "2026-03-29T02:30")])
    assert shown.output == {"x": "2026-03-29T02:30"}
    assert shown.summary == [
        (
            "output-x",
            "X",
            "02:30 does not exist on 2026-03-29: the clocks are set forward. Enter another time.",
        )
    ]


def test_a_repeated_time__is_chosen() -> None:
    ambiguous = ("output/x", "2026-10-25T02:30")
    shown = checked(WHEN, [ambiguous])
    assert shown.summary == [
        (
            "output-x--occurrence",
            "X",
            "02:30 comes twice on 2026-10-25: the clocks are set back. Say which one it is.",
        )
    ]
    assert 'data-field="output/x/~occurrence">' in shown.html
    for chosen, offset in (("first", "+02:00"), ("second", "+01:00")):
        form = checked(WHEN, [ambiguous, ("output/x/~occurrence", chosen)])
        assert form.output == {"x": f"2026-10-25T02:30:00{offset}"}
        assert form.problems == []
    other = checked(WHEN, [("output/x", "2026-10-25T04:30"), ("output/x/~occurrence", "second")])
    assert other.output == {"x": "2026-10-25T04:30:00+01:00"}


ADDRESS = of("street", street={"type": "string"}, country={"type": "string", "default": "DE"})


def test_an_optional_object__is_absent_while_it_is_empty() -> None:
    schema = of(home=ADDRESS)
    new = schema_form(schema)
    assert new.raw == {"output/home/street": [""], "output/home/country": ["DE"]}
    assert (new.output, new.missing) == ({}, [])
    begun = parse_form(schema, [("output/home/street", ""), ("output/home/country", "AT")])
    assert begun.output == {"home": {"country": "AT"}}
    assert begun.missing == [("output-home-street", "Home: Street")]


def test_a_required_object__is_there_while_it_is_empty() -> None:
    new = schema_form(of("home", home=ADDRESS))
    assert new.output == {"home": {"country": "DE"}}
    assert new.missing == [("output-home-street", "Home: Street")]


def test_empty_texts__are_absent_or_null() -> None:
    nullable = {"type": ["string", "null"]}
    schema = of("a", "b", a={"type": "string"}, b=nullable, c={"type": "string"}, d=nullable)
    form = posted(schema, a="", b="", c="", d="")
    assert form.output == {"b": None}
    assert form.missing == [("output-a", "A")]


def test_an_empty_row__keeps_its_place() -> None:
    schema = of("tags", tags={"type": "array", "items": {"type": "string", "maxLength": 3}})
    pairs = [(f"output/tags/{row}/~row", "") for row in range(3)]
    pairs += [("output/tags/0", "a"), ("output/tags/1", ""), ("output/tags/2", "long")]
    shown = checked(schema, pairs)
    assert shown.output == {"tags": ["a", None, "long"]}
    assert shown.missing == [("output-tags-1", "Tags: Item 2")]
    assert [(each.pointer, each.text) for each in shown.problems] == [
        ("/output/tags/1", "Enter an answer."),
        ("/output/tags/2", "Enter at most 3 characters; these are 4."),
    ]


def test_rows__are_numbered_without_gaps() -> None:
    schema = of(rows={"type": "array", "items": of(tags={"type": "array", "items": {}})})
    schema["properties"]["rows"]["items"]["properties"]["tags"]["items"] = {"type": "string"}
    names = ["2/~row", "2/tags/5/~row", "2/tags/9/~row", "7/~row", "7/tags/3/~row"]
    pairs = [(f"output/rows/{name}", "") for name in names]
    pairs += [(f"output/rows/{name}", name) for name in ("2/tags/5", "2/tags/9", "7/tags/3")]
    form = parse_form(schema, pairs)
    assert form.output == {"rows": [{"tags": ["2/tags/5", "2/tags/9"]}, {"tags": ["7/tags/3"]}]}
    assert "output/rows/1/tags/0" in form.raw


CARD = {**of("kind", "digits", kind={"const": "card"}, digits={"minLength": 4}), "title": "Card"}
CARD["properties"]["digits"]["type"] = "string"
CASH = {**of("kind", kind={"const": "cash"}, coins={"type": "integer"}), "title": "Cash"}
PAYMENT = of("payment", payment={"oneOf": [CARD, CASH]})


def test_a_choice__decides_which_fields_are_read() -> None:
    new = schema_form(PAYMENT)
    assert new.missing == [("output-payment--choice", "Payment")]
    pairs = [("output/payment/digits", "12"), ("output/payment/coins", "3")]
    card = parse_form(PAYMENT, [("output/payment/~choice", "0"), *pairs])
    cash = parse_form(PAYMENT, [("output/payment/~choice", "1"), *pairs])
    assert card.output == {"payment": {"kind": "card", "digits": "12"}}
    assert cash.output == {"payment": {"kind": "cash", "coins": 3}}


def entered(form: SchemaForm, number: int) -> str:
    """Return the HTML of an alternative that is not chosen."""
    found = re.search(rf'<template data-alternative="{number}">(.*?)</template>', form.html, re.S)
    assert found is not None
    return found[1]


def test_a_left_alternative__keeps_its_texts_and_decides_nothing() -> None:
    left = [("output/payment/~left/0/digits", '41"1'), ("output/payment/coins", "3")]
    posted = parse_form(PAYMENT, [("output/payment/~choice", "1"), *left])
    assert posted.output == {"payment": {"kind": "cash", "coins": 3}}
    again = schema_form(PAYMENT, form=posted.raw)
    assert 'name="output/payment/digits" type="text" value="41&quot;1"' in entered(again, 0)
    assert [pair for pair in sent(again.html) if "~left" in pair[0]] == left[:1]
    assert again.output == posted.output
    chosen = parse_form(PAYMENT, [("output/payment/~choice", "0"), *left])
    assert chosen.output == {"payment": {"kind": "card"}}
    assert "~left" not in chosen.html


def test_a_left_alternative__keeps_rows_and_what_was_left_within_it() -> None:
    lines = {"type": "array", "items": of(how={"oneOf": [CARD, CASH]})}
    big = {**of("kind", kind={"const": "big"}, lines=lines), "title": "Big"}
    schema = of("order", order={"oneOf": [big, CASH]})
    row = "output/order/~left/0/lines/2"
    pairs = [
        ("output/order/~choice", "1"),
        (f"{row}/~row", ""),
        (f"{row}/how/~choice", "1"),
        (f"{row}/how/coins", "7"),
        (f"{row}/how/~left/0/digits", "4111"),
    ]
    form = parse_form(schema, pairs)
    assert form.output == {"order": {"kind": "cash"}}
    html = form.html
    assert 'name="output/order/lines/0/how/coins" type="text" value="7"' in html
    assert 'name="output/order/lines/0/how/~left/0/digits" value="4111"' in html
    assert 'name="output/order/lines/0/how/digits" type="text" value="4111"' in html


def test_left_alternatives__that_are_too_large_do_not_change_the_form() -> None:
    lines = {"type": "array", "items": {"type": "string"}}
    many = {**of("kind", kind={"const": "many"}, lines=lines), "title": "Many"}
    schema = of("order", order={"oneOf": [many, CASH]})
    for count in (4_000, 6_000):
        pairs = [("output/order/~choice", "1"), ("output/order/coins", "3")]
        pairs += [(f"output/order/~left/0/lines/{number}/~row", "") for number in range(count)]
        form = parse_form(schema, pairs)
        assert form.is_supported
        assert form.output == {"order": {"kind": "cash", "coins": 3}}
        assert 'name="output/order/coins" type="text" value="3"' in form.html
        assert "output/order/lines/0" not in form.html


@pytest.mark.parametrize("name", ["~json", "~choice", "~left", "~left/0", "~row", "~was", "x"])
@pytest.mark.parametrize("number", ["0", "1", "9", "99999", "-1", "x", ""])
def test_hostile_left_alternatives__are_no_error(number: str, name: str) -> None:
    pairs = [("output/payment/~choice", "1"), (f"output/payment/~left/{number}/{name}", "[")]
    form = parse_form(PAYMENT, pairs)
    assert form.output == {"payment": {"kind": "cash"}}
    assert 'name="output/payment/digits"' in entered(form, 0)


def test_a_choice_within_a_choice__is_one_choice() -> None:
    flag = {"title": "Flag", "type": "boolean"}
    several = {"title": "Several", "oneOf": [flag, {"type": ["string", "number", "null"]}]}
    schema = of("value", value={"anyOf": [of(unit={"type": "string"}), several]})
    found = re.findall(r'data-alternative="([0-9]+)"', schema_form(schema).html)
    assert found == ["0", "1", "2", "3"]
    for number, name, text, value in (
        ("0", "output/value/unit", "mm", {"unit": "mm"}),
        ("1", "output/value", "true", True),
        ("2", "output/value", "about 3", "about 3"),
        ("3", "output/value", "3", 3),
    ):
        form = parse_form(schema, [("output/value/~choice", number), (name, text)])
        assert form.output == {"value": value}
    assert parse_form(schema, [("output/value/~choice", "")]).output == {"value": None}


@pytest.mark.parametrize(("value", "text", "changed"), [(3, "4", 4), ("3", "4", "4")])
@pytest.mark.parametrize("kinds", [["string", "number"], ["number", "string"]])
def test_a_value_of_several_types__is_changed_within_its_own(
    kinds: list[str], value: Any, text: str, changed: Any
) -> None:
    schema = of(x={"oneOf": [{"type": kind} for kind in kinds]})
    shown = schema_form(schema, output={"x": value})
    pairs = [(name, each) for name, texts in shown.raw.items() for each in texts]
    assert parse_form(schema, pairs).output == {"x": value}
    pairs = [(name, text if name == "output/x" else each) for name, each in pairs]
    assert parse_form(schema, pairs).output == {"x": changed}


def test_faults_of_a_choice__are_those_of_the_chosen_alternative() -> None:
    shown = checked(PAYMENT, [("output/payment/~choice", "0"), ("output/payment/digits", "12")])
    assert shown.summary == [
        ("output-payment-digits", "Payment: Digits", "Enter at least 4 characters.")
    ]


def test_faults_beside_null__are_those_of_the_schema() -> None:
    schema = of(a={"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}]})
    schema["$defs"] = {"A": of("n", n={"type": "integer", "minimum": 3})}
    shown = checked(schema, [("output/a/n", "1")])
    assert shown.summary == [("output-a-n", "A: N", "Enter 3 or more.")]


@pytest.mark.parametrize(
    ("schema", "text", "sentence"),
    [
        ({"type": "integer", "minimum": 2, "maximum": 5}, "1", "Enter 2 or more."),
        ({"type": "integer", "minimum": 2, "maximum": 5}, "6", "Enter 5 or less."),
        ({"type": "number", "exclusiveMinimum": 0}, "0", "Enter more than 0."),
        ({"type": "number", "multipleOf": 0.5}, "0.3", "Enter a multiple of 0.5."),
        ({"type": "string", "pattern": "^a"}, "b", "This does not have the expected form."),
        ({"type": "string", "format": "date"}, "tomorrow", "Enter a date."),
        (
            {"type": "string", "format": "email"},
            "mara",
            "Enter an e-mail address, such as name@example.com.",
        ),
        ({"enum": ["a", "b"]}, "c", "Choose one of the answers."),
    ],
)
def test_a_fault__is_said_in_words_of_the_worker(schema: Any, text: str, sentence: str) -> None:
    shown = checked(of("x", x=schema), [("output/x", text)])
    assert [(each.pointer, each.text) for each in shown.problems] == [("/output/x", sentence)]
    assert f'id="output-x--error">{sentence}</p>' in shown.html


def test_a_fault_without_a_field__is_shown_at_the_nearest_group() -> None:
    fault = Fault("/output/home/cellar", "unknown_field", "is not allowed by the schema")
    shown = schema_form(of(home=ADDRESS), faults=[fault])
    assert shown.summary == [("output-home", "Home", "/cellar: This field is not expected here.")]


def test_the_editor__lists_faults_with_pointers() -> None:
    schema = {"type": "object", "patternProperties": {"^n": {"type": "integer"}}}
    shown = checked(schema, [("output/~json", '{"n1": "x", "n2": []}')])
    assert not shown.is_supported
    assert [each.text for each in shown.problems] == [
        '/n1: "x" is not of type "integer"',
        '/n2: [] is not of type "integer"',
    ]
    broken = checked(schema, [("output/~json", '{"n1": ')])
    assert broken.output == '{"n1": '
    assert [each.text for each in broken.problems] == ["This is not JSON: line 1, column 8."]
    assert "{&quot;n1&quot;: </textarea>" in broken.html


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a": 1e999}', '{"a": NaN}', '{"a": 123456789012345678901234}']
)
def test_the_editor__refuses_what_would_not_be_stored(text: str) -> None:
    shown = checked({"type": "object"}, [("output/~json", text)])
    assert shown.output == text
    assert len(shown.problems) == 1


def test_a_boolean__has_three_states_where_it_may_be_absent() -> None:
    required = schema_form(of("x", x={"type": "boolean"}))
    assert required.html.count('type="radio"') == 2
    assert required.missing == [("output-x", "X")]
    for schema in (of(x={"type": "boolean"}), of("x", x={"type": ["boolean", "null"]})):
        assert schema_form(schema).html.count('type="radio"') == 3
    assert posted(of("x", x={"type": ["boolean", "null"]}), x="").output == {"x": None}
    assert posted(of(x={"type": "boolean"}), x="false").output == {"x": False}


def test_read_only__is_shown_and_kept() -> None:
    known = {"type": "string", "readOnly": True, "default": "T-1"}
    schema = of("id", id=known, note={"type": "string"})
    for shown in (schema_form(schema), schema_form(schema, output={"id": "T-1"})):
        assert '<p class="form-value">T-1</p>' in shown.html
        assert shown.output == {"id": "T-1"}
        assert shown.missing == []


def test_read_only__without_a_value_is_asked_for_where_it_is_required() -> None:
    schema = of("id", id={"type": "string", "readOnly": True}, seen={"readOnly": True})
    form = schema_form(schema)
    assert form.missing == [("output-id", "Id")]
    assert "<input" in form.html
    assert posted(schema, id="T-1").output == {"id": "T-1"}


@pytest.mark.parametrize(
    ("schema", "element"),
    [
        ({"type": "string", "maxLength": 200}, "<input"),
        ({"type": "string", "maxLength": 201}, "<textarea"),
        ({"type": "string", "format": "multiline"}, "<textarea"),
        ({"type": "string", "contentMediaType": "text/plain"}, "<textarea"),
        ({"type": "string", "format": "email"}, 'inputmode="email"'),
        ({"type": "string", "format": "uri"}, 'inputmode="url"'),
        ({"type": "integer", "minimum": 0}, 'inputmode="numeric"'),
        ({"type": "number", "minimum": 0.5}, 'inputmode="decimal"'),
        ({"type": "string", "format": "date"}, 'type="date"'),
        ({"enum": [*"abcde"]}, 'type="radio"'),
        ({"enum": [*"abcdef"]}, "<select"),
        ({"type": "array", "items": {"enum": [*"abc"]}}, 'type="checkbox"'),
    ],
)
def test_a_schema__decides_the_element(schema: Any, element: str) -> None:
    assert element in schema_form(of("x", x=schema)).html


def test_a_text_that_is_the_whole_output__has_several_lines() -> None:
    form = schema_form({"type": "string", "title": "Your answer"}, output="a\nb")
    assert form.field_ids == {"/output": "output"}
    assert '<label for="output">Your answer</label>' in form.html
    assert "a\nb</textarea>" in form.html


def test_a_number_that_may_be_negative__has_no_keyboard_of_digits() -> None:
    assert "inputmode" not in schema_form(INTEGER).html


def test_names__are_labels_in_words() -> None:
    schema = of(reached_user={}, reachedUser={}, **{"": {}, "URL": {}, "x": {"title": "Own"}})
    for part in schema["properties"].values():
        part["type"] = "string"
    html = schema_form(schema).html
    for label in ("Reached user", "URL", "\N{EN DASH}", "Own"):
        assert f">{label} <span" in html
    assert html.count(">Reached user <span") == 2


def test_html_in_a_schema__is_text() -> None:
    evil = '"><script>alert(1)</script>\u202e'
    schema = of(
        **{evil: {"title": evil, "description": evil, "type": "string", "examples": [evil]}},
        pick={"enum": [evil, "b"], "title": evil},
        many={"type": "array", "title": evil, "items": {"title": evil, "enum": [evil, evil + "2"]}},
        rows={"type": "array", "title": evil, "items": of(a={"type": "string", "title": evil})},
        one={"title": evil, "oneOf": [{**CARD, "title": evil}, CASH]},
        raw={"title": evil, "description": evil},
        shown={"readOnly": True, "type": "string", "default": evil},
    )
    fault = Fault("/output/raw", "pattern", evil)
    html = schema_form(schema, faults=[fault]).html
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def _deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _level in range(levels):
        schema = of("a", a=schema)
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        of(**{f"p{number}": {"type": "string"} for number in range(10_000)}),
        of(x={"enum": [*range(5_000)]}),
        of(x={"type": "array", "items": {"enum": [*range(5_000)]}}),
        of(**{f"p{n}": {"enum": [*range(100)]} for n in range(100)}),
        {"$ref": "#/$defs/missing"},
        {"type": "object", "properties": 5},
        {"type": "object", "properties": {"a": {"type": 7}}, "required": 3},
        {"allOf": [{"type": "string"}, {"type": "integer"}]},
        {"type": []},
        {"enum": []},
        {"anyOf": []},
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
    ],
)
def test_a_hostile_schema__has_an_editor(schema: Any) -> None:
    form = schema_form(schema, output={"a": 1})
    assert form.output == {"a": 1}
    assert "/~json" in form.html
    assert len(form.html) < 10_000
    assert parse_form(schema, [("output/~json", '{"a": 2}')]).output == {"a": 2}


def test_a_deep_schema__has_an_editor_at_its_depth() -> None:
    form = schema_form(_deep(60))
    assert form.is_supported
    assert form.html.count("/~json") == 1


def test_references_that_fan_out__have_an_editor() -> None:
    steps = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(30)}
    schema = {"$ref": "#/$defs/a0", "$defs": {**steps, "a30": {"type": "string"}}}
    assert not schema_form(schema).is_supported


@pytest.mark.parametrize("title", [5, None, ["a"], {"b": 1}, "", " ", "x" * 10_000])
def test_a_title_of_any_kind__is_harmless(title: Any) -> None:
    form = schema_form({**of(x={"type": "string", "title": title}), "title": title})
    assert form.is_supported
    assert len(form.html) < 3_000


def test_many_rows_of_long_menus__have_an_editor() -> None:
    item = of(country={"enum": [f"country {n}" for n in range(250)]})
    schema = of(rows={"type": "array", "items": item})
    value = {"rows": [{"country": "country 7"}] * 40}
    form = schema_form(schema, output=value)
    assert not form.is_supported
    assert form.output == value


def test_a_large_value__is_shown_at_once() -> None:
    schema = of(rows={"type": "array", "items": {"type": "integer"}})
    value = {"rows": [*range(100_000)]}
    start = time.process_time()
    form = schema_form(schema, output=value)
    assert (form.is_supported, form.output) == (False, value)
    assert time.process_time() - start < 2


def test_many_lists_with_gaps__are_read_at_once() -> None:
    pairs = [(f"output/a{number}/5/~row", "") for number in range(5_000)]
    start = time.process_time()
    assert parse_form(of(a0={"type": "array", "items": {"type": "string"}}), pairs).output == {
        "a0": [None]
    }
    assert time.process_time() - start < 2


def test_a_broken_text__is_a_fault_where_the_schema_allows_any_text() -> None:
    form = parse_form(of(x={}), [("output/x/~json", "{")])
    assert output_faults(form.output, of(x={}), "json") == []
    assert [(fault.pointer, fault.code) for fault in form.faults] == [
        ("/output/x", "malformed_json")
    ]


@pytest.mark.parametrize(
    "pairs",
    [
        [("output/rows/99999999999999999999/~row", "")],
        [("output/rows/999999/~row", ""), ("output/rows/0/~row", "")],
        [("output/x", "\ud800\x00")],
        [("output", "x"), ("outputs", "y"), ("", "z"), ("output/a/../b", "x")],
        [("output/~was", "["), ("output/~choice", "9" * 5_000), ("output/x/~was", "[1")],
    ],
)
def test_hostile_pairs__are_no_error(pairs: Any) -> None:
    schema = of(x={"type": "string"}, rows={"type": "array", "items": of(a={"type": "string"})})
    form = parse_form(schema, pairs)
    assert form.html.encode()
    assert isinstance(form.output, dict)


def test_texts__are_translated_when_shown() -> None:
    schema = of(x={"type": "boolean"})
    for language, text in (("en", "Yes"), ("de", "Ja"), ("fr", "Oui")):
        with translation.override(language):
            assert f"<span>{text}</span>" in schema_form(schema).html


def test_without_a_schema__there_is_the_editor() -> None:
    form = schema_form(None, output=[1, "x"])
    assert (form.is_supported, form.output) == (False, [1, "x"])
    assert schema_form(None).missing == [("output--json", "Result")]


def test_the_documentation__lists_the_keywords() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "forms.md").read_text()
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.+) \|$", page, re.MULTILINE))
    mend = "Mend: copy the rows of apps/ui/schema_forms/keywords.py to docs/forms.md."
    assert rows == KEYWORDS, mend
    assert ", ".join(f"`{name}`" for name in EDITOR_ONLY) in page, mend


@pytest.mark.parametrize("keyword", EDITOR_ONLY)
def test_keywords_of_the_editor__have_one(keyword: str) -> None:
    schema = {**of(a={"type": "string"}), keyword: {}}
    assert not schema_form(schema).is_supported


EXAMPLES: dict[str, Any] = {
    "$ref": "#/$defs/a",
    "$defs": {"a": {"properties": {"b": {"type": "string"}}}},
    "definitions": {},
    "additionalProperties": False,
    "unevaluatedProperties": False,
    "allOf": [{"properties": {"c": {"type": "string"}}}],
    "anyOf": [{"required": ["a"]}],
    "oneOf": [{"required": ["a"]}],
    "if": {"required": ["a"]},
    "then": {"required": ["a"]},
    "else": {"required": ["a"]},
    "not": {"required": ["a"]},
    "minProperties": 1,
    "maxProperties": 3,
    "dependentRequired": {},
}
"""Values of keywords beside `properties`; the others are tried in `tests/data/forms/`."""


@pytest.mark.parametrize("keyword", EXAMPLES)
def test_keywords_of_forms__have_fields(keyword: str) -> None:
    schema = {**of(a={"type": "string"}), "$defs": EXAMPLES["$defs"], keyword: EXAMPLES[keyword]}
    assert schema_form(schema).is_supported


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_keywords_of_forms__are_tried(keyword: str) -> None:
    folder = Path(__file__).resolve().parents[1] / "data" / "forms"
    texts = [path.read_text() for path in folder.glob("*.json")]
    assert keyword in EXAMPLES or any(f'"{keyword}":' in text for text in texts)


@pytest.mark.parametrize("text", ['"\\ud800"', '["a", {"\\uDFff": 1}]', '"\\ude00\\ud83d"'])
def test_half_of_a_surrogate_pair__is_a_fault(text: str) -> None:
    form = parse_form(of(x={}), [("output/x/~json", text)])
    assert [(fault.pointer, fault.code) for fault in form.faults] == [
        ("/output/x", "malformed_json")
    ]
    assert form.output == {"x": text}


def test_both_halves_of_a_surrogate_pair__are_a_character() -> None:
    form = parse_form(of(x={}), [("output/x/~json", '"\\ud83d\\ude00 \\\\ud800"')])
    assert (form.output, form.faults) == ({"x": "\U0001f600 \\ud800"}, [])


def test_form_with_too_many_texts__is_the_json_editor() -> None:
    rows = {f"output/x/{number}/~row": [""] for number in range(30_000)}
    start = time.process_time()
    form = schema_form(of(x={"type": "array", "items": {"type": "string"}}), form=rows)
    assert not form.is_supported
    assert time.process_time() - start < 0.5
