"""Test `POST /v1/tasks`: each bound of the contract, from both sides."""

import json
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from apps.accounts.services import issue_key
from apps.pools.models import Pool
from apps.pools.services import provision_pool
from apps.tasks.models import Task
from tests.api.contract_steps import NO_REQUIREMENTS, steps
from tests.api.expect import count, expect_problem, expect_unchanged, faults
from tests.factories import SCHEMA, Caller, House, contract, page_example, soon

KIB = 1024


def with_value(path: str, value: Any, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a small valid body (or `body`) with `value` at the dotted `path`."""
    changed = deepcopy(contract() if body is None else body)
    *parents, name = path.split(".")
    place = changed
    for parent in parents:
        place = place.setdefault(parent, {})
    place[name] = value
    return changed


def without(path: str) -> dict[str, Any]:
    changed = contract()
    *parents, name = path.split(".")
    place = changed
    for parent in parents:
        place = place[parent]
    del place[name]
    return changed


def at(path: str) -> str:
    return "/" + path.replace(".", "/")


# --- what is answered ----------------------------------------------------------------------


def test_create__returns_the_task_and_its_location(house: House) -> None:
    answer = house.alice.post("/v1/tasks", contract())
    assert answer.status_code == 201
    body = answer.json()
    assert body["status"] == "created"
    assert datetime.fromisoformat(body["created_at"]).tzinfo == UTC
    assert body["created_at"].endswith("Z")
    assert answer["Location"] == f"/v1/tasks/{body['task_id']}"
    assert house.alice.get(answer["Location"]).json() == body
    assert Task.objects.count() == count("events_event") == 1


def test_create__small_body_gets_the_defaults(house: House) -> None:
    body = house.alice.post("/v1/tasks", contract()).json()
    assert body["origin"] == {
        "org_id": str(house.organisation.id),
        "product": "",
        "request_id": None,
        "created_by": "Alice's backend",
        "created_at": body["created_at"],
    }
    assert body["context"] == {"background": "", "constraints": [], "risk_notes": []}
    assert body["sla"]["urgency"] == "normal"
    assert body["sla"]["deadline"] is body["sla"]["target_latency_seconds"] is None
    assert body["requirements"] == NO_REQUIREMENTS
    assert body["depends_on"] == body["waiting_for"] == []
    assert body["output_contract"] == {
        "expected_format": "structured_json",
        "schema": SCHEMA,
        "evidence_required": False,
    }
    assert body["output"] is None
    assert body["handoff"] == {
        "callback_url": None,
        "callback_auth": {"type": "none"},
        "retry_policy": None,
    }
    assert body["audit"]["log_required"] is False


def test_create__accepts_the_example_of_the_website(house: House) -> None:
    sent = page_example(
        org_id=house.organisation.id,
        pool_id=house.pool.id,
        callback_url="https://example.com/webhooks/biolayer",
        deadline=soon(minutes=15),
    )
    answer = house.alice.post("/v1/tasks", sent)
    assert answer.status_code == 201, answer.content
    shown = house.alice.get(answer["Location"]).json()
    for field in "task_type", "domain", "title", "instructions", "context", "audit":
        assert shown[field] == sent[field]
    assert shown["requirements"] == NO_REQUIREMENTS | sent["requirements"]
    for field in ("org_id", "product", "request_id", "created_by"):
        assert shown["origin"][field] == sent["origin"][field]
    for part, field in ("origin", "created_at"), ("sla", "deadline"):
        assert datetime.fromisoformat(shown[part][field]) == (
            datetime.fromisoformat(sent[part][field])
        )
    assert shown["sla"]["urgency"] == "high"
    assert shown["sla"]["target_latency_seconds"] == 600
    assert shown["output_contract"] == sent["output"]
    assert shown["handoff"] == sent["handoff"]


# --- every field and its bounds ------------------------------------------------------------

WIDE = "\N{GRINNING FACE}"  # one character, four bytes of UTF-8, two units of UTF-16
BAD_SLUGS = [
    "",
    "a" * 65,
    "Upper",
    "with space",
    "caf\u00e9",
    "new\nline",
    "end\n",
    "\u0661",
    5,
    True,
]

BOUNDS: list[tuple[str, list[Any], list[Any]]] = [
    ("origin.org_id", [], ["", "no-uuid", 7, "{}", ["x"]]),
    ("origin.product", ["p", WIDE * 100], ["", "p" * 101, 5, "nul\x00"]),
    ("origin.request_id", ["r", WIDE * 200], ["", "r" * 201, 5, "nul\x00"]),
    ("origin.created_by", ["c", WIDE * 200], ["", "c" * 201, 5, "nul\x00"]),
    (
        "origin.created_at",
        [
            "2026-02-04T19:21:00Z",
            "2026-02-04t19:21:00z",
            "2026-02-04T19:21:00.123456789+05:30",
            "2020-02-29T23:59:59-12:00",
        ],
        [
            "2026-02-04T19:21:00",
            "2026-02-04",
            "2026-02-30T00:00:00Z",
            "2026-02-04T24:01:00Z",
            "2026-02-04T19:21:00+24:00",
            "0001-01-01T00:00:00+05:00",
            "9999-12-31T23:59:59-01:00",
            "\u0662026-02-04T19:21:00Z",
            "2026-02-04T19:21:00Z\n",
            1770232860,
            "",
        ],
    ),
    ("task_type", ["a", "a" * 64, "a_b.c-9"], BAD_SLUGS),
    ("domain", ["d", "d" * 64, "a_b.c-9"], BAD_SLUGS),
    ("title", ["t", WIDE * 200], ["", "t" * 201, 5, ["t"], "nul\x00"]),
    ("instructions", ["i", WIDE * 20_000], ["", "i" * 20_001, 5, "nul\x00"]),
    ("context", [{}], [5, "text", ["list"]]),
    ("context.background", ["", "b" * 20_000], ["b" * 20_001, 5, "nul\x00"]),
    ("context.constraints", [[], ["", "c" * 1000], ["c"] * 50], [["c"] * 51, "c", {"0": "c"}]),
    ("context.risk_notes", [[], ["", "c" * 1000], ["c"] * 50], [["c"] * 51, "c", {"0": "c"}]),
    ("context.case_notes", ["kept", None, 5, [{"deep": [1, 2.5, True, None]}]], ["nul\x00"]),
    ("sla", [{}], [5, []]),
    ("sla.urgency", ["low", "normal", "high", "critical"], ["urgent", "HIGH", "", 1]),
    (
        "sla.deadline",
        ["9999-12-31T23:59:59Z", "2999-01-01T00:00:00.5+05:30"],
        ["2020-01-01T00:00:00Z", "2999-01-01T00:00:00", "2999-01-01", "soon", 32472144000, ""],
    ),
    (
        "sla.target_latency_seconds",
        [1, 31_536_000],
        [0, -1, 31_536_001, 1.5, "600", True, 10**30],
    ),
    ("requirements", [{}], [5, []]),
    ("requirements.skills", [[], ["a" * 64] * 32], [["a"] * 33, "a", {"a": True}]),
    ("requirements.certifications", [[], ["a" * 64] * 32], [["a"] * 33, "a", {"a": True}]),
    ("requirements.preferred_skills", [[], ["a" * 64] * 32], [["a"] * 33, "a", {"a": True}]),
    ("requirements.skill_levels", [{}], [5, [], "a"]),
    (
        "requirements.languages",
        [[], ["de"] * 8, ["xx-12345678-abcdefgh-87654321"]],
        [["de"] * 9, "de"],
    ),
    ("requirements.escalation", [None, {}], [5, [], "wait"]),
    ("requirements.escalation.at_end", ["wait", "fail", "notify"], ["stop", "", None]),
    ("requirements.escalation.steps", [[], steps(10)], [steps(11), "x", {}]),
    ("requirements.trust_level", [0, 5], [-1, 6, 4.5, "4", True]),
    ("requirements.min_rating", [0, 5, 4.8, 5.0], [-0.01, 5.01, "4.8", True]),
    ("requirements.worker_pool_id", [], ["pool-uuid", "", 7, str(uuid4())]),
    ("output", [], [5, [], "text"]),
    ("output.expected_format", ["structured_json", "text", "file"], ["xml", "JSON", "", 1]),
    ("output.schema", [], [5, [], "string", {}]),
    ("output.evidence_required", [True, False], ["true", 1, 0]),
    ("handoff", [{}], [5, []]),
    ("handoff.callback_auth", [{"type": "none"}], [5, "bearer", []]),
    ("handoff.retry_policy", [{}], [5, []]),
    ("handoff.retry_policy.max_retries", [0, 20], [-1, 21, 1.5, "6", True]),
    ("handoff.retry_policy.backoff_seconds", [1, 3600], [0, 3601, 1.5, "30", True]),
    ("audit", [{}], [5, []]),
    ("audit.log_required", [True, False], ["true", 1]),
    ("audit.retain_days", [1, 3650], [0, 3651, 1.5, "365", True]),
]


@pytest.mark.parametrize(("path", "accepted"), [row[:2] for row in BOUNDS if row[1]])
def test_create__value_within_its_bounds(house: House, path: str, accepted: list[Any]) -> None:
    for number, value in enumerate(accepted, start=1):
        answer = house.alice.post("/v1/tasks", with_value(path, value))
        assert answer.status_code == 201, (value, answer.content)
        assert house.alice.get(answer["Location"]).status_code == 200
        assert Task.objects.count() == number


@pytest.mark.parametrize(("path", "refused"), [(row[0], row[2]) for row in BOUNDS if row[2]])
def test_create__value_out_of_bounds(house: House, path: str, refused: list[Any]) -> None:
    for value in refused:
        with expect_unchanged():
            answer = house.alice.post("/v1/tasks", with_value(path, value))
        assert list(faults(answer)) == [at(path)], value


ELEMENTS = [
    ("context.constraints", "c" * 1001),
    ("context.risk_notes", 5),
    ("context.risk_notes", "nul\x00"),
    *[("requirements.skills", slug) for slug in BAD_SLUGS],
    *[("requirements.certifications", slug) for slug in BAD_SLUGS],
    *[("requirements.preferred_skills", slug) for slug in BAD_SLUGS],
]


@pytest.mark.parametrize(("path", "bad"), ELEMENTS)
def test_create__bad_element_is_named_by_its_index(house: House, path: str, bad: Any) -> None:
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", with_value(path, ["fine", bad]))
    assert list(faults(answer)) == [f"{at(path)}/1"]


@pytest.mark.parametrize("path", ["task_type", "domain", "title", "instructions", "output.schema"])
def test_create__required_field_missing(house: House, path: str) -> None:
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", without(path))
    assert faults(answer) == {at(path): "required"}


def test_create__empty_body_names_all_that_is_required(house: House) -> None:
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", {})
    required = ["/task_type", "/domain", "/title", "/instructions", "/output/schema"]
    assert faults(answer) == dict.fromkeys(required, "required")


@pytest.mark.parametrize("body", [[], "task", 5, True, [contract()]])
def test_create__body_is_no_object(house: House, body: Any) -> None:
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", body)
    assert faults(answer) == {"": "wrong_type"}


UNKNOWN = [
    "priority",
    "origin.tenant",
    "sla.urgancy",
    "requirements.skill",
    "output.format",
    "output.schema_",
    "handoff.url",
    "handoff.callback_auth.secret",
    "handoff.retry_policy.jitter",
    "audit.log",
]


@pytest.mark.parametrize("path", UNKNOWN)
def test_create__unknown_field_is_named(house: House, path: str) -> None:
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", with_value(path, "x"))
    assert faults(answer) == {at(path): "unknown_field"}


def test_create__internal_name_of_the_schema_is_no_way_around_its_checks(house: House) -> None:
    output = {"expected_format": "structured_json", "schema_": {"type": "no such type", "x": 5}}
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", contract(output=output))
    assert faults(answer)["/output/schema_"] == "unknown_field"


def test_create__unknown_field_with_odd_name_is_a_pointer_all_the_same(house: House) -> None:
    answer = house.alice.post("/v1/tasks", contract(**{"a/b~c": 1}))
    assert faults(answer) == {"/a~1b~0c": "unknown_field"}


def test_create__context_keeps_the_callers_own_keys(house: House) -> None:
    own = {"case": {"id": 7, "score": 0.25, "tags": ["a", None]}, "model_dump": 1, "__class__": "x"}
    answer = house.alice.post("/v1/tasks", contract(context=own))
    assert answer.status_code == 201
    standard = {"background": "", "constraints": [], "risk_notes": []}
    assert house.alice.get(answer["Location"]).json()["context"] == standard | own


# jsonb stores 1e300 as an integer of 301 digits.
@pytest.mark.parametrize("number", [1e300, -1e300, 2**53, 2**63, 2**64 - 1, 1e25, 5e-324, -0.0])
def test_create__number_in_context_is_returned_unchanged(house: House, number: float) -> None:
    answer = house.alice.post("/v1/tasks", contract(context={"number": number}))
    assert answer.status_code == 201
    shown = house.alice.get(answer["Location"])
    assert shown.status_code == 200, shown.content
    assert shown.json()["context"]["number"] == pytest.approx(number)
    listed = house.alice.get("/v1/tasks")
    assert [task["context"]["number"] for task in listed.json()["data"]] == [pytest.approx(number)]


@pytest.mark.parametrize("depth", [100, 300, 900])
def test_create__deeply_nested_context(house: House, depth: int) -> None:
    """Accept or refuse a deep context, but never crash: only its size is limited."""
    nested: Any = 0
    for _ in range(depth):
        nested = [nested]
    answer = house.alice.post("/v1/tasks", contract(context={"deep": nested}))
    if answer.status_code == 201:
        assert house.alice.get(answer["Location"]).json()["context"]["deep"] == nested
    else:
        expect_problem(answer, answer.status_code)
        assert answer.status_code in (400, 422)


# --- several faults ------------------------------------------------------------------------


def test_create__eight_faults_are_named_at_once(house: House) -> None:
    body = contract(
        task_type=5,
        priority="high",
        context={"constraints": [{"a": {"b": {"c": {"d": {"e": "too deep"}}}}}]},
        sla={"deadline": "2020-01-01T00:00:00Z"},
        requirements={"trust_level": 9, "worker_pool_id": str(house.strangers_pool.id)},
        output={"schema": {"reached_user": "bool"}},
        handoff={"retry_policy": {"max_retries": 21}},
    )
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", body)
    assert faults(answer) == {
        "/task_type": "wrong_type",
        "/priority": "unknown_field",
        "/context/constraints/0": "wrong_type",
        "/sla/deadline": "in_the_past",
        "/requirements/trust_level": "too_large",
        "/requirements/worker_pool_id": "unknown_pool",
        "/output/schema/reached_user": "unknown_type",
        "/handoff/retry_policy/max_retries": "too_large",
    }


def test_create__callback_and_schema_faults_come_with_the_others(house: House) -> None:
    body = contract(
        title="",
        output={"schema": {"type": "object", "required": "notes"}},
        handoff={"callback_url": "ftp://example.com/", "callback_auth": {"type": "bearer"}},
    )
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", body)
    pointers = set(faults(answer))
    assert {"/title", "/handoff/callback_url", "/handoff/callback_auth/token"} < pointers
    (about_schema,) = pointers - {"/title", "/handoff/callback_url", "/handoff/callback_auth/token"}
    assert about_schema.startswith("/output/schema")


# --- sizes ---------------------------------------------------------------------------------


def sized(frame: dict[str, Any], key: str, size: int) -> dict[str, Any]:
    """Fill `key` of `frame` so that its compact JSON has `size` bytes."""
    empty = len(json.dumps({**frame, key: ""}, separators=(",", ":")))
    return {**frame, key: "x" * (size - empty)}


@pytest.mark.parametrize(("excess", "status"), [(0, 201), (1, 422)])
def test_create__context_of_64_kib(house: House, excess: int, status: int) -> None:
    answer = house.alice.post("/v1/tasks", contract(context=sized({}, "own", 64 * KIB + excess)))
    assert answer.status_code == status
    if status == 422:
        assert faults(answer) == {"/context": "too_large"}
    assert Task.objects.count() == (status == 201)


@pytest.mark.parametrize(("excess", "status"), [(0, 201), (1, 422)])
def test_create__schema_of_32_kib(house: House, excess: int, status: int) -> None:
    schema = sized({"type": "object"}, "description", 32 * KIB + excess)
    schema["additionalProperties"] = True
    schema["description"] = schema["description"][: -len(',"additionalProperties":true')]
    answer = house.alice.post("/v1/tasks", contract(output={"schema": schema}))
    assert answer.status_code == status, answer.content
    if status == 422:
        assert faults(answer) == {"/output/schema": "too_large"}
    assert Task.objects.count() == (status == 201)


@pytest.mark.parametrize(("excess", "status"), [(0, 201), (1, 413)])
def test_create__body_of_256_kib(house: House, excess: int, status: int) -> None:
    small = json.dumps(contract()).encode()
    answer = house.alice.client.post(
        "/v1/tasks",
        data=small.ljust(256 * KIB + excess),
        content_type="application/json",
        headers={"Authorization": f"Bearer {house.alice.key}"},
    )
    assert answer.status_code == status
    if status == 413:
        expect_problem(answer, 413, "too_large")
    assert Task.objects.count() == (status == 201)


# --- pools and organisations ---------------------------------------------------------------


def test_create__organisation_is_anothers(house: House) -> None:
    other = {"org_id": str(house.strangers_pool.organisation_id)}
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", contract(origin=other))
    expect_problem(answer, 403, "organisation_mismatch")


def test_create__organisation_is_the_keys(house: House) -> None:
    own = {"org_id": str(house.organisation.id)}
    assert house.alice.post("/v1/tasks", contract(origin=own)).status_code == 201


def test_create__pool_that_the_key_may_not_use(house: House) -> None:
    second = provision_pool(organisation_id=house.organisation.id, name="Back office")
    closed = provision_pool(organisation_id=house.organisation.id, name="Closed")
    Pool.objects.filter(id=closed.id).update(status="closed")
    scoped = Caller(
        issue_key(
            organisation_id=house.organisation.id, name="Front only", pool_ids=[house.pool.id]
        )
    )
    refused = [
        (house.alice, house.strangers_pool),
        (house.alice, closed),
        (scoped, second),
        (house.charlie, house.pool),
    ]
    for caller, pool in refused:
        body = contract(requirements={"worker_pool_id": str(pool.id)})
        with expect_unchanged():
            answer = caller.post("/v1/tasks", body)
        assert faults(answer) == {"/requirements/worker_pool_id": "unknown_pool"}
    body = contract(requirements={"worker_pool_id": str(house.pool.id)})
    assert scoped.post("/v1/tasks", body).status_code == 201
