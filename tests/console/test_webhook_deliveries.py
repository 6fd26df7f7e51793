"""Test the pages of deliveries and recoveries: what was sent, and sending it again."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.accounts.models import AuditEvent
from apps.accounts.scopes import Role
from apps.base import clock
from apps.webhooks import services
from apps.webhooks.credentials import Credentials
from apps.webhooks.models import Delivery, Destination, Recovery
from biolayer.contract import CallbackAuth
from tests.console.webhook_steps import Operator, operator, stranger, text_of
from tests.destinations import counts, emit, endpoint
from tests.factories import NO_ID, House
from tests.receiver import Receiver, Reply

MAX_STATEMENTS = 2 + 4
NEW = "/admin/webhooks/recovery/new"


@pytest.fixture
def editor(house: House) -> Operator:
    return operator(house)


def path(row: Delivery, page: str = "") -> str:
    return f"/admin/webhooks/delivery/{row.id}/{page}"


def failed(house: House, receiver: Receiver, count: int = 1, **columns: Any) -> Destination:
    """Return an endpoint to which so many events were given up."""
    row = endpoint(house, receiver.url, max_retries=0, backoff_seconds=1, **columns)
    receiver.reply = lambda _: Reply(503, {"X-Reason": "down"}, b"<b>down</b>")
    for _ in range(count):
        emit(house, at=clock.now())
    services.deliver_due()
    assert counts() == {"exhausted": count}
    return row


def recorded(action: str) -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(action=action).order_by("position"))


# --- a delivery -----------------------------------------------------------------------------------


def test_delivery__shows_request_and_answer_without_secrets(
    house: House, editor: Operator, receiver: Receiver, django_assert_max_num_queries: Any
) -> None:
    auth = CallbackAuth(type="bearer", token="t0ken-of-the-gateway")
    secrets = Credentials(auth, {"X-Tenant": "northwind-tenant"})
    failed(
        house,
        receiver,
        auth_type="bearer",
        sealed=secrets.sealed(house.organisation.id),
        header_names=["X-Tenant"],
    )
    row = Delivery.objects.get()
    with django_assert_max_num_queries(MAX_STATEMENTS):
        answer = editor.get(path(row))
    content = answer.content.decode()
    assert "&lt;b&gt;down&lt;/b&gt;" in content
    assert "<b>down" not in content
    for secret in ("t0ken-of-the-gateway", "northwind-tenant"):
        assert secret not in content
    sent = receiver.received[0].headers
    page = text_of(answer)
    for name in ("webhook-id", "webhook-timestamp"):
        assert f"{name}: {sent[name]}" in page
    assert "Authorization: Bearer [redacted] X-Tenant: [redacted]" in page
    assert '"type": "task.created"' in page
    assert "Status Given up Attempts 1 Last result Refused by a status · HTTP 503" in page
    assert "x-reason: down" in page


def test_delivery__says_what_it_waits_for(house: House, editor: Operator) -> None:
    row = endpoint(house, "http://127.0.0.1:9/")
    emit(house, at=clock.now())
    delivery = Delivery.objects.get()
    assert "Waits It is due at once. Until" in editor.text(path(delivery))
    Destination.objects.filter(id=row.id).update(status="paused")
    assert "Waits The endpoint is paused. Attempts left 12" in editor.text(path(delivery))
    fragment = editor.get(path(delivery, "fragment"))
    assert b"The endpoint is paused." in fragment.content
    assert b"<html" not in fragment.content


def test_resend__sends_a_delivery_again(house: House, editor: Operator, receiver: Receiver) -> None:
    failed(house, receiver)
    row = Delivery.objects.get()
    receiver.reply = lambda _: Reply()
    assert editor.post(path(row, "resend"))["Location"] == path(row)
    row.refresh_from_db()
    assert (row.status, row.wait) == ("pending", "resent")
    services.deliver_due()
    assert counts() == {"succeeded": 1}
    assert "Status Succeeded Attempts 2" in editor.text(path(row))
    (event,) = recorded("delivery.resent")
    assert (event.subject_id, event.actor_id) == (str(row.id), str(editor.member.id))


def test_resend__of_many_has_a_result_for_each(
    house: House, editor: Operator, receiver: Receiver
) -> None:
    failed(house, receiver, 3)
    rows = list(Delivery.objects.order_by("id"))
    chosen = [str(rows[0].id), str(rows[1].id), NO_ID, "nonsense", str(rows[0].id)]
    answer = editor.post(
        "/admin/webhooks/delivery/resend",
        status=200,
        chosen=chosen,
        action="resend",
        list="/admin/webhooks/delivery/?status=exhausted",
    )
    page = text_of(answer)
    assert "2 of 4 are sent again, with their whole retry budgets." in page
    assert page.count("task.created It is due now.") == 2
    assert page.count("It does not exist any more.") == 2
    assert b'href="/admin/webhooks/delivery/?status=exhausted"' in answer.content
    assert counts() == {"pending": 2, "exhausted": 1}
    assert len(recorded("delivery.resent")) == 2


def test_resend__of_none_and_with_a_foreign_list(house: House, editor: Operator) -> None:
    answer = editor.post(
        "/admin/webhooks/delivery/resend", status=200, list="https://mallory.example/"
    )
    assert "Nothing was chosen." in text_of(answer)
    assert b"mallory" not in answer.content


# --- recoveries -----------------------------------------------------------------------------------


def local(at: datetime) -> str:
    """Return a time as a browser in UTC sends it."""
    return timezone.localtime(at, timezone.get_default_timezone()).strftime("%Y-%m-%dT%H:%M")


def fields(**changes: Any) -> dict[str, Any]:
    since = local(clock.now() - timedelta(hours=1))
    return {"kind": "failed", "since": since, "rate_per_minute": "3000", **changes}


def test_recovery__is_counted_then_started_then_followed(
    house: House, editor: Operator, receiver: Receiver
) -> None:
    row = failed(house, receiver, 3)
    page = text_of(editor.post(NEW, status=200, **fields(endpoint_id=str(row.id))))
    assert "3 deliveries would be sent At 3000 a minute that takes about 1 minute." in page
    assert not Recovery.objects.exists()
    answer = editor.post(NEW, **fields(endpoint_id=str(row.id), confirmed="1"))
    made = Recovery.objects.get()
    address = f"/admin/webhooks/recovery/{made.id}/"
    assert answer["Location"] == address
    assert (made.destination_id, made.kind, made.rate_per_minute) == (row.id, "failed", 3000)
    assert "Progress Being queued Queued 0" in editor.text(address)
    receiver.reply = lambda _: Reply()
    assert services.release_recoveries() == 3
    services.deliver_due(at=clock.now() + timedelta(minutes=1))
    assert counts() == {"succeeded": 3}
    assert "Progress Done Queued 3 Delivered 3 Failed again 0 Pending 0" in editor.text(address)
    assert b"Done" in editor.get(address + "fragment").content
    (event,) = recorded("recovery.started")
    assert event.subject_id == str(made.id)
    assert event.data == {"kind": "failed", "endpoint_id": str(row.id)}


def test_recovery__counts_what_an_endpoint_missed(house: House, editor: Operator) -> None:
    for event_type in ("task.created", "task.failed", "task.message"):
        emit(house, event_type=event_type, at=clock.now())
    row = endpoint(house, "http://127.0.0.1:9/", event_types=["task.*"])
    emit(house, at=clock.now())
    asked = fields(kind="missed", endpoint_id=str(row.id))
    page = text_of(editor.post(NEW, status=200, **asked))
    assert "2 deliveries would be sent" in page
    editor.post(NEW, **asked, confirmed="1")
    assert services.release_recoveries() == 2


def test_recovery__refuses_faults_and_starts_nothing(house: House, editor: Operator) -> None:
    tomorrow = local(clock.now() + timedelta(days=1))
    refusals = {
        "endpoint_id": fields(kind="missed", confirmed="1"),
        "since": fields(since=tomorrow, confirmed="1"),
        "until": fields(until="2026-01-01T00:00", confirmed="1"),
        "rate_per_minute": fields(rate_per_minute="0", confirmed="1"),
    }
    for name, asked in refusals.items():
        answer = editor.post(NEW, status=200, **asked)
        assert set(answer.context["form"].errors) == {name}
    assert "There is nothing to send in this time." in text_of(
        editor.post(NEW, status=200, **fields())
    )
    editor.post(NEW, status=200, **fields(change="1"))
    assert not Recovery.objects.exists()


def test_recovery__takes_times_of_the_browser(house: House, editor: Operator) -> None:
    editor.client.cookies["time_zone"] = "Asia/Tokyo"
    editor.post(NEW, **fields(since="2026-01-05T09:00", confirmed="1"))
    assert Recovery.objects.get().since.isoformat() == "2026-01-05T00:00:00+00:00"


# --- who may --------------------------------------------------------------------------------------


def test_pages__of_a_viewer_have_no_actions(house: House, receiver: Receiver) -> None:
    failed(house, receiver)
    row = Delivery.objects.get()
    viewer = operator(house, Role.VIEWER)
    answer = viewer.get(path(row))
    assert answer.status_code == 200
    assert b"resend" not in answer.content
    assert viewer.get(NEW).status_code == 403
    viewer.post(NEW, status=403, **fields(confirmed="1"))
    viewer.post(path(row, "resend"), status=403)
    viewer.post("/admin/webhooks/delivery/resend", status=403, chosen=[str(row.id)])
    assert counts() == {"exhausted": 1}
    assert not Recovery.objects.exists()


def test_pages__of_another_organisation_do_not_exist(
    house: House, editor: Operator, receiver: Receiver
) -> None:
    hook = failed(house, receiver)
    row = Delivery.objects.get()
    editor.post(NEW, **fields(confirmed="1"))
    recovery = Recovery.objects.get()
    other = stranger(house)
    other.client.raise_request_exception = False
    pages = [path(row), path(row, "fragment")]
    pages += [f"/admin/webhooks/recovery/{recovery.id}/{page}" for page in ("", "fragment")]
    for page in pages:
        assert other.get(page).status_code == 404
        assert editor.get(page).status_code == 200
    other.post(path(row, "resend"), status=404)
    answer = other.post("/admin/webhooks/delivery/resend", status=200, chosen=[str(row.id)])
    assert "0 of 1 are sent again" in text_of(answer)
    answer = other.post(NEW, status=200, **fields(endpoint_id=str(hook.id), confirmed="1"))
    assert set(answer.context["form"].errors) == {"endpoint_id"}
    assert counts() == {"exhausted": 1}
    assert Recovery.objects.count() == 1
