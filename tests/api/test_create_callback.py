"""Test `handoff`: URLs of callbacks, and secrets that are never returned."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.expect import everything, expect_unchanged, faults
from tests.factories import House, contract

ADDRESSES = json.loads((Path(__file__).parents[1] / "data" / "outgoing-addresses.json").read_text())


def callback(url: str) -> dict[str, Any]:
    return contract(handoff={"callback_url": url})


def literal(address: str) -> str:
    return f"[{address}]" if ":" in address else address


NEVER = [
    "ftp://example.com/",
    "javascript:alert(1)",
    "//example.com/",
    "example.com/hook",
    "",
    "https://",
    "https:///hook",
    "https://user@example.com/",
    "https://user:secret@example.com/",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:port/",
    "https://exa mple.com/",
    "https://[::1/",
    "https://example.com/\r\nX-Injected: 1",
    "https://example.com/" + "x" * 4096,
    *[f"https://{literal(address)}/" for address in ADDRESSES["denied"]],
    *[f"https://{name}/" for name in ADDRESSES["names_that_resolve_to_loopback"]],
]
HTTP = ["http://example.com/", "http://1.1.1.1/", "http://127.0.0.1:9000/", "http://localhost/"]
LOOPBACK = ["http://127.0.0.1:9000/hook", "http://localhost:9000/", "http://[::1]:9000/"]


@pytest.mark.parametrize("url", [*NEVER, *HTTP, *LOOPBACK])
def test_create__callback_refused_in_production(house: House, settings: Any, url: str) -> None:
    settings.ALLOW_LOOPBACK_CALLBACKS = False
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", callback(url))
    assert list(faults(answer)) == ["/handoff/callback_url"]


GOOD_URLS = [
    "https://example.com/webhooks/biolayer",
    "https://example.com:8443/a?b=c",
    "https://EXAMPLE.com",
    "https://b\u00fccher.example/",
    *[f"https://{literal(address)}/" for address in ADDRESSES["allowed"]],
]


@pytest.mark.parametrize("url", GOOD_URLS)
def test_create__callback_accepted_in_production(house: House, settings: Any, url: str) -> None:
    settings.ALLOW_LOOPBACK_CALLBACKS = False
    answer = house.alice.post("/v1/tasks", callback(url))
    assert answer.status_code == 201, answer.content
    assert house.alice.get(answer["Location"]).json()["handoff"]["callback_url"] == url


@pytest.mark.parametrize("url", LOOPBACK)
def test_create__loopback_callback_is_for_the_embedded_mode(house: House, url: str) -> None:
    assert house.alice.post("/v1/tasks", callback(url)).status_code == 201


@pytest.mark.parametrize(
    "url", ["http://example.com/", "http://10.0.0.1/", "https://10.0.0.1/", "http://1.1.1.1/"]
)
def test_create__embedded_mode_opens_nothing_but_loopback(house: House, url: str) -> None:
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", callback(url))
    assert list(faults(answer)) == ["/handoff/callback_url"]


SECRET = "s3cret-Xy9-never-shown"
AUTHS: list[tuple[dict[str, str], dict[str, str]]] = [
    ({"type": "none"}, {"type": "none"}),
    ({"type": "bearer", "token": SECRET}, {"type": "bearer", "token": "redacted"}),
    (
        {"type": "basic", "username": "biolayer", "password": SECRET},
        {"type": "basic", "username": "redacted", "password": "redacted"},
    ),
    (
        {"type": "header", "name": "X-Gateway-Key", "value": SECRET},
        {"type": "header", "name": "redacted", "value": "redacted"},
    ),
]


@pytest.mark.parametrize(("auth", "shown"), AUTHS)
def test_create__callback_secret_is_never_returned_nor_stored_in_clear(
    house: House, auth: dict[str, str], shown: dict[str, str]
) -> None:
    body = contract(
        origin={"request_id": "R-1"},
        handoff={"callback_url": "https://example.com/", "callback_auth": auth},
    )
    answers = [
        house.alice.post("/v1/tasks", body, **{"Idempotency-Key": "k-1"}),
        house.alice.post("/v1/tasks", body, **{"Idempotency-Key": "k-1"}),
        house.alice.post("/v1/tasks", body),
    ]
    path = answers[0]["Location"]
    answers += [
        house.alice.get(path),
        house.alice.get("/v1/tasks"),
        house.alice.get(f"{path}/events"),
    ]
    answers += [house.alice.post(f"{path}/cancel"), house.alice.get(path)]
    assert [answer.status_code for answer in answers] == [201, 201, 200, 200, 200, 200, 200, 200]
    assert answers[3].json()["handoff"]["callback_auth"] == shown
    assert not any(SECRET in answer.content.decode() for answer in answers)
    stored = str(everything())
    assert SECRET not in stored
    assert SECRET.encode().hex() not in stored


BAD_AUTHS: list[tuple[dict[str, Any], str]] = [
    ({"type": "digest"}, "type"),
    ({"type": "bearer"}, "token"),
    ({"type": "bearer", "token": ""}, "token"),
    ({"type": "bearer", "token": "two\r\nX-Injected: 1"}, "token"),
    ({"type": "bearer", "token": 5}, "token"),
    ({"type": "none", "token": "x"}, "token"),
    ({"type": "basic", "username": "u"}, "password"),
    ({"type": "basic", "password": "p"}, "username"),
    ({"type": "basic", "username": "a:b", "password": "p"}, "username"),
    ({"type": "header", "name": "X-Key"}, "value"),
    ({"type": "header", "value": "v"}, "name"),
    ({"type": "header", "name": "X Key", "value": "v"}, "name"),
    ({"type": "header", "name": "X-Key\n", "value": "v"}, "name"),
    ({"type": "header", "name": "X-Key", "value": "v\nX-Injected: 1"}, "value"),
    ({"type": "header", "name": "Host", "value": "v"}, "name"),
    ({"type": "header", "name": "Content-Length", "value": "5"}, "name"),
    ({"type": "header", "name": "Webhook-Signature", "value": "v1,x"}, "name"),
]


@pytest.mark.parametrize(("auth", "field"), BAD_AUTHS)
def test_create__callback_auth_that_cannot_be_sent(
    house: House, auth: dict[str, Any], field: str
) -> None:
    handoff = {"callback_url": "https://example.com/", "callback_auth": auth}
    with expect_unchanged():
        answer = house.alice.post("/v1/tasks", contract(handoff=handoff))
    assert list(faults(answer)) == [f"/handoff/callback_auth/{field}"]


@pytest.mark.parametrize("auth", [{"token": SECRET + "\n"}, {"type": SECRET}, {"secret": SECRET}])
def test_create__refusal_does_not_repeat_a_secret(house: House, auth: dict[str, str]) -> None:
    body = contract(handoff={"callback_auth": {"type": "bearer", **auth}})
    answer = house.alice.post("/v1/tasks", body)
    assert answer.status_code == 422
    assert SECRET not in answer.content.decode()
