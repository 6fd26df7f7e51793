"""Test `output.schema`: the shorthand, JSON Schema 2020-12, and invalid documents."""

from typing import Any

import pytest

from tests.api.expect import expect_unchanged, faults
from tests.factories import House, contract


def depth_of(levels: int) -> dict[str, Any]:
    """Return a schema of `levels` nested objects."""
    schema: dict[str, Any] = {}
    for _ in range(levels - 1):
        schema = {"not": schema}
    return schema


GOOD_SCHEMAS: list[dict[str, Any]] = [
    {kind: kind for kind in ("boolean", "string", "number", "integer", "array", "object")},
    {"called_at": "date-time"},
    {"title": "string", "description": "string", "type": "string"},
    {"type": "object"},
    {"type": "string"},
    {"type": "string", "minLength": 1},
    {"type": "string", "pattern": "^[a-z]+$"},
    {"type": "string", "description": "What the owner said"},
    {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "array"},
    {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/a"}},
        "$defs": {"a": {"type": "null"}},
    },
    {"type": "object", "properties": {"a": {"$ref": "#"}}},
    {"type": "object", "properties": {"$ref": {"type": "string"}}},
    {"oneOf": [{"type": "string"}, {"type": "number"}]},
    depth_of(128),
]


@pytest.mark.parametrize("schema", GOOD_SCHEMAS)
def test_create__schema_is_accepted_and_returned_as_sent(
    house: House, schema: dict[str, Any]
) -> None:
    answer = house.alice.post("/v1/tasks", contract(output={"schema": schema}))
    assert answer.status_code == 201, answer.content
    assert house.alice.get(answer["Location"]).json()["output_contract"]["schema"] == schema


BAD_SCHEMAS: list[dict[str, Any]] = [
    {"reached_user": "bool"},
    {"reached_user": ""},
    {"type": "object", "properties": {"a": {"type": "strin"}}},
    {"type": "object", "properties": {"a": "string"}},
    {"type": "object", "required": "a"},
    {"type": 5},
    {"type": "string", "minLength": -1},
    {"type": "string", "minLength": "1"},
    {"type": "object", "properties": {"a": {"type": "string", "pattern": "("}}},
    {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"},
    {"$ref": "https://example.com/schema.json"},
    {"$ref": "file:///etc/passwd"},
    {"type": "object", "properties": {"a": {"$ref": "other.json"}}},
    {"$id": "https://example.com/", "properties": {"a": {"$ref": "other.json"}}},
    {"$id": "https://example.com/", "properties": {"a": {"$dynamicRef": "other.json#a"}}},
    {"properties": {"a": {"$ref": "#/$defs/missing"}}},
    depth_of(129),
]


@pytest.mark.parametrize("schema", BAD_SCHEMAS)
def test_create__schema_refused_with_a_pointer(house: House, schema: dict[str, Any]) -> None:
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", contract(output={"schema": schema}))
    found = faults(answer)
    assert found
    assert all(pointer.startswith("/output/schema") for pointer in found)


@pytest.mark.parametrize("expected_format", ["text", "file"])
def test_create__schema_is_not_needed_for_other_formats(house: House, expected_format: str) -> None:
    output = {"expected_format": expected_format}
    assert house.alice.post("/v1/tasks", contract(output=output)).status_code == 201
