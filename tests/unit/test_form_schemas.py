"""Test the forms of many output schemas: what a browser sends back is what was filled in."""

import json
from pathlib import Path
from typing import Any

import pytest

from apps.tasks.outputs import output_faults
from apps.tasks.schemas.checks import schema_faults
from apps.ui.schema_forms import parse_form, schema_form
from apps.ui.schema_forms.schema import same
from tests.unit.html_forms import faults_of, sent

FOLDER = Path(__file__).resolve().parents[1] / "data" / "forms"
FILES = sorted(FOLDER.glob("*.json"))
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns")


def document(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_schemas__are_at_least_sixty() -> None:
    assert len(FILES) >= 60


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_schema__is_one_that_a_contract_may_have(path: Path) -> None:
    each = document(path)
    assert [*schema_faults({"output": {"schema": each["schema"]}})] == []
    for value in each["values"]:
        assert output_faults(value, each["schema"], "json") == []


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_form__sends_back_what_it_shows(path: Path, zone: str) -> None:
    each = document(path)
    schema = each["schema"]
    for value in each["values"]:
        shown = schema_form(schema, output=value, time_zone=zone)
        assert same(shown.output, value)
        assert faults_of(shown.html) == []
        # A list of checkboxes is sent in the order of the schema.
        posted = parse_form(schema, sent(shown.html), time_zone=zone)
        assert same(_sorted(posted.output), _sorted(value))
        assert output_faults(posted.output, schema, "json") == []
        assert posted.problems_for([]) == []
        stored = schema_form(schema, form=posted.raw, output={"ignored": 1}, time_zone=zone)
        assert stored.raw == posted.raw
        assert same(stored.output, posted.output)


def _sorted(value: Any) -> Any:
    """Return a value whose lists of texts are in order."""
    if isinstance(value, dict):
        return {key: _sorted(part) for key, part in value.items()}
    if isinstance(value, list):
        parts = [_sorted(part) for part in value]
        return sorted(parts) if all(isinstance(part, str) for part in parts) else parts
    return value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_new_form__is_whole(path: Path) -> None:
    each = document(path)
    form = schema_form(each["schema"])
    assert form.is_supported is (each["form"] == "fields")
    assert faults_of(form.html) == []
    ids = _ids(form.html)
    assert {*form.field_ids.values()} <= ids
    assert {element for element, _label in form.missing} <= ids
    posted = parse_form(each["schema"], sent(form.html))
    assert same(posted.output, form.output)
    # Each fault has a field or a group to be shown at.
    faults = output_faults(form.output, each["schema"], "json")
    shown = schema_form(each["schema"], form=posted.raw, faults=faults)
    assert len(shown.summary) >= min(len(faults), 1)
    assert {element for element, _label, _text in shown.summary} <= ids
    assert faults_of(shown.html) == []


def _ids(html: str) -> set[str]:
    from tests.unit.html_forms import parsed

    return {each.attributes["id"] for each in parsed(html).all() if "id" in each.attributes}


def test_most_schemas__have_fields() -> None:
    forms = [document(path)["form"] for path in FILES]
    assert forms.count("fields") >= 60
