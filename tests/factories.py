"""Create organisations, people and tasks that are consistent with their state.

Alice's backend owns the tasks; Bob works in Alice's pool; Charlie is a stranger's backend.
"""

import itertools
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.test import Client

from apps.accounts.models import Member, Organisation, User
from apps.accounts.principal import Principal
from apps.accounts.scopes import Role, Scope
from apps.accounts.selectors import authenticate_key
from apps.accounts.services import create_organisation, create_person, issue_key
from apps.base import clock
from apps.matching import services as matching
from apps.matching.models import Offer
from apps.pools.models import Pool, Presence, Worker
from apps.pools.services import provision_pool, provision_worker
from apps.reviews import services as reviews
from apps.tasks import services as tasks
from apps.tasks.models import Run, Task

_numbers = itertools.count(1)

NO_ID = "01890a5d-ac96-774b-bcce-b302099a8057"
"""An id that nothing has. Unlike a random one it leaves the names of parametrized tests as they
are: all processes of a parallel run must know them."""

SCHEMA = {"reached_user": "boolean", "user_confirmed": "boolean", "notes": "string"}
OUTPUT = {"reached_user": True, "user_confirmed": True, "notes": "Owner ran a patch script."}


def contract(**changes: Any) -> dict[str, Any]:
    """Return a task's body: small, valid, without a callback.

    `changes` replace top-level fields.
    """
    body: dict[str, Any] = {
        "task_type": "verification",
        "domain": "security",
        "title": "Verify endpoint owner activity",
        "instructions": "Call the endpoint owner and confirm the 03:42 UTC PowerShell session.",
        "output": {"expected_format": "structured_json", "schema": SCHEMA},
    }
    return {**body, **changes}


def page_example(
    *, org_id: Any, pool_id: Any, callback_url: str, deadline: datetime
) -> dict[str, Any]:
    """Return the example of the product's API reference, with its placeholders replaced."""
    return {
        "origin": {
            "org_id": str(org_id),
            "product": "threatlabs",
            "request_id": "IR-48219",
            "created_by": "system",
            "created_at": "2026-02-04T19:21:00Z",
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
            "deadline": deadline.astimezone(UTC).isoformat(timespec="seconds"),
            "target_latency_seconds": 600,
        },
        "requirements": {
            "skills": ["phone_verification", "incident_response"],
            "certifications": ["soc-operator"],
            "trust_level": 4,
            "min_rating": 4.8,
            "worker_pool_id": str(pool_id),
        },
        "output": {
            "expected_format": "structured_json",
            "schema": SCHEMA,
            "evidence_required": True,
        },
        "handoff": {
            "callback_url": callback_url,
            "callback_auth": {"type": "bearer", "token": "redacted"},
            "retry_policy": {"max_retries": 6, "backoff_seconds": 30},
        },
        "audit": {"log_required": True, "retain_days": 365},
    }


@dataclass
class Caller:
    """Call the API by HTTP with a key."""

    key: str
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Return the response of a JSON call."""
        return self.client.generic(
            method,
            path,
            data=b"" if body is None else json.dumps(body).encode(),
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.key}", **headers},
        )

    def get(self, path: str, **headers: str) -> Any:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("POST", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("PUT", path, body, **headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self.call("DELETE", path, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.call("PATCH", path, body, **headers)

    @property
    def principal(self) -> Principal:
        known = authenticate_key(self.key)
        assert known is not None
        return known.principal


@dataclass
class House:
    organisation: Organisation
    pool: Pool
    alice: Caller
    bob: Caller
    bobs_worker: Worker
    charlie: Caller
    strangers_pool: Pool

    @staticmethod
    @transaction.atomic
    def build() -> "House":
        organisation = create_organisation(name="Northwind Verification")
        pool = provision_pool(organisation_id=organisation.id, name="Front desk")
        worker, bob = worker_in(pool, name="Bob Ashdown")
        stranger = create_organisation(name="Contoso Audits")
        return House(
            organisation=organisation,
            pool=pool,
            alice=Caller(issue_key(organisation_id=organisation.id, name="Alice's backend")),
            bob=bob,
            bobs_worker=worker,
            charlie=Caller(issue_key(organisation_id=stranger.id, name="Charlie's backend")),
            strangers_pool=provision_pool(organisation_id=stranger.id, name="Elsewhere"),
        )

    def task(self, *, at: datetime | None = None, **changes: Any) -> Task:
        """Return a task at `created`."""
        return tasks.create_task(
            actor=self.alice.principal, document=contract(**changes), at=at or clock.now()
        ).task

    def queued(self, *, at: datetime | None = None, **changes: Any) -> Task:
        """Return a task at `queued`; there must be no other at `created`."""
        task = self.task(at=at, **changes)
        assert tasks.queue_created(at=at) == 1
        task.refresh_from_db()
        return task

    def offered(self, *, at: datetime | None = None, **changes: Any) -> Offer:
        """Return an open offer to Bob (or the worker that the matcher chooses)."""
        task = self.queued(at=at, **changes)
        assert matching.match_queued(at=at) == 1
        return Offer.objects.select_related("task").get(task=task, status="open")

    def offered_again(self, task: Task) -> Offer:
        """Return the open offer of a task that was sent back; no other may be queued."""
        assert matching.match_queued() == 1
        return Offer.objects.select_related("task", "run").get(task_id=task.id, status="open")

    def accepted(self, *, at: datetime | None = None, **changes: Any) -> Run:
        """Return a run that Bob holds."""
        offer = self.offered(at=at, **changes)
        return matching.accept_offer(
            actor=self.bob.principal, offer_id=offer.id, at=at or clock.now()
        )

    def started(self, *, at: datetime | None = None, **changes: Any) -> Run:
        run = self.accepted(at=at, **changes)
        return tasks.start_run(
            actor=self.bob.principal, run_id=run.id, epoch=run.epoch, at=at or clock.now()
        )

    def submitted(self, *, at: datetime | None = None, output: Any = None, **changes: Any) -> Run:
        run = self.started(at=at, **changes)
        return tasks.submit_run(
            actor=self.bob.principal,
            run_id=run.id,
            submission=tasks_submission(run.epoch, OUTPUT if output is None else output),
            at=at or clock.now(),
        )

    def completed(self, *, at: datetime | None = None, **changes: Any) -> Task:
        run = self.submitted(at=at, **changes)
        assert reviews.verify_submitted(at=at) == 1
        return Task.objects.get(id=run.task_id)


def tasks_submission(epoch: int, output: Any, evidence: list[UUID] | None = None) -> Any:
    from biolayer.requests.runs import Submission

    return Submission(epoch=epoch, output=output, evidence=evidence or [])


def worker_in(pool: Pool, *, name: str | None = None, **traits: Any) -> tuple[Worker, Caller]:
    """Return an available worker of `pool`, and its key."""
    name = name or f"Worker {next(_numbers)}"
    worker = provision_worker(
        pools=[pool], name=name, **{"presence": Presence.AVAILABLE, "capacity": 1, **traits}
    )
    key = issue_key(
        organisation_id=pool.organisation_id, name=name, scopes=[Scope.WORK], worker_id=worker.id
    )
    return worker, Caller(key)


MANAGE = (Scope.ORGANISATION_READ, Scope.ORGANISATION_MANAGE)
PASSWORD = "correct-horse-battery-9"


def person(email: str, *, name: str = "Mara Lindqvist") -> User:
    """Return a person with a verified address, who signs in by `PASSWORD`."""
    return create_person(email=email, name=name, password=PASSWORD)


def member_of(organisation: Organisation, email: str, *, role: Role = Role.VIEWER) -> Member:
    """Return a new member of an organisation: an existing person, or a new one."""
    user = User.objects.filter(email=email).first() or person(email)
    return Member.objects.create(organisation=organisation, user=user, role=role)


def admin_key(organisation: Organisation) -> "Caller":
    """Return a key that manages the organisation."""
    key = issue_key(
        organisation_id=organisation.id,
        name="Admin",
        role=Role.ADMIN,
        scopes=[*MANAGE, Scope.POOLS_MANAGE],
    )
    return Caller(key)


def soon(**delta: float) -> datetime:
    return datetime.now(UTC) + timedelta(**delta)
