"""Append the rows of the audit log to the hash chains of their organisations, and sign these.

1. An action inserts its row without a position (`changes.audit_entry`), so that it waits for
   nothing.
2. The drain locks the end of an organisation's chain, skipping one that another drain has, and
   gives positions to the committed rows, by id. A row whose transaction commits late, or never
   ends, holds nothing back: it gets a later position once it is visible.
3. The end of the chain is signed with each batch. A drain that finds it changed by others refuses
   to continue there: `manage.py verify_audit` shows what happened.
4. When a day (UTC) is over, its head is signed: one for each day, also for a day without rows. So
   the end of a chain cannot be cut off beyond yesterday without a missing head.
"""

import logging
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db import connection

from apps.accounts import principal
from apps.accounts.audit import AuditAction
from apps.accounts.audit_facts import (
    COLUMNS,
    END,
    Entry,
    end_facts,
    hash_of,
    head_facts,
    is_authentic_end,
)
from apps.accounts.changes import audit_entry
from apps.accounts.models import AuditChain, AuditEvent, AuditHead, AuditKey
from apps.accounts.selectors.audit_keys import (
    audit_key_place,
    audit_keys,
    authentic_publics,
    private_half,
)
from apps.base import clock, crypto
from apps.base.drains import Postponed, Row, handle_each
from apps.base.rows import Change, Insert, Update, write
from apps.base.transactions import atomic
from biolayer import signing
from biolayer.audit_log import HEAD, signature_of
from biolayer.chain import GENESIS

logger = logging.getLogger(__name__)

BATCH = 1_000
MAX_ORGANISATIONS = 200

# One probe of the index for each organisation.
UNCHAINED = f"""
WITH RECURSIVE waiting AS (
    (SELECT organisation_id FROM accounts_auditevent WHERE position IS NULL
        ORDER BY organisation_id, id LIMIT 1)
    UNION ALL
    SELECT (SELECT e.organisation_id FROM accounts_auditevent e
        WHERE e.position IS NULL AND e.organisation_id > w.organisation_id
        ORDER BY e.organisation_id, e.id LIMIT 1)
    FROM waiting w WHERE w.organisation_id IS NOT NULL
)
SELECT organisation_id FROM waiting WHERE organisation_id IS NOT NULL LIMIT {MAX_ORGANISATIONS}
"""

_postponed = Postponed()
# Organisations whose broken chain this process has reported.
_reported: set[UUID] = set()


def chain_audit_events(*, at: datetime | None = None) -> int:
    """Append a batch of each organisation's rows. Return how many organisations had some."""
    with connection.cursor() as cursor:
        cursor.execute(UNCHAINED)
        waiting = [Row(row[0], row[0]) for row in cursor.fetchall()]
    return handle_each(waiting, lambda id_: _append(id_, at or clock.now()), postponed=_postponed)


def sign_audit_heads(*, at: datetime | None = None) -> int:
    """Sign the heads of the days that are over. Return how many chains had some."""
    at = at or clock.now()
    chains = AuditChain.objects.filter(next_day__lt=at.date()).values_list("pk", flat=True)
    rows = [Row(id_, id_) for id_ in chains]
    return handle_each(rows, lambda id_: _sign_days(id_, at), postponed=_postponed)


@atomic()
def _append(organisation_id: UUID, at: datetime) -> bool:
    chain = _locked_end(organisation_id, at)
    if chain is None:
        return False
    waiting = AuditEvent.objects.filter(organisation_id=organisation_id, position=None)
    entries = list(waiting.order_by("id").values_list(*COLUMNS)[:BATCH])
    if not entries:
        return False
    days = list(_ended_days(chain, at))
    write([*days, *_links(chain, map(Entry._make, entries)), _signed_end(chain, at)])
    return True


@atomic()
def _sign_days(organisation_id: UUID, at: datetime) -> bool:
    chain = _locked_end(organisation_id, at)
    if chain is None:
        return False
    days = list(_ended_days(chain, at))
    if days:
        write([*days, _signed_end(chain, at)])
    return bool(days)


@atomic()
def accept_chain(*, organisation_id: UUID, at: datetime) -> None:
    """Sign the end of a chain as its rows are now, after what changed it was explained.

    The faults themselves stay, and `verify_audit` reports them for ever.
    """
    _begin(organisation_id, at)
    chain = AuditChain.objects.select_for_update(no_key=True).get(pk=organisation_id)
    rows = AuditEvent.objects.filter(organisation_id=organisation_id, position__isnull=False)
    newest = rows.order_by("-position").first()
    if newest is not None:
        assert newest.position is not None
        assert newest.hash is not None
        chain.position, chain.hash = newest.position, newest.hash
    entry = audit_entry(
        actor=principal.system("verify_audit", organisation_id),
        action=AuditAction.AUDIT_CHAIN_ACCEPTED,
        subject=("organisation", organisation_id),
        at=at,
        position=chain.position,
    )
    write([_signed_end(chain, at), entry])


# --- the end of a chain ---------------------------------------------------------------------------


def _locked_end(organisation_id: UUID, at: datetime) -> AuditChain | None:
    """Lock and return the end of a chain. None: another drain has it, or it was changed."""
    rows = AuditChain.objects.select_for_update(no_key=True, skip_locked=True)
    chain = rows.filter(pk=organisation_id).first()
    if chain is None:
        _begin(organisation_id, at)
        chain = rows.filter(pk=organisation_id).first()
    if chain is None:
        return None
    public = authentic_publics().get(chain.key_id)
    if public is None or not is_authentic_end(chain, public):
        _report(organisation_id)
        return None
    _reported.discard(organisation_id)
    return chain


def _report(organisation_id: UUID) -> None:
    if organisation_id not in _reported:
        _reported.add(organisation_id)
        logger.error(
            "the audit log of %s was changed from outside, or no key of ENCRYPTION_KEYS opens the"
            " key that signed it; nothing is appended to its chain: see manage.py verify_audit",
            organisation_id,
        )


def _begin(organisation_id: UUID, at: datetime) -> None:
    """Insert the end of an empty chain, unless it exists.

    Its first day is that of its first row, so that a missing first head is found.
    """
    key = present_key(at=at)
    waiting = AuditEvent.objects.filter(organisation_id=organisation_id, position=None)
    first = waiting.order_by("id").values_list("occurred_at", flat=True).first()
    chain = AuditChain(
        organisation_id=organisation_id,
        position=0,
        hash=GENESIS,
        changed_at=at,
        key_id=key.id,
        next_day=min(at, first or at).date(),
    )
    chain.signature = signature_of(END, end_facts(chain), _private(key))
    AuditChain.objects.bulk_create([chain], ignore_conflicts=True)


def _links(chain: AuditChain, entries: Iterator[Entry]) -> Iterator[Change]:
    """Yield the positions and hashes of rows, and move the end of the chain over them."""
    organisation_id = str(chain.organisation_id)
    for entry in entries:
        prev_hash, position = bytes(chain.hash), chain.position + 1
        hash_ = hash_of(prev_hash, organisation_id, position, entry)
        chain.position, chain.hash = position, hash_
        values = {"position": position, "prev_hash": prev_hash, "hash": hash_}
        yield Update(AuditEvent, {"id": entry.id}, values)


def _signed_end(chain: AuditChain, at: datetime) -> Change:
    key = present_key(at=at)
    chain.key_id, chain.changed_at = key.id, at
    chain.signature = signature_of(END, end_facts(chain), _private(key))
    names = ("position", "hash", "changed_at", "key_id", "signature", "next_day")
    values = {name: getattr(chain, name) for name in names}
    return Update(AuditChain, {"organisation_id": chain.organisation_id}, values)


def _ended_days(chain: AuditChain, at: datetime) -> Iterator[Change]:
    """Yield the heads of the days that ended since the last one, and move `next_day` over them."""
    key = present_key(at=at)
    for day in _days(chain.next_day, at.date()):
        head = AuditHead(
            organisation_id=chain.organisation_id,
            day=day,
            position=chain.position,
            hash=bytes(chain.hash),
            signed_at=at,
            key_id=key.id,
        )
        head.signature = signature_of(HEAD, head_facts(head), _private(key))
        chain.next_day = day + timedelta(days=1)
        # A log that is collected elsewhere then has a copy, to compare with this database.
        logger.info("audit head %s", dict(head_facts(head)))
        yield Insert(head)


def _days(first: date, end: date) -> Iterator[date]:
    while first < end:
        yield first
        first += timedelta(days=1)


# --- keys -----------------------------------------------------------------------------------------


def present_key(*, at: datetime) -> AuditKey:
    """Return the key that signs; create the first one, and one for keys that cannot be opened."""
    keys = audit_keys()
    if keys and private_half(keys[0]) is not None:
        return keys[0]
    with atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('accounts_auditkey', 0))")
        keys = audit_keys()
        if keys and private_half(keys[0]) is not None:
            return keys[0]
        private = signing.new_private_key()
        return AuditKey.objects.create(
            sealed=crypto.seal(private, audit_key_place()),
            public=signing.public_key(private),
            created_at=at,
        )


def _private(key: AuditKey) -> str:
    private = private_half(key)
    assert private is not None
    return private
