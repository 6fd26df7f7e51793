"""Test `/v1/webhook-keys`: rotated, listed, expired; and the public JWK Set."""

import base64
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from apps.api.models import IdempotencyKey
from apps.webhooks.models import SigningKey
from apps.webhooks.services import keys_of
from biolayer import signing
from tests.api.expect import expect_problem, expect_unchanged, faults
from tests.factories import NO_ID, Caller, House

KEYS = "/v1/webhook-keys"
ROTATE = f"{KEYS}/rotate"
SHOWN = {"key_id", "kind", "status", "public_key", "created_at", "expires_at"}


def rotate(caller: Caller, kind: str = "v1", **body: Any) -> Any:
    answer = caller.post(ROTATE, {"kind": kind, **body})
    assert answer.status_code == 201, answer.content
    return answer.json()


def listed(caller: Caller) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = caller.get(KEYS).json()["data"]
    return keys


def jwks(organisation_id: UUID | str) -> Any:
    return Client().get(f"/v1/organisations/{organisation_id}/webhook-jwks.json")


def expire(caller: Caller, key_id: str) -> Any:
    return caller.call("DELETE", f"{KEYS}/{key_id}")


def age(key_id: str, **delta: float) -> None:
    """Move a key's end into the past."""
    key = SigningKey.objects.get(id=key_id)
    key.expires_at = key.created_at - timedelta(**delta)
    key.save()


# --- rotate ---------------------------------------------------------------------------------------


def test_rotate__returns_a_v1_secret_that_signs_at_once(house: House) -> None:
    made = rotate(house.alice)
    assert set(made) == {*SHOWN, "secret", "earlier"}
    assert (made["kind"], made["status"], made["public_key"]) == ("v1", "current", None)
    assert (made["expires_at"], made["earlier"]) == (None, [])
    ours = house.organisation.id
    assert keys_of([ours])[ours][0] == made["secret"]
    assert made["secret"].startswith("whsec_")


def test_rotate__returns_the_public_half_of_a_v1a_key(house: House) -> None:
    made = rotate(house.alice, "v1a")
    assert set(made) == {*SHOWN, "earlier"}
    ours = house.organisation.id
    assert signing.public_key(keys_of([ours])[ours][1]) == made["public_key"]


def test_rotate__ends_the_previous_key_and_keeps_earlier_ends(house: House) -> None:
    first = rotate(house.alice)
    second = rotate(house.alice, overlap_seconds=604_800)
    third = rotate(house.alice, overlap_seconds=60)
    assert [key["key_id"] for key in third["earlier"]] == [second["key_id"], first["key_id"]]
    assert third["earlier"][1] == second["earlier"][0]
    assert {key["status"] for key in third["earlier"]} == {"expiring"}
    ends = dict(SigningKey.objects.values_list("id", "expires_at"))
    begins = dict(SigningKey.objects.values_list("id", "created_at"))
    one, two, three = (UUID(made["key_id"]) for made in (first, second, third))
    assert ends[one] == begins[two] + timedelta(days=7)
    assert ends[two] == begins[three] + timedelta(minutes=1)
    assert ends[three] is None
    ours = house.organisation.id
    assert keys_of([ours])[ours][:3] == [made["secret"] for made in (third, second, first)]


def test_rotate__overlaps_a_day_by_default(house: House) -> None:
    rotate(house.alice)
    made = rotate(house.alice)
    old = SigningKey.objects.get(id=made["earlier"][0]["key_id"])
    new = SigningKey.objects.get(id=made["key_id"])
    assert old.expires_at == new.created_at + timedelta(days=1)


def test_rotate__without_overlap_ends_the_previous_key_at_once(house: House) -> None:
    rotate(house.alice)
    made = rotate(house.alice, overlap_seconds=0)
    assert [key["status"] for key in made["earlier"]] == ["expired"]
    ours = house.organisation.id
    secret, _ = keys_of([ours])[ours]
    assert secret == made["secret"]


def test_rotate__leaves_the_other_kind_alone(house: House) -> None:
    rotate(house.alice, "v1a")
    assert rotate(house.alice, "v1")["earlier"] == []


def test_rotate__refuses_an_eleventh_active_key_of_a_kind(house: House) -> None:
    made = [rotate(house.alice) for _ in range(10)]
    ours = house.organisation.id
    assert keys_of([ours])[ours][:10] == [one["secret"] for one in reversed(made)]
    with expect_unchanged("accounts_apikey"):
        answer = house.alice.post(ROTATE, {"kind": "v1"})
        assert expect_problem(answer, 409, "too_many_signing_keys")["limit"] == 10
    rotate(house.alice, "v1a")
    # Without an overlap the previous key no longer counts.
    rotate(house.alice, overlap_seconds=0)
    assert expire(house.alice, made[0]["key_id"]).status_code == 204
    rotate(house.alice)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"/kind": "required"}),
        ({"kind": "v2"}, {"/kind": "not_one_of"}),
        ({"kind": "v1", "overlap_seconds": -1}, {"/overlap_seconds": "too_small"}),
        ({"kind": "v1", "overlap_seconds": 604_801}, {"/overlap_seconds": "too_large"}),
        ({"kind": "v1", "overlap_seconds": "1"}, {"/overlap_seconds": "wrong_type"}),
        ({"kind": "v1", "secret": "whsec_mine"}, {"/secret": "unknown_field"}),
    ],
)
def test_rotate__refuses_an_invalid_body(
    house: House, body: dict[str, Any], expected: dict[str, str]
) -> None:
    with expect_unchanged("accounts_apikey"):
        assert faults(house.alice.post(ROTATE, body)) == expected


def test_rotate__sent_twice_rotates_once_and_shows_the_secret_once(house: House) -> None:
    headers = {"Idempotency-Key": "rotate-1"}
    first = house.alice.post(ROTATE, {"kind": "v1"}, **headers)
    again = house.alice.post(ROTATE, {"kind": "v1"}, **headers)
    document = first.json()
    secret = document.pop("secret")
    assert (again.status_code, again.json()) == (201, document)
    assert again["Idempotency-Replayed"] == "true"
    assert SigningKey.objects.count() == 1
    assert secret.encode() not in bytes(IdempotencyKey.objects.get().body)


# --- list and expire ------------------------------------------------------------------------------


def test_list__has_active_keys_and_expired_ones_for_30_days_without_secrets(house: House) -> None:
    made = [rotate(house.alice, overlap_seconds=0) for _ in range(3)]
    public = rotate(house.alice, "v1a")
    age(made[0]["key_id"], days=31)
    age(made[1]["key_id"], days=29)
    keys = listed(house.alice)
    assert [(key["key_id"], key["status"]) for key in keys] == [
        (public["key_id"], "current"),
        (made[2]["key_id"], "current"),
        (made[1]["key_id"], "expired"),
    ]
    assert all(set(key) == SHOWN for key in keys)
    assert keys[0]["public_key"] == public["public_key"]


def test_list__is_paged(house: House) -> None:
    made = [rotate(house.alice)["key_id"] for _ in range(3)]
    first = house.alice.get(f"{KEYS}?limit=2").json()
    rest = house.alice.get(f"{KEYS}?limit=2&cursor={first['next_cursor']}").json()
    assert [key["key_id"] for key in first["data"] + rest["data"]] == made[::-1]
    assert rest["next_cursor"] is None


def test_expire__ends_an_earlier_key_at_once(house: House) -> None:
    first, second = rotate(house.alice), rotate(house.alice)
    answer = expire(house.alice, first["key_id"])
    assert (answer.status_code, answer.content) == (204, b"")
    ours = house.organisation.id
    assert keys_of([ours])[ours][0] == second["secret"]
    assert len(keys_of([ours])[ours]) == 2
    assert [key["status"] for key in listed(house.alice) if key["kind"] == "v1"] == [
        "current",
        "expired",
    ]


def test_expire__a_second_time_changes_nothing(house: House) -> None:
    first, _ = rotate(house.alice), rotate(house.alice)
    expire(house.alice, first["key_id"])
    with expect_unchanged("accounts_apikey"):
        assert expire(house.alice, first["key_id"]).status_code == 204


def test_expire__never_leaves_an_organisation_without_a_key(house: House) -> None:
    """It refuses the key without an end even while an earlier one still signs."""
    rotate(house.alice)
    current = rotate(house.alice)
    with expect_unchanged("accounts_apikey"):
        answer = expire(house.alice, current["key_id"])
        expect_problem(answer, 409, "signing_key_in_use")


@pytest.mark.parametrize("key_id", [NO_ID, "no-uuid"])
def test_expire__of_an_unknown_key(house: House, key_id: str) -> None:
    expect_problem(expire(house.alice, key_id), 404, "not_found")


# --- the public halves ----------------------------------------------------------------------------


def test_jwks__needs_no_credential(house: House) -> None:
    made = rotate(house.alice, "v1a")
    answer = jwks(house.organisation.id)
    assert (answer.status_code, answer["Cache-Control"]) == (200, "public, max-age=60")
    assert answer["Content-Type"] == "application/json"
    (key,) = answer.json()["keys"]
    raw = base64.b64decode(made["public_key"].removeprefix("whpk_"))
    assert key == {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": base64.urlsafe_b64encode(raw).decode().rstrip("="),
        "kid": made["key_id"],
        "use": "sig",
        "alg": "EdDSA",
    }
    assert signing.keys_from_jwks(answer.json()) == [made["public_key"]]


def test_jwks__has_no_v1_secret_and_no_other_organisations_key(house: House) -> None:
    rotate(house.alice, "v1")
    rotate(house.charlie, "v1a")
    assert jwks(house.organisation.id).json() == {"keys": []}


def test_jwks__looks_the_same_for_an_organisation_that_does_not_exist(house: House) -> None:
    unknown, keyless = jwks(uuid4()), jwks(house.organisation.id)
    assert (unknown.status_code, unknown.json()) == (keyless.status_code, keyless.json())
    assert unknown.json() == {"keys": []}
    expect_problem(jwks("no-uuid"), 404, "not_found")


def test_jwks__is_read_only(house: House) -> None:
    path = f"/v1/organisations/{house.organisation.id}/webhook-jwks.json"
    expect_problem(house.alice.post(path, {}), 405, "method_not_allowed")
