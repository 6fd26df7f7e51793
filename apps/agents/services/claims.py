"""Claim the next task for a session, at once or within a time.

1. Lock the session: it claims one run at a time.
2. Lock the first eligible task and its run (queue.py), unless the session holds one. Only where
   there is none, look why: return the session's live claim again for the same idempotency key, end
   a claim that was lost, or try tasks behind those that others have locked.
3. Write the kernel's claim, its event and the row of the session's claim as one statement.

A claim is these three statements: tests/integration/test_claim_statements.py.
"""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

from apps.accounts.principal import Principal
from apps.agents.models import AgentClaim, AgentSession
from apps.agents.queue import Criteria, has_any, lock_first, lock_first_behind
from apps.agents.selectors import SentBack, live_claims, run_bound_to, sent_back_before
from apps.agents.services.leases import end_lost_claim
from apps.agents.services.locks import lock_active, open_claim
from apps.agents.services.run_log import claim_rows
from apps.base import clock
from apps.base.rows import Insert
from apps.base.transactions import atomic
from apps.tasks import services as tasks
from apps.tasks.models import Run
from biolayer.errors import SessionAlreadyHolds

POLL_SECONDS = 0.1
WAIT_SECONDS = 30.0
MAX_WAITING_THREADS = 2
"""Of one web process, so that those who wait leave its other threads to all other calls."""

_waiting_threads = threading.BoundedSemaphore(MAX_WAITING_THREADS)


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """Hold what a session asks for."""

    criteria: Criteria = field(default_factory=Criteria)
    lease_seconds: int = 300
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """Hold a claimed run with its task, and why an earlier attempt was sent back."""

    run: Run
    claim: AgentClaim
    session: AgentSession
    sent_back: SentBack | None


class Looked(NamedTuple):
    """Hold what a look for a call that waits has led to."""

    claim: Claim | None
    # A run is eligible, but another transaction has it locked, or took it meanwhile.
    has_missed: bool = False


@atomic()
def claim_next(
    *, actor: Principal, session: AgentSession, request: ClaimRequest, at: datetime
) -> Claim | None:
    """Claim the next eligible run; None without one.

    Raise `IdentityStale` where the session has ended meanwhile, `SessionAlreadyHolds`.
    """
    lock_active(session)
    if session.is_reviewers:
        # It was opened for a review, and its worker has no capacity.
        return None
    run = lock_first(session=session, criteria=request.criteria, at=at)
    if run is None:
        held = _held(session, request, at)
        if held is not None:
            return held
        run = _lock_later(session, request, at)
    return None if run is None else _claimed(actor, session, request, run, at)


def _lock_later(session: AgentSession, request: ClaimRequest, at: datetime) -> Run | None:
    """Lock the first eligible run for a session that holds none any more."""
    if not has_any(session=session, criteria=request.criteria, at=at):
        return None
    run = lock_first(session=session, criteria=request.criteria, at=at)
    if run is None:
        run = lock_first_behind(session=session, criteria=request.criteria, at=at)
    return run


def _claimed(
    actor: Principal, session: AgentSession, request: ClaimRequest, run: Run, at: datetime
) -> Claim:
    claim = AgentClaim(
        organisation_id=session.organisation_id,
        session_id=session.id,
        run_id=run.id,
        epoch=run.epoch + 1,
        token_hash=f"sha256:{sha256(secrets.token_bytes(32)).hexdigest()}",
        idempotency_key=request.idempotency_key,
        claimed_at=at,
    )
    tasks.claim_task(
        task=run.task,
        run=run,
        worker_id=session.worker_id,
        lease_seconds=request.lease_seconds,
        actor=session.as_worker(actor),
        at=at,
        also=[
            Insert(claim),
            *claim_rows(
                actor=actor,
                session=session,
                run=run,
                claim=claim,
                lease_until=at + timedelta(seconds=request.lease_seconds),
            ),
        ],
    )
    return Claim(run, claim, session, sent_back_before(run))


def _held(session: AgentSession, request: ClaimRequest, at: datetime) -> Claim | None:
    """Return the locked session's live claim, if it was made with the same key.

    A claim that was lost is ended. Raise `SessionAlreadyHolds`.
    """
    bound_to = run_bound_to(session)
    if bound_to is not None:
        raise SessionAlreadyHolds(str(bound_to))
    claim = open_claim(session)
    if claim is None:
        return None
    live = live_claims(session, at).filter(id=claim.id).select_related("run__task").first()
    run = _kept(session, claim, at) if live is None else live.run
    if run is None:
        end_lost_claim(claim, at)
        return None
    if not request.idempotency_key or claim.idempotency_key != request.idempotency_key:
        raise SessionAlreadyHolds(str(run.id))
    return Claim(run, claim, session, sent_back_before(run))


def _kept(session: AgentSession, claim: AgentClaim, at: datetime) -> Run | None:
    """Lock the run of a claim that seems to be lost. Return it where it is held all the same.

    A heartbeat that has it locked may have renewed the lease.
    """
    run = tasks.lock_run_of(organisation_id=session.organisation_id, run_id=claim.run_id)
    is_held = run.is_held_by(worker_id=session.worker_id, epoch=claim.epoch, at=at)
    return run if is_held else None


def look_again(
    *,
    actor: Principal,
    session: AgentSession,
    request: ClaimRequest,
    check: Callable[[], object],
) -> Looked:
    """Claim the next eligible run for a call that waits.

    It looks without a transaction. Only if there is one, it calls `check`, which raises where the
    credential or the session has ended, and claims. Raise as `claim_next` does.
    """
    now = clock.now()
    if not has_any(session=session, criteria=request.criteria, at=now):
        return Looked(None)
    check()
    claim = claim_next(actor=actor, session=session, request=request, at=now)
    return Looked(claim, has_missed=claim is None)


def wait_for_next(
    *,
    actor: Principal,
    session: AgentSession,
    request: ClaimRequest,
    at: datetime,
    check: Callable[[], object],
) -> Claim | None:
    """Claim the next eligible run, trying again for `WAIT_SECONDS`; None without one.

    While `MAX_WAITING_THREADS` calls wait, it does not wait. Raise as `look_again` does.
    """
    claimed = claim_next(actor=actor, session=session, request=request, at=at)
    if claimed is not None or not _waiting_threads.acquire(blocking=False):
        return claimed
    try:
        ends = time.monotonic() + WAIT_SECONDS
        while claimed is None and time.monotonic() + POLL_SECONDS < ends:
            time.sleep(POLL_SECONDS)
            looked = look_again(actor=actor, session=session, request=request, check=check)
            claimed = looked.claim
        return claimed
    finally:
        _waiting_threads.release()
