"""Verify an organisation's audit log: its hash chain, and the signed heads of its days.

`hash = SHA-256(prev_hash + canonical JSON of the entry)`, as in `biolayer.chain`, over the keys of
`HASHED`. The first `prev_hash` is 32 zero bytes. Positions are 1, 2, 3 … within the organisation.

A head states the position and hash that the chain had when a day ended. It is signed by Ed25519
(RFC 8032) over the canonical JSON of the keys of `SIGNED` and `"kind": "audit_head"`. Entries
before a head that was stored elsewhere cannot be changed or removed without notice.
"""

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from biolayer.chain import GENESIS, canonical, digest
from biolayer.signing import PRIVATE_PREFIX, PUBLIC_PREFIX

HASHED = (
    "organisation_id",
    "position",
    "audit_event_id",
    "action",
    "actor",
    "address",
    "subject",
    "data",
    "occurred_at",
)
SIGNED = ("organisation_id", "day", "position", "hash", "signed_at", "key_id")

HEAD = "audit_head"


def first_broken(entries: Iterable[Mapping[str, Any]]) -> int | None:
    """Return the position of the first entry that breaks the chain; None if it is intact.

    `entries` are all entries of one organisation by position, as
    `GET /v1/audit-events/export` lists them. A gap is a break.
    """
    prev_hash = GENESIS
    for expected, entry in enumerate(entries, start=1):
        hash_ = digest(prev_hash, {key: entry[key] for key in HASHED})
        known = (entry["position"], entry["prev_hash"], entry["hash"])
        if known != (expected, prev_hash.hex(), hash_.hex()):
            return expected
        prev_hash = hash_
    return None


def is_signed(head: Mapping[str, Any], public: str) -> bool:
    """Return whether the `whpk_` key `public` verifies a head of `GET /v1/audit-heads`."""
    facts = {key: head[key] for key in SIGNED}
    return is_signature(HEAD, facts, base64.b64decode(head["signature"]), public)


def signature_of(kind: str, facts: Mapping[str, Any], private: str) -> bytes:
    """Return the signature of facts of a kind by a `whsk_` key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    seed = base64.b64decode(private.removeprefix(PRIVATE_PREFIX))[:32]
    return Ed25519PrivateKey.from_private_bytes(seed).sign(_content(kind, facts))


def is_signature(kind: str, facts: Mapping[str, Any], signature: bytes, public: str) -> bool:
    """Return whether a signature is that of `signature_of`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    raw = base64.b64decode(public.removeprefix(PUBLIC_PREFIX))
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signature, _content(kind, facts))
    except InvalidSignature:
        return False
    return True


def _content(kind: str, facts: Mapping[str, Any]) -> bytes:
    return canonical({**facts, "kind": kind})
