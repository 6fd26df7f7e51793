"""`output.schema`: two notations, one meaning; and no schema that costs more than it is worth."""

import time
from typing import Any

import pytest

from apps.tasks.outputs import output_faults
from apps.tasks.schemas import is_flat_map, schema_faults


def faults(schema: Any) -> list[tuple[str, str]]:
    found = schema_faults({"output": {"schema": schema}})
    return [(fault.pointer, fault.code) for fault in found]


def fan_out(steps: int) -> dict[str, Any]:
    """References that double at each step."""
    definitions: dict[str, Any] = {
        f"a{step}": {"allOf": [{"$ref": f"#/$defs/a{step + 1}"}] * 2} for step in range(steps)
    }
    definitions[f"a{steps}"] = {"type": "string"}
    return {"$ref": "#/$defs/a0", "$defs": definitions}


@pytest.mark.parametrize(
    ("schema", "is_flat"),
    [
        ({"reached_user": "boolean", "notes": "string"}, True),
        ({"type": "string", "notes": "string"}, True),
        ({"seen_at": "date-time"}, True),
        ({"type": "object"}, False),
        ({"type": "string"}, False),
        ({"type": "object", "title": "A report"}, False),
        ({"type": "object", "title": "string"}, False),
        ({"type": "string", "title": "string"}, True),
        ({"type": "string", "notes": "strin"}, True),
        ({"type": "string", "format": "date-time"}, False),
        ({"type": "string", "pattern": "^a"}, False),
        ({"type": "string", "description": "What was seen"}, False),
        ({"properties": {"a": {}}}, False),
        ({"$ref": "#"}, False),
    ],
)
def test_is_flat_map(schema: dict[str, Any], is_flat: bool) -> None:
    assert is_flat_map(schema) is is_flat


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, [("/output/schema", "empty_schema")]),
        ({"a": "strin"}, [("/output/schema/a", "unknown_type")]),
        ({"type": "object", "properties": 5}, [("/output/schema/properties", "invalid_schema")]),
        (
            {"type": "object", "minProperties": -1},
            [("/output/schema/minProperties", "invalid_schema")],
        ),
        ({"$ref": "https://evil.example/s"}, [("/output/schema/$ref", "outside_reference")]),
        ({"$ref": "#/$defs/none"}, [("/output/schema", "invalid_schema")]),
        (
            {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"},
            [("/output/schema/$schema", "unknown_dialect")],
        ),
        (fan_out(20), [("/output/schema", "too_complex")]),
        (
            {
                "type": "object",
                "allOf": [
                    {"properties": {"next": {"$ref": "#"}}},
                    {"properties": {"next": {"$ref": "#"}}},
                ],
            },
            [("/output/schema", "too_complex")],
        ),
    ],
)
def test_schema_faults__names_place_and_reason(
    schema: Any, expected: list[tuple[str, str]]
) -> None:
    began = time.monotonic()
    assert faults(schema) == expected
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}},
        {
            "type": "object",
            "properties": {
                "left": {"$ref": "#"},
                "right": {"$ref": "#"},
                "value": {"type": "number"},
            },
        },
        fan_out(8),
        {"type": "object", "properties": {f"field_{n}": {"type": "string"} for n in range(500)}},
    ],
    ids=["a list of itself", "a tree", "some fan-out", "wide"],
)
def test_schema_faults__none_for_what_people_write(schema: Any) -> None:
    assert faults(schema) == []


def test_schema_faults__too_deep() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(4):
        deep = {"type": "object", "properties": {"a": deep}}
    assert [code for _, code in faults(deep)] == ["too_deep"]
    assert faults(deep["properties"]["a"]) == []


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({"reached_user": True, "notes": "ok"}, []),
        ({"reached_user": True}, [("/output/notes", "required")]),
        (
            {"reached_user": "yes", "notes": 1},
            [("/output/notes", "wrong_type"), ("/output/reached_user", "wrong_type")],
        ),
        ({"reached_user": True, "notes": "", "x": 1}, [("/output/x", "unknown_field")]),
        ([], [("/output", "wrong_type")]),
        (None, [("/output", "wrong_type")]),
    ],
)
def test_output_faults__point_into_the_output(output: Any, expected: list[tuple[str, str]]) -> None:
    found = output_faults(output, {"reached_user": "boolean", "notes": "string"}, "structured_json")
    assert sorted((fault.pointer, fault.code) for fault in found) == expected


def test_output_faults__text_must_say_something() -> None:
    assert output_faults("Seen.", None, "text") == []
    assert [fault.code for fault in output_faults(" ", None, "text")] == ["wrong_type"]


def test_output_faults__too_deep() -> None:
    deep: Any = 1
    for _ in range(17):
        deep = [deep]
    assert [fault.code for fault in output_faults(deep, {"type": "array"}, "structured_json")] == [
        "too_deep"
    ]
