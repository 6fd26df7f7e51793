"""Reviewers who are told of outputs that wait: whom, how often, and when not."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.principal import Principal
from apps.accounts.scopes import Role
from apps.base import clock
from apps.notices.models import Notice
from apps.notices.services import mark_seen
from apps.pools.models import Pool, Presence, Worker
from apps.pools.services import provision_pool, provision_worker
from apps.reviews import services
from apps.reviews.services import report_overdue
from tests.factories import House, member_of
from tests.notice_steps import choose_notices, send_all
from tests.review_steps import decide, in_review, reviewer, set_policy


def a_member(house: House, name: str, role: Role, *, pool: Pool, **chosen: Any) -> Worker:
    """Return the worker that a new member is, who is told by e-mail."""
    user = member_of(house.organisation, f"{name}@northwind.example", role=role).user
    worker = provision_worker(pools=[pool], name=name, presence=Presence.OFFLINE)
    Worker.objects.filter(id=worker.id).update(user=user)
    choose_notices(principal_of(house, worker), **{"by_email": True, **chosen})
    return worker


def principal_of(house: House, worker: Worker) -> Principal:
    return Principal(
        kind="worker",
        id=str(worker.id),
        name=worker.name,
        organisation_id=house.organisation.id,
        role=Role.WORKER,
        scopes=frozenset({"work"}),
        worker_id=worker.id,
    )


@pytest.fixture
def desk(house: House) -> Pool:
    return provision_pool(organisation_id=house.organisation.id, name="Reviewers")


def told() -> set[str]:
    assert {*Notice.objects.values_list("kind", flat=True)} <= {"review"}
    return {*Notice.objects.values_list("worker__name", flat=True)}


def test_request__tells_those_with_the_role_but_not_who_did_the_work(
    house: House, desk: Pool
) -> None:
    set_policy(house.pool, notify=True, required_role="manager")
    for name, role in (("ed", Role.EDITOR), ("mona", Role.MANAGER), ("ada", Role.ADMIN)):
        a_member(house, name, role, pool=desk)
    a_member(house, "max", Role.MANAGER, pool=desk, reviews=False)
    a_member(house, "meg", Role.MANAGER, pool=desk, by_email=False)
    bob = member_of(house.organisation, "bob@northwind.example", role=Role.ADMIN)
    Worker.objects.filter(id=house.bobs_worker.id).update(user=bob.user)
    choose_notices(house.bob.principal, by_email=True, offers=False)
    review = in_review(house, title="Find the owner")
    assert told() == {"mona", "ada"}
    send_all()
    assert {to for message in mail.outbox for to in message.to} == {
        "mona@northwind.example",
        "ada@northwind.example",
    }
    assert mail.outbox[0].subject == "An output waits for your review: Find the owner · to review"
    assert not Notice.objects.exists()
    assert review.status == "waiting"


def test_request__tells_no_one_unless_the_policy_says_so(house: House, desk: Pool) -> None:
    set_policy(house.pool)
    a_member(house, "mona", Role.MANAGER, pool=desk)
    in_review(house)
    assert told() == set()


def test_overdue__tells_those_who_may_review_from_now_on(house: House, desk: Pool) -> None:
    a_member(house, "rita", Role.EDITOR, pool=desk)
    a_member(house, "mona", Role.MANAGER, pool=house.pool)
    set_policy(house.pool, notify=True, reviewer_pool_id=str(desk.id), deadline_seconds=600)
    review = in_review(house)
    assert told() == {"rita"}
    later = clock.now() + timedelta(hours=1)
    report_overdue(review_id=review.id, at=later)
    report_overdue(review_id=review.id, at=later)
    assert sorted(Notice.objects.values_list("worker__name", flat=True)) == ["mona", "rita"]


def test_overdue__tells_no_one_twice(house: House, desk: Pool) -> None:
    a_member(house, "mona", Role.MANAGER, pool=desk)
    set_policy(house.pool, notify=True, deadline_seconds=600)
    review = in_review(house)
    report_overdue(review_id=review.id, at=clock.now() + timedelta(hours=1))
    assert Notice.objects.count() == 1


def test_many_reviews__are_one_mail_in_a_pause(house: House, desk: Pool) -> None:
    a_member(house, "mona", Role.MANAGER, pool=desk)
    set_policy(house.pool, notify=True)
    for number in range(8):
        in_review(house, title=f"Task {number}")
    send_all()
    (message,) = mail.outbox
    assert message.subject == "8 outputs wait for reviews"
    assert "and 3 more" in str(message.body)
    in_review(house)
    send_all()
    assert len(mail.outbox) == 1
    assert Notice.objects.count() == 1


def test_one_review__is_linked(house: House, desk: Pool) -> None:
    set_policy(house.pool, notify=True)
    a_member(house, "mona", Role.MANAGER, pool=desk)
    review = in_review(house)
    send_all()
    (sent,) = mail.outbox
    assert f"/portal/reviews/{review.id}/" in sent.body


def test_what_was_claimed_or_decided__is_not_told(house: House, desk: Pool) -> None:
    a_member(house, "mona", Role.MANAGER, pool=desk)
    set_policy(house.pool, notify=True)
    rita = reviewer(house).principal
    claimed, decided, waiting = (in_review(house, title=f"Task {n}") for n in range(3))
    services.claim_review(actor=rita, review_id=claimed.id, at=clock.now())
    decide(rita, decided)
    send_all()
    (message,) = mail.outbox
    title = f"{waiting.task.title} · to review"
    assert message.subject == f"An output waits for your review: {title}"


def test_away__is_not_told(house: House, desk: Pool) -> None:
    """Offline, which a member is who does no tasks, does not count for reviews."""
    mona = a_member(house, "mona", Role.MANAGER, pool=desk)
    set_policy(house.pool, notify=True)
    Worker.objects.filter(id=mona.id).update(presence=Presence.AWAY)
    in_review(house)
    send_all()
    assert (len(mail.outbox), Notice.objects.count()) == (0, 0)


def test_page_that_shows_no_review__does_not_count(house: House, desk: Pool) -> None:
    mona = a_member(house, "mona", Role.MANAGER, pool=desk)
    set_policy(house.pool, notify=True)
    at = clock.now()
    in_review(house, at=at)
    mark_seen(actor=principal_of(house, mona), at=at + timedelta(seconds=15))
    send_all(at=at + timedelta(seconds=20))
    assert (len(mail.outbox), Notice.objects.count()) == (0, 1)
    send_all(at=at + timedelta(seconds=50))
    assert (len(mail.outbox), Notice.objects.count()) == (1, 0)


def test_request__costs_no_statement_more(house: House, desk: Pool) -> None:
    a_member(house, "mona", Role.MANAGER, pool=desk)

    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            in_review(house)
        return len(queries)

    set_policy(house.pool)
    before = statements()
    set_policy(house.pool, notify=True)
    assert statements() == before
    assert Notice.objects.count() == 1
