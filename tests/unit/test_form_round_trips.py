"""Test with generated schemas: a form means the value that it was made from."""

import json
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from apps.ui.schema_forms import parse_form, schema_form
from apps.ui.schema_forms.schema import same
from tests.unit.form_strategies import examples, json_values
from tests.unit.html_forms import faults_of, sent

ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "No/Where"])


def bounded(count: int) -> Any:
    return profile(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


@bounded(100)
@given(example=examples(), zone=ZONES)
def test_a_form__means_the_value_that_it_was_made_from(example: Any, zone: str) -> None:
    schema, value = example
    shown = schema_form(schema, output=value, time_zone=zone)
    assert same(shown.output, value)
    pairs = [(name, text) for name, texts in shown.raw.items() for text in texts]
    assert same(parse_form(schema, pairs, time_zone=zone).output, value)


@bounded(50)
@given(example=examples(), zone=ZONES)
def test_a_browser__sends_the_value_that_is_shown(example: Any, zone: str) -> None:
    schema, value = example
    shown = schema_form(schema, output=value, time_zone=zone)
    assert faults_of(shown.html) == []
    posted = parse_form(schema, sent(shown.html), time_zone=zone)
    assert same(_sets(posted.output), _sets(value))


def _sets(value: Any) -> Any:
    """Return a value whose lists are in order: checkboxes have that of the schema."""
    if isinstance(value, dict):
        return {name: _sets(part) for name, part in value.items()}
    if isinstance(value, list):
        return sorted(map(_sets, value), key=lambda part: json.dumps(part, sort_keys=True))
    return value


@bounded(50)
@given(example=examples(), value=json_values)
def test_any_value__can_be_shown_for_any_schema(example: Any, value: Any) -> None:
    shown = schema_form(example[0], output=value)
    assert value is None or same(shown.output, value)
    assert faults_of(shown.html) == []


@bounded(50)
@given(schema=json_values.filter(lambda value: isinstance(value, dict)), value=json_values)
def test_any_document__is_a_schema_without_an_exception(schema: Any, value: Any) -> None:
    shown = schema_form(schema, output=value)
    assert value is None or same(shown.output, value)
    assert faults_of(shown.html) == []


@bounded(50)
@given(
    example=examples(),
    pairs=st.lists(
        st.tuples(
            st.lists(
                st.sampled_from(["a", "0", "1", "7", "-", "a~1b", "~row", "~json", "~was", "~left"])
            ).map(lambda parts: "/".join(["output", *parts])),
            st.text(max_size=5),
        ),
        max_size=8,
    ),
)
def test_any_pairs__can_be_posted(example: Any, pairs: Any) -> None:
    posted = parse_form(example[0], pairs)
    assert faults_of(posted.html) == []
    assert same(schema_form(example[0], form=posted.raw).output, posted.output)
