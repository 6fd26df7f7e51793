"""Test endpoints by HTTP: created, read, what each receives; which credentials see them."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from apps.api.models import IdempotencyKey
from apps.base import clock
from apps.pools.services import provision_pool
from apps.webhooks.models import Delivery, Destination, Origin
from apps.webhooks.services.endpoints import management
from biolayer.events import EVENT_TYPES
from biolayer.responses.webhooks import WebhookEndpointPage
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.api.webhook_steps import PATH, URL, changed, made, manager, path_of, restricted
from tests.factories import NO_ID, House
from tests.integration.test_budgets import statements

# --- making ---------------------------------------------------------------------------------------


def test_create__with_a_url_alone(house: House) -> None:
    answer = house.alice.post(PATH, {"url": "https://Example.com/hooks?a=1"})
    document = answer.json()
    assert answer.status_code == 201
    assert answer["Location"] == f"{PATH}/{document['endpoint_id']}"
    created_at = document.pop("created_at")
    assert document == {
        "endpoint_id": str(Destination.objects.get().id),
        "url": "https://Example.com/hooks?a=1",
        "origin": "https://example.com:443",
        "description": "",
        "event_types": ["task.*"],
        "pool_ids": None,
        "domains": None,
        "headers": {},
        "auth": {"type": "none"},
        "payload": "full",
        "ordering": "per_task",
        "rate_limit_per_minute": None,
        "timeout_seconds": 10,
        "retry_policy": None,
        "enabled": True,
        "status": "enabled",
        "disabled_reason": None,
        "failing_since": None,
        "failure_count": 0,
        "updated_at": created_at,
        "health": {
            "concurrency": 4,
            "breaker": "closed",
            "open_until": None,
            "held_until": None,
            "under_way": 0,
            "pending": 0,
            "held": 0,
        },
    }
    assert house.alice.get(answer["Location"]).json() == {**document, "created_at": created_at}


def test_create__with_everything(house: House) -> None:
    fields = {
        "description": "The ledger",
        "event_types": ["task.completed", "endpoint.*", "delivery.exhausted"],
        "pool_ids": [str(house.pool.id)],
        "domains": ["security", "finance"],
        "payload": "thin",
        "ordering": "none",
        "rate_limit_per_minute": 60_000,
        "timeout_seconds": 30,
        "retry_policy": {"max_retries": 3, "backoff_seconds": 5},
        "enabled": False,
    }
    document = made(
        house.alice,
        **fields,
        headers={"X-Tenant": "north"},
        auth={"type": "basic", "username": "ann", "password": "pa55"},
    )
    assert {name: document[name] for name in fields} == fields
    assert (document["status"], document["headers"]) == ("paused", {"X-Tenant": "redacted"})
    assert document["auth"] == {"type": "basic", "username": "redacted", "password": "redacted"}


def test_secrets__are_encrypted_and_never_shown(house: House) -> None:
    body = {
        "url": URL,
        "headers": {"X-Token": "h1dden"},
        "auth": {"type": "bearer", "token": "s3cret"},
    }
    answer = house.alice.post(PATH, body, **{"Idempotency-Key": "k"})
    again = house.alice.post(PATH, body, **{"Idempotency-Key": "k"})
    assert (again["Idempotency-Replayed"], again.json()) == ("true", answer.json())
    assert Destination.objects.count() == 1
    kept = bytes(Destination.objects.get().sealed) + bytes(IdempotencyKey.objects.get().body)
    listed = house.alice.get(PATH).content
    for text in (answer.content, listed, kept):
        assert b"s3cret" not in text
        assert b"h1dden" not in text


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"url": None}, {"/url": "wrong_type"}),
        ({"url": ""}, {"/url": "too_short"}),
        ({"url": "https://example.com/" + "a" * 2048}, {"/url": "too_long"}),
        ({"url": "ftp://example.com"}, {"/url": "scheme_not_allowed"}),
        ({"url": "https://ann:pw@example.com"}, {"/url": "credentials_in_url"}),
        ({"url": "https://10.0.0.1/"}, {"/url": "address_not_allowed"}),
        ({"url": "https://[::ffff:169.254.169.254]/"}, {"/url": "address_not_allowed"}),
        ({"description": "a" * 501}, {"/description": "too_long"}),
        ({"description": "a\0b"}, {"/description": "nul_character"}),
        ({"event_types": []}, {"/event_types": "too_short"}),
        ({"event_types": ["task.*"] * 51}, {"/event_types": "too_long"}),
        ({"event_types": ["task.drafted"]}, {"/event_types/0": "not_one_of"}),
        ({"event_types": ["*", "run.*"]}, {"/event_types/1": "not_one_of"}),
        ({"event_types": "task.*"}, {"/event_types": "wrong_type"}),
        ({"pool_ids": []}, {"/pool_ids": "too_short"}),
        ({"pool_ids": ["front desk"]}, {"/pool_ids/0": "wrong_type"}),
        ({"pool_ids": [NO_ID]}, {"/pool_ids/0": "unknown_pool"}),
        ({"domains": ["Not A Slug"]}, {"/domains/0": "pattern"}),
        ({"headers": {"X Y": "v"}}, {"/headers/X Y": "pattern"}),
        ({"headers": {"X-A": "a\r\nb"}}, {"/headers/X-A": "pattern"}),
        ({"headers": {"X-A": 1}}, {"/headers/X-A": "wrong_type"}),
        ({"headers": {"X-A": "1", "x-a": "2"}}, {"/headers": "duplicate"}),
        ({"headers": {f"X-{n}": "v" for n in range(21)}}, {"/headers": "too_long"}),
        ({"auth": {"type": "bearer"}}, {"/auth/token": "required"}),
        (
            {"auth": {"type": "header", "name": "x-key", "value": "v"}, "headers": {"X-Key": "w"}},
            {"/headers/X-Key": "duplicate"},
        ),
        ({"payload": "slim"}, {"/payload": "not_one_of"}),
        ({"ordering": "strict"}, {"/ordering": "not_one_of"}),
        ({"rate_limit_per_minute": 0}, {"/rate_limit_per_minute": "too_small"}),
        ({"rate_limit_per_minute": 60_001}, {"/rate_limit_per_minute": "too_large"}),
        ({"timeout_seconds": 31}, {"/timeout_seconds": "too_large"}),
        ({"timeout_seconds": True}, {"/timeout_seconds": "wrong_type"}),
        ({"retry_policy": {"max_retries": 21}}, {"/retry_policy/max_retries": "too_large"}),
        ({"enabled": "yes"}, {"/enabled": "wrong_type"}),
        ({"secret": "s"}, {"/secret": "unknown_field"}),
    ],
    ids=str,
)
def test_bad_field__is_named(house: House, changes: dict[str, Any], codes: dict[str, str]) -> None:
    endpoint = made(house.alice)
    with expect_unchanged():
        assert faults(house.alice.post(PATH, {"url": URL, **changes})) == codes
        assert faults(house.alice.patch(path_of(endpoint), changes)) == codes


@pytest.mark.parametrize(
    "name",
    [
        "Authorization", "Cookie", "Set-Cookie", "User-Agent", "Accept-Encoding",
        "Proxy-Connection",
        "Sec-Fetch-Site", "X-Forwarded-For", "Forwarded", "Via", "Keep-Alive", "Date", "Host",
        "Content-Length", "Content-Type", "Transfer-Encoding", "Webhook-Id", "webhook-anything",
    ],
)  # fmt: skip
def test_reserved_header__is_refused(house: House, name: str) -> None:
    answer = house.alice.post(PATH, {"url": URL, "headers": {name: "v", "X-Mine": "v"}})
    assert faults(answer) == {f"/headers/{name}": "reserved_header"}


def test_create__names_every_fault_at_once(house: House) -> None:
    body = {
        "url": "http://example.com",
        "event_types": ["no.such"],
        "pool_ids": [str(house.strangers_pool.id)],
        "headers": {"Cookie": "v"},
        "timeout_seconds": 0,
    }
    assert faults(house.alice.post(PATH, body)) == {
        "/url": "scheme_not_allowed",
        "/event_types/0": "not_one_of",
        "/pool_ids/0": "unknown_pool",
        "/headers/Cookie": "reserved_header",
        "/timeout_seconds": "too_small",
    }
    assert faults(house.alice.post(PATH, {})) == {"/url": "required"}


def test_unknown_event_type__is_refused_with_the_list(house: House) -> None:
    answer = house.alice.post(PATH, {"url": URL, "event_types": ["task.done"]})
    (fault,) = expect_problem(answer, 422)["errors"]
    assert all(event_type in fault["detail"] for event_type in EVENT_TYPES)


def test_create__refused_at_the_maximum(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(management, "MAX_ENDPOINTS", 2)
    house.task(handoff={"callback_url": URL})  # A callback does not count.
    made(house.alice)
    first = made(house.alice)
    made(house.charlie)
    with expect_unchanged():
        body = expect_problem(house.alice.post(PATH, {"url": URL}), 409, "too_many_endpoints")
    assert body["limit"] == 2
    house.alice.call("DELETE", path_of(first))
    made(house.alice)


# --- whom they hear of ----------------------------------------------------------------------------


def deliveries_of(endpoint: dict[str, Any]) -> list[tuple[UUID, str]]:
    """Return subjects and types of an endpoint's deliveries."""
    mine = Delivery.objects.filter(destination_id=endpoint["endpoint_id"])
    return list(mine.order_by("created_at", "sequence").values_list("subject_id", "event_type"))


def test_filters__decide_what_an_endpoint_receives(house: House) -> None:
    pool = str(house.pool.id)
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    everything = made(house.alice)
    finance = made(house.alice, domains=["finance"], event_types=["task.created", "task.queued"])
    front = made(house.alice, pool_ids=[pool, str(other.id)], event_types=["*"])
    operations = made(house.alice, event_types=["endpoint.*", "delivery.*"])
    strangers = made(house.charlie)
    in_pool = house.task(requirements={"worker_pool_id": pool})
    of_finance = house.task(domain="finance")
    assert [subject for subject, _ in deliveries_of(everything)] == [in_pool.id, of_finance.id]
    assert deliveries_of(finance) == [(of_finance.id, "task.created")]
    assert deliveries_of(front) == [(in_pool.id, "task.created")]
    assert deliveries_of(operations) == deliveries_of(strangers) == []


# --- reading --------------------------------------------------------------------------------------


def test_list__is_paged_newest_first_and_takes_no_other_parameter(house: House) -> None:
    ids = [made(house.alice)["endpoint_id"] for _ in range(3)]
    made(house.charlie)
    first = house.alice.get(f"{PATH}?limit=2")
    WebhookEndpointPage.model_validate_json(first.content, extra="forbid")
    second = house.alice.get(f"{PATH}?limit=2&cursor={first.json()['next_cursor']}").json()
    listed_ids = [row["endpoint_id"] for page in (first.json(), second) for row in page["data"]]
    assert (listed_ids, second["next_cursor"]) == (ids[::-1], None)
    wrong = faults(house.alice.get(f"{PATH}?status=enabled&url=x"))
    assert wrong == {"/status": "unknown_parameter", "/url": "unknown_parameter"}


def test_health__shows_the_origin(house: House) -> None:
    endpoint = made(house.alice)
    house.task()
    house.task(handoff={"callback_url": URL})
    path = path_of(endpoint)
    now = clock.now()
    Origin.objects.update(
        concurrency=7.6, open_until=now + timedelta(minutes=1), probe_seconds=60, held_until=now
    )
    health = house.alice.get(path).json()["health"]
    assert (health["concurrency"], health["breaker"], health["pending"]) == (7, "open", 3)
    assert health["held_until"] is not None
    Origin.objects.update(open_until=now - timedelta(seconds=1))
    assert house.alice.get(path).json()["health"]["breaker"] == "probing"
    Delivery.objects.filter(destination_id=endpoint["endpoint_id"]).update(
        claim_token=uuid4(), due_at=now + timedelta(minutes=1)
    )
    assert house.alice.get(path).json()["health"]["under_way"] == 2


def test_reading__needs_few_statements(house: House) -> None:
    endpoint = made(house.alice)
    made(house.alice)
    path = path_of(endpoint)
    assert len(statements(lambda: house.alice.get(path), answered=200)) == 2
    assert len(statements(lambda: house.alice.get(PATH), answered=200)) == 2


# --- credentials for some pools -------------------------------------------------------------------


def test_credential_for_some_pools__manages_endpoints_of_these_only(house: House) -> None:
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    front = restricted(house, house.pool.id)
    for pool_ids, place in (
        (None, "/pool_ids"),
        ([str(other.id)], "/pool_ids/0"),
        ([str(house.pool.id), str(other.id)], "/pool_ids/1"),
    ):
        body = {"url": URL, "pool_ids": pool_ids}
        with expect_unchanged():
            assert list(faults(front.post(PATH, body))) == [place]
    with expect_unchanged():
        assert faults(front.post(PATH, {"url": URL})) == {"/pool_ids": "required"}
    mine = made(front, pool_ids=[str(house.pool.id)])
    for everybodys in (made(house.alice), made(house.alice, pool_ids=[str(other.id)])):
        path = path_of(everybodys)
        with expect_unchanged():
            for method in ("GET", "PATCH", "DELETE"):
                expect_problem(front.call(method, path), 404, "not_found")
            expect_problem(front.post(f"{path}/test", {"type": "task.failed"}), 404, "not_found")
    listed = front.get(PATH).json()["data"]
    assert [each["endpoint_id"] for each in listed] == [mine["endpoint_id"]]
    with expect_unchanged():
        widened = front.patch(path_of(mine), {"pool_ids": None})
        assert faults(widened) == {"/pool_ids": "required"}
    assert changed(front, mine, description="Ours")["description"] == "Ours"


def test_credential_that_may_only_manage__gets_a_response_but_reads_nothing(house: House) -> None:
    caller = manager(house)
    endpoint = made(caller)
    assert changed(caller, endpoint, description="Mine")["description"] == "Mine"
    expect_problem(caller.get(path_of(endpoint)), 403, "scope_missing")
    tested = caller.post(f"{path_of(endpoint)}/test", {"type": "task.failed"})
    assert tested.status_code == 202
    assert caller.call("DELETE", path_of(endpoint)).status_code == 204
