"""Test every route of `/v1` with every credential that must not use it.

`MATRIX` has a row for each route and method. The first test compares it with the URL patterns: a
new route must state here which credentials may call it, and what others get.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import URLPattern

from apps.accounts.mail import wait_for_mails
from apps.accounts.scopes import Role, Scope
from apps.accounts.services import BACKEND_SCOPES, invite, issue_key
from apps.api.v1.urls import urlpatterns
from apps.base import clock
from apps.events import services as events
from apps.events.selectors import BEGINNING
from apps.matching.services import match_queued
from apps.operations.services import create_bridge_instance
from apps.pools.services import provision_pool
from apps.reviews.models import Appeal, SecondLook
from apps.reviews.services import open_appeal
from apps.tasks.models import Run
from apps.tasks.services import place_hold
from apps.webhooks import services as webhooks
from apps.webhooks.services import rotate_key
from biolayer.contract import parse
from biolayer.requests.webhooks import RecoveryRequest
from tests import tables
from tests.agent_steps import agent_of
from tests.api.expect import expect_problem, expect_unchanged
from tests.api.oauth_steps import created, credentials_manager
from tests.api.steps import upload
from tests.claim_steps import claimed
from tests.factories import (
    MANAGE,
    OUTPUT,
    Caller,
    House,
    admin_key,
    contract,
    member_of,
    worker_in,
)
from tests.review_steps import decide, in_review, reviewer

HTTP = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Row:
    """Describe a route and method: its scope, and a valid body."""

    method: str
    route: str
    scope: Scope
    body: Any = None
    # What the id in the path is of; empty for a list, or the caller itself.
    subject: str = field(default="")
    # The name in the path of a row without a subject: the caller chooses it.
    chosen: str = ""
    query: str = ""
    # Whether a worker that has or had the task needs only the scope `work`: that is tested with
    # the call.
    is_for_workers: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.route}"


ENDPOINT = {"url": "http://127.0.0.1:9/events"}
BRIDGE = {"name": "Chat", "scope": "global", "url": "http://127.0.0.1:9/notify"}
OAUTH = {"name": "Ours", "grant_types": ["client_credentials"], "scopes": ["tasks:read"]}
RECOVERY = {"kind": "failed", "since": "2026-01-01T00:00:00Z"}

MATRIX = [
    Row("post", "tasks", Scope.TASKS_CREATE, contract()),
    Row("get", "tasks", Scope.TASKS_READ),
    Row("get", "tasks/export", Scope.TASKS_READ),
    Row("get", "tasks/<str:task_id>", Scope.TASKS_READ, subject="task"),
    Row("post", "tasks/batch", Scope.TASKS_CREATE, [contract()]),
    Row("post", "tasks/<str:task_id>/cancel", Scope.TASKS_CANCEL, {}, subject="task"),
    Row("patch", "tasks/<str:task_id>", Scope.TASKS_MANAGE, {"sla": {"urgency": "high"}},
    subject="task"),
    Row("post", "tasks/cancel", Scope.TASKS_CANCEL, {"task_ids": [str(UUID(int=1))]}),
    Row("post", "tasks/<str:task_id>/requeue", Scope.TASKS_MANAGE, {}, subject="task"),
    Row("post", "tasks/<str:task_id>/reassign", Scope.TASKS_MANAGE,
    {"worker_id": str(UUID(int=1))}, subject="task"),
    Row("post", "tasks/<str:task_id>/boost", Scope.TASKS_MANAGE, {}, subject="task"),
    Row("post", "tasks/<str:task_id>/reopen", Scope.TASKS_MANAGE, {}, subject="task"),
    Row("get", "tasks/<str:task_id>/events", Scope.TASKS_READ, subject="task"),
    Row("get", "tasks/<str:task_id>/match", Scope.TASKS_READ, subject="task"),
    Row("get", "tasks/<str:task_id>/messages", Scope.TASKS_READ, subject="task",
    is_for_workers=True),
    Row("post", "tasks/<str:task_id>/messages", Scope.TASKS_CREATE, {"text": "Any news?"},
    subject="task", is_for_workers=True),
    Row("get", "tasks/<str:task_id>/evidence", Scope.EVIDENCE_READ, subject="task"),
    Row("get", "reviews", Scope.TASKS_REVIEW),
    Row("post", "reviews/verdicts", Scope.TASKS_REVIEW,
    {"verdicts": [{"review_id": str(UUID(int=1)), "version": 1, "verdict": "approve"}]}),
    Row("get", "reviews/<str:review_id>", Scope.TASKS_REVIEW, subject="review"),
    Row("post", "reviews/<str:review_id>/claim", Scope.TASKS_REVIEW, {}, subject="review"),
    Row("post", "reviews/<str:review_id>/release", Scope.TASKS_REVIEW, {}, subject="review"),
    Row("post", "reviews/<str:review_id>/verdict", Scope.TASKS_REVIEW,
    {"version": 1, "verdict": "approve"}, subject="review"),
    Row("post", "reviews/<str:review_id>/appeal", Scope.WORK, {"reason": "It is right."},
    subject="refused"),
    Row("get", "appeals", Scope.TASKS_REVIEW),
    Row("get", "appeals/<str:appeal_id>", Scope.TASKS_REVIEW, subject="appeal"),
    Row("post", "appeals/<str:appeal_id>/decision", Scope.TASKS_REVIEW,
    {"version": 1, "decision": "uphold", "reason": "It is wrong."}, subject="appeal"),
    Row("get", "reviewers", Scope.TASKS_REVIEW),
    Row("get", "second-looks", Scope.TASKS_REVIEW),
    Row("get", "second-looks/<str:second_look_id>", Scope.TASKS_REVIEW, subject="look"),
    Row("post", "second-looks/<str:second_look_id>/verdict", Scope.TASKS_REVIEW,
    {"verdict": "approve"}, subject="look"),
    Row("get", "evidence/<str:evidence_id>", Scope.EVIDENCE_READ, subject="evidence"),
    Row("get", "evidence/<str:evidence_id>/content", Scope.EVIDENCE_READ, subject="evidence"),
    Row("post", "attachments", Scope.TASKS_CREATE),
    Row("get", "attachments/<str:attachment_id>", Scope.TASKS_READ, subject="attachment"),
    Row("get", "attachments/<str:attachment_id>/content", Scope.TASKS_READ, subject="attachment"),
    Row("get", "events", Scope.TASKS_READ),
    Row("get", "event-consumers", Scope.TASKS_READ),
    Row("put", "event-consumers/<str:name>", Scope.TASKS_READ, {}, chosen="ledger"),
    Row("get", "event-consumers/<str:name>", Scope.TASKS_READ, subject="consumer"),
    Row("delete", "event-consumers/<str:name>", Scope.TASKS_READ, subject="consumer"),
    Row("get", "event-consumers/<str:name>/events", Scope.TASKS_READ, subject="consumer"),
    Row("post", "event-consumers/<str:name>/ack", Scope.TASKS_READ, {"cursor": "none"},
    subject="consumer"),
    Row("get", "offers", Scope.WORK),
    Row("post", "offers/<str:offer_id>/accept", Scope.WORK, {}, subject="offer"),
    Row("post", "offers/<str:offer_id>/decline", Scope.WORK, {}, subject="offer"),
    Row("get", "runs", Scope.WORK),
    Row("get", "runs/<str:run_id>", Scope.WORK, subject="run"),
    Row("post", "runs/<str:run_id>/start", Scope.WORK, {"epoch": 1}, subject="run"),
    Row("post", "runs/<str:run_id>/heartbeat", Scope.WORK, {"epoch": 1}, subject="run"),
    Row("post", "runs/<str:run_id>/submit", Scope.WORK, {"epoch": 1, "output": OUTPUT},
    subject="run"),
    Row("post", "runs/<str:run_id>/release", Scope.WORK, {"epoch": 1}, subject="run"),
    Row("get", "runs/<str:run_id>/draft", Scope.WORK, subject="run"),
    Row("put", "runs/<str:run_id>/draft", Scope.WORK, {"epoch": 1, "revision": 0}, subject="run"),
    Row("get", "runs/<str:run_id>/evidence", Scope.WORK, subject="run"),
    Row("post", "runs/<str:run_id>/evidence", Scope.WORK, subject="run"),
    Row("delete", "runs/<str:run_id>/evidence/<str:evidence_id>", Scope.WORK, subject="run",
    query="?epoch=1"),
    Row("get", "workers/me", Scope.WORK),
    Row("get", "workers/me/history", Scope.WORK),
    Row("get", "workers/me/statistics", Scope.WORK),
    Row("patch", "workers/me", Scope.WORK, {"presence": "away"}),
    Row("post", "workers", Scope.POOLS_MANAGE, {"name": "Dora"}),
    Row("get", "workers", Scope.POOLS_READ),
    Row("get", "workers/export", Scope.POOLS_READ),
    Row("get", "workers/<str:worker_id>", Scope.POOLS_READ, subject="worker"),
    Row("patch", "workers/<str:worker_id>", Scope.POOLS_MANAGE, {"trust_level": 5},
    subject="worker"),
    Row("delete", "workers/<str:worker_id>", Scope.POOLS_MANAGE, subject="worker"),
    Row("get", "certification-claims", Scope.POOLS_MANAGE),
    Row("get", "certification-claims/<str:claim_id>", Scope.POOLS_MANAGE, subject="claim"),
    Row("get", "certification-claims/<str:claim_id>/document", Scope.POOLS_MANAGE,
    subject="claim"),
    Row("post", "certification-claims/<str:claim_id>/confirm", Scope.POOLS_MANAGE, {},
    subject="claim"),
    Row("post", "certification-claims/<str:claim_id>/reject", Scope.POOLS_MANAGE,
    {"reason": "Not readable."}, subject="claim"),
    Row("post", "agent-sessions", Scope.POOLS_MANAGE,
    {"session_id": "s-9", "agent_name": "checker"}, is_for_workers=True),
    Row("get", "agent-sessions", Scope.POOLS_READ, is_for_workers=True),
    Row("get", "agent-sessions/<str:session_id>", Scope.POOLS_READ, subject="session",
    is_for_workers=True),
    Row("delete", "agent-sessions/<str:session_id>", Scope.POOLS_MANAGE, subject="session",
    is_for_workers=True),
    Row("post", "agent-sessions/<str:session_id>/heartbeat", Scope.POOLS_MANAGE, {},
    subject="session", is_for_workers=True),
    Row("get", "skills", Scope.POOLS_READ),
    Row("post", "pools", Scope.POOLS_MANAGE, {"name": "Night desk"}),
    Row("get", "pools", Scope.POOLS_READ),
    Row("get", "pools/<str:pool_id>", Scope.POOLS_READ, subject="pool"),
    Row("patch", "pools/<str:pool_id>", Scope.POOLS_MANAGE, {"name": "Ours"}, subject="pool"),
    Row("delete", "pools/<str:pool_id>", Scope.POOLS_MANAGE, subject="pool"),
    Row("post", "pools/<str:pool_id>/dry-run", Scope.POOLS_MANAGE, {"name": "Ours"},
    subject="pool"),
    Row("post", "pools/<str:pool_id>/notes", Scope.POOLS_MANAGE, {"text": "Please call back."},
    subject="pool"),
    Row("get", "pools/<str:pool_id>/notes", Scope.POOLS_READ, subject="pool"),
    Row("delete", "pools/<str:pool_id>/notes/<str:note_id>", Scope.POOLS_MANAGE, subject="pool"),
    Row("post", "pools/<str:pool_id>/members", Scope.POOLS_MANAGE, {"worker_id": str(UUID(int=7))},
    subject="pool"),
    Row("get", "pools/<str:pool_id>/members", Scope.POOLS_READ, subject="pool"),
    Row("delete", "pools/<str:pool_id>/members/<str:worker_id>", Scope.POOLS_MANAGE,
    subject="pool"),
    Row("post", "webhook-endpoints", Scope.WEBHOOKS_MANAGE, ENDPOINT),
    Row("get", "webhook-endpoints", Scope.WEBHOOKS_READ),
    Row("get", "webhook-endpoints/<str:endpoint_id>", Scope.WEBHOOKS_READ, subject="endpoint"),
    Row("patch", "webhook-endpoints/<str:endpoint_id>", Scope.WEBHOOKS_MANAGE, {"enabled": False},
    subject="endpoint"),
    Row("delete", "webhook-endpoints/<str:endpoint_id>", Scope.WEBHOOKS_MANAGE, subject="endpoint"),
    Row("post", "webhook-endpoints/<str:endpoint_id>/test", Scope.WEBHOOKS_MANAGE,
    {"type": "task.failed"}, subject="endpoint"),
    Row("post", "bridge-instances", Scope.WEBHOOKS_MANAGE, BRIDGE),
    Row("get", "bridge-instances", Scope.WEBHOOKS_READ),
    Row("get", "bridge-instances/<str:bridge_instance_id>", Scope.WEBHOOKS_READ, subject="bridge"),
    Row("patch", "bridge-instances/<str:bridge_instance_id>", Scope.WEBHOOKS_MANAGE,
    {"muted": True}, subject="bridge"),
    Row("delete", "bridge-instances/<str:bridge_instance_id>", Scope.WEBHOOKS_MANAGE,
    subject="bridge"),
    Row("get", "deliveries", Scope.WEBHOOKS_READ),
    Row("get", "deliveries/<str:delivery_id>", Scope.WEBHOOKS_READ, subject="delivery"),
    Row("get", "deliveries/<str:delivery_id>/attempts", Scope.WEBHOOKS_READ, subject="delivery"),
    Row("post", "deliveries/<str:delivery_id>/resend", Scope.WEBHOOKS_MANAGE, {},
    subject="delivery"),
    Row("post", "recoveries", Scope.WEBHOOKS_MANAGE, RECOVERY),
    Row("get", "recoveries", Scope.WEBHOOKS_READ),
    Row("get", "recoveries/<str:recovery_id>", Scope.WEBHOOKS_READ, subject="recovery"),
    Row("get", "webhook-keys", Scope.WEBHOOKS_READ),
    Row("post", "webhook-keys/rotate", Scope.WEBHOOKS_MANAGE, {"kind": "v1"}),
    Row("delete", "webhook-keys/<str:key_id>", Scope.WEBHOOKS_MANAGE, subject="key"),
    Row("get", "organisation", Scope.ORGANISATION_READ),
    Row("patch", "organisation", Scope.ORGANISATION_MANAGE, {"retain_days": 30}),
    Row("get", "members", Scope.ORGANISATION_READ),
    Row("get", "members/<str:member_id>", Scope.ORGANISATION_READ, subject="member"),
    Row("patch", "members/<str:member_id>", Scope.ORGANISATION_MANAGE, {"role": "viewer"},
    subject="member"),
    Row("delete", "members/<str:member_id>", Scope.ORGANISATION_MANAGE, subject="member"),
    Row("put", "members/<str:member_id>/worker", Scope.ORGANISATION_MANAGE,
    {"worker_id": str(UUID(int=7))}, subject="member"),
    Row("delete", "members/<str:member_id>/worker", Scope.ORGANISATION_MANAGE, subject="member"),
    Row("get", "invitations", Scope.ORGANISATION_READ),
    Row("post", "invitations", Scope.ORGANISATION_MANAGE, {"email": "new@contoso.example"}),
    Row("delete", "invitations/<str:invitation_id>", Scope.ORGANISATION_MANAGE,
    subject="invitation"),
    Row("post", "invitations/<str:invitation_id>/resend", Scope.ORGANISATION_MANAGE,
    subject="invitation"),
    Row("post", "api-keys", Scope.CREDENTIALS_MANAGE, {"name": "Ours", "scopes": ["tasks:read"]}),
    Row("get", "api-keys", Scope.CREDENTIALS_READ),
    Row("get", "api-keys/<str:api_key>", Scope.CREDENTIALS_READ, subject="api_key"),
    Row("delete", "api-keys/<str:api_key>", Scope.CREDENTIALS_MANAGE, subject="api_key"),
    Row("post", "api-keys/<str:api_key>/rotate", Scope.CREDENTIALS_MANAGE, {}, subject="api_key"),
    Row("post", "oauth-applications", Scope.CREDENTIALS_MANAGE, OAUTH),
    Row("get", "oauth-applications", Scope.CREDENTIALS_READ),
    Row("get", "oauth-applications/<str:client_id>", Scope.CREDENTIALS_READ, subject="client"),
    Row("patch", "oauth-applications/<str:client_id>", Scope.CREDENTIALS_MANAGE, {"name": "Ours"},
    subject="client"),
    Row("delete", "oauth-applications/<str:client_id>", Scope.CREDENTIALS_MANAGE,
    subject="client"),
    Row("post", "oauth-applications/<str:client_id>/rotate-secret", Scope.CREDENTIALS_MANAGE, {},
    subject="client"),
    Row("post", "legal-holds", Scope.ORGANISATION_MANAGE, {"reason": "Case 1"}),
    Row("get", "legal-holds", Scope.ORGANISATION_READ),
    Row("get", "legal-holds/<str:hold_id>", Scope.ORGANISATION_READ, subject="hold"),
    Row("post", "legal-holds/<str:hold_id>/release", Scope.ORGANISATION_MANAGE, {}, subject="hold"),
    Row("get", "audit-events", Scope.AUDIT_READ),
    Row("get", "audit-events/export", Scope.AUDIT_READ),
    Row("get", "audit-heads", Scope.AUDIT_READ),
]  # fmt: skip
OPEN = {
    ("get", "openapi.json"),
    ("get", "audit-jwks.json"),
    ("get", "organisations/<str:organisation_id>/webhook-jwks.json"),
}
"""Routes that need no credential: the response is the same for all."""

UPLOADS = {("post", "evidence"), ("post", "attachments")}
"""The calls with a form, by the end of their routes."""

OF_POOLS = (
    "task", "endpoint", "delivery", "recovery", "pool", "worker", "consumer", "evidence",
    "attachment", "claim", "review", "appeal", "look", "session", "bridge",
)  # fmt: skip
"""Objects that a credential for some pools sees only if they belong to these."""

OF_ORGANISATION = [
    ("post", "webhook-keys/rotate"),
    ("delete", "webhook-keys/<str:key_id>"),
    ("post", "pools"),
    ("patch", "organisation"),
    ("patch", "members/<str:member_id>"),
    ("delete", "members/<str:member_id>"),
    ("put", "members/<str:member_id>/worker"),
    ("delete", "members/<str:member_id>/worker"),
    ("post", "invitations"),
    ("delete", "invitations/<str:invitation_id>"),
    ("post", "invitations/<str:invitation_id>/resend"),
    ("post", "legal-holds"),
    ("post", "legal-holds/<str:hold_id>/release"),
]
"""Objects of the whole organisation, which a credential for some pools cannot change."""

WITH_ID = [row for row in MATRIX if row.subject]
OF_ONE_SIDE = [row for row in MATRIX if not row.is_for_workers]
WITHOUT_ID = [row for row in MATRIX if not row.subject]


def routes() -> set[tuple[str, str]]:
    found = set()
    for pattern in urlpatterns:
        assert isinstance(pattern, URLPattern), f"{pattern}: enumerate included patterns as well"
        view: Any = pattern.callback.view_class  # type: ignore[attr-defined]
        found |= {(name, str(pattern.pattern)) for name in HTTP if hasattr(view, name)}
    return found


def test_matrix__has_every_route() -> None:
    listed = {(row.method, row.route) for row in MATRIX}
    missing, gone = routes() - listed - OPEN, listed - routes()
    assert not missing, (
        f"routes without a row: {sorted(missing)}. Add a Row to MATRIX in"
        " tests/api/test_tenancy.py:"
        " the scope it needs, a body that would do, and whose id its path holds, so that the tests"
        " below can show that another organisation's id is a 404 there."
    )
    assert not gone, f"rows without a route: {sorted(gone)}. Take them out of MATRIX."


@dataclass(frozen=True)
class World:
    """Return Alice's organisation with a task in each stage, and all other callers."""

    house: House
    subjects: dict[str, Any]
    strangers_worker: Caller

    def call(self, caller: Caller, row: Row, subject: UUID | str | None = None) -> Any:
        name = str(subject or self.subjects.get(row.subject, row.chosen))
        path = "/v1/" + "/".join(
            name if part.startswith("<") else part for part in row.route.split("/")
        )
        if (row.method, row.route.rpartition("/")[2]) in UPLOADS:
            form = {"epoch": "1", "file": SimpleUploadedFile("note.txt", b"A note.")}
            headers = {"Authorization": f"Bearer {caller.key}"}
            return caller.client.post(path, form, headers=headers)
        return caller.call(row.method.upper(), path + row.query, row.body)


@pytest.fixture
def new_world(house: House) -> World:
    """Provide a world that the test may change."""
    return made(house)


@pytest.fixture(scope="module")
def kept(migrated_database: None, django_db_blocker: Any) -> Iterator[dict[str, World]]:
    """Keep a world for the tests of a module."""
    yield {}
    with django_db_blocker.unblock():
        tables.empty()


@pytest.fixture
def world(kept: dict[str, World], django_db_blocker: Any) -> Iterator[World]:
    """Provide a world that the tests of a module share, with the keys and workers they add.

    It is for calls that are refused or only read. To make a world takes fifty times as long as
    such a call, and there are a thousand.
    """
    with django_db_blocker.unblock():
        if not tables.are_kept():
            kept["world"] = made(House.build())
            tables.keep()
        yield kept["world"]


def made(house: House) -> World:
    reviewed = house.submitted(review={"mode": "all"}).task
    appealed, look = an_appeal(house), a_second_look(house)
    run = house.started()
    _, carol = worker_in(house.pool)
    offer = house.offered(title="Offered")
    assert offer.worker_id == carol.principal.worker_id
    _, stranger = worker_in(house.strangers_pool, name="Charlie's worker")
    subjects: dict[str, Any] = {"task": run.task_id, "offer": offer.id, "run": run.id}
    subjects["review"] = reviewed.review_id
    subjects["look"] = look.id
    subjects |= {"appeal": appealed.id, "refused": appealed.review_id}
    subjects |= {"pool": house.pool.id, "worker": house.bobs_worker.id}
    key = rotate_key(actor=house.alice.principal, kind="v1", overlap_seconds=0, at=clock.now()).key
    subjects |= {"key": key.id, "consumer": a_consumer(house), "hold": a_hold(house, run.task_id)}
    subjects |= {"client": created(credentials_manager(house))["client_id"]}
    subjects |= {"evidence": some_evidence(house, run), "attachment": an_attachment(house)}
    subjects |= {"session": agent_of(house, "drafter-7f3a").session_id}
    subjects |= {"claim": claimed(house.bob.principal).id}
    subjects |= {"api_key": house.alice.principal.key_id}
    return World(house, subjects | webhook_subjects(house) | people(house), stranger)


def an_appeal(house: House) -> Appeal:
    """Appeal the rejection of an output of Bob's."""
    at = clock.now()
    rejected = decide(reviewer(house).principal, in_review(house, review={"mode": "all"}), "reject")
    return open_appeal(
        actor=house.bob.principal, review_id=rejected.id, reason="It is right.", at=at
    )


def a_second_look(house: House) -> SecondLook:
    """Have an output of Bob's approved, and drawn for a second look."""
    policy = {"mode": "all", "second_look_share": 1}
    approved = decide(reviewer(house).principal, in_review(house, review=policy))
    return SecondLook.objects.get(review_id=approved.id)


def people(house: House) -> dict[str, UUID]:
    """Create a member of Alice's organisation, and an open invitation."""
    actor, at = admin_key(house.organisation).principal, clock.now()
    member = member_of(house.organisation, "mara@northwind.example")
    invitation = invite(actor=actor, email="jo@northwind.example", role=Role.VIEWER, at=at)
    wait_for_mails()  # The row says when.
    return {"member": member.id, "invitation": invitation.id}


def some_evidence(house: House, run: Run) -> UUID:
    answer = upload(house.bob, run, b"A note.")
    return UUID(answer.json()["evidence_id"])


def an_attachment(house: House) -> UUID:
    headers = {"Authorization": f"Bearer {house.alice.key}"}
    form = {"file": SimpleUploadedFile("note.txt", b"A note.")}
    answer = house.alice.client.post("/v1/attachments", form, headers=headers)
    return UUID(answer.json()["attachment_id"])


def a_hold(house: House, task_id: UUID) -> UUID:
    """Place a legal hold on a task of Alice's organisation."""
    actor = admin_key(house.organisation).principal
    return place_hold(actor=actor, task_id=task_id, reason="Case 1", at=clock.now()).id


def a_consumer(house: House) -> UUID:
    """Create a consumer of Alice's, named by an ID."""
    name = uuid4()
    events.save_consumer(
        actor=house.alice.principal, name=str(name), types=None, start=BEGINNING, at=clock.now()
    )
    return name


def webhook_subjects(house: House) -> dict[str, Any]:
    """Create an endpoint of Alice's, with a delivery and a recovery, and a bridge."""
    actor, at = house.alice.principal, clock.now()
    endpoint = webhooks.create_endpoint(actor=actor, document=ENDPOINT, at=at)
    delivery = webhooks.send_test_event(
        actor=actor, endpoint_id=endpoint.id, event_type="task.failed", at=at
    )
    wanted = parse(RecoveryRequest, {**RECOVERY, "endpoint_id": str(endpoint.id)})
    recovery = webhooks.start_recovery(actor=actor, request=wanted, at=at)
    bridge = create_bridge_instance(actor=actor, document=BRIDGE, at=at).row.wire_id
    return {
        "endpoint": endpoint.id,
        "delivery": delivery.id,
        "recovery": recovery.id,
        "bridge": bridge,
    }


def everything_key(house: House, organisation_id: UUID, worker: Caller) -> Caller:
    """Return a key with every scope, of `worker`'s organisation."""
    return Caller(
        issue_key(
            organisation_id=organisation_id,
            name="Everything",
            role=Role.ADMIN,
            scopes=list(Scope),
            worker_id=worker.principal.worker_id,
        )
    )


def text_of(answer: Any) -> str:
    """Return the body of a response, also of a streamed one."""
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return str(body.decode())


@pytest.mark.parametrize("row", WITH_ID, ids=str)
def test_another_organisations_id__is_not_found(world: World, row: Row) -> None:
    stranger = everything_key(
        world.house, world.house.strangers_pool.organisation_id, world.strangers_worker
    )
    with expect_unchanged():
        answer = world.call(stranger, row)
        body = expect_problem(answer, 404, "not_found")
        unknown = world.call(stranger, row, UUID(int=7))
    # The same response as for an unknown ID.
    assert {**body, "request_id": ""} == {**unknown.json(), "request_id": ""}


@pytest.mark.parametrize("row", [row for row in WITHOUT_ID if row.method == "get"], ids=str)
def test_lists__show_nothing_of_another_organisation(world: World, row: Row) -> None:
    assert_shows_nothing(world, row)


@pytest.mark.parametrize("row", [row for row in WITHOUT_ID if row.method != "get"], ids=str)
def test_commands__show_nothing_of_another_organisation(new_world: World, row: Row) -> None:
    assert_shows_nothing(new_world, row)


def assert_shows_nothing(world: World, row: Row) -> None:
    """Assert that a stranger who may call it sees nothing of Alice's organisation."""
    stranger = everything_key(
        world.house, world.house.strangers_pool.organisation_id, world.strangers_worker
    )
    answer = world.call(stranger, row)
    assert answer.status_code in (200, 201, 202)
    text = text_of(answer)
    known = [*world.subjects.values(), world.house.organisation.id, world.house.bobs_worker.id]
    assert not any(str(secret) in text for secret in known)


@pytest.mark.parametrize("row", OF_ONE_SIDE, ids=str)
def test_key_without_the_scope__is_refused(world: World, row: Row) -> None:
    others = [scope for scope in Scope if scope is not row.scope]
    lesser = Caller(
        issue_key(
            organisation_id=world.house.organisation.id,
            name="Lesser",
            scopes=others,
            worker_id=world.house.bobs_worker.id,
        )
    )
    with expect_unchanged():
        assert (
            expect_problem(world.call(lesser, row), 403, "scope_missing")["scope"]
            == row.scope.value
        )


@pytest.mark.parametrize("row", OF_ONE_SIDE, ids=str)
def test_key_of_the_other_side__is_refused(world: World, row: Row) -> None:
    """Refuse tasks of a worker's key, and work of a backend's key."""
    wrong = world.house.alice if row.scope is Scope.WORK else world.house.bob
    with expect_unchanged():
        expect_problem(world.call(wrong, row), 403, "scope_missing")


@pytest.mark.parametrize("row", MATRIX, ids=str)
def test_missing_credential__is_refused(world: World, row: Row) -> None:
    with expect_unchanged():
        answer = world.call(Caller("bl_live_nobody"), row)
    expect_problem(answer, 401, "unauthenticated")
    assert "WWW-Authenticate" in answer


@pytest.mark.parametrize("row", [row for row in WITH_ID if row.scope is Scope.WORK], ids=str)
def test_colleague__does_not_do_anothers_work(world: World, row: Row) -> None:
    """Refuse calls on an offer or run of another worker of the organisation."""
    _, dave = worker_in(world.house.pool)
    with expect_unchanged():
        answer = world.call(dave, row)
    assert answer.status_code in (404, 409)
    expect_problem(answer, answer.status_code)


@pytest.mark.parametrize("row", [row for row in WITH_ID if row.subject in OF_POOLS], ids=str)
def test_key_of_another_pool__does_not_find_it(world: World, row: Row) -> None:
    other = provision_pool(organisation_id=world.house.organisation.id, name="Back office")
    key = issue_key(
        organisation_id=world.house.organisation.id,
        name="Back",
        role=Role.ADMIN,
        scopes=[*BACKEND_SCOPES, Scope.TASKS_MANAGE, Scope.TASKS_REVIEW],
        pool_ids=[other.id],
    )
    with expect_unchanged():
        answer = world.call(Caller(key), row)
        if (row.method, row.subject) == ("put", "consumer"):
            expect_problem(answer, 409, "consumer_name_taken")
        else:
            expect_problem(answer, 404, "not_found")


@pytest.mark.parametrize("row", [row for row in WITHOUT_ID if row.method == "get"], ids=str)
def test_lists__show_a_key_of_another_pool_nothing_of_this_one(world: World, row: Row) -> None:
    house = world.house
    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    worker, _ = worker_in(other, name="Carla")
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Back",
        role=Role.ADMIN,
        scopes=list(Scope),
        pool_ids=[other.id],
        worker_id=worker.id,
    )
    answer = world.call(Caller(key), row)
    if answer.status_code != 200:
        # It concerns the whole organisation.
        expect_problem(answer, 403, "pool_not_granted")
    # Signing keys belong to the organisation; their public parts are not secret.
    # So do its people.
    shown = ("key", "member", "invitation")
    known = [value for name, value in world.subjects.items() if name not in shown]
    assert not any(str(secret) in text_of(answer) for secret in known)


@pytest.mark.parametrize(
    "row", [row for row in MATRIX if (row.method, row.route) in OF_ORGANISATION], ids=str
)
def test_objects_of_the_organisation__are_not_changed_by_a_key_for_some_pools(
    world: World, row: Row
) -> None:
    house = world.house
    key = issue_key(
        organisation_id=house.organisation.id,
        name="Ours",
        role=Role.ADMIN,
        scopes=[*BACKEND_SCOPES, *MANAGE],
        pool_ids=[house.pool.id],
    )
    with expect_unchanged():
        expect_problem(world.call(Caller(key), row), 403, "pool_not_granted")


def test_matcher__makes_no_offer_to_another_organisation(house: House) -> None:
    worker_in(house.strangers_pool, trust_level=5, rating=5, capacity=9)
    house.bob.patch("/v1/workers/me", {"presence": "offline"})
    house.queued()
    assert match_queued() == 0


def test_evidence__of_another_organisation_cannot_be_named(new_world: World) -> None:
    house = new_world.house
    evidence_id = str(new_world.subjects["evidence"])
    charlie = House(
        organisation=house.organisation,
        pool=house.strangers_pool,
        alice=house.charlie,
        bob=new_world.strangers_worker,
        bobs_worker=house.bobs_worker,
        charlie=house.alice,
        strangers_pool=house.pool,
    )
    run = charlie.started(output={"expected_format": "text", "evidence_required": True})
    body = {"epoch": run.epoch, "output": "Done.", "evidence": [evidence_id]}
    with expect_unchanged():
        answer = new_world.strangers_worker.post(f"/v1/runs/{run.id}/submit", body)
    assert expect_problem(answer, 422)["errors"][0]["pointer"] == "/evidence/0"


def test_routes__take_any_text_as_an_id() -> None:
    """Return a 404 problem for an ID that is not a UUID: use `<str:…>`, never `<uuid:…>`."""
    assert not [pattern for pattern in urlpatterns if "<uuid:" in str(pattern.pattern)]
