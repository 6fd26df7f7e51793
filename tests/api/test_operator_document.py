"""The OpenAPI document of `/api`, compared with the published contract.

What differs is listed here with its reason; anything else fails.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from apps.api.operations.document import openapi
from tests.api.agh_contract import ADDED_FIELDS, CONTRACT, OPERATIONS

DOCUMENT = openapi()
METHODS = ("get", "post", "put", "patch", "delete")
DESCRIBED = {
    called["operationId"]: (path, method, called)
    for path, methods in DOCUMENT["paths"].items()
    for method, called in methods.items()
    if method in METHODS
}

EVERYWHERE = {401, 403, 408, 413, 415, 429, 500, 503}
"""Statuses that any call may have (section 25), and 415 for a body that is no JSON."""

NOTHING_INVALID = "it takes nothing that could be invalid: an unknown id is 404"
IN_FLIGHT = "the same Idempotency-Key is in flight, or another call changes the row"
LACKING: dict[str, dict[int, str]] = {
    name: {422: NOTHING_INVALID}
    for name in (
        "archiveTask",
        "dismissTask",
        "getTask",
        "getTaskExecutionProfile",
        "getTaskRun",
        "getTaskTree",
        "inspectRun",
        "inspectTask",
        "markTaskRead",
        "rejectTask",
        "removeTaskDependency",
    )
}
ADDED: dict[str, dict[int, str]] = {
    name: {409: IN_FLIGHT}
    for name in (
        "archiveTask",
        "bulkForceFailTaskRuns",
        "bulkForceReleaseTaskRuns",
        "createTaskBridgeNotificationSubscription",
        "deleteTask",
        "deleteTaskBridgeNotificationSubscription",
        "dismissTask",
        "drainScheduler",
        "markTaskRead",
        "pauseScheduler",
        "removeTaskDependency",
        "resumeScheduler",
    )
}
OPTIONAL: dict[str, str] = {
    "forceFailTaskRun": "a missing reason has a status and a code of its own",
    "pauseTask": "a missing reason has a status and a code of its own",
    "requestTaskRunReview": "the reference accepts them missing (section 27, 16)",
    "setTaskExecutionProfile": "the reference accepts them missing (section 27, 16)",
}
"""Operations whose required fields the document has as optional."""


def answer_of(called: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the answer to a call that succeeds."""
    content = called["responses"]["200"]["content"]["application/json"]
    return resolved(content["schema"])


def resolved(value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        _, _, section, name = value["$ref"].split("/")
        value = DOCUMENT["components"][section][name]
    return value


def query_of(called: dict[str, Any]) -> Iterator[str]:
    for one in called.get("parameters", ()):
        parameter = resolved(one)
        if parameter["in"] == "query":
            yield parameter["name"]


def body_of(called: dict[str, Any]) -> dict[str, Any]:
    content = called["requestBody"]["content"]["application/json"]
    return resolved(content["schema"])


def test_operations__are_those_of_the_contract() -> None:
    assert DESCRIBED.keys() == OPERATIONS.keys() | {"getDocument"}


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_operation__is_that_of_the_contract(name: str) -> None:
    published = OPERATIONS[name]
    path, method, called = DESCRIBED[name]
    assert (method.upper(), path) == (published["method"], published["path"])
    named = {one["name"] for one in map(resolved, called.get("parameters", ()))}
    assert {one["name"] for one in published["path_params"]} <= named
    assert called["summary"] == published["summary"]
    assert set(query_of(called)) == {one["name"] for one in published["query"]}


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_statuses__are_those_of_the_contract(name: str) -> None:
    published = OPERATIONS[name]
    described = {int(status) for status in DESCRIBED[name][2]["responses"]}
    listed = {
        published["success_status"],
        *map(int, published.get("other_success_statuses") or ()),
        *published["error_statuses"],
    }
    assert listed - described == LACKING.get(name, {}).keys()
    assert described - listed - EVERYWHERE == ADDED.get(name, {}).keys()


@pytest.mark.parametrize("name", sorted(one for one in OPERATIONS if OPERATIONS[one]["request"]))
def test_body__is_that_of_the_contract(name: str) -> None:
    published, body = OPERATIONS[name]["request"], body_of(DESCRIBED[name][2])
    assert body["properties"].keys() == published["fields"].keys()
    required = set(body.get("required", ()))
    if name in OPTIONAL:
        assert required < set(published["required"])
    else:
        assert required == set(published["required"])


def test_fields_of_the_dashboard__are_those_of_the_contract_and_a_list() -> None:
    def added(schema: dict[str, Any], example: Any, place: str) -> Iterator[str]:
        for name, part in resolved(schema).get("properties", {}).items():
            if name not in example:
                yield f"{place}{name}"
            elif isinstance(example[name], dict):
                yield from added(part, example[name], f"{place}{name}.")

    name = "getTaskDashboard"
    found = added(answer_of(DESCRIBED[name][2]), OPERATIONS[name]["response_example"], "")
    # Each with its reason.
    assert set(found) == ADDED_FIELDS.keys()
    assert all(ADDED_FIELDS.values())


def test_lists_of_differences__are_needed() -> None:
    known = {*LACKING, *ADDED, *OPTIONAL}
    assert known <= OPERATIONS.keys()
    assert len(CONTRACT["operations"]) == 62
