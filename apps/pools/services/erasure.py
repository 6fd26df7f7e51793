"""Erase what names a worker. Its row stays, since offers and runs refer to it."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from apps.accounts.services import revoke_worker_keys
from apps.base.erasure import Finding
from apps.base.transactions import atomic
from apps.pools.models import Certification, Presence, Worker
from apps.pools.services.certification_claims import delete_claims
from biolayer.errors import NotFound


def pseudonym(worker_id: UUID) -> str:
    """Return what an erased worker is called."""
    return f"Erased worker {worker_id.hex[-6:]}"


@atomic()
def erase_worker(
    *, organisation_id: UUID, worker_id: UUID, apply: bool, at: datetime
) -> list[Finding]:
    """Replace a worker's name, delete its traits and certificates, revoke its keys.

    Without `apply` nothing is changed. Return what was found. Raise `NotFound`.
    """
    rows = Worker.objects.select_for_update(no_key=True)
    worker = rows.filter(id=worker_id, organisation_id=organisation_id).first()
    if worker is None:
        raise NotFound("worker")
    findings = list(_findings(worker))
    if apply:
        worker.certifications.all().delete()
        delete_claims(worker.claims.all(), at=at)
        Worker.objects.filter(id=worker.id).update(
            name=pseudonym(worker.id),
            presence=Presence.OFFLINE,
            skills=[],
            skill_levels={},
            languages=[],
            hours={},
            time_zone="UTC",
            snoozed_until=None,
        )
    keys = revoke_worker_keys(worker_id=worker.id, name=pseudonym(worker.id), apply=apply, at=at)
    return [*findings, *([Finding("API keys of the worker", keys)] if keys else [])]


def _findings(worker: Worker) -> Iterator[Finding]:
    if worker.name != pseudonym(worker.id):
        yield Finding("workers: name, skills, languages, hours", 1)
    certificates = Certification.objects.filter(worker_id=worker.id).count()
    if certificates:
        yield Finding("certificates of the worker", certificates)
    if claims := worker.claims.count():
        yield Finding("claimed certificates of the worker, with their documents", claims)
