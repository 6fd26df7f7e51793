"""Test what workers are told: when, over which channel, and what is left out."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import Member
from apps.accounts.principal import Principal
from apps.base import clock
from apps.matching import services as matching
from apps.notices import services
from apps.notices.jobs import drain_notices
from apps.notices.models import Device, Digest, Notice, Preference, PushKey
from apps.notices.selectors import own_devices, own_preference, quiet_end
from apps.notices.services import SendOutcome
from apps.notices.services.composing import compose_due
from apps.pools.models import Pool, Worker
from apps.tasks import services as tasks
from apps.tasks.services.sla import Clock
from biolayer.errors import InvalidInput, NotFound
from tests.concurrency.together import together
from tests.factories import House, contract, member_of, soon, worker_in
from tests.faults.installation import eventually
from tests.mail_server import serving
from tests.notice_steps import (
    Browser,
    bob_signs_in,
    choose_notices,
    device_of,
    send_all,
    subscribed,
)
from tests.receiver import Receiver, Reply


@pytest.fixture
def bob(house: House) -> Principal:
    """Provide Bob, who is a member and has five units."""
    bob_signs_in(house)
    Worker.objects.filter(id=house.bobs_worker.id).update(capacity=5)
    return house.bob.principal


def offer_some(house: House, count: int, **changes: Any) -> None:
    for number in range(count):
        house.task(title=f"Task {number}", **changes)
    tasks.queue_created()
    assert matching.match_queued() == count


def test_without_settings__nothing_is_stored(house: House, bob: Principal) -> None:
    house.offered()
    choose_notices(bob)  # no channel
    matching.match_queued()
    assert (Notice.objects.count(), send_all(), mail.outbox) == (0, 0, [])


def test_mail__names_title_skill_and_deadline(house: House, bob: Principal) -> None:
    choose_notices(bob, by_email=True)
    Worker.objects.filter(id=bob.worker_id).update(
        skills=["phone_verification"], time_zone="Europe/Berlin"
    )
    at = clock.now()
    deadline = datetime(2031, 3, 1, 10, 0, tzinfo=UTC)
    offer = house.offered(
        at=at,
        title="Verify endpoint owner",
        requirements={"skills": ["phone_verification"]},
        sla={"deadline": deadline.isoformat()},
    )
    assert send_all() == 2  # a notice, a digest
    (message,) = mail.outbox
    assert message.to == ["bob@northwind.example"]
    assert message.subject.startswith("A task is offered to you: Verify endpoint owner")
    body = str(message.body)
    assert "Verify endpoint owner · Phone verification · due 1 March 2031, 11:00" in body
    assert f"/portal/offers/{offer.id}/" in body
    assert (Notice.objects.count(), Digest.objects.count()) == (0, 0)


def test_push__is_encrypted_for_the_browser(
    house: House, bob: Principal, receiver: Receiver
) -> None:
    browser = subscribed(bob, receiver)
    receiver.reply = lambda _: Reply(201)
    offer = house.offered(title="Verify endpoint owner")
    send_all()
    (request,) = receiver.received
    said = browser.opened(request)
    assert said["title"] == "A task is offered to you"
    assert said["body"].startswith("Verify endpoint owner · ")
    assert said["url"].endswith(f"/portal/offers/{offer.id}/")
    assert b"Verify" not in request.body
    assert request.headers["urgency"] == "high"
    assert 60 < int(request.headers["ttl"]) <= 120
    assert device_of(browser).sent_at is not None
    assert mail.outbox == []


def test_words__are_in_the_workers_language(house: House, bob: Principal) -> None:
    choose_notices(bob, by_email=True, language="de")
    assert Preference.objects.get().language == "de"
    services.send_test(actor=bob, at=clock.now())
    assert send_all() == 1
    [message] = mail.outbox
    assert message.subject.startswith("Benachrichtigungen funktionieren")
    assert "Diese Mails abbestellen: " in message.body


# --- one digest -----------------------------------------------------------------------------------


def test_start_of_a_shift__is_one_digest(house: House, bob: Principal, receiver: Receiver) -> None:
    Worker.objects.filter(id=bob.worker_id).update(capacity=100)
    browser = subscribed(bob, receiver)
    choose_notices(bob, by_email=True)
    offer_some(house, 40)
    send_all()
    assert len(receiver.received) == len(mail.outbox) == 1
    said = browser.opened(receiver.received[0])
    assert said["title"] == "40 tasks are offered to you"
    assert said["body"].endswith("and 35 more")
    assert said["url"].endswith("/portal/")
    # What comes within the pause waits for its end, and is one digest again.
    at = clock.now()
    offer_some(house, 20, sla={"urgency": "low"})
    assert send_all() == 0
    Pool.objects.filter(id=house.pool.id).update(offer_seconds={})
    send_all(at=at + timedelta(minutes=4, seconds=55))
    assert len(receiver.received) == 1
    due = Notice.objects.order_by("due_at").values_list("due_at", flat=True)
    assert {*due} == {Preference.objects.get().next_at}


def test_second_digest__comes_after_the_pause(house: House, bob: Principal) -> None:
    choose_notices(bob, by_email=True, pause_minutes=1)
    house.offered()
    send_all()
    at = clock.now()
    Pool.objects.filter(id=house.pool.id).update(offer_seconds={"normal": 600})
    offer_some(house, 3)
    assert (send_all(), len(mail.outbox)) == (0, 1)
    send_all(at=at + timedelta(seconds=61))
    assert [message.subject for message in mail.outbox[1:]] == ["3 tasks are offered to you"]


def test_what_has_ended__is_not_told(house: House, bob: Principal) -> None:
    choose_notices(bob, by_email=True)
    taken = house.offered()
    matching.accept_offer(actor=bob, offer_id=taken.id, at=clock.now())
    declined = house.offered(title="Declined")
    matching.decline_offer(actor=bob, offer_id=declined.id, reason="", at=clock.now())
    Notice.objects.exclude(subject_id__in=[taken.id, declined.id]).delete()
    send_all()
    assert (mail.outbox, Notice.objects.count()) == ([], 0)
    assert Preference.objects.get().next_at <= clock.now()


# --- silence --------------------------------------------------------------------------------------


@pytest.mark.parametrize("presence", ["away", "offline"])
def test_away__is_silent_and_not_told_later(house: House, bob: Principal, presence: str) -> None:
    choose_notices(bob, by_email=True)
    house.offered()
    Worker.objects.filter(id=bob.worker_id).update(presence=presence)
    send_all()
    Worker.objects.filter(id=bob.worker_id).update(presence="available")
    send_all(at=soon(minutes=10))
    assert (mail.outbox, Notice.objects.count()) == ([], 0)


def test_quiet_hours__end_with_a_digest(house: House, bob: Principal) -> None:
    now = clock.now()
    begins = (now - timedelta(hours=1)).strftime("%H:%M")
    ends_at = (now + timedelta(hours=2)).replace(second=0, microsecond=0)
    choose_notices(bob, by_email=True, quiet_from=begins, quiet_until=ends_at.strftime("%H:%M"))
    Pool.objects.filter(id=house.pool.id).update(offer_seconds={"normal": 86_000})
    house.offered()
    send_all()
    assert mail.outbox == []
    assert Notice.objects.get().due_at == ends_at
    send_all(at=ends_at + timedelta(seconds=1))
    assert len(mail.outbox) == 1


@pytest.mark.parametrize(
    ("quiet", "zone", "at", "ends"),
    [
        (("22:00", "07:00"), "UTC", "2026-03-01T21:59:59", None),
        (("22:00", "07:00"), "UTC", "2026-03-01T22:00:00", "2026-03-02T07:00:00"),
        (("22:00", "07:00"), "UTC", "2026-03-02T06:59:59", "2026-03-02T07:00:00"),
        (("22:00", "07:00"), "UTC", "2026-03-02T07:00:00", None),
        (("12:00", "13:00"), "Asia/Kolkata", "2026-03-02T06:45:00", "2026-03-02T07:30:00"),
        # The night in which Berlin's clock skips an hour: 07:00 is 05:00 UTC.
        (("22:00", "07:00"), "Europe/Berlin", "2026-03-28T22:30:00", "2026-03-29T05:00:00"),
        (("", ""), "UTC", "2026-03-02T03:00:00", None),
    ],
)
def test_quiet_end(quiet: tuple[str, str], zone: str, at: str, ends: str | None) -> None:
    found = quiet_end(
        quiet_from=quiet[0],
        quiet_until=quiet[1],
        time_zone=zone,
        at=datetime.fromisoformat(at).replace(tzinfo=UTC),
    )
    expected = ends and datetime.fromisoformat(ends).replace(tzinfo=UTC)
    assert (found and found.astimezone(UTC)) == expected


def test_open_page__is_told_nothing(house: House, bob: Principal) -> None:
    choose_notices(bob, by_email=True)
    at = clock.now()
    house.offered(at=at)
    services.mark_seen(actor=bob, at=at)
    send_all()
    assert Notice.objects.get().due_at == at + timedelta(seconds=30)
    # A page that was visible after the offer came has shown it.
    services.mark_seen(actor=bob, at=at + timedelta(seconds=15))
    send_all(at=at + timedelta(seconds=50))
    assert (mail.outbox, Notice.objects.count()) == ([], 0)


def test_page_that_was_closed_since__is_told(house: House, bob: Principal) -> None:
    choose_notices(bob, by_email=True)
    at = clock.now()
    services.mark_seen(actor=bob, at=at - timedelta(seconds=1))
    house.offered(at=at)
    assert (send_all(), len(mail.outbox)) == (1, 0)
    send_all(at=at + timedelta(seconds=30))
    assert len(mail.outbox) == 1


@pytest.mark.parametrize("chosen", [{"offers": False}, {"by_email": False}])
def test_kind_that_is_not_wished__is_not_stored(
    house: House, bob: Principal, chosen: dict[str, bool]
) -> None:
    choose_notices(bob, **{"by_email": True, **chosen})
    house.offered()
    assert Notice.objects.count() == 0


def test_due_soon__tells_the_holder(house: House, bob: Principal) -> None:
    at = clock.now()
    run = house.started(at=at, title="Nearly late", sla={"target_latency_seconds": 1000})
    choose_notices(bob, by_email=True)
    other, _ = worker_in(house.pool)
    tasks.watch_sla(task_id=run.task_id, clock=Clock.TARGET_LATENCY, at=soon(seconds=900))
    assert Notice.objects.get().worker_id != other.id
    send_all(at=soon(seconds=901))
    (message,) = mail.outbox
    assert message.subject.startswith("Your task is due soon: Nearly late")
    assert f"/portal/runs/{run.id}/" in str(message.body)


def test_message__tells_the_holder_of_others_words(house: House, bob: Principal) -> None:
    choose_notices(bob, by_email=True, offers=False)
    run = house.started(title="Unclear task")
    for actor in (house.alice.principal, house.alice.principal, bob):
        tasks.post_message(actor=actor, task_id=run.task_id, text="Which door?", at=clock.now())
    assert Notice.objects.count() == 2
    send_all()
    (message,) = mail.outbox
    assert message.subject.startswith("A message about your task: Unclear task")
    assert f"/portal/runs/{run.id}/" in str(message.body)
    assert "Which door?" not in str(message.body)


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 410])
def test_ended_subscription__is_deleted(
    house: House, bob: Principal, receiver: Receiver, status: int
) -> None:
    subscribed(bob, receiver)
    kept = subscribed(bob, receiver)
    gone = Device.objects.exclude(id=device_of(kept).id).get()
    choose_notices(bob, by_email=True)
    path = kept.endpoint.removeprefix(receiver.url)
    receiver.reply_to = lambda request: Reply(201 if request.path == path else status)
    house.offered()
    send_all()
    assert list(Device.objects.values_list("id", flat=True)) == [device_of(kept).id]
    assert not Device.objects.filter(id=gone.id).exists()
    assert Preference.objects.get().by_push
    assert Digest.objects.count() == 0


def test_push_service_that_fails__is_tried_again_and_given_up(
    house: House, bob: Principal, receiver: Receiver
) -> None:
    browser = subscribed(bob, receiver)
    Pool.objects.filter(id=house.pool.id).update(offer_seconds={"normal": 86_000})
    receiver.reply = lambda _: Reply(503, {"Retry-After": "20"})
    house.offered()
    at = clock.now()
    send_all(at=at)
    assert Digest.objects.get().due_at == at + timedelta(seconds=20)
    assert device_of(browser).problem == "the push service answered 503"
    for minutes in (1, 3, 10, 30):
        send_all(at=at + timedelta(minutes=minutes))
    assert (len(receiver.received), Digest.objects.count()) == (5, 0)


def test_refused_push__is_not_tried_again(house: House, bob: Principal, receiver: Receiver) -> None:
    subscribed(bob, receiver)
    receiver.reply = lambda _: Reply(413)
    house.offered()
    send_all()
    assert (len(receiver.received), Digest.objects.count()) == (1, 0)
    assert Device.objects.count() == 1


class BrokenServer(EmailBackend):
    """A mail server that fails."""

    def send_messages(self, messages: Any) -> int:
        raise TimeoutError


def test_mail_server_that_fails__is_tried_again(
    house: House, bob: Principal, settings: Any
) -> None:
    choose_notices(bob, by_email=True)
    Pool.objects.filter(id=house.pool.id).update(offer_seconds={"normal": 86_000})
    house.offered()
    works = settings.EMAIL_BACKEND
    settings.EMAIL_BACKEND = "tests.integration.test_notices.BrokenServer"
    at = clock.now()
    send_all(at=at)
    digest = Digest.objects.get()
    assert (digest.attempts, digest.due_at) == (1, at + timedelta(seconds=10))
    settings.EMAIL_BACKEND = works
    send_all(at=at + timedelta(seconds=11))
    assert (len(mail.outbox), Digest.objects.count()) == (1, 0)


def test_claim__is_due_again_and_a_late_result_counts_for_nothing(
    house: House, bob: Principal, receiver: Receiver
) -> None:
    subscribed(bob, receiver)
    house.offered()
    at = clock.now()

    # Another drain claims the digest while its message is under way.
    def steal(_: Any) -> Reply:
        Digest.objects.update(claim_token=house.pool.id, due_at=at + timedelta(minutes=3))
        connection.close()
        return Reply(201)

    receiver.reply_to = steal
    send_all()
    assert Digest.objects.get().claim_token == house.pool.id


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.example/x",
        "https://10.0.0.7/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:10.0.0.1]/x",
        "ftp://push.example/x",
        "",
    ],
)
def test_endpoint_of_an_internal_address__is_refused(
    house: House, bob: Principal, settings: Any, endpoint: str
) -> None:
    settings.ALLOW_LOOPBACK_CALLBACKS = False
    with pytest.raises(InvalidInput) as refused:
        services.add_device(
            actor=bob, subscription=Browser(endpoint).subscription, name="x", at=clock.now()
        )
    assert [fault.pointer for fault in refused.value.faults] == ["/endpoint"]
    assert Device.objects.count() == 0


def test_endpoint_that_became_internal__is_not_called(
    house: House, bob: Principal, receiver: Receiver, settings: Any
) -> None:
    """The address is checked at the socket: here the setting changes, elsewhere DNS does."""
    browser = subscribed(bob, receiver)
    settings.ALLOW_LOOPBACK_CALLBACKS = False
    house.offered()
    send_all()
    assert (receiver.received, Digest.objects.count()) == ([], 0)
    assert "not an address that may be called" in device_of(browser).problem


@pytest.mark.parametrize("broken", [None, [], {}, {"endpoint": 1}, {"keys": {"auth": "!"}}])
def test_subscription_that_is_none__is_refused(house: House, bob: Principal, broken: Any) -> None:
    with pytest.raises(InvalidInput):
        services.add_device(actor=bob, subscription=broken, name="x", at=clock.now())


def test_job__does_not_wait_for_the_mail_server(
    house: House, bob: Principal, settings: Any
) -> None:
    """The process of the job fires timers, too."""
    choose_notices(bob, by_email=True)
    services.send_test(actor=bob, at=clock.now())
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    is_over = threading.Event()

    def slowly(_: int) -> str:
        is_over.wait(timeout=20)
        return "250 kept"

    with serving() as server:
        server.on_mail = slowly
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        for _ in range(3):
            drain_notices()
        assert server.mails == []
        is_over.set()
        eventually(lambda: not Digest.objects.exists(), seconds=20, what="the mail is stored")
        assert len(server.mails) == 1


@pytest.mark.parametrize(("reply", "is_kept"), [("451 later", True), ("550 unknown", False)])
def test_mail_that_the_server_refuses__is_given_up_only_for_good(
    house: House, bob: Principal, settings: Any, reply: str, is_kept: bool
) -> None:
    choose_notices(bob, by_email=True)
    services.send_test(actor=bob, at=clock.now())
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    with serving() as server:
        server.on_recipient = lambda: reply
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        send_all()
    assert Digest.objects.exists() is is_kept


# --- rows -----------------------------------------------------------------------------------------


def test_push_key__is_made_once(database: None) -> None:
    first = services.public_push_key()
    assert services.public_push_key() == first
    assert PushKey.objects.count() == 1
    assert len(first) == 87


def test_secrets__are_encrypted_at_rest(house: House, bob: Principal, receiver: Receiver) -> None:
    browser = subscribed(bob, receiver)
    services.public_push_key()
    row = bytes(device_of(browser).sealed)
    keys = browser.subscription["keys"]
    for secret in (browser.endpoint, keys["p256dh"], keys["auth"]):
        assert secret.encode() not in row
    with connection.cursor() as cursor:
        cursor.execute("SELECT d::text || k::text FROM notices_device d, notices_pushkey k")
        text = cursor.fetchone()[0]
    assert browser.endpoint not in text
    assert keys["auth"] not in text


def test_browser_of_another_person__moves(house: House, bob: Principal, receiver: Receiver) -> None:
    browser = subscribed(bob, receiver)
    jo, caller = worker_in(house.pool)
    Worker.objects.filter(id=jo.id).update(
        user=member_of(house.organisation, "jo@northwind.example").user
    )
    services.add_device(
        actor=caller.principal, subscription=browser.subscription, name="x", at=clock.now()
    )
    assert device_of(browser).worker_id == jo.id
    assert not Preference.objects.get(worker_id=bob.worker_id).by_push


def test_device_of_another_worker__is_not_found(
    house: House, bob: Principal, receiver: Receiver
) -> None:
    browser = subscribed(bob, receiver)
    _, caller = worker_in(house.pool)
    with pytest.raises(NotFound):
        services.remove_device(actor=caller.principal, device_id=device_of(browser).id)
    services.remove_device(actor=bob, device_id=device_of(browser).id)
    assert not Preference.objects.get(worker_id=bob.worker_id).by_push


def test_offers__cost_one_insert_more_and_no_statement(house: House, bob: Principal) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert matching.match_queued() == 1
        return len(queries)

    house.queued()
    before = statements()
    choose_notices(bob, by_email=True)
    house.queued()
    assert statements() == before
    assert Notice.objects.count() == 1


def test_many_offers_of_one_statement__are_inserted_for_those_who_want_them(
    house: House, bob: Principal
) -> None:
    choose_notices(bob, by_email=True)
    for number in range(3):
        worker_in(house.pool, name=f"Other {number}")
    house.alice.post("/v1/tasks/batch", [contract()] * 8)
    tasks.queue_created()
    assert matching.match_queued() == 8
    assert Notice.objects.count() == 5


# --- whose chosen they are ------------------------------------------------------------------------


def leave(house: House) -> None:
    Member.objects.filter(user__email="bob@northwind.example").delete()


def become_another(house: House) -> None:
    user = member_of(house.organisation, "jo@northwind.example").user
    Worker.objects.filter(id=house.bobs_worker.id).update(user=user)


def become_nobody(house: House) -> None:
    Worker.objects.filter(id=house.bobs_worker.id).update(user=None)


@pytest.mark.parametrize("change", [leave, become_another, become_nobody])
@pytest.mark.parametrize("is_composed", [False, True])
def test_person_who_has_left__is_told_nothing(
    house: House,
    bob: Principal,
    receiver: Receiver,
    change: Callable[[House], None],
    is_composed: bool,
) -> None:
    subscribed(bob, receiver)
    choose_notices(bob, by_email=True)
    house.offered()
    if is_composed:
        assert compose_due(at=clock.now()) == 1
        assert Digest.objects.count() == 2
    change(house)
    send_all()
    assert (mail.outbox, receiver.received) == ([], [])
    assert (Notice.objects.count(), Digest.objects.count()) == (0, 0)


def test_another_person__inherits_no_settings(
    house: House, bob: Principal, receiver: Receiver
) -> None:
    subscribed(bob, receiver)
    choose_notices(bob, by_email=True, quiet_from="22:00", quiet_until="07:00")
    become_another(house)
    shown = own_preference(bob)
    assert (shown.by_email, shown.by_push, shown.quiet_from) == (False, False, "")
    assert not own_devices(bob).exists()
    browser = subscribed(bob, receiver)
    stored = Preference.objects.get()
    assert (stored.by_email, stored.by_push, stored.quiet_from) == (False, True, "")
    assert Device.objects.get().id == device_of(browser).id
    house.offered()
    send_all()
    assert mail.outbox == []
    assert [request.path for request in receiver.received] == [
        browser.endpoint.removeprefix(receiver.url)
    ]


# --- the queue ------------------------------------------------------------------------------------


def test_test_notice__is_not_repeated_while_one_waits(
    house: House, bob: Principal, receiver: Receiver
) -> None:
    assert services.send_test(actor=bob, at=clock.now()) is SendOutcome.NO_CHANNEL
    for _ in range(3):
        subscribed(bob, receiver)
    outcomes = [services.send_test(actor=bob, at=clock.now()) for _ in range(3)]
    assert outcomes == [SendOutcome.SENT, SendOutcome.PENDING, SendOutcome.PENDING]
    assert Digest.objects.count() == 3
    send_all()
    assert services.send_test(actor=bob, at=clock.now()) is SendOutcome.SENT


def test_pass__leaves_room_for_other_workers(
    house: House, bob: Principal, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.notices.services.sending.PUSHES", 8)
    for _ in range(12):
        subscribed(bob, receiver)
    jo, caller = worker_in(house.pool)
    user = member_of(house.organisation, "jo@northwind.example").user
    Worker.objects.filter(id=jo.id).update(user=user)
    browser = subscribed(caller.principal, receiver)
    services.send_test(actor=bob, at=clock.now())
    services.send_test(actor=caller.principal, at=clock.now())
    assert services.send_due() == 6
    paths = [request.path for request in receiver.received]
    assert browser.endpoint.removeprefix(receiver.url) in paths
    assert send_all() == 7


def test_notice_without_a_preference__is_deleted(house: House, bob: Principal) -> None:
    """A transition that read the preference before it was erased inserts afterwards."""
    choose_notices(bob, by_email=True)
    house.offered()
    Preference.objects.all().delete()
    assert services.send_due() == 1
    assert (Notice.objects.count(), services.send_due()) == (0, 0)


def test_locked_preferences__do_not_block_others(
    house: House, bob: Principal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.notices.services.composing.WORKERS", 1)
    choose_notices(bob, by_email=True)
    jo, caller = worker_in(house.pool)
    user = member_of(house.organisation, "jo@northwind.example").user
    Worker.objects.filter(id=jo.id).update(user=user, capacity=5)
    choose_notices(caller.principal, by_email=True)
    at = clock.now()
    for worker_id, age in ((bob.worker_id, 2), (jo.id, 1)):
        Notice.objects.create(
            organisation_id=house.organisation.id,
            worker_id=worker_id,
            kind="offer",
            subject_id=house.pool.id,
            created_at=at,
            due_at=at - timedelta(minutes=age),
        )
    compose = partial(compose_due, at=at)
    with transaction.atomic():
        Preference.objects.select_for_update().get(worker_id=bob.worker_id)
        (handled,) = together(compose)
    assert handled == 1
    assert Notice.objects.get().worker_id == bob.worker_id
