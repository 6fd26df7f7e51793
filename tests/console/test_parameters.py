"""Test what the pages make of parameters that no link of theirs has."""

from typing import Any

import pytest

from apps.accounts.models import ApiKey
from apps.accounts.scopes import Role
from apps.base import clock
from apps.tasks.admin import TaskAdmin
from apps.tasks.models import Task
from apps.tasks.services import create_task, queue_created
from tests.console.steps import console_of, words
from tests.console.test_matrix import signed_in, superuser
from tests.factories import House, contract

FAR = "9999-12-31T23:59:59Z"


def test_list__is_filtered_by_its_own_filters_alone(house: House) -> None:
    house.task(title="Call the depot")
    mara = console_of(house, Role.VIEWER)
    page = mara.text("tasks/task/?instructions__startswith=x&title__iregex=x&sla=none")
    assert "Call the depot" in page
    assert "Call the depot" not in mara.text("tasks/task/?urgency=low&instructions__startswith=x")


def test_list__tells_nothing_of_a_secret(house: House) -> None:
    key = ApiKey.objects.filter(organisation=house.organisation).first()
    assert key is not None
    mara = console_of(house, Role.MANAGER)
    assert key.name in mara.text("accounts/apikey/?secret_hash=x")
    assert key.name in mara.text("accounts/apikey/?worker_id__isnull=nonsense")


@pytest.mark.parametrize("number", ["9" * 10_000, "9" * 9, "0", "-1", "x", "\N{SUPERSCRIPT TWO}"])
def test_organisations__take_any_text_for_a_page(house: House, number: str) -> None:
    answer = signed_in(superuser()).get("/admin/organisations/", {"page": number})
    assert answer.status_code == 200


@pytest.mark.parametrize("before", ["9" * 10_000, "9" * 19, "\0", "x"])
def test_events__take_any_text_for_a_place(house: House, before: str) -> None:
    task: Any = house.task()
    assert Task.objects.filter(id=task.id).exists()
    answer = console_of(house).client.get(
        f"/admin/tasks/task/{task.id}/events/", {"before": before}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["tasks/task/", "tasks/export"])
def test_domain__may_have_any_character(house: House, path: str) -> None:
    answer = console_of(house).client.get(f"/admin/{path}", {"domain": "\0", "format": "csv"})
    assert answer.status_code == 200


def test_deadline__must_be_one_that_can_be_stored(house: House) -> None:
    task = house.queued()
    mara = console_of(house)
    mara.client.cookies["time_zone"] = "America/New_York"
    answer = mara.post(
        f"tasks/task/{task.id}/extend/", deadline="9999-12-31T23:59", reason="Late", version="2"
    )
    assert answer.status_code == 200
    assert "Enter a valid date/time." in words(answer)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("since", ["0001-01-01T00:00", "9999-12-31T23:59"])
def test_recovery__begins_at_any_time(house: House, zone: str, since: str) -> None:
    mara = console_of(house)
    mara.client.cookies["time_zone"] = zone
    fields = {"kind": "failed", "since": since, "rate_per_minute": "100"}
    assert mara.post("webhooks/recovery/new", **fields).status_code == 200
    assert mara.get(f"accounts/auditevent/?since={since}&until={since}").status_code == 200


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_task__may_have_a_deadline_at_the_end_of_time(house: House, zone: str) -> None:
    document = contract(sla={"deadline": FAR})
    actor = house.alice.principal
    task = create_task(actor=actor, document=document, at=clock.now()).task
    queue_created()
    mara = console_of(house)
    mara.client.cookies["time_zone"] = zone
    for page in ("", "extend/", "events/"):
        assert mara.get(f"tasks/task/{task.id}/{page}").status_code == 200, page
    answer = mara.post(
        "tasks/bulk/", chosen=[str(task.id)], action="extend", confirm="1", reason="x", minutes="9"
    )
    assert "0 of 1: extended." in words(answer)


@pytest.mark.parametrize(
    ("query", "status"),
    [("p=999", 200), ("p=999&e=1", 404), ("p=-1&e=1", 404), ("o=99.1&e=1", 200), ("_popup=1", 200)],
)
def test_list__has_no_page_beyond_its_last(
    house: House, monkeypatch: pytest.MonkeyPatch, query: str, status: int
) -> None:
    monkeypatch.setattr(TaskAdmin, "list_per_page", 1)
    house.task(title="Call the office")
    house.task(title="Call the depot")
    mara = console_of(house, Role.VIEWER)
    mara.client.raise_request_exception = False
    answer = mara.client.get(f"/admin/tasks/task/?{query}", follow=True)
    assert answer.status_code == status
    assert ("Call the depot" in words(answer)) is (status == 200)
