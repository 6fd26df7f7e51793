"""Create the demo organisation at the first start, and reuse it at the next."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts import principal
from apps.accounts.models import Member, Organisation
from apps.accounts.scopes import Role, Scope
from apps.accounts.selectors import person_by_email
from apps.accounts.services import (
    add_first_admin,
    create_organisation,
    create_person,
    ensure_sandbox,
    issue_key,
)
from apps.accounts.services.people import add_member
from apps.base import clock
from apps.pools.models import Pool, Presence, Worker, WorkerKind
from apps.pools.services import link_worker, provision_pool, provision_worker
from apps.webhooks.services import keys_of, new_signing_secret

ACCESS_FILE = "demo.json"
EXAMPLE_FILE = "example-task.json"
ADMIN = "admin@northwind.example"
PERSON = "worker@northwind.example"


@dataclass(frozen=True, slots=True)
class DemoWorker:
    """Hold the identity and the key of one worker of the demo."""

    worker_id: str
    name: str
    kind: str
    api_key: str


@dataclass(frozen=True, slots=True)
class DemoAccess:
    """Hold everything that is needed to try the service; stored in `demo.json` of the home."""

    base_url: str
    org_id: str
    pool_id: str
    api_key: str
    webhook_secret: str
    # For the organisation's sandbox: simulated workers, callbacks signed with a secret of its own.
    test_api_key: str
    test_webhook_secret: str
    workers: list[DemoWorker]
    inbox_url: str
    stream_url: str
    # Where people sign in, and the first one who can.
    sign_in_url: str
    admin_email: str
    admin_password: str
    # Where a person signs in who does tasks: the workforce has no key for this worker.
    portal_url: str
    worker_email: str
    worker_password: str


PEOPLE: list[dict[str, Any]] = [
    {"name": "Mara Lindqvist", "trust_level": 5, "rating": 4.9, "capacity": 3},
    {"name": "Jonas Okafor", "trust_level": 4, "rating": 4.8, "capacity": 3},
    {"name": "Ines Carvalho", "trust_level": 4, "rating": 4.95, "capacity": 3},
    {"name": "Desk Agent 1", "trust_level": 4, "rating": 4.85, "capacity": 5, "kind": "agent"},
]
# The example task prefers this skill, which only the person has: while they are available, they are
# offered it before the simulated workers.
PREFERRED = "first_call"
SKILLS = ["phone_verification", "incident_response", "document_check", "shelf_audit"]
CERTIFICATIONS = {"soc-operator": None, "document-examiner": None}


def seed(
    *, base_url: str, inbox_url: str, stream_url: str, sign_in_url: str, home: Path
) -> DemoAccess:
    """Return the demo's access with the addresses of this start; write it and the example task."""
    path = home / ACCESS_FILE
    addresses = {
        "base_url": base_url,
        "inbox_url": inbox_url,
        "stream_url": stream_url,
        "sign_in_url": sign_in_url,
        "portal_url": sign_in_url.replace("/accounts/", "/portal/"),
    }
    known = _stored(path) or _create()
    if "admin_email" not in known:  # stored by a version without people
        known |= _create_admin(Organisation.objects.get(id=known["org_id"]))
    if "worker_email" not in known:  # stored by a version without a portal
        known |= _create_person(
            Organisation.objects.get(id=known["org_id"]), Pool.objects.get(id=known["pool_id"])
        )
    if "test_api_key" not in known:
        known |= _sandbox_access(UUID(known["org_id"]))
    workers = [DemoWorker(**worker) for worker in known.pop("workers")]
    access = DemoAccess(**{**known, **addresses}, workers=workers)
    _write(path, asdict(access))
    _write(home / EXAMPLE_FILE, example_task(access))
    return access


def _stored(path: Path) -> dict[str, Any] | None:
    """Return what an earlier start wrote, if its organisation is still in the database."""
    try:
        stored: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return stored if Organisation.objects.filter(id=stored["org_id"]).exists() else None


@transaction.atomic
def _create() -> dict[str, Any]:
    organisation = create_organisation(name="Northwind Verification (demo)")
    pool = provision_pool(organisation_id=organisation.id, name="Front desk")
    workers = [
        provision_worker(
            pools=[pool],
            skills=SKILLS,
            certifications=CERTIFICATIONS,
            presence=Presence.AVAILABLE,
            **{**person, "kind": WorkerKind(person.get("kind", "human"))},
        )
        for person in PEOPLE
    ]
    return {
        "org_id": str(organisation.id),
        "pool_id": str(pool.id),
        "api_key": issue_key(organisation_id=organisation.id, name="demo backend"),
        "webhook_secret": new_signing_secret(organisation_id=organisation.id),
        "workers": [asdict(_with_key(worker)) for worker in workers],
        **_create_admin(organisation),
        **_create_person(organisation, pool),
    }


def _free_address(email: str) -> str:
    """Return the address, or a similar one where another demo in this database has it."""
    if person_by_email(email) is None:
        return email
    return email.replace("@", f"-{secrets.token_hex(3)}@")


@transaction.atomic
def _create_person(organisation: Organisation, pool: Pool) -> dict[str, str]:
    """Create a member who is a worker, offline until they switch themselves on."""
    email, password = _free_address(PERSON), secrets.token_urlsafe(12)
    user = create_person(email=email, name="Demo Worker", password=password)
    actor, at = principal.system("demo", organisation.id), clock.now()
    member = add_member(
        member=Member(organisation=organisation, user=user, role=Role.WORKER), actor=actor, at=at
    )
    worker = provision_worker(
        pools=[pool],
        name="Demo Worker",
        skills=[*SKILLS, PREFERRED],
        certifications=CERTIFICATIONS,
        trust_level=5,
        rating=5.0,
        capacity=3,
    )
    link_worker(actor=actor, member_id=member.id, worker_id=worker.id, at=at)
    return {"worker_email": email, "worker_password": password}


def _create_admin(organisation: Organisation) -> dict[str, str]:
    """Create the organisation's first admin, with a password that is stored in `demo.json`."""
    email, password = _free_address(ADMIN), secrets.token_urlsafe(12)
    add_first_admin(
        organisation=organisation,
        email=email,
        name="Demo Admin",
        password=password,
        at=clock.now(),
    )
    return {"admin_email": email, "admin_password": password}


@transaction.atomic
def _sandbox_access(organisation_id: UUID) -> dict[str, Any]:
    own_id = ensure_sandbox(organisation_id=organisation_id)
    return {
        "test_api_key": issue_key(organisation_id=own_id, name="demo backend (test)"),
        # The first is the v1 key; a sandbox that has sent a webhook has it already.
        "test_webhook_secret": keys_of([own_id])[own_id][0],
    }


def _with_key(worker: Worker) -> DemoWorker:
    key = issue_key(
        organisation_id=worker.organisation_id,
        name=worker.name,
        scopes=[Scope.WORK],
        worker_id=worker.id,
    )
    return DemoWorker(str(worker.id), worker.name, worker.kind, key)


def example_task(access: DemoAccess) -> dict[str, Any]:
    """Return the example task with this installation's ids and a deadline in a week.

    It has no `request_id`: posting it again creates another task.
    """
    now = datetime.now(UTC)
    return {
        "origin": {
            "org_id": access.org_id,
            "product": "threatlabs",
            "created_by": "system",
            "created_at": now.isoformat(timespec="seconds"),
        },
        "task_type": "verification",
        "domain": "security",
        "title": "Verify endpoint owner activity",
        "instructions": "Call the endpoint owner and confirm the 03:42 UTC PowerShell session.",
        "context": {
            "background": "EDR flagged anomalous activity; automation needs human confirmation.",
            "constraints": ["Do not disclose internal case ID"],
            "risk_notes": ["Potential active compromise"],
        },
        "sla": {
            "urgency": "high",
            "deadline": (now + timedelta(days=7)).isoformat(timespec="seconds"),
            "target_latency_seconds": 600,
        },
        "requirements": {
            "skills": ["phone_verification", "incident_response"],
            "preferred_skills": [PREFERRED],
            "certifications": ["soc-operator"],
            "trust_level": 4,
            "min_rating": 4.8,
            "worker_pool_id": access.pool_id,
        },
        "output": {
            "expected_format": "structured_json",
            "schema": {"reached_user": "boolean", "user_confirmed": "boolean", "notes": "string"},
            "evidence_required": True,
        },
        "handoff": {
            "callback_url": f"{access.inbox_url}/webhooks/biolayer",
            "callback_auth": {"type": "bearer", "token": "demo-callback-token"},
            "retry_policy": {"max_retries": 6, "backoff_seconds": 30},
        },
        "audit": {"log_required": True, "retain_days": 365},
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    """Replace a file atomically, readable by its owner only: it contains keys."""
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(document, indent=2) + "\n")
    os.replace(draft, path)
