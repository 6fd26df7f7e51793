"""Check that refusals are RFC 9457, with the right status and headers."""

import json
import re
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client

from apps.accounts.keys import KeyText
from apps.accounts.models import ApiKey, Organisation
from apps.accounts.scopes import Scope
from apps.accounts.services import issue_key
from apps.base import clock
from tests.api.expect import MEDIA_TYPE, expect_problem, expect_unchanged, faults
from tests.factories import NO_ID, Caller, House, contract, soon

MALFORMED = [
    b"{", b"}", b'{"a":}', b"{'a': 1}", b'{"a": NaN}', b"\xff\xfe", b'"\\ud800"',
    b"\xef\xbb\xbf{}", b'{"a": 01}', b"{} {}", b"[" * 5000, b'{"a": "\n"}',
]  # fmt: skip


def raw(caller: Caller, path: str, body: bytes, content_type: str = "application/json") -> Any:
    return caller.client.post(
        path, body, content_type=content_type, headers={"Authorization": f"Bearer {caller.key}"}
    )


@pytest.mark.parametrize("body", MALFORMED)
def test_400__malformed_json(house: House, body: bytes) -> None:
    with expect_unchanged():
        expect_problem(raw(house.alice, "/v1/tasks", body), 400, "malformed_json")


def keys(house: House) -> dict[str, str]:
    """Authorization headers that must be refused."""
    good = house.alice.key
    issue = {"organisation_id": house.organisation.id, "name": "Old"}
    expired = issue_key(**issue, expires_at=soon(seconds=-1))
    revoked = issue_key(**issue)
    ApiKey.objects.filter(id=revoked.split("_")[2]).update(revoked_at=clock.now())
    return {
        "missing": "",
        "no scheme": good,
        "basic": "Basic YWxpY2U6eA==",
        "no key": "Bearer ",
        "garbled": "Bearer bl_live_garbled",
        "unknown token": "Bearer " + "x" * 40,
        "not ASCII": "Bearer caf\u00e9",
        "expired": f"Bearer {expired}",
        "revoked": f"Bearer {revoked}",
        "other checksum": f"Bearer {good[:-1]}{'a' if good[-1] != 'a' else 'b'}",
        "other secret": f"Bearer {KeyText(good.split('_')[2], 'x' * 32)}",
        "unknown key": f"Bearer {KeyText('x' * 12, 'x' * 32)}",
        "nul in a well-formed key": f"Bearer {KeyText(chr(0) * 12, 'x' * 32)}",
        "cut short": f"Bearer {good[:-1]}",
        "too long": f"Bearer {good}x",
    }


def test_401__credential_does_not_hold(house: House) -> None:
    for name, header in keys(house).items():
        headers = {"Authorization": header} if header else {}
        with expect_unchanged():
            answer = Client(raise_request_exception=False).post(
                "/v1/tasks",
                json.dumps(contract()),
                content_type="application/json",
                headers=headers,
            )
        assert answer.status_code == 401, (name, answer.content)
        expect_problem(answer, 401, "unauthenticated")
        assert answer["WWW-Authenticate"].startswith("Bearer"), name


def test_401__precedes_reading_the_body(house: House) -> None:
    stranger = Caller("bl_live_nobody")
    for body in (b"{", b"x" * 300_000):
        expect_problem(raw(stranger, "/v1/tasks", body), 401, "unauthenticated")
    expect_problem(stranger.get(f"/v1/tasks/{house.task().id}"), 401, "unauthenticated")


def test_401__scheme_is_case_insensitive(house: House) -> None:
    headers = {"Authorization": f"bearer {house.alice.key}"}
    assert Client().get("/v1/tasks", headers=headers).status_code == 200


def test_401__key_is_valid_until_it_expires(house: House) -> None:
    key = issue_key(organisation_id=house.organisation.id, name="Soon", expires_at=soon(minutes=1))
    assert Caller(key).get("/v1/tasks").status_code == 200


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        (Scope.TASKS_READ, "GET", "/v1/tasks"),
        (Scope.TASKS_CREATE, "POST", "/v1/tasks"),
        (Scope.TASKS_CANCEL, "POST", "/v1/tasks/{task}/cancel"),
    ],
)
def test_403__scope_missing(house: House, scope: Scope, method: str, path: str) -> None:
    others = {Scope.TASKS_READ, Scope.TASKS_CREATE, Scope.TASKS_CANCEL} - {scope}
    caller = Caller(issue_key(organisation_id=house.organisation.id, name="Less", scopes=others))
    body = contract() if path == "/v1/tasks" and method == "POST" else None
    path = path.format(task=house.task().id)
    with expect_unchanged():
        body = expect_problem(caller.call(method, path, body), 403, "scope_missing")
    assert body["scope"] == scope.value


NETWORKS = [
    (["10.0.0.0/8"], "10.1.2.3", True),
    (["10.0.0.0/8"], "11.1.2.3", False),
    (["10.0.0.0/8", "192.0.2.7/32"], "192.0.2.7", True),
    (["2001:db8::/32"], "2001:db8::1", True),
    (["2001:db8::/32"], "10.1.2.3", False),
    (["0.0.0.0/0"], "2001:db8::1", False),
    (["0.0.0.0/0"], "garbage", False),
    ([], "11.1.2.3", True),
]


@pytest.mark.parametrize(("networks", "address", "is_allowed"), NETWORKS)
def test_403__address_list(
    house: House, networks: list[str], address: str, is_allowed: bool
) -> None:
    Organisation.objects.filter(id=house.organisation.id).update(allowed_networks=networks)
    headers = {"Authorization": f"Bearer {house.alice.key}"}
    answer = house.alice.client.get("/v1/tasks", headers=headers, REMOTE_ADDR=address)
    if is_allowed:
        assert answer.status_code == 200
    else:
        expect_problem(answer, 403, "address_not_allowed")


def test_403__address_cannot_be_claimed_by_a_header(house: House, settings: Any) -> None:
    Organisation.objects.filter(id=house.organisation.id).update(allowed_networks=["10.0.0.0/8"])
    headers = {"Authorization": f"Bearer {house.alice.key}", "X-Forwarded-For": "10.1.2.3"}

    def call(forwarded: str) -> Any:
        return house.alice.client.get(
            "/v1/tasks", headers={**headers, "X-Forwarded-For": forwarded}, REMOTE_ADDR="11.0.0.1"
        )

    expect_problem(call("10.1.2.3"), 403, "address_not_allowed")
    settings.TRUSTED_PROXIES = 1
    assert call("10.1.2.3").status_code == 200
    assert call("11.9.9.9, 10.1.2.3").status_code == 200
    expect_problem(call("10.1.2.3, 11.9.9.9"), 403, "address_not_allowed")


def test_403__address_of_a_call_to_the_streams(house: House, settings: Any) -> None:
    """Refuse it in the ASGI process: its views authenticate by the same code."""
    settings.ROOT_URLCONF, settings.TRUSTED_PROXIES = "config.stream_urls", 1
    Organisation.objects.filter(id=house.organisation.id).update(allowed_networks=["10.0.0.0/8"])

    async def call(path: str, forwarded: str) -> Any:
        headers = {"Authorization": f"Bearer {house.alice.key}", "X-Forwarded-For": forwarded}
        return await AsyncClient().get(path, headers=headers)

    for path in ("/v1/events/stream", "/v1/events"):
        refused = async_to_sync(call)(path, "10.1.2.3, 11.9.9.9")
        assert (refused.status_code, refused.headers["Content-Type"]) == (403, MEDIA_TYPE)
        assert b"address_not_allowed" in refused.content
        assert async_to_sync(call)(path, "11.9.9.9, 10.1.2.3").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/v1",
        "/v1/",
        "/v1/nothing",
        "/v1/tasks/a/b",
        "/v2/tasks",
        "/v1/people",
        "/v1//tasks",
    ],
)
def test_404__no_such_address(house: House, path: str) -> None:
    expect_problem(house.alice.get(path), 404, "not_found")


@pytest.mark.parametrize("name", [NO_ID, "no-uuid", "%00", "0" * 32])
def test_404__no_such_thing(house: House, name: str) -> None:
    body = {"epoch": 1, "output": {}}
    with expect_unchanged():
        for path in (f"/v1/tasks/{name}", f"/v1/tasks/{name}/events"):
            expect_problem(house.alice.get(path), 404, "not_found")
        expect_problem(house.alice.post(f"/v1/tasks/{name}/cancel"), 404, "not_found")
        expect_problem(house.bob.get(f"/v1/runs/{name}"), 404, "not_found")
        for verb in ("accept", "decline"):
            expect_problem(house.bob.post(f"/v1/offers/{name}/{verb}"), 404, "not_found")
        for verb in ("start", "heartbeat", "release"):
            expect_problem(
                house.bob.post(f"/v1/runs/{name}/{verb}", {"epoch": 1}), 404, "not_found"
            )
        expect_problem(house.bob.post(f"/v1/runs/{name}/submit", body), 404, "not_found")


WRONG_METHODS = [
    ("PUT", "/v1/tasks", {"GET", "POST"}),
    ("DELETE", "/v1/tasks/{id}", {"GET", "PATCH"}),
    ("PUT", "/v1/tasks/{id}", {"GET", "PATCH"}),
    ("GET", "/v1/tasks/{id}/cancel", {"POST"}),
    ("POST", "/v1/tasks/{id}/events", {"GET"}),
    ("POST", "/v1/offers", {"GET"}),
    ("GET", "/v1/offers/{id}/accept", {"POST"}),
    ("POST", "/v1/workers/me", {"GET", "PATCH"}),
    ("TRACE", "/v1/tasks", {"GET", "POST"}),
    ("BREW", "/v1/tasks", {"GET", "POST"}),
]


@pytest.mark.parametrize(("method", "path", "allowed"), WRONG_METHODS)
def test_405__names_what_is_allowed(
    house: House, method: str, path: str, allowed: set[str]
) -> None:
    answer = house.alice.call(method, path.format(id=house.task().id))
    expect_problem(answer, 405, "method_not_allowed")
    named = {name.strip() for name in answer["Allow"].split(",")}
    assert named - {"HEAD", "OPTIONS"} == allowed


@pytest.mark.parametrize(
    "path", ["/v1/tasks", "/v1/tasks/{id}/cancel", "/v1/offers/{id}/accept", "/v1/runs/{id}/submit"]
)
def test_413__body_too_large_everywhere(house: House, path: str) -> None:
    body = b"{}".ljust(256 * 1024 + 1)
    with expect_unchanged():
        for caller in (house.alice, house.bob):
            expect_problem(raw(caller, path.format(id=uuid4()), body), 413, "too_large")


def test_413__limit_is_the_deployments(house: House, settings: Any) -> None:
    settings.MAX_BODY_BYTES = 1024
    expect_problem(raw(house.alice, "/v1/tasks", b"{}".ljust(1025)), 413, "too_large")
    faults(raw(house.alice, "/v1/tasks", b"{}".ljust(1024)))


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/xml",
    ],
)
def test_415__only_json_is_read(house: House, content_type: str) -> None:
    body = json.dumps(contract()).encode()
    with expect_unchanged():
        answer = raw(house.alice, "/v1/tasks", body, content_type)
    expect_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
)
def test_415__json_by_any_spelling(house: House, content_type: str) -> None:
    answer = raw(house.alice, "/v1/tasks", json.dumps(contract()).encode(), content_type)
    assert answer.status_code == 201


def test_429__after_so_many_calls(house: House, settings: Any) -> None:
    settings.RATE_LIMIT_PER_MINUTE = 3
    answers = [house.alice.get("/v1/tasks") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    for answer in answers[3:]:
        assert expect_problem(answer, 429, "rate_limited")["violated-policies"] == ["key"]
        assert 1 <= int(answer["Retry-After"]) <= 20
        assert f'"key";r=0;t={answer["Retry-After"]}' in answer["RateLimit"]
    assert house.charlie.get("/v1/tasks").status_code == 200


def test_429__refused_call_has_no_effect(house: House, settings: Any) -> None:
    settings.RATE_LIMIT_PER_MINUTE = 1
    answers = [house.alice.post("/v1/tasks", contract()) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [201, 429, 429, 429]
    assert len(house.charlie.get("/v1/tasks").json()["data"]) == 0
    other = Caller(issue_key(organisation_id=house.organisation.id, name="Reader"))
    assert len(other.get("/v1/tasks").json()["data"]) == 1


def test_rate_limit__is_in_the_headers_of_every_response(house: House, settings: Any) -> None:
    settings.RATE_LIMIT_PER_MINUTE = 1000
    answers = [
        house.alice.get("/v1/tasks"),
        house.alice.post("/v1/tasks", contract()),
        house.alice.post("/v1/tasks", {}),
        house.alice.get(f"/v1/tasks/{uuid4()}"),
        house.bob.get("/v1/offers"),
    ]
    for answer in answers:
        assert answer["RateLimit-Policy"] == '"key";q=1000;w=60, "organisation";q=4000;w=60'
        assert re.fullmatch(r'"key";r=9\d\d;t=1, "organisation";r=39\d\d;t=1', answer["RateLimit"])


def test_request_id__is_kept_or_generated(house: House) -> None:
    kept = house.alice.get("/v1/nothing", **{"X-Request-ID": "trace-7.a_B"})
    assert (kept["X-Request-ID"], kept.json()["request_id"]) == ("trace-7.a_B", "trace-7.a_B")
    for hostile in ("", "a b", "x" * 65, "<script>", "caf\u00e9"):
        made = house.alice.get("/v1/nothing", **{"X-Request-ID": hostile})
        assert made["X-Request-ID"] not in ("", hostile)
        assert made.json()["request_id"] == made["X-Request-ID"]
    assert house.alice.get("/v1/tasks")["X-Request-ID"]


def test_problem__type_names_the_code(house: House) -> None:
    seen = [
        expect_problem(house.alice.get("/v1/nothing"), 404),
        expect_problem(house.alice.post("/v1/tasks", {}), 422),
        expect_problem(Caller("x").get("/v1/tasks"), 401),
    ]
    assert len({body["type"] for body in seen}) == 3
    assert all(body["code"] in body["type"] for body in seen)


def test_accept__wish_for_another_form_is_answered_in_json(house: House) -> None:
    answer = house.alice.get("/v1/tasks", Accept="text/html")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")
