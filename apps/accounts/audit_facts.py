"""State rows of the audit log as the API shows them, and as their hashes and signatures do."""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from apps.accounts.models import AuditChain, AuditHead
from biolayer import audit_log
from biolayer.chain import canonical, is_simple
from biolayer.times import format_time

# What a signature of the present end of a chain is of. It is not published.
END = "audit_end"


class Entry(NamedTuple):
    """Hold the columns of a row that its hash covers, in the order of `COLUMNS`."""

    id: int
    action: str
    actor_kind: str
    actor_id: str
    address: str
    subject_kind: str
    subject_id: str
    data: Any
    occurred_at: datetime


COLUMNS = Entry._fields


def hash_of(prev_hash: bytes, organisation_id: str, position: int, entry: Entry) -> bytes:
    """Return the hash of a row at a position: see `biolayer.audit_log`.

    Nearly all rows are serialised by orjson, which is several times faster and writes the same.
    """
    facts = {
        "action": entry.action,
        "actor": {"id": entry.actor_id, "kind": entry.actor_kind},
        "address": entry.address,
        "audit_event_id": entry.id,
        "data": entry.data,
        "occurred_at": format_time(entry.occurred_at),
        "organisation_id": organisation_id,
        "position": position,
        "subject": {"id": entry.subject_id, "kind": entry.subject_kind},
    }
    if not entry.data or is_simple(entry.data):
        return sha256(prev_hash + orjson.dumps(facts, option=orjson.OPT_SORT_KEYS)).digest()
    return sha256(prev_hash + canonical(facts)).digest()


def head_facts(head: AuditHead) -> Mapping[str, Any]:
    """Return what the signature of a head covers."""
    facts = {
        "organisation_id": str(head.organisation_id),
        "day": head.day.isoformat(),
        "position": head.position,
        "hash": bytes(head.hash).hex(),
        "signed_at": format_time(head.signed_at),
        "key_id": str(head.key_id),
    }
    assert tuple(facts) == audit_log.SIGNED
    return facts


def end_facts(chain: AuditChain) -> Mapping[str, Any]:
    """Return what the signature of a chain's end covers."""
    return {
        "organisation_id": str(chain.organisation_id),
        "position": chain.position,
        "hash": bytes(chain.hash).hex(),
        "changed_at": format_time(chain.changed_at),
        "key_id": str(chain.key_id),
        "next_day": chain.next_day.isoformat(),
    }


def is_authentic_end(chain: AuditChain, public: str) -> bool:
    """Return whether a key signed the end of a chain as it is stored."""
    return audit_log.is_signature(END, end_facts(chain), bytes(chain.signature), public)


def is_authentic_head(head: AuditHead, public: str) -> bool:
    """Return whether a key signed a head as it is stored."""
    return audit_log.is_signature(audit_log.HEAD, head_facts(head), bytes(head.signature), public)
