"""Test signatures with the published vectors and with other libraries."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook
from svix.webhooks import Webhook as SvixWebhook

from biolayer import signing
from biolayer.errors import InvalidInput, SignatureInvalid

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "webhook-vectors.json").read_text()
)
V1 = VECTORS["valid"][0]


def at(timestamp: int) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)


def headers(vector: dict[str, Any], signature: str) -> dict[str, str]:
    return {
        "Webhook-Id": vector["id"],
        "Webhook-Timestamp": str(vector["timestamp"]),
        "Webhook-Signature": signature,
    }


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda vector: vector["scheme"])
def test_sign__gives_the_published_signature(vector: dict[str, Any]) -> None:
    signed = signing.sign(
        secrets=[vector["secret"]],
        message_id=vector["id"],
        at=at(vector["timestamp"]),
        body=vector["body"].encode(),
    )
    assert signed["webhook-signature"] == vector["signature"]


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=lambda vector: vector["scheme"])
def test_verify__accepts_the_published_signature(vector: dict[str, Any]) -> None:
    signing.verify(
        secrets=[vector.get("public", vector["secret"])],
        headers=headers(vector, vector["signature"]),
        body=vector["body"].encode(),
        now=at(vector["timestamp"]),
    )


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=lambda vector: vector["why"])
def test_verify__refuses(vector: dict[str, Any]) -> None:
    sent = {**V1, **{key: vector[key] for key in ("timestamp",) if key in vector}}
    with pytest.raises(SignatureInvalid):
        signing.verify(
            secrets=[V1["secret"]],
            headers=headers(sent, vector.get("signature", V1["signature"])),
            body=V1["body"].encode(),
            now=at(V1["timestamp"] + vector.get("skew_seconds", 0)),
        )


def test_verify__finds_the_good_signature_among_others() -> None:
    header = VECTORS["must_pass_header"].replace("<a good v1>", V1["signature"])
    signing.verify(
        secrets=[V1["secret"]],
        headers=headers(V1, header),
        body=V1["body"].encode(),
        now=at(V1["timestamp"]),
    )


def test_verify__refuses_a_missing_header_and_another_body() -> None:
    good = headers(V1, V1["signature"])
    with pytest.raises(SignatureInvalid, match="webhook-id"):
        signing.verify(secrets=[V1["secret"]], headers={}, body=b"", now=at(V1["timestamp"]))
    with pytest.raises(SignatureInvalid, match="No signature"):
        signing.verify(secrets=[V1["secret"]], headers=good, body=b"{}", now=at(V1["timestamp"]))


@pytest.mark.parametrize("library", [Webhook, SvixWebhook])
def test_sign__verifies_with_other_libraries_also_during_a_rotation(library: Any) -> None:
    old, new = signing.new_secret(), signing.new_secret()
    body = '{"type":"task.completed","data":{"notes":"Grüße"}}'.encode()
    signed = signing.sign(secrets=[new, old], message_id="msg_1", at=datetime.now(UTC), body=body)
    assert signed["webhook-signature"].count(" ") == 1
    for secret in (old, new):
        library(secret).verify(body, signed)
        with pytest.raises(Exception, match="No matching signature"):
            library(secret).verify(b"{}", signed)


def test_verify__tolerates_300_seconds_either_way() -> None:
    for seconds in (-300, 300):
        signing.verify(
            secrets=[V1["secret"]],
            headers=headers(V1, V1["signature"]),
            body=V1["body"].encode(),
            now=at(V1["timestamp"]) + timedelta(seconds=seconds),
        )


# --- public keys ----------------------------------------------------------------------------------

PUBLIC = next(vector["public"] for vector in VECTORS["valid"] if "public" in vector)
OTHER = signing.public_key(signing.new_private_key())


def test_keys_from_jwks__returns_the_published_keys() -> None:
    document = {
        "keys": [signing.jwk(PUBLIC, key_id="a"), signing.jwk(OTHER, key_id="b")],
        "extra": True,
    }
    assert signing.keys_from_jwks(document) == [PUBLIC, OTHER]
    assert signing.keys_from_jwks({"keys": []}) == []


def test_a_jwk__is_as_rfc_8037_has_it() -> None:
    """The key of its appendix A.2."""
    public = "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    key = signing.jwk(public, key_id="k")
    assert (key["kty"], key["crv"]) == ("OKP", "Ed25519")
    assert key["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"


@pytest.mark.parametrize(
    "changes",
    [
        {"kty": "EC"},
        {"crv": "X25519"},
        {"use": "enc"},
        {"x": 7},
        {"x": "AAAA"},
        {"x": "*" * 43},
        {"x": "A" * 41},
        {"x": "é" * 43},
    ],
    ids=str,
)
def test_keys_from_jwks__ignores_other_keys(changes: dict[str, Any]) -> None:
    foreign = {**signing.jwk(OTHER, key_id="b"), **changes}
    document = {"keys": [foreign, "key", None, signing.jwk(PUBLIC, key_id="a")]}
    assert signing.keys_from_jwks(document) == [PUBLIC]


@pytest.mark.parametrize("document", [None, [], {}, {"keys": None}, {"keys": {}}, "keys"])
def test_keys_from_jwks__refuses_other_documents(document: Any) -> None:
    with pytest.raises(InvalidInput) as refusal:
        signing.keys_from_jwks(document)
    assert refusal.value.faults[0].pointer == "/keys"


def test_sign__separates_signatures_by_one_space() -> None:
    secrets = [signing.new_secret() for _ in range(10)]
    keys = [signing.new_private_key() for _ in range(10)]
    now, body = datetime.now(UTC), b"{}"
    signed = signing.sign(secrets=[*secrets, *keys], message_id="msg_1", at=now, body=body)
    parts = signed["webhook-signature"].split(" ")
    assert [part.partition(",")[0] for part in parts] == ["v1"] * 10 + ["v1a"] * 10
    for known in (*secrets, *map(signing.public_key, keys)):
        signing.verify(secrets=[known], headers=signed, body=body, now=now)
