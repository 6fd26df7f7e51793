"""Test submissions: validated by the contract, visible when verified."""

from typing import Any

import pytest

from apps.reviews.services import verify_submitted
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.api.steps import PDF, act, load, statuses, upload
from tests.factories import OUTPUT, House


def test_submit__output_waits_for_verification(house: House) -> None:
    run = house.started()
    answer = act(house.bob, run, "submit", output=OUTPUT)
    assert answer.status_code == 200
    assert statuses(run.task_id) == ("submitted", "completed")
    assert load(house.bobs_worker) == 0
    assert house.alice.get(f"/v1/tasks/{run.task_id}").json()["output"] is None
    assert verify_submitted() == 1
    shown = house.alice.get(f"/v1/tasks/{run.task_id}").json()
    assert (shown["status"], shown["output"]) == ("completed", OUTPUT)


OUTPUTS: list[tuple[Any, set[str]]] = [
    ({**OUTPUT, "reached_user": "yes"}, {"/output/reached_user"}),
    ({**OUTPUT, "reached_user": "yes", "notes": 5}, {"/output/reached_user", "/output/notes"}),
    ("a text", {"/output"}),
    (None, {"/output"}),
    ([], {"/output"}),
]


@pytest.mark.parametrize(("output", "pointers"), OUTPUTS)
def test_submit__faults_point_into_the_output(
    house: House, output: Any, pointers: set[str]
) -> None:
    run = house.started()
    with expect_unchanged():
        answer = act(house.bob, run, "submit", output=output)
    assert set(faults(answer)) == pointers


@pytest.mark.parametrize(
    "output", [{}, {"reached_user": True}, {**OUTPUT, "more": 1}, {**OUTPUT, "a": 1, "b": 2}]
)
def test_submit__missing_and_surplus_fields(house: House, output: Any) -> None:
    run = house.started()
    with expect_unchanged():
        body = expect_problem(act(house.bob, run, "submit", output=output), 422, "invalid_input")
    assert all(fault["pointer"].startswith("/output") for fault in body["errors"])
    errors = str(body["errors"])
    assert all(name in errors for name in set(output) ^ set(OUTPUT))


def test_submit__can_be_repeated_after_a_refusal(house: House) -> None:
    run = house.started()
    assert act(house.bob, run, "submit", output={}).status_code == 422
    assert act(house.bob, run, "submit", output=OUTPUT).status_code == 200


KINDS: list[tuple[str, Any, list[Any]]] = [
    ("boolean", False, [0, "true", None]),
    ("string", "", [5, None, True]),
    ("number", 1.5, ["1.5", True]),
    ("integer", 3, [3.5, "3", True]),
    ("array", [], [{}, "[]"]),
    ("object", {}, [[], "{}"]),
    ("date-time", "2026-02-04T19:21:00Z", ["2026-02-04", "yesterday", 5, "2026-02-30T00:00:00Z"]),
]


@pytest.mark.parametrize(("kind", "good", "bad"), KINDS)
def test_submit__shorthand_means_the_json_type(
    house: House, kind: str, good: Any, bad: list[Any]
) -> None:
    run = house.started(output={"schema": {"field": kind}})
    for value in bad:
        with expect_unchanged():
            answer = act(house.bob, run, "submit", output={"field": value})
        assert list(faults(answer)) == ["/output/field"], value
    assert act(house.bob, run, "submit", output={"field": good}).status_code == 200


def test_submit__json_schema_with_a_reference(house: House) -> None:
    person = {"type": "object", "properties": {"age": {"type": "integer", "minimum": 18}}}
    schema = {
        "type": "object",
        "properties": {"people": {"type": "array", "items": {"$ref": "#/$defs/person"}}},
        "$defs": {"person": person},
    }
    run = house.started(output={"schema": schema})
    with expect_unchanged():
        answer = act(house.bob, run, "submit", output={"people": [{"age": 20}, {"age": 7}]})
    assert list(faults(answer)) == ["/output/people/1/age"]
    assert act(house.bob, run, "submit", output={"people": [{"age": 20}]}).status_code == 200


@pytest.mark.parametrize("number", [1e300, 1e25, 2**64 - 1])
def test_submit__huge_number_is_returned_unchanged(house: House, number: float) -> None:
    run = house.started(output={"schema": {"field": "number"}})
    assert act(house.bob, run, "submit", output={"field": number}).status_code == 200
    assert verify_submitted() == 1
    shown = house.alice.get(f"/v1/tasks/{run.task_id}")
    assert shown.status_code == 200
    assert shown.json()["output"]["field"] == pytest.approx(number)


@pytest.mark.parametrize("depth", [100, 300, 900])
def test_submit__deeply_nested_output(house: House, depth: int) -> None:
    nested: Any = 0
    for _ in range(depth):
        nested = [nested]
    run = house.started(output={"schema": {"field": "array"}})
    answer = act(house.bob, run, "submit", output={"field": nested})
    if answer.status_code != 200:
        assert answer.status_code in (400, 422), answer.content
        expect_problem(answer, answer.status_code)
    else:
        assert verify_submitted() == 1
        shown = house.alice.get(f"/v1/tasks/{run.task_id}").json()
        assert shown["output"]["field"] == nested


def test_submit__nul_character_is_named(house: House) -> None:
    run = house.started()
    with expect_unchanged():
        answer = act(house.bob, run, "submit", output={**OUTPUT, "notes": "nul\x00"})
    assert list(faults(answer)) == ["/output/notes"]


@pytest.mark.parametrize(("output", "status"), [("Done.", 200), ("", 422), (5, 422), (None, 422)])
def test_submit__text(house: House, output: Any, status: int) -> None:
    run = house.started(output={"expected_format": "text"})
    answer = act(house.bob, run, "submit", output=output)
    assert answer.status_code == status
    if status == 422:
        assert list(faults(answer)) == ["/output"]


def test_submit__file_format_wants_a_file(house: House) -> None:
    """Require a file if the output is a file."""
    run = house.started(output={"expected_format": "file"})
    with expect_unchanged():
        assert faults(act(house.bob, run, "submit")) != {}
    evidence_id = upload(house.bob, run, PDF).json()["evidence_id"]
    assert act(house.bob, run, "submit", evidence=[evidence_id]).status_code == 200
