"""Retention by time, what is kept, and how kept tables are partitioned later (docs/adr/0014)."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, transaction
from django.utils import timezone
from oauth2_provider.models import AccessToken, RefreshToken

from apps.accounts.models import OAuthApplication, OAuthCode, User
from apps.accounts.services import delete_expired_tokens
from apps.base import clock
from apps.base.ids import new_id
from apps.events.models import Event
from apps.matching.services import match_queued, restore_requirements
from apps.tasks.models import PoolSet, Requirement, Task
from apps.tasks.selectors import closed_before
from apps.tasks.services import (
    cancel_task,
    delete_unused_requirements,
    queue_created,
    reopen_task,
)
from apps.timers.services import fire_due
from apps.webhooks import services as webhooks
from apps.webhooks.models import Attempt, Delivery, Destination, Message
from tests.factories import House
from tests.integration.test_deliveries import callback
from tests.receiver import Receiver

LATER = timedelta(days=31)


def forget_callbacks(**after: float) -> int:
    at = clock.now() + timedelta(**after)
    return webhooks.delete_old_callbacks(select_ended=closed_before, at=at)


# --- callbacks ------------------------------------------------------------------------------------


def ended_with_callback(house: House, receiver: Receiver) -> Task:
    task = house.task(**callback(receiver.url, callback_auth={"type": "bearer", "token": "t"}))
    cancel_task(actor=house.alice.principal, task_id=task.id, reason="", at=clock.now())
    while webhooks.deliver_due():
        pass
    return task


def test_callbacks__go_30_days_after_their_task_ended(house: House, receiver: Receiver) -> None:
    ended = ended_with_callback(house, receiver)
    going_on = house.task(**callback(receiver.url))
    while webhooks.deliver_due():
        pass
    assert forget_callbacks(days=29) == 0
    assert forget_callbacks(days=31) == 0, "what was delivered is still there to be sent again"
    webhooks.apply_retention(at=clock.now() + LATER)
    assert (Delivery.objects.count(), Attempt.objects.count()) == (0, 0)
    assert forget_callbacks(days=31) == 1
    assert set(Destination.objects.values_list("id", flat=True)) == {going_on.id} != {ended.id}


def test_a_task_that_goes_on_after_its_callback_went__tells_without_credentials(
    house: House, receiver: Receiver
) -> None:
    run = house.submitted(**callback(receiver.url, callback_auth={"type": "bearer", "token": "t"}))
    from apps.reviews.services import verify_submitted

    assert verify_submitted() == 1
    while webhooks.deliver_due():
        pass
    webhooks.apply_retention(at=clock.now() + LATER)
    assert forget_callbacks(days=31) == 1
    before = len(receiver.received)
    reopen_task(actor=admin(house), task_id=run.task_id, reason="again", at=clock.now())
    while webhooks.deliver_due():
        pass
    requests = receiver.received[before:]
    assert [json.loads(one.body)["type"] for one in requests] == ["task.queued"]
    assert "authorization" not in requests[0].headers
    assert requests[0].headers["webhook-signature"]


def admin(house: House) -> Any:
    from apps.accounts import principal

    return principal.system("operator", house.organisation.id)


# --- requirements, tokens -------------------------------------------------------------------------


def test_requirements__go_when_no_open_task_has_them(house: House) -> None:
    open_ = house.task(requirements={"skills": ["welsh"]})
    ended = house.task(requirements={"skills": ["manx"]})
    cancel_task(actor=house.alice.principal, task_id=ended.id, reason="", at=clock.now())
    assert delete_unused_requirements() == 1
    assert list(Requirement.objects.values_list("id", flat=True)) == [open_.requirement_id]
    assert delete_unused_requirements() == 0


def test_a_requirement_that_went_while_its_task_was_posted__is_made_again(house: House) -> None:
    house.task()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM tasks_requirement")
    assert queue_created() == 1
    assert match_queued() == 1


def test_a_requirement_that_went_while_its_task_was_queued__is_made_again(house: House) -> None:
    """As it is after the steps that were taken."""
    step = {"after_seconds": 60, "lower_min_rating_by": 1.0}
    needs = {"min_rating": 4.5, "escalation": {"steps": [step], "at_end": "wait"}}
    house.queued(), house.queued(requirements=needs)
    fire_due(at=clock.now() + timedelta(seconds=60))
    before = list(Requirement.objects.order_by("id").values())
    assert {row["min_rating"] for row in before} == {0.0, 3.5, 4.5}
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM tasks_requirement")
    assert restore_requirements() == 2
    again = list(Requirement.objects.order_by("id").values())
    assert again == [row for row in before if row["min_rating"] != 4.5]
    assert match_queued() >= 1
    assert {task.requirement_id for task in Task.objects.all()} == {row["id"] for row in again}
    assert restore_requirements() == 0


def test_a_task_that_is_reopened__asks_for_what_its_contract_asked_for(house: House) -> None:
    task = house.completed()
    assert delete_unused_requirements() == 1
    reopen_task(actor=admin(house), task_id=task.id, reason="again", at=clock.now())
    assert match_queued() == 1


@pytest.fixture
def partner(house: House) -> OAuthApplication:
    return OAuthApplication.objects.create(
        organisation=house.organisation,
        name="Partner",
        client_type=OAuthApplication.CLIENT_CONFIDENTIAL,
        authorization_grant_type=OAuthApplication.GRANT_CLIENT_CREDENTIALS,
    )


def test_access_tokens__go_when_they_expired(partner: OAuthApplication) -> None:
    for hours in (-1, 1):
        AccessToken.objects.create(
            application=partner,
            token=f"token {hours}",
            expires=timezone.now() + timedelta(hours=hours),
            scope="tasks:read",
        )
    assert delete_expired_tokens() == 1
    assert AccessToken.objects.get().expires > timezone.now()
    assert delete_expired_tokens() == 0


def test_refresh_tokens_and_used_codes__go_after_90_days(partner: OAuthApplication) -> None:
    """Check that the reuse of a token is detected for as long as its family can live."""
    at = clock.now()
    family, user = new_id(), User.objects.create()
    for is_used in (False, True):
        OAuthCode.objects.create(
            application=partner,
            user=user,
            code=f"code {is_used}",
            expires=at + timedelta(seconds=60),
            used_at=at if is_used else None,
            token_family=family if is_used else None,
        )
    access = AccessToken.objects.create(
        application=partner, user=user, token="a", expires=at + timedelta(hours=1)
    )
    for token, revoked, held in (("old", at, None), ("new", None, access)):
        RefreshToken.objects.create(
            application=partner,
            user=user,
            token=token,
            token_family=family,
            revoked=revoked,
            access_token=held,
        )
    assert delete_expired_tokens(at=at + timedelta(hours=2)) == 1, "the unused code"
    assert delete_expired_tokens(at=at + timedelta(days=89)) == 0
    assert delete_expired_tokens(at=at + timedelta(days=91)) == 4
    assert (OAuthCode.objects.count(), AccessToken.objects.count()) == (0, 0)


# --- keys -----------------------------------------------------------------------------------------


def test_ids_of_deliveries__begin_with_their_time(house: House) -> None:
    house.alice.post("/v1/webhook-endpoints", {"url": "http://127.0.0.1:9/events"})
    before = new_id()
    house.task()
    (delivery,) = Delivery.objects.all()
    after = new_id()
    assert delivery.id.version == 7
    # The event's time is the call's, a moment before: compare milliseconds generously.
    assert abs((delivery.id.int >> 80) - (before.int >> 80)) < 1_000
    assert delivery.id.variant == before.variant
    assert delivery.id != after


def primary_keys() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'p'"
            " AND conrelid::regclass::text IN ('events_event', 'webhooks_attempt')"
        )
        return {row[0] for row in cursor.fetchall()}


PART = """
CREATE TABLE events_parted (LIKE events_event INCLUDING ALL) PARTITION BY RANGE (task_id);
ALTER TABLE events_event ADD CONSTRAINT events_until CHECK (task_id < '{until}') NOT VALID;
ALTER TABLE events_event VALIDATE CONSTRAINT events_until;
ALTER TABLE events_event ALTER COLUMN id DROP IDENTITY;
ALTER TABLE events_parted ATTACH PARTITION events_event FOR VALUES FROM (MINVALUE) TO ('{until}');
CREATE TABLE events_next PARTITION OF events_parted FOR VALUES FROM ('{until}') TO (MAXVALUE);
"""


def test_events__become_a_partition_as_they_are(house: House) -> None:
    """Their keys need no change: the log is attached, neither rewritten nor indexed again."""
    assert primary_keys() == set()
    task = house.completed()
    before = _file("events_event")
    until = UUID(int=new_id().int + (86_400_000 << 80))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(PART.format(until=until))
        assert _file("events_event") == before
        cursor.execute("SELECT count(*) FROM events_parted WHERE task_id = %s", [task.id])
        assert cursor.fetchone()[0] == Event.objects.filter(task_id=task.id).count()
        transaction.set_rollback(True)


def _file(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_relation_filenode(%s::regclass)", [table])
        return int(cursor.fetchone()[0])


# --- sets of pools --------------------------------------------------------------------------------


def test_sets__are_kept_once_for_tasks_of_several_pools(house: House) -> None:
    from apps.accounts.services import issue_key
    from apps.pools.services import provision_pool
    from tests.factories import Caller, contract

    other = provision_pool(organisation_id=house.organisation.id, name="Back office")
    both = sorted([house.pool.id, other.id])
    key = issue_key(organisation_id=house.organisation.id, name="Both", pool_ids=both)
    for _ in range(2):
        assert Caller(key).post("/v1/tasks", contract()).status_code == 201
    house.task(requirements={"worker_pool_id": str(other.id)})
    house.task()
    assert list(PoolSet.objects.values_list("pool_ids", flat=True)) == [both]


# --- autovacuum -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "model", [Task, Delivery, Message, Attempt, Requirement], ids=lambda model: model.__name__
)
def test_queues__are_vacuumed_when_a_hundredth_is_dead(
    database: None, model: Callable[..., Any]
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reloptions FROM pg_class WHERE relname = %s",
            [model._meta.db_table],  # type: ignore[attr-defined]
        )
        assert "autovacuum_vacuum_scale_factor=0.01" in cursor.fetchone()[0]
