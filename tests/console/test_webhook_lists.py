"""Test the lists of webhooks: what they show, filter and cost, and who may see them."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from apps.accounts.scopes import Role
from apps.base import clock
from apps.webhooks.models import Delivery, Origin, Recovery
from tests.console.webhook_steps import Operator, operator, stranger, text_of
from tests.destinations import emit, endpoint, origin
from tests.factories import House
from tests.pages.steps import browser

LISTS = (
    "/admin/webhooks/destination/",
    "/admin/webhooks/origin/",
    "/admin/webhooks/delivery/",
    "/admin/webhooks/recovery/",
    "/admin/webhooks/keys/",
)
URL = "http://127.0.0.1:9/events"
# The session, its member, and at most six of the list.
MAX_STATEMENTS = 6


@pytest.fixture
def viewer(house: House) -> Operator:
    return operator(house, Role.VIEWER)


def delivered(house: House, **changes: Any) -> Delivery:
    """Return the delivery of a new event, with these columns."""
    subject_id = emit(house, at=changes.pop("at", clock.now()))
    deliveries = Delivery.objects.filter(subject_id=subject_id)
    if changes:
        deliveries.update(**changes)
    found = deliveries.first()
    assert found is not None
    return found


@pytest.mark.parametrize("path", LISTS)
def test_lists__are_for_members(house: House, viewer: Operator, path: str) -> None:
    assert viewer.get(path).status_code == 200
    assert browser().get(path)["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("path", LISTS)
def test_lists__have_no_rows_of_another_organisation(house: House, path: str) -> None:
    endpoint(house, "http://127.0.0.1:9/secret-path", description="Billing hook")
    delivered(house)
    answer = stranger(house).get(path)
    assert b"data-row" not in answer.content
    page = text_of(answer)
    for secret in ("Billing hook", "secret-path", "127.0.0.1"):
        assert secret not in page


@pytest.mark.parametrize("path", LISTS)
def test_lists__cost_few_statements(
    house: House, viewer: Operator, path: str, django_assert_max_num_queries: Any
) -> None:
    for number in range(5):
        endpoint(house, f"http://127.0.0.1:{9 + number}/")
    for _ in range(3):
        delivered(house)
    Recovery.objects.bulk_create(
        Recovery(
            organisation=house.organisation,
            kind="failed",
            since=clock.now(),
            until=clock.now(),
            rate_per_minute=60,
            created_by="test",
            created_at=clock.now(),
            next_slot_at=clock.now(),
        )
        for _ in range(3)
    )
    with django_assert_max_num_queries(MAX_STATEMENTS):
        assert viewer.get(path).status_code == 200


def test_endpoints__show_their_state_and_record(house: House, viewer: Operator) -> None:
    endpoint(house, URL, description="Billing hook", event_types=["task.*", "task.message"])
    now = clock.now()
    for minutes, status in ((1, "succeeded"), (2, "exhausted"), (90, "succeeded")):
        at = now - timedelta(minutes=minutes)
        delivered(house, at=at, status=status, attempt_count=1, finished_at=at)
    page = viewer.text("/admin/webhooks/destination/")
    assert "Billing hook Enabled task.* +1" in page
    assert "50 % of 2" in page
    assert "66 % of 3" in page
    Origin.objects.update(open_until=now + timedelta(minutes=1), probe_seconds=30)
    assert "Billing hook Breaker open" in viewer.text("/admin/webhooks/destination/")


def test_endpoints__offer_a_new_one_to_an_editor_only(house: House, viewer: Operator) -> None:
    assert "New endpoint" not in viewer.text("/admin/webhooks/destination/")
    assert "New endpoint" in operator(house).text("/admin/webhooks/destination/")


def test_hosts__are_those_of_endpoints_and_callbacks(house: House, viewer: Operator) -> None:
    house.task(handoff={"callback_url": "http://127.0.0.1:7/callback"})
    hook = endpoint(house, URL)
    now = clock.now()
    Origin.objects.filter(id=origin(hook).id).update(
        recent=[[int(now.timestamp() // 60), 12, 9]],
        open_until=now + timedelta(minutes=1),
        probe_seconds=30,
    )
    page = viewer.text("/admin/webhooks/origin/")
    assert "http://127.0.0.1:7 Closed" in page
    assert "http://127.0.0.1:9 Open: nothing is sent 9 of 12" in page
    page = viewer.text("/admin/webhooks/origin/?breaker=open")
    assert "http://127.0.0.1:9" in page
    assert "http://127.0.0.1:7" not in page


def shown(viewer: Operator, query: str) -> set[str]:
    """Return the ids of the deliveries that a list shows."""
    page = viewer.get(f"/admin/webhooks/delivery/?{query}")
    assert page.status_code == 200, page
    return {str(row.id) for row in page.context["cl"].result_list}


def test_deliveries__are_filtered(house: House, viewer: Operator) -> None:
    one = endpoint(house, URL, event_types=["task.created"])
    two = endpoint(house, "http://127.0.0.1:8/", event_types=["task.failed"])
    now = clock.now()
    old = delivered(house, at=now - timedelta(hours=3), status="succeeded", finished_at=now)
    new = delivered(house)
    emit(house, event_type="task.failed", at=now)
    failed = Delivery.objects.get(destination=two)
    ids = {name: str(row.id) for name, row in {"old": old, "new": new, "failed": failed}.items()}
    expected = {
        "": {"old", "new", "failed"},
        "status=succeeded": {"old"},
        "status=not": {"new", "failed"},
        f"endpoint={one.id}": {"old", "new"},
        f"endpoint={uuid4()}": set(),
        "event_type=task.failed": {"failed"},
        "created=hour": {"new", "failed"},
        f"q={new.id}": {"new"},
        f"q=msg_{new.id.hex}": {"new"},
        f"q={old.subject_id}": {"old"},
        f"q={uuid4()}": set(),
        "q=nonsense": set(),
        f"endpoint={one.id}&status=succeeded&created=day": {"old"},
    }
    for query, names in expected.items():
        assert shown(viewer, query) == {ids[name] for name in names}, query


def test_deliveries__of_a_callback_are_found_by_the_task(house: House, viewer: Operator) -> None:
    task = house.task(handoff={"callback_url": "http://127.0.0.1:7/callback"})
    house.task(handoff={"callback_url": "http://127.0.0.1:7/callback"})
    found = Delivery.objects.get(subject_id=task.id)
    assert shown(viewer, f"q={task.id}") == {str(found.id)}
    page = viewer.text(f"/admin/webhooks/delivery/?q={task.id}")
    assert "Callback to 127.0.0.1:7" in page


def test_deliveries__are_chosen_by_an_editor_only(house: House, viewer: Operator) -> None:
    endpoint(house, URL)
    delivered(house)
    assert b'name="chosen"' not in viewer.get("/admin/webhooks/delivery/").content
    assert b'name="chosen"' in operator(house).get("/admin/webhooks/delivery/").content
