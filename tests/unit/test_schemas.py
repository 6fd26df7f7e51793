"""Test `output.schema`: both notations, and the limits of cost."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import psutil
import pytest

from apps.tasks.outputs import output_faults
from apps.tasks.schemas import limited
from apps.tasks.schemas.checks import schema_faults
from apps.tasks.schemas.notation import is_flat_map
from biolayer.errors import Fault, Unavailable


def faults(schema: Any) -> list[tuple[str, str]]:
    found = schema_faults({"output": {"schema": schema}})
    return [(fault.pointer, fault.code) for fault in found]


def fan_out(steps: int) -> dict[str, Any]:
    """Return a schema whose references double at each step."""
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
        ({"$ref": "#/$defs/none"}, [("/output/schema/$ref", "unknown_reference")]),
        ({"$ref": "#none"}, [("/output/schema/$ref", "unknown_reference")]),
        ({"$ref": "#"}, [("/output/schema", "too_complex")]),
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
        {
            "anyOf": [
                {"type": ["string", "number", "boolean", "null"]},
                {"type": "array", "items": {"$ref": "#"}},
                {"type": "object", "additionalProperties": {"$ref": "#"}},
            ]
        },
        {"oneOf": [{"properties": {key: {"$ref": "#"}}, "required": [key]} for key in "abcdefgh"]},
    ],
    ids=["a list of itself", "a tree", "some fan-out", "wide", "any JSON", "a grammar"],
)
def test_schema_faults__none_for_common_schemas(schema: Any) -> None:
    assert faults(schema) == []


def test_schema_faults__too_deep() -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(64):
        deep = {"type": "object", "properties": {"a": deep}}
    assert [code for _, code in faults(deep)] == ["too_deep"]
    assert faults(deep["properties"]["a"]) == []


@pytest.mark.parametrize(
    "schema",
    [
        {"const": {"$ref": "x.json"}},
        {"enum": [{"$ref": "http://a/"}, {"$schema": "x", "$id": 5}]},
        {"type": "object", "default": {"$ref": "x"}, "examples": [{"$dynamicRef": "y"}]},
        {"properties": {"$ref": {"type": "string"}, "const": {"type": "number"}}},
        {"$ref": "https://example.com/item", "$defs": {"a": {"$id": "https://example.com/item"}}},
        {
            "$id": "https://example.com/root",
            "$ref": "item#x",
            "$defs": {"a": {"$id": "/item", "$defs": {"b": {"$anchor": "x", "type": "string"}}}},
        },
        {"$ref": "#/$defs/a%20b~1c", "$defs": {"a b/c": {"type": "string"}}},
        {
            "$ref": "urn:uuid:deadbeef-1234-0000-0000-4321feebdaed#x",
            "$defs": {
                "a": {"$id": "urn:uuid:deadbeef-1234-0000-0000-4321feebdaed", "$anchor": "x"}
            },
        },
        {"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {}}},
        {"$schema": "https://json-schema.org/draft/2020-12/schema#", "type": "object"},
    ],
)
def test_schema_faults__none_for_data_and_for_references_inside(schema: Any) -> None:
    assert faults(schema) == []


# Patterns of this kind are checked in a separate process.
LIMITED = {"type": "array", "items": {"type": "string", "pattern": "^(?=.*[0-9])[a-z0-9]+$"}}


def test_output_faults__by_the_process_with_limits() -> None:
    assert output_faults(["a1", "b2"], LIMITED, "structured_json") == []
    found = output_faults(["a1", "b", 5], LIMITED, "structured_json")
    assert [(fault.pointer, fault.code) for fault in found] == [
        ("/output/1", "pattern"),
        ("/output/2", "wrong_type"),
    ]


def faults_in_time(output: Any, schema: Any) -> list[Fault]:
    """Return the faults of an output; on a busy machine send it again, as callers do."""
    ends = time.monotonic() + 60
    while True:
        try:
            return output_faults(output, schema, "structured_json")
        except Unavailable:
            if time.monotonic() > ends:
                raise


def test_output_faults__by_several_threads_while_checks_reach_their_limit() -> None:
    dear = {"items": {"allOf": [{"multipleOf": 1e-300}] * 1_200}}
    numbers = [1e300] * 9_000
    calls = [(["a1"], LIMITED), (numbers, dear), (["b"], LIMITED)] * 3
    with ThreadPoolExecutor(6) as threads:
        found = list(threads.map(lambda call: faults_in_time(*call), calls))
    codes = [[fault.code for fault in faults] for faults in found]
    assert codes == [[], ["too_complex"], ["pattern"]] * 3


def test_output_faults__name_the_first_where_all_would_take_too_long() -> None:
    schema = {"items": {"enum": [f"{n:x}" for n in range(4_500)]}}
    found = output_faults(["zz"] * 13_000, schema, "structured_json")
    assert [(fault.pointer, fault.code) for fault in found] == [("/output/0", "enum")]
    assert len(found[0].detail) <= 300


# RFC 6901: a name may be empty or contain a slash.
@pytest.mark.parametrize(
    ("schema", "output", "expected"),
    [
        ({"required": ["a"], "allOf": [{"required": ["a"]}]}, {}, [("/output/a", "required")]),
        ({"required": [""]}, {}, [("/output/", "required")]),
        ({"properties": {"": {"type": "string"}}}, {"": 1}, [("/output/", "wrong_type")]),
        (
            {"properties": {"": {"properties": {"a/b": {"type": "string"}}}}},
            {"": {"a/b": 1}},
            [("/output//a~1b", "wrong_type")],
        ),
        ({"properties": {"~": {"type": "string"}}}, {"~": 1}, [("/output/~0", "wrong_type")]),
        ({"items": {"required": ["a"]}}, [{}, {"a": 1}], [("/output/0/a", "required")]),
        (
            {"additionalProperties": False},
            {"a": 1, "": 2},
            [("/output/a", "unknown_field"), ("/output/", "unknown_field")],
        ),
        ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {}, [("/output", "any_of")]),
        ({"": "string", "a": "number"}, {}, [("/output/", "required"), ("/output/a", "required")]),
    ],
)
def test_output_faults__each_once_at_its_pointer(
    schema: Any, output: Any, expected: list[tuple[str, str]]
) -> None:
    found = output_faults(output, schema, "structured_json")
    assert sorted((fault.pointer, fault.code) for fault in found) == sorted(expected)


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
    for _ in range(65):
        deep = [deep]
    assert [fault.code for fault in output_faults(deep, {"type": "array"}, "structured_json")] == [
        "too_deep"
    ]


# --- what a review tried --------------------------------------------------------------------------


def doubling(steps: int) -> dict[str, Any]:
    """Return definitions that double at each step; `a0` is the first."""
    made: dict[str, Any] = {
        f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}, {"$ref": f"#/$defs/a{n + 1}"}]}
        for n in range(steps)
    }
    return made | {f"a{steps}": {"type": "string"}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {"dependencies": {"a": {"$ref": "#/$defs/a0"}}, "$defs": doubling(20)},
            [("/output/schema", "too_complex")],
        ),
        (
            {
                "$ref": "#/definitions/a0",
                "definitions": {"a0": {"$ref": "#/$defs/a0"}},
                "$defs": doubling(20),
            },
            [("/output/schema", "too_complex")],
        ),
        (
            {
                "$ref": "#x",
                "$defs": {"p": {"$anchor": "x"}, "q": {"$anchor": "x", "type": "string"}},
            },
            [("/output/schema/$defs/p/$anchor", "invalid_schema")],
        ),
        (
            {"$defs": {"p": {"$id": "http://x/a"}, "q": {"$id": "http://x/b/../a"}}},
            [("/output/schema/$defs/p/$id", "invalid_schema")],
        ),
    ],
)
def test_schema_faults__of_names_and_old_keywords(
    schema: Any, expected: list[tuple[str, str]]
) -> None:
    assert faults(schema) == expected


NODE = {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in ("text", "para", "quote")]}


def branch(name: str) -> dict[str, Any]:
    children = {"type": "array", "items": NODE}
    return {
        "type": "object",
        "properties": {"kind": {"const": name}, "children": children},
        "required": ["kind"],
    }


@pytest.mark.parametrize(
    "schema",
    [
        {**NODE, "$defs": {name: branch(name) for name in ("text", "para", "quote")}},
        {
            "$ref": "#/$defs/T",
            "$defs": {
                "T": {"$ref": "#/$defs/K", "unevaluatedProperties": False},
                "K": {"properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/T"}}}},
            },
        },
        {"properties": {"a": {"$ref": "#item"}}, "definitions": {"x": {"$anchor": "item"}}},
        {"$ref": "https://e.x/a", "$defs": {"a": {"$id": "https://E.x/b/../a"}}},
        {"type": "string", "pattern": r"^\p{L}{1,64}$"},
        {
            "type": "object",
            "properties": {"n": {"$ref": "#"}} | {f"f{n}": {} for n in range(1_500)},
        },
    ],
    ids=["a union that recurses", "unevaluated", "definitions", "normalised", "letters", "wide"],
)
def test_schema_faults__none_for_generated_schemas(schema: Any) -> None:
    assert faults(schema) == []


def test_output_faults__of_a_union_that_recurses() -> None:
    schema = {**NODE, "$defs": {name: branch(name) for name in ("text", "para", "quote")}}
    document: Any = {"kind": "text"}
    for number in range(20):
        document = {"kind": ("para", "quote")[number % 2], "children": [document, {"kind": "text"}]}
    assert output_faults(document, schema, "structured_json") == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("^(a|a?+)+$c", "a" * 14), (r"(?:1|0.)" + ".?" * 200 + "x", "01" * 30_000)],
)
def test_output_faults__of_patterns_that_seem_plain(pattern: str, text: str) -> None:
    """End expensive checks in the limited process, not in the web process."""
    schema = {"type": "array", "items": {"allOf": [{"not": {"pattern": pattern}}] * 10}}
    began = time.process_time()
    output_faults([text] * (64_000 // len(text)), schema, "structured_json")
    assert time.process_time() - began < 1


def test_limited__leaves_no_process_behind() -> None:
    for number in range(6):
        broken = {"type": "string", "title": f"{number} ", "pattern": "(?=a)["}
        assert [code for _, code in faults(broken)] == ["invalid_schema"]
    assert len(checking_processes()) <= 2


def checking_processes() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "apps.tasks.schemas.process" in child.cmdline()
    ]


def test_limited__does_not_wait_forever_for_a_stalled_process() -> None:
    more_than_a_pipe_holds = "a" * 1_000_000
    limited.check({"type": "string"}, "a")
    for child in checking_processes():
        child.suspend()
    with pytest.raises(limited.LimitReached):
        limited.check({"type": "string"}, more_than_a_pipe_holds)
    for child in checking_processes():
        child.kill()
    assert limited.check({"type": "string"}, more_than_a_pipe_holds) == []


def test_limited__with_many_open_files() -> None:
    for child in checking_processes():
        child.kill()
        child.wait()
    with ExitStack() as files:
        while files.enter_context(open(os.devnull)).fileno() < 1100:
            pass
        assert limited.check({"type": "string"}, "a") == []


@pytest.mark.parametrize(
    ("output", "place"),
    [({"": {"a": None}}, "/output//a"), ({"a": 1, "": {"a": 1}}, "/output//a")],
)
def test_output_faults__of_properties_without_a_name(output: Any, place: str) -> None:
    schema = {"properties": {"": {"properties": {"a": {"type": "string"}}}}}
    assert [fault.pointer for fault in output_faults(output, schema, "structured_json")] == [place]
