"""Test the pages of an endpoint: created, tested, changed, paused, deleted; and those of hosts."""

from datetime import timedelta
from typing import Any

import pytest

from apps.accounts.models import AuditEvent
from apps.accounts.scopes import Role
from apps.base import clock
from apps.webhooks import services
from apps.webhooks.credentials import unsealed
from apps.webhooks.models import Delivery, Destination, Origin
from tests.console.webhook_steps import Operator, operator, stranger, text_of
from tests.destinations import counts, emit, endpoint, origin
from tests.factories import NO_ID, House
from tests.receiver import Receiver, Reply

URL = "http://127.0.0.1:9/events"
NEW = "/admin/webhooks/endpoint/new"
FIELDS: dict[str, Any] = {
    "url": URL,
    "description": "Billing",
    "event_types": ["task.*", "task.message"],
    "domains": "security, legal",
    "payload": "thin",
    "ordering": "none",
    "auth_type": "none",
    "timeout_seconds": "5",
    "rate_limit_per_minute": "60",
    "max_retries": "3",
    "backoff_seconds": "10",
}
# The session, its member, and the page.
MAX_STATEMENTS = 2 + 5


@pytest.fixture
def editor(house: House) -> Operator:
    return operator(house)


def path(row: Destination, page: str = "") -> str:
    return f"/admin/webhooks/endpoint/{row.id}/{page}"


def actions() -> list[str]:
    return list(
        AuditEvent.objects.exclude(action__startswith="session.")
        .order_by("id")
        .values_list("action", flat=True)
    )


# --- created and changed --------------------------------------------------------------------------


def test_create__an_endpoint_with_everything(house: House, editor: Operator) -> None:
    answer = editor.post(
        NEW,
        **FIELDS | {"auth_type": "basic", "auth_name": "hook", "auth_secret": "s3cret-password"},
        pool_ids=[str(house.pool.id)],
        headers="X-Tenant: northwind\n\nX-Key:  k3y-of-the-tenant",
    )
    made = Destination.objects.get(kind="endpoint")
    assert answer["Location"] == path(made)
    assert (made.url, made.description, made.event_types) == (URL, "Billing", FIELDS["event_types"])
    assert (made.pool_ids, made.domains) == ([house.pool.id], ["security", "legal"])
    assert (made.is_thin, made.is_ordered, made.status) == (True, False, "enabled")
    assert (made.timeout_seconds, made.rate_per_minute) == (5, 60)
    assert (made.max_retries, made.backoff_seconds) == (3, 10)
    stored = unsealed(house.organisation.id, bytes(made.sealed))
    assert stored["headers"] == {"X-Tenant": "northwind", "X-Key": "k3y-of-the-tenant"}
    assert (stored["username"], stored["password"]) == ("hook", "s3cret-password")
    assert actions() == ["webhook_endpoint.created"]


def test_create__shows_each_fault_at_its_field(editor: Operator) -> None:
    answer = editor.post(
        NEW,
        status=200,
        **FIELDS | {"url": "http://example.com/", "timeout_seconds": "31", "max_retries": ""},
        headers="Cookie: a=b",
    )
    assert set(answer.context["form"].errors) == {"max_retries"}
    answer = editor.post(
        NEW,
        status=200,
        **FIELDS | {"url": "http://example.com/", "timeout_seconds": "31"},
        headers="Cookie: a=b",
    )
    errors = answer.context["form"].errors
    assert set(errors) == {"url", "timeout_seconds", "headers"}
    assert "There is a problem" in text_of(answer)
    assert b'href="#id_url"' in answer.content
    assert not Destination.objects.exists()


def test_create__needs_a_line_as_name_and_value(editor: Operator) -> None:
    answer = editor.post(NEW, status=200, **FIELDS, headers="X-Tenant")
    assert answer.context["form"].errors == {"headers": ["Write each header as Name: value."]}


def test_settings__keep_secrets_that_are_not_written_again(house: House, editor: Operator) -> None:
    secret = {"auth_type": "bearer", "auth_secret": "t0ken-of-the-gateway"}
    editor.post(NEW, **FIELDS | secret, headers="X-Tenant: northwind")
    made = Destination.objects.get()
    for page in (path(made), path(made, "settings")):
        content = editor.get(page).content.decode()
        assert "t0ken-of-the-gateway" not in content
        assert "northwind" not in content.partition("<main")[2]
        assert "X-Tenant" in content
    changes = {"auth_type": "keep", "keep_headers": "on", "description": "Billing 2"}
    editor.post(path(made, "settings"), **FIELDS | changes)
    changed = Destination.objects.get()
    assert changed.description == "Billing 2"
    stored = unsealed(house.organisation.id, bytes(changed.sealed))
    assert (stored["token"], stored["headers"]) == (
        "t0ken-of-the-gateway",
        {"X-Tenant": "northwind"},
    )
    editor.post(path(made, "settings"), **FIELDS)
    emptied = Destination.objects.get()
    assert (emptied.auth_type, bytes(emptied.sealed), emptied.header_names) == ("none", b"", [])
    assert actions()[1:] == ["webhook_endpoint.changed"] * 2


def test_settings__of_a_wildcard_are_shown_as_every_event(house: House, editor: Operator) -> None:
    row = endpoint(house, URL, event_types=["*"])
    chosen = editor.get(path(row, "settings")).context["form"].initial["event_types"]
    assert chosen == ["task.*"]


# --- health and tests -----------------------------------------------------------------------------


def test_page__shows_health_and_failures(
    house: House, editor: Operator, receiver: Receiver, django_assert_max_num_queries: Any
) -> None:
    row = endpoint(house, receiver.url, max_retries=0, backoff_seconds=1)
    receiver.reply = lambda number: Reply(503 if number else 204)
    emit(house, at=clock.now())
    services.deliver_due()
    emit(house, at=clock.now())
    services.deliver_due()
    assert counts() == {"succeeded": 1, "exhausted": 1}
    with django_assert_max_num_queries(MAX_STATEMENTS):
        answer = editor.get(path(row))
    page = text_of(answer)
    assert "Status Enabled Breaker Closed: it is sent to Failing since" in page
    assert "Last hour 50 % of 2 deliveries succeeded" in page
    assert "Half within" in page
    assert "Refused by a status (503) 1" in page
    until = clock.now() + timedelta(minutes=5)
    Origin.objects.update(open_until=until, probe_seconds=30)
    page = text_of(editor.get(path(row, "fragment")), status=None)
    assert editor.get(path(row, "fragment")).content.count(b"It is tried again at") == 1


def test_send_test__shows_its_result_on_the_page(
    house: House, editor: Operator, receiver: Receiver
) -> None:
    row = endpoint(house, receiver.url)
    answer = editor.post(path(row, "test"), event_type="task.failed")
    test = Delivery.objects.get()
    assert answer["Location"] == f"{path(row)}?test={test.id}&type=task.failed#test"
    assert (test.event_type, test.message.is_test) == ("task.failed", True)
    page = answer["Location"].partition("#")[0]
    assert "Result of the test Status Pending" in editor.text(page)
    services.deliver_due()
    assert "Result of the test Status Succeeded" in editor.text(page)
    assert "Delivered · HTTP 204" in editor.text(page)


def test_send_test__is_refused_while_the_endpoint_is_paused(house: House, editor: Operator) -> None:
    row = endpoint(house, URL, status="paused")
    editor.post(path(row, "test"), event_type="task.failed")
    assert "paused" in editor.text(path(row))
    editor.post(path(row, "test"), event_type="no.event")
    assert "Choose one of the events." in editor.text(path(row))
    assert not Delivery.objects.exists()


# --- paused, enabled, deleted ---------------------------------------------------------------------


def test_pause_and_enable(house: House, editor: Operator) -> None:
    row = endpoint(house, URL)
    editor.post(path(row, "enabled"), enabled="0")
    row.refresh_from_db()
    assert row.status == "paused"
    assert "Its events are held for 30 days." in editor.text(path(row))
    editor.post(path(row, "enabled"), enabled="1")
    row.refresh_from_db()
    assert row.status == "enabled"
    assert actions() == ["webhook_endpoint.changed"] * 2


def test_delete__asks_first(house: House, editor: Operator) -> None:
    row = endpoint(house, URL)
    emit(house, at=clock.now())
    assert "This cannot be undone." in editor.text(path(row, "delete"))
    assert Destination.objects.filter(id=row.id).exists()
    answer = editor.post(path(row, "delete"))
    assert answer["Location"] == "/admin/webhooks/destination/"
    assert not Destination.objects.filter(id=row.id).exists()
    assert not Delivery.objects.exists()
    assert actions() == ["webhook_endpoint.deleted"]


# --- who may --------------------------------------------------------------------------------------


READ = ("", "fragment")
MANAGED = ("settings", "delete")
POSTED = ("test", "enabled", "delete", "settings")


def test_pages__of_a_viewer_have_no_actions(house: House) -> None:
    row = endpoint(house, URL)
    viewer = operator(house, Role.VIEWER)
    for page in READ:
        assert viewer.get(path(row, page)).status_code == 200
    content = viewer.get(path(row)).content
    for page in MANAGED + POSTED:
        assert path(row, page).encode() not in content
    for address in (NEW, *(path(row, page) for page in MANAGED)):
        refused = viewer.get(address)
        assert refused.status_code == 403
        assert "Editor" in text_of(refused, status=403)
    for page in POSTED:
        viewer.post(path(row, page), status=403)
    assert Destination.objects.get().status == "enabled"


@pytest.mark.parametrize("role", [Role.EDITOR, Role.MANAGER, Role.ADMIN])
def test_pages__are_for_editors_and_higher_roles(house: House, role: Role) -> None:
    row = endpoint(house, URL)
    member = operator(house, role)
    for address in (NEW, *(path(row, page) for page in (*READ, *MANAGED))):
        assert member.get(address).status_code == 200


def test_pages__of_another_organisation_do_not_exist(house: House) -> None:
    row = endpoint(house, URL)
    other = stranger(house)
    other.client.raise_request_exception = False
    for page in (*READ, *MANAGED):
        assert other.get(path(row, page)).status_code == 404
    for page in POSTED:
        other.post(path(row, page), status=404, event_type="task.failed")
    assert other.get(f"/admin/webhooks/origin/{row.origin_id}/").status_code == 404
    assert other.get(f"/admin/webhooks/endpoint/{NO_ID}/").status_code == 404
    assert Destination.objects.get().status == "enabled"
    assert actions() == []


# --- hosts ----------------------------------------------------------------------------------------


def test_host__shows_its_breaker_and_its_endpoints(
    house: House, editor: Operator, django_assert_max_num_queries: Any
) -> None:
    row = endpoint(house, URL, description="Billing")
    now = clock.now()
    Origin.objects.update(
        recent=[[int(now.timestamp() // 60), 12, 9]],
        open_until=now + timedelta(minutes=1),
        probe_seconds=30,
        concurrency=2.5,
    )
    with django_assert_max_num_queries(MAX_STATEMENTS):
        page = editor.text(f"/admin/webhooks/origin/{origin(row).id}/")
    assert "Breaker Open: nothing is sent It is tried again at" in page
    assert "9 of 12 attempts failed" in page
    assert "at most 2 attempts" in page
    assert "Billing" in page
