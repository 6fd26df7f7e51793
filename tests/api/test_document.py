"""Test the OpenAPI document: complete, valid, and consistent with the responses."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import jsonschema_rs
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import URLPattern
from openapi_spec_validator import OpenAPIV31SpecValidator

from apps.accounts.scopes import Role, Scope
from apps.accounts.services import chain_audit_events, issue_key, sign_audit_heads
from apps.api.http.operations import JSON, Operation
from apps.api.v1 import urls
from apps.api.v1.document import openapi, operations
from apps.api.v1.examples import BODIES
from apps.reviews.services import verify_submitted
from apps.webhooks.services import deliver_due
from biolayer.contract import parse
from biolayer.events import EVENT_TYPES, EXAMPLES
from biolayer.responses.problems import Problem
from biolayer.schemas import example_of
from config import stream_urls
from tests.api.expect import expect_problem
from tests.api.oauth_steps import credentials_manager
from tests.api.steps import PNG, act, upload
from tests.claim_steps import claimed
from tests.factories import (
    OUTPUT,
    Caller,
    House,
    admin_key,
    contract,
    member_of,
    page_example,
    soon,
    worker_in,
)
from tests.receiver import Reply, receiving
from tests.review_steps import reviewer

HTTP = ("get", "post", "put", "patch", "delete")
BELOW = "v1/"
BY_NAME = {operation.name: operation for operation in operations()}
SHOWN_ELSEWHERE = {
    "stream_events": "tests/api/test_streams.py; it does not end",
    "get_document": "below",
    "get_certification_claim_document": "tests/api/test_certification_claims.py; it is no JSON",
    "get_evidence_content": "tests/api/test_evidence_reading.py; it is no JSON",
    "get_attachment_content": "tests/api/test_attachments.py; it is no JSON",
    "export_audit_events": "tests/api/test_audit.py; its response is lines",
    "export_tasks": "tests/api/test_exports.py; its response is lines",
    "export_workers": "tests/api/test_exports.py; its response is lines",
    "remove_evidence": "tests/api/test_evidence.py; it answers nothing",
    "expire_webhook_key": "tests/api/test_webhook_keys.py; it answers nothing",
}
"""Operations whose responses are compared elsewhere, and where."""


def named(operation: Operation) -> str:
    return operation.name


def of_patterns(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each method of each route below `prefix`."""
    for pattern in patterns:
        assert isinstance(pattern, URLPattern), f"{pattern}: enumerate included patterns as well"
        route, view = str(pattern.pattern), getattr(pattern.callback, "view_class", None)
        if route.startswith(prefix):
            # A stream's view is a function for GET.
            methods = [name for name in HTTP if hasattr(view, name)] if view else ["get"]
            yield from ((name, route.removeprefix(prefix)) for name in methods)


def test_every_route_is_documented() -> None:
    routes = {*of_patterns(urls.urlpatterns), *of_patterns(stream_urls.urlpatterns, BELOW)}
    documented = {(operation.method, operation.route) for operation in operations()}
    assert documented <= routes
    missing = sorted(routes - documented)
    assert not missing, (
        f"methods without a description: {missing}. Decorate each with `@operation`"
        " (apps/api/http/operations.py) and run `python3 manage.py document`."
    )


def test_operations__have_a_name_each() -> None:
    assert len(BY_NAME) == len(operations())


def test_the_document_is_valid() -> None:
    faults = list(OpenAPIV31SpecValidator(openapi()).iter_errors())
    assert faults == []


def test_components__have_the_names_of_their_models() -> None:
    """Check that models have different names: equal ones would get names with their modules."""
    assert [name for name in openapi()["components"]["schemas"] if "_" in name] == []


def test_the_document__needs_no_credential() -> None:
    answer = Client().get("/v1/openapi.json")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
    assert answer.json() == openapi()


def test_the_document_is_only_read() -> None:
    expect_problem(Client().post("/v1/openapi.json"), 405, "method_not_allowed")


# --- what it says of calls ------------------------------------------------------------------------


def described(operation: Operation) -> dict[str, Any]:
    path = "/v1/" + operation.route.replace("<str:", "{").replace(">", "}")
    found: dict[str, Any] = openapi()["paths"][path][operation.method]
    return found


@pytest.mark.parametrize("operation", operations(), ids=named)
def test_an_operation__documents_its_needs(operation: Operation) -> None:
    found = described(operation)
    assert found["operationId"] == operation.name
    wanted = {operation.scope.value} if operation.scope else set()
    assert {scope for way in found["security"] for names in way.values() for scope in names} == (
        wanted
    )
    assert ("401" in found["responses"]) is (operation.scope is not None)
    names_row = "<" in operation.route or 404 in operation.refused
    assert ("404" in found["responses"]) is names_row
    assert ("requestBody" in found) is (operation.body is not None)
    keys = [p for p in found.get("parameters", []) if p.get("$ref", "").endswith("Idempotency-Key")]
    assert len(keys) == (operation.method == "post")


def test_security_schemes__know_every_scope() -> None:
    schemes = openapi()["components"]["securitySchemes"]
    assert schemes["key"]["scheme"] == "bearer"
    assert set(schemes["oauth"]["flows"]["clientCredentials"]["scopes"]) == set(Scope.values)


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Return whether a value satisfies a schema of the document, by another validator."""
    known = {"components": openapi()["components"], "allOf": [schema]}
    return jsonschema_rs.is_valid(known, value, validate_formats=True)


PAGE_EXAMPLE = page_example(
    org_id=UUID(int=1), pool_id=UUID(int=2), callback_url="https://example.com/h", deadline=soon()
)


URL = "https://product.example/hook"
TIME = "2026-02-04T19:36:00Z"


def body_schema(name: str) -> dict[str, Any]:
    content = described(BY_NAME[name])["requestBody"]["content"]
    schema: dict[str, Any] = content["application/json"]["schema"]
    return schema


@pytest.mark.parametrize(
    ("name", "body", "is_taken"),
    [
        ("create_task", contract(), True),
        ("create_task", PAGE_EXAMPLE, True),
        ("create_task", contract(titel="Typo"), False),
        ("create_task", contract(sla={"urgency": "soon"}), False),
        ("create_task", contract(depends_on=[str(UUID(int=3))]), True),
        ("create_task", contract(depends_on=[str(UUID(int=3))] * 2), False),
        ("create_task", contract(requirements={"languages": ["de-CH"]}), True),
        ("create_task", contract(requirements={"languages": ["deutschland"]}), False),
        ("create_task", contract(requirements={"escalation": {"steps": [{}]}}), False),
        ("create_task", contract(sla={"deadline": "2026-02-04T19:36:00Z"}), True),
        ("create_task", {}, False),
        ("cancel_task", {}, True),
        ("submit_run", {"epoch": 1, "output": OUTPUT}, True),
        ("submit_run", {"output": OUTPUT}, False),
        ("update_me", {"presence": "away"}, True),
        ("update_me", {"presence": "asleep"}, False),
        ("update_me", {"snooze_seconds": 60}, True),
        ("update_me", {}, False),
        ("create_worker", {"name": "Dora", "hours": {"mon": [["09:00", "24:00"]]}}, True),
        ("create_worker", {"name": "Dora", "hours": {"mon": [["09:00"]]}}, False),
        ("update_worker", {"rating": 5}, False),
        ("create_pool", {"name": "Desk", "costs": {"call": 101}}, False),
        ("create_pool", {"name": "Desk", "costs": {"a call": 1}}, False),
        ("create_pool", {"name": "\t"}, False),
        ("update_pool", {"misses_until_away": None}, True),
        ("create_task", contract(output={"expected_format": "structured_json"}), False),
        ("create_task", contract(output={"schema": None}), False),
        ("create_task", contract(output={"expected_format": "text"}), True),
        ("create_webhook_endpoint", {"url": URL}, True),
        ("create_webhook_endpoint", {"url": URL, "auth": {}}, True),
        ("create_webhook_endpoint", {"url": URL, "auth": {"type": "bearer", "token": "t"}}, True),
        ("create_webhook_endpoint", {"url": URL, "auth": {"type": "bearer"}}, False),
        ("create_webhook_endpoint", {"url": URL, "auth": {"token": "t"}}, False),
        ("create_webhook_endpoint", {"url": URL, "auth": {"type": "none", "name": "X-Key"}}, False),
        (
            "create_webhook_endpoint",
            {"url": URL, "event_types": ["task.*", "endpoint.failing"]},
            True,
        ),
        ("create_webhook_endpoint", {"url": URL, "event_types": ["task.complete"]}, False),
        ("create_webhook_endpoint", {"url": URL, "headers": {"X Tenant": "a"}}, False),
        ("save_consumer", {"types": ["*", "task.failed"]}, True),
        ("save_consumer", {"types": ["endpoint.failing"]}, False),
        ("start_recovery", {"kind": "failed", "since": TIME}, True),
        ("start_recovery", {"kind": "missed", "since": TIME}, False),
    ],
)
def test_a_body__is_valid_if_the_service_accepts_it(
    name: str, body: Any, *, is_taken: bool
) -> None:
    assert fits(body, body_schema(name)) is is_taken


class Answers:
    """Compare responses with their operations, and record which were seen."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def expect(self, name: str, status: int, response: Any) -> Any:
        operation = BY_NAME[name]
        assert response.status_code == status, response.content
        model = operation.returns[status]
        self.seen.add(name)
        if model is None:
            assert response.content == b""
            return None
        model.model_validate_json(response.content, extra="forbid")
        content = described(operation)["responses"][str(status)]["content"]
        assert fits(response.json(), content["application/json"]["schema"])
        return response.json()


def walk_tasks(house: House, answers: Answers) -> None:
    alice = house.alice
    callback = {
        "callback_url": "http://127.0.0.1:9/hook",
        "callback_auth": {"type": "basic", "username": "ann", "password": "p"},
        "retry_policy": {"max_retries": 1},
    }
    body = contract(origin={"request_id": "IR-1"}, handoff=callback)
    task_id = answers.expect("create_task", 201, alice.post("/v1/tasks", body))["task_id"]
    answers.expect("create_task", 200, alice.post("/v1/tasks", body))
    answers.expect("create_tasks", 200, alice.post("/v1/tasks/batch", [body, {}]))
    answers.expect("cancel_task", 200, alice.post(f"/v1/tasks/{task_id}/cancel"))
    done = house.completed(sla={"deadline": soon(hours=1).isoformat()})
    answers.expect("list_tasks", 200, alice.get("/v1/tasks?limit=1"))
    answers.expect("get_task", 200, alice.get(f"/v1/tasks/{done.id}"))
    answers.expect("list_task_events", 200, alice.get(f"/v1/tasks/{done.id}/events"))
    open_task = house.task()
    messages, asked = f"/v1/tasks/{open_task.id}/messages", {"text": "Any news?"}
    answers.expect("post_message", 201, alice.post(messages, asked))
    assert answers.expect("list_messages", 200, alice.get(messages))["data"]
    assert alice.post(f"/v1/tasks/{open_task.id}/cancel").status_code == 200
    answers.expect("explain_match", 200, alice.get(f"/v1/tasks/{done.id}/match"))


def walk_operator_calls(house: House, answers: Answers) -> None:
    operator = Caller(
        issue_key(
            organisation_id=house.organisation.id,
            name="The night operator",
            scopes=[Scope.TASKS_READ, Scope.TASKS_CANCEL, Scope.TASKS_MANAGE],
            role=Role.ADMIN,
        )
    )
    task = house.queued(title="For the operator")
    path = f"/v1/tasks/{task.id}"
    etag = operator.get(path)["ETag"]
    changes = {"sla": {"urgency": "high"}}
    answers.expect("update_task", 200, operator.patch(path, changes, **{"If-Match": etag}))
    answers.expect("boost_task", 200, operator.post(f"{path}/boost", {}))
    dora, _ = worker_in(house.pool, name="Dora Quist")
    body = {"worker_id": str(dora.id)}
    answers.expect("reassign_task", 200, operator.post(f"{path}/reassign", body))
    answers.expect("requeue_task", 200, operator.post(f"{path}/requeue", {}))
    dora.memberships.all().delete()  # The next walks have one worker.
    ids = {"task_ids": [str(task.id), str(house.organisation.id)]}
    answers.expect("cancel_tasks", 200, operator.post("/v1/tasks/cancel", ids))
    done = house.completed()
    answers.expect("reopen_task", 200, operator.post(f"/v1/tasks/{done.id}/reopen", {}))
    operator.post(f"/v1/tasks/{done.id}/cancel")


def walk_reviews(house: House, answers: Answers) -> None:
    rita = reviewer(house)
    tasks = [house.submitted(review={"mode": "all", "max_rework": 5}).task for _ in range(2)]
    answers.expect("get_task", 200, house.alice.get(f"/v1/tasks/{tasks[0].id}"))
    answers.expect("explain_match", 200, house.alice.get(f"/v1/tasks/{tasks[0].id}/match"))
    listed = answers.expect("list_reviews", 200, rita.get("/v1/reviews?lane=waiting"))["data"]
    path = f"/v1/reviews/{listed[0]['review_id']}"
    answers.expect("claim_review", 200, rita.post(f"{path}/claim"))
    answers.expect("release_review", 200, rita.post(f"{path}/release"))
    body = {"version": 3, "verdict": "rework", "reason": "Call again.", "pointers": ["/notes"]}
    answers.expect("decide_review", 200, rita.post(f"{path}/verdict", {**body, "rating": 2}))
    walk_appeals(house, answers, path)
    second = house.offered_again(tasks[0])
    answers.expect("list_offers", 200, house.bob.get("/v1/offers"))
    answers.expect("accept_offer", 200, house.bob.post(f"/v1/offers/{second.id}/accept"))
    second.run.refresh_from_db()
    act(house.bob, second.run, "start")
    act(house.bob, second.run, "submit", output=OUTPUT)
    (review, *_) = rita.get(f"/v1/reviews?task_id={tasks[0].id}").json()["data"]
    answers.expect("get_review", 200, rita.get(f"/v1/reviews/{review['review_id']}"))
    given = {"version": 1, "verdict": "approve"}
    ids = [listed[1]["review_id"], review["review_id"], str(house.organisation.id)]
    verdicts = {"verdicts": [{"review_id": one, **given} for one in ids]}
    answers.expect("decide_reviews", 200, rita.post("/v1/reviews/verdicts", verdicts))
    assert verify_submitted() == 2


def walk_appeals(house: House, answers: Answers, path: str) -> None:
    why = {"reason": "The number is there."}
    made = answers.expect("appeal_review", 201, house.bob.post(f"{path}/appeal", why))
    answers.expect("list_my_history", 200, house.bob.get("/v1/workers/me/history"))
    mona = reviewer(house, "Mona")
    answers.expect("list_appeals", 200, mona.get("/v1/appeals?status=open"))
    appeal = f"/v1/appeals/{made['appeal_id']}"
    answers.expect("get_appeal", 200, mona.get(appeal))
    body = {**why, "version": 1, "decision": "overturn", "rating": 4}
    answers.expect("decide_appeal", 200, mona.post(f"{appeal}/decision", body))
    answers.expect("list_my_history", 200, house.bob.get("/v1/workers/me/history"))


def walk_reviewers(house: House, answers: Answers) -> None:
    rita, mona = reviewer(house), reviewer(house, "Mona")
    house.submitted(review={"mode": "all", "second_look_share": 1})
    (listed,) = rita.get("/v1/reviews?lane=waiting").json()["data"]
    verdict = {"version": 1, "verdict": "approve"}
    rita.post(f"/v1/reviews/{listed['review_id']}/verdict", verdict)
    assert verify_submitted() == 1
    looks = answers.expect("list_second_looks", 200, mona.get("/v1/second-looks"))["data"]
    path = f"/v1/second-looks/{looks[0]['second_look_id']}"
    answers.expect("get_second_look", 200, mona.get(path))
    body = {"verdict": "reject", "reason": "It is another owner."}
    answers.expect("decide_second_look", 200, mona.post(f"{path}/verdict", body))
    answers.expect("list_reviewers", 200, mona.get("/v1/reviewers"))


def walk_attachments(house: House, answers: Answers) -> None:
    alice = house.alice
    form = {"file": SimpleUploadedFile("note.txt", b"A note.")}
    made = alice.client.post(
        "/v1/attachments", form, headers={"Authorization": f"Bearer {alice.key}"}
    )
    attachment_id = answers.expect("create_attachment", 201, made)["attachment_id"]
    answers.expect("get_attachment", 200, alice.get(f"/v1/attachments/{attachment_id}"))
    house.offered(context={"attachments": [attachment_id]})
    (offer,) = answers.expect("list_offers", 200, house.bob.get("/v1/offers"))["data"]
    assert [one["attachment_id"] for one in offer["task"]["attachments"]] == [attachment_id]
    task_id = offer["task"]["task_id"]
    assert alice.post(f"/v1/tasks/{task_id}/cancel").status_code == 200


def walk_work(house: House, answers: Answers) -> None:
    bob = house.bob
    declined = house.offered()
    answers.expect("decline_offer", 200, bob.post(f"/v1/offers/{declined.id}/decline"))
    offer = house.offered()
    answers.expect("list_offers", 200, bob.get("/v1/offers"))
    answers.expect("accept_offer", 200, bob.post(f"/v1/offers/{offer.id}/accept"))
    run = offer.run
    run.refresh_from_db()
    answers.expect("start_run", 200, act(bob, run, "start"))
    answers.expect("heartbeat_run", 200, act(bob, run, "heartbeat"))
    answers.expect("list_runs", 200, bob.get("/v1/runs"))
    answers.expect("get_run", 200, bob.get(f"/v1/runs/{run.id}"))
    draft, typed = f"/v1/runs/{run.id}/draft", {"epoch": run.epoch, "revision": 0, "output": 1}
    answers.expect("save_draft", 200, bob.put(draft, {**typed, "form": {"output": ["1"]}}))
    answers.expect("get_draft", 200, bob.get(draft))
    evidence_id = answers.expect("add_evidence", 201, upload(bob, run, PNG))["evidence_id"]
    answers.expect("list_run_evidence", 200, bob.get(f"/v1/runs/{run.id}/evidence"))
    submitted = act(bob, run, "submit", output=OUTPUT, evidence=[evidence_id])
    answers.expect("submit_run", 200, submitted)
    assert verify_submitted() == 1
    evidence = house.alice.get(f"/v1/tasks/{run.task_id}/evidence")
    assert answers.expect("list_task_evidence", 200, evidence)["data"]
    answers.expect("get_evidence", 200, house.alice.get(f"/v1/evidence/{evidence_id}"))
    released = house.accepted(title="Another")
    answers.expect("release_run", 200, act(bob, released, "release"))
    history = answers.expect("list_my_history", 200, bob.get("/v1/workers/me/history"))
    assert history["data"][0]["run_id"] == str(run.id)
    answers.expect("get_my_statistics", 200, bob.get("/v1/workers/me/statistics"))
    answers.expect("get_me", 200, bob.get("/v1/workers/me"))
    answers.expect("update_me", 200, bob.patch("/v1/workers/me", {"presence": "away"}))


def walk_pools(house: House, answers: Answers) -> None:
    alice = house.alice
    dora = {"name": "Dora", "skills": ["audit"], "certifications": [{"code": "soc"}]}
    enrolled = answers.expect("create_worker", 201, alice.post("/v1/workers", dora))
    member = {"worker_id": enrolled["worker_id"]}
    worker = f"/v1/workers/{enrolled['worker_id']}"
    made = answers.expect("create_pool", 201, alice.post("/v1/pools", {"name": "Night desk"}))
    pool = f"/v1/pools/{made['pool_id']}"
    answers.expect("add_member", 201, alice.post(f"{pool}/members", member))
    answers.expect("add_member", 200, alice.post(f"{pool}/members", member))
    answers.expect("list_members", 200, alice.get(f"{pool}/members"))
    note = answers.expect("create_pool_note", 201, alice.post(f"{pool}/notes", {"text": "Hi."}))
    answers.expect("list_pool_notes", 200, alice.get(f"{pool}/notes"))
    note_id = note["note_id"]
    answers.expect("delete_pool_note", 204, alice.delete(f"{pool}/notes/{note_id}"))
    answers.expect("list_pools", 200, alice.get("/v1/pools"))
    answers.expect("get_pool", 200, alice.get(pool))
    policy = {"steps": [{"after_seconds": 60, "notify": True}]}
    answers.expect("dry_run_pool", 200, alice.post(f"{pool}/dry-run", {"escalation": policy}))
    answers.expect("update_pool", 200, alice.patch(pool, {"escalation": policy}))
    answers.expect("list_workers", 200, alice.get("/v1/workers"))
    answers.expect("list_skills", 200, alice.get("/v1/skills"))
    answers.expect("get_worker", 200, alice.get(worker))
    hours = {"hours": {"mon": [["09:00", "17:00"]]}, "languages": ["en"]}
    answers.expect("update_worker", 200, alice.patch(worker, hours))
    answers.expect(
        "remove_member", 204, alice.call("DELETE", f"{pool}/members/{enrolled['worker_id']}")
    )
    answers.expect("delete_worker", 204, alice.call("DELETE", worker))
    answers.expect("close_pool", 204, alice.call("DELETE", pool))


def walk_feed(house: House, answers: Answers) -> None:
    alice, consumer = house.alice, "/v1/event-consumers/billing"
    page = answers.expect("read_events", 200, alice.get("/v1/events?limit=2"))
    assert len(page["data"]) == 2
    answers.expect("save_consumer", 201, alice.call("PUT", consumer, {"types": ["task.*"]}))
    answers.expect("save_consumer", 200, alice.call("PUT", consumer, {}))
    answers.expect("list_consumers", 200, alice.get("/v1/event-consumers"))
    answers.expect("get_consumer", 200, alice.get(consumer))
    answers.expect("read_consumer_events", 200, alice.get(f"{consumer}/events"))
    cursor = {"cursor": page["next_cursor"]}
    answers.expect("acknowledge_events", 200, alice.post(f"{consumer}/ack", cursor))
    answers.expect("delete_consumer", 204, alice.call("DELETE", consumer))


def walk_keys(house: House, answers: Answers) -> None:
    alice, keys = house.alice, "/v1/webhook-keys"
    for kind in ("v1", "v1", "v1a"):
        answers.expect("rotate_webhook_key", 201, alice.post(f"{keys}/rotate", {"kind": kind}))
    listed = answers.expect("list_webhook_keys", 200, alice.get(keys))["data"]
    earlier = next(key for key in listed if key["status"] == "expiring")
    gone = alice.call("DELETE", f"{keys}/{earlier['key_id']}")
    answers.expect("expire_webhook_key", 204, gone)
    jwks = f"/v1/organisations/{house.organisation.id}/webhook-jwks.json"
    assert answers.expect("get_webhook_jwks", 200, Client().get(jwks))["keys"]


def walk_api_keys(house: House, answers: Answers) -> None:
    scopes = [Scope.CREDENTIALS_MANAGE, Scope.CREDENTIALS_READ, Scope.TASKS_READ]
    issue = {"organisation_id": house.organisation.id, "scopes": scopes, "role": Role.MANAGER}
    manager, keys = Caller(issue_key(name="Manager", **issue)), "/v1/api-keys"
    body = {"name": "Reader", "scopes": ["tasks:read"], "pool_ids": [str(house.pool.id)]}
    key = f"{keys}/{answers.expect('create_api_key', 201, manager.post(keys, body))['key_id']}"
    answers.expect("rotate_api_key", 201, manager.post(f"{key}/rotate", {}))
    answers.expect("list_api_keys", 200, manager.get(keys))
    answers.expect("get_api_key", 200, manager.get(key))
    answers.expect("revoke_api_key", 204, manager.call("DELETE", key))


def walk_endpoints(house: House, answers: Answers) -> None:
    alice, endpoints = house.alice, "/v1/webhook-endpoints"
    with receiving() as receiver:
        receiver.reply = lambda _: Reply(500, body=b"boom")
        made = alice.post(endpoints, {"url": receiver.url, "headers": {"X-Team": "blue"}})
        endpoint = (
            f"{endpoints}/{answers.expect('create_webhook_endpoint', 201, made)['endpoint_id']}"
        )
        test = alice.post(f"{endpoint}/test", {"type": "task.offered"})
        delivery_id = answers.expect("test_webhook_endpoint", 202, test)["delivery_id"]
        deliver_due()
    answers.expect("list_webhook_endpoints", 200, alice.get(endpoints))
    answers.expect("get_webhook_endpoint", 200, alice.get(endpoint))
    walk_deliveries(house, answers, f"/v1/deliveries/{delivery_id}")
    paused = alice.patch(endpoint, {"enabled": False})
    answers.expect("update_webhook_endpoint", 200, paused)
    answers.expect("delete_webhook_endpoint", 204, alice.call("DELETE", endpoint))


def walk_deliveries(house: House, answers: Answers, delivery: str) -> None:
    """Get, resend and recover a failed delivery."""
    alice, recoveries = house.alice, "/v1/recoveries"
    answers.expect("get_delivery", 200, alice.get(delivery))
    listed = answers.expect("list_delivery_attempts", 200, alice.get(f"{delivery}/attempts"))
    assert [attempt["status_code"] for attempt in listed["data"]] == [500]
    answers.expect("list_deliveries", 200, alice.get("/v1/deliveries"))
    answers.expect("resend_delivery", 202, alice.post(f"{delivery}/resend"))
    wanted = {"kind": "failed", "since": soon(hours=-1).isoformat()}
    recovery = answers.expect("start_recovery", 202, alice.post(recoveries, wanted))
    answers.expect("list_recoveries", 200, alice.get(recoveries))
    one = alice.get(f"{recoveries}/{recovery['recovery_id']}")
    answers.expect("get_recovery", 200, one)


def walk_claims(house: House, answers: Answers) -> None:
    alice, claims = house.alice, "/v1/certification-claims"
    first, second = (f"{claims}/{claimed(house.bob.principal, code).id}" for code in ("a", "b"))
    answers.expect("list_certification_claims", 200, alice.get(claims))
    answers.expect("get_certification_claim", 200, alice.get(first))
    answers.expect("confirm_certification_claim", 200, alice.post(f"{first}/confirm"))
    rejected = alice.post(f"{second}/reject", {"reason": "Not readable."})
    answers.expect("reject_certification_claim", 200, rejected)


def walk_sessions(house: House, answers: Answers) -> None:
    alice, sessions = house.alice, "/v1/agent-sessions"
    body = {"session_id": "s-1", "agent_name": "drafter", "pool_id": str(house.pool.id)}
    answers.expect("register_agent_session", 201, alice.post(sessions, body))
    answers.expect("register_agent_session", 200, alice.post(sessions, body))
    answers.expect("list_agent_sessions", 200, alice.get(sessions))
    answers.expect("heartbeat_agent_session", 200, alice.post(f"{sessions}/s-1/heartbeat"))
    answers.expect("end_agent_session", 204, alice.delete(f"{sessions}/s-1"))
    answers.expect("get_agent_session", 200, alice.get(f"{sessions}/s-1"))


def walk_people(house: House, answers: Answers) -> None:
    admin, people = admin_key(house.organisation), "/v1/members"
    answers.expect("get_organisation", 200, admin.get("/v1/organisation"))
    changed = admin.patch("/v1/organisation", {"retain_days": 30})
    answers.expect("change_organisation", 200, changed)
    member = member_of(house.organisation, "mara@northwind.example")
    path, worker = f"{people}/{member.id}", {"worker_id": str(house.bobs_worker.id)}
    answers.expect("link_member_worker", 200, admin.put(f"{path}/worker", worker))
    answers.expect("list_organisation_members", 200, admin.get(people))
    answers.expect("get_organisation_member", 200, admin.get(path))
    answers.expect("change_organisation_member", 200, admin.patch(path, {"role": "editor"}))
    answers.expect("unlink_member_worker", 204, admin.delete(f"{path}/worker"))
    answers.expect("remove_organisation_member", 204, admin.delete(path))
    made = admin.post("/v1/invitations", {"email": "jo@northwind.example"})
    made = answers.expect("create_invitation", 201, made)
    invitation = f"/v1/invitations/{made['invitation_id']}"
    answers.expect("resend_invitation", 200, admin.post(f"{invitation}/resend"))
    answers.expect("list_invitations", 200, admin.get("/v1/invitations"))
    answers.expect("revoke_invitation", 204, admin.delete(invitation))


def walk_oauth(house: House, answers: Answers) -> None:
    manager, path = credentials_manager(house), "/v1/oauth-applications"
    body = {"name": "P", "grant_types": ["client_credentials"], "scopes": ["tasks:read"]}
    made = answers.expect("create_oauth_application", 201, manager.post(path, body))
    one = f"{path}/{made['client_id']}"
    answers.expect("list_oauth_applications", 200, manager.get(path))
    answers.expect("get_oauth_application", 200, manager.get(one))
    answers.expect("update_oauth_application", 200, manager.patch(one, {"role": "editor"}))
    rotated = manager.post(f"{one}/rotate-secret")
    answers.expect("rotate_oauth_application_secret", 200, rotated)
    answers.expect("delete_oauth_application", 204, manager.call("DELETE", one))


def walk_audit(house: House, answers: Answers) -> None:
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Reviews",
        role=Role.MANAGER,
        scopes=[Scope.AUDIT_READ],
    )
    caller = Caller(key)
    assert chain_audit_events() == 1
    assert sign_audit_heads(at=soon(days=1)) == 1
    assert answers.expect("list_audit_events", 200, caller.get("/v1/audit-events"))["data"]
    assert answers.expect("list_audit_heads", 200, caller.get("/v1/audit-heads"))["data"]
    assert answers.expect("get_audit_jwks", 200, Client().get("/v1/audit-jwks.json"))["keys"]


def walk_legal_holds(house: House, answers: Answers) -> None:
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Legal",
        role=Role.ADMIN,
        scopes=[Scope.ORGANISATION_READ, Scope.ORGANISATION_MANAGE],
    )
    caller, holds = Caller(key), "/v1/legal-holds"
    body = {"task_id": str(house.task().id), "reason": "Case 1"}
    hold = answers.expect("place_legal_hold", 201, caller.post(holds, body))
    path = f"{holds}/{hold['hold_id']}"
    answers.expect("list_legal_holds", 200, caller.get(holds))
    answers.expect("get_legal_hold", 200, caller.get(path))
    answers.expect("release_legal_hold", 200, caller.post(f"{path}/release"))


def walk_bridges(house: House, answers: Answers) -> None:
    alice, path = house.alice, "/v1/bridge-instances"
    body = {"name": "Chat", "scope": "global", "url": "http://127.0.0.1:9/notify"}
    made = answers.expect("create_bridge_instance", 201, alice.post(path, body))
    one = f"{path}/{made['bridge_instance_id']}"
    answers.expect("list_bridge_instances", 200, alice.get(path))
    answers.expect("get_bridge_instance", 200, alice.get(one))
    auth = {"type": "bearer", "token": "s3cret"}
    answers.expect("update_bridge_instance", 200, alice.patch(one, {"muted": True, "auth": auth}))
    answers.expect("delete_bridge_instance", 204, alice.delete(one))


# The audit log last: it has what the others did.
WALKS = (
    walk_tasks,
    walk_operator_calls,
    walk_reviews,
    walk_reviewers,
    walk_attachments,
    walk_work,
    walk_feed,
    walk_endpoints,
    walk_bridges,
    walk_keys,
    walk_api_keys,
    walk_pools,
    walk_claims,
    walk_sessions,
    walk_people,
    walk_oauth,
    walk_legal_holds,
    walk_audit,
)


def test_answers_are_as_documented(house: House) -> None:
    answers = Answers()
    for walk in WALKS:
        walk(house, answers)
    unseen = set(BY_NAME) - answers.seen - set(SHOWN_ELSEWHERE)
    assert not unseen, (
        f"no test compares the responses of: {sorted(unseen)}. Call them in one of WALKS, or name"
        " in SHOWN_ELSEWHERE the test that compares their answers with the document."
    )


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/tasks", {}, 422),
        ("/v1/tasks/7/cancel", {}, 404),
        (f"/v1/offers/{UUID(int=7)}/accept", {}, 403),
    ],
)
def test_a_refusal_is_as_documented(house: House, path: str, body: Any, status: int) -> None:
    answer = house.alice.post(path, body)
    assert answer.status_code == status
    Problem.model_validate_json(answer.content)
    refusal = openapi()["components"]["responses"][str(status)]
    (media_type,) = refusal["content"]
    assert answer["Content-Type"] == media_type
    assert fits(answer.json(), refusal["content"][media_type]["schema"])


def test_an_unknown_key__is_refused_as_documented(database: None) -> None:
    answer = Caller("bl_live_nobody").get("/v1/tasks")
    assert answer.status_code == 401
    Problem.model_validate_json(answer.content)


# --- what it says of webhooks ---------------------------------------------------------------------


def test_webhooks__are_all_event_types() -> None:
    assert list(openapi()["webhooks"]) == list(EVENT_TYPES)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_webhooks_example__fits_its_schema(event_type: str) -> None:
    webhook = openapi()["webhooks"][event_type]["post"]
    content = webhook["requestBody"]["content"]["application/json"]
    assert content["example"] == EXAMPLES[event_type]
    assert fits(content["example"], content["schema"])
    assert not fits({**content["example"], "data": {}}, content["schema"])
    assert {parameter["$ref"].rpartition("/")[2] for parameter in webhook["parameters"]} == {
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }


# --- whether everything is described --------------------------------------------------------------


def test_every_property__is_described_and_has_an_example() -> None:
    schemas = openapi()["components"]["schemas"]
    fields = [
        (f"{model}.{name}", field)
        for model, schema in schemas.items()
        for name, field in schema.get("properties", {}).items()
    ]
    assert len(fields) > 800
    assert [name for name, field in fields if not field.get("description", "").strip()] == []
    # A constant needs no example, and an object has those of its fields.
    shown = ("examples", "const", "$ref")
    lacking = [
        name
        for name, field in fields
        if not any(word in field for word in shown) and "#/components/schemas" not in str(field)
    ]
    assert lacking == []


def test_every_property__has_an_example_that_its_schema_allows() -> None:
    schemas = openapi()["components"]["schemas"]
    for name, schema in schemas.items():
        whole = {**schema, "components": {"schemas": schemas}}
        found = jsonschema_rs.Draft202012Validator(whole, validate_formats=True).iter_errors(
            example_of(schema, schemas)
        )
        assert [(name, error.instance_path, error.message) for error in found] == []


def test_no_field_of_a_request__has_a_default() -> None:
    """Check that there is none: client generators treat such fields as required."""
    schemas = openapi()["components"]["schemas"]
    fields = [
        field for schema in schemas.values() for field in schema.get("properties", {}).values()
    ]
    assert not [field for field in fields if "default" in field]
    urgency = schemas["Sla"]["properties"]["urgency"]
    assert urgency["description"].endswith('Default: `"normal"`.')


def test_every_operation__is_described_with_examples() -> None:
    for path, methods in openapi()["paths"].items():
        for method, operation in methods.items():
            assert operation["description"].strip(), (method, path)
            for parameter in operation.get("parameters", []):
                if "$ref" not in parameter:
                    assert parameter["description"].strip(), (method, path, parameter)
                    assert "example" in parameter, (method, path, parameter)
            for content in operation.get("requestBody", {}).get("content", {}).values():
                assert "example" in content or "multipart/form-data" in str(operation), path
            for status, answer in operation["responses"].items():
                for content in answer.get("content", {}).values():
                    assert "example" in content, (method, path, status)
            assert {"500", "503"} <= operation["responses"].keys()


@pytest.mark.parametrize(
    ("model", "body"), BODIES.items(), ids=lambda one: getattr(one, "__name__", "")
)
def test_every_example_of_a_body__is_accepted_by_its_model(model: Any, body: Any) -> None:
    assert parse(model, body)


def test_every_body__has_an_example() -> None:
    bodies = {one.body for one in operations() if one.body is not None and one.body_type == JSON}
    assert bodies == BODIES.keys()


def test_a_task__needs_an_output() -> None:
    assert "output" in openapi()["components"]["schemas"]["TaskContract"]["required"]
